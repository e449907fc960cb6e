"""A series: many specs, trained in groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from thalweg.data import Data
from thalweg.engine import Evaluated, Event, Group, History, States, Step
from thalweg.engine.events import Reason
from thalweg.engine.partition import partition
from thalweg.errors import SpecError
from thalweg.spec import DataSpec
from thalweg.study.sweeps.grid import Point


@dataclass(frozen=True)
class Result:
    """What became of one member.

    Args:
        number: Its place in the series.
        reason: Why it ended.
        metrics: Its last evaluation.
        steps: Updates that it made.
        epochs: Passes over the training set.
        gradients: Gradient evaluations, in batches.
        seconds: Its share of the time that its group trained.
    """

    number: int
    reason: Reason
    metrics: Mapping[str, float]
    steps: int
    epochs: float
    gradients: int
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether a loss was no number."""
        return self.reason == "diverged"


@dataclass
class Series:
    """Many specs, and what has become of them.

    Args:
        points: The specs.
        groups: Their places, in groups that are one program each; as few as can be if empty.
        own: What was given in Python rather than named: model, data, loss, metrics.
        largest: Members of a group at most.

    Attributes:
        results: By number; those that are over.
        histories: What the members of each group said, by evaluation.
        weights: Parameters and buffers as evaluated, of those that are over, by number.
        states: Recorded parameters, of those that are over or in training, by number.

    Example:
        >>> from thalweg.spec import Spec
        >>> from thalweg.study.sweeps.grid import grid
        >>> base = Spec().override({"data": "digits", "model.hidden": (8,), "steps": 3})
        >>> series = Series(grid(base, {"lr": [0.01, 0.1]}, seeds=2))
        >>> for event in series.events():
        ...     pass
        >>> [series.results[number].steps for number in range(4)]
        [3, 3, 3, 3]
    """

    points: Sequence[Point]
    groups: list[list[int]] = field(default_factory=list)
    own: Mapping[str, Any] = field(default_factory=dict)
    largest: int | None = None

    def __post_init__(self) -> None:
        if not self.points:
            raise SpecError("a series without members", "at least one")
        self.groups = self.groups or partition([p.spec for p in self.points], self.largest)
        self.results: dict[int, Result] = {}
        self.weights: dict[int, Mapping[str, Tensor]] = {}
        self.states: dict[int, States] = {}
        self.histories = [History(by_member=True) for _ in self.groups]
        self.group: Group | None = None
        self.shares: dict[int, float] = {}
        self.loaded: dict[DataSpec, Data] = {}
        self.device = ""

    def begin(self, index: int) -> Group:
        """Build a group, to be trained next."""
        self.group = self.build(index)
        self.states |= self.group.states
        self.shares = dict.fromkeys(self.groups[index], 0.0)
        return self.group

    def build(self, index: int) -> Group:
        """Return a group; what its data have in common with the last one's is not loaded again."""
        numbers = self.groups[index]
        specs = [self.points[number].spec for number in numbers]
        kept, device = {spec.data for spec in specs}, specs[0].device
        before = self.loaded if device == self.device else {}
        self.loaded = {asked: data for asked, data in before.items() if asked in kept}
        self.device = device
        return Group(specs, numbers=numbers, loaded=self.loaded, **self.own)

    def is_over(self, index: int) -> bool:
        """Tell whether all members of a group are over."""
        return all(number in self.results for number in self.groups[index])

    def events(self) -> Iterator[tuple[int, Event]]:
        """Train group after group, and yield what happens, and in which."""
        for index in range(len(self.groups)):
            if not self.is_over(index):
                self.begin(index)
                yield from self.descend(index)

    def descend(self, index: int) -> Iterator[tuple[int, Event]]:
        """Train the group that was begun, or restored, to its end."""
        group = self.group
        assert group is not None
        before = group.progress.seconds
        for event in group.events():
            if isinstance(event, Step):
                share = (event.clock.seconds - before) / len(event.members)
                before = event.clock.seconds
                for number in event.members:
                    self.shares[number] += share
            elif isinstance(event, Evaluated):
                self.histories[index].add(event)
            yield index, event
        self._conclude(group)

    def network(self, number: int) -> nn.Module:
        """Return the network of a member that is over, as it was evaluated."""
        alone = Group([self.points[number].spec], **self.own)
        return alone.network(self.weights[number])

    def called(self, number: int, among: Collection[int] | None = None) -> str:
        """Return the name of a member's setting, or nothing; with its seed, if there are several.

        Args:
            number: The member.
            among: Those that are to be told apart; all if None.

        Example:
            >>> from thalweg.spec import Spec
            >>> from thalweg.study.sweeps.grid import grid
            >>> Series(grid(Spec(), [{"name": "fast", "lr": 1.0}], seeds=2)).called(1)
            'fast, seed 1'
        """
        point, others = self.points[number], range(len(self.points)) if among is None else among
        name = str(point.setting.get("name", point.setting.get("contestant", "")))
        alike = [other for other in others if self.points[other].setting == point.setting]
        return f"{name}, seed {point.spec.seed}" if name and len(alike) > 1 else name

    def _conclude(self, group: Group) -> None:
        for member in group.progress.everyone:
            assert member.reason is not None
            steps, gradients = group.made(member)
            self.results[member.number] = Result(
                member.number,
                member.reason,
                dict(member.last),
                steps,
                steps / member.length.per_epoch,
                gradients,
                self.shares[member.number],
            )
            self.weights[member.number] = group.remains(member)
        self.group = None
