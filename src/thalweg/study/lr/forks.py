"""Forks: from one state of each seed, every learning rate goes its own way for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from thalweg.data import Split
from thalweg.engine import Diverged, Event, Group, Step
from thalweg.engine.partition import partition
from thalweg.engine.progress import FOREIGN, Snapshot
from thalweg.spec import Spec
from thalweg.study.lr.specs import Own, Stage, build_group
from thalweg.study.sweeps.grid import half_decade

HELD_OUT = 2_000
"""Held-out samples that forks are evaluated on at most: the first ones, the same for all."""


@dataclass(frozen=True)
class State:
    """Where one seed stands after its warm start: what forks begin with.

    Args:
        arrays: Its tensors, as in `Snapshot`, with 1 as their first axis.
        facts: What the snapshot's facts say of the whole cohort.
    """

    arrays: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass
class Fork:
    """One learning rate with one seed.

    Args:
        place: Place of the rate on the half-decade grid.
        seed: The seed.
        losses: Held-out loss by steps since the fork began; infinite where it was no number.
        reason: ``"complete"``, ``"pruned"`` or ``"diverged"``.
    """

    place: int
    seed: int
    losses: dict[int, float] = field(default_factory=dict)
    reason: str = "complete"


class Forks:
    """All forks of a search.

    Args:
        base: What to train, stripped of what interferes.
        own: What was given in Python rather than named; the data have a validation split.
        seeds: The seeds.
        warm: Updates of the warm start; 0 lets the forks begin with the initial weights.
        warm_lr: Learning rate of the warm start.
        steps: Updates of a fork.
        largest: Members of a group at most.

    Attributes:
        forks: By place on the half-decade grid and seed.
        spent: Updates made, over all seeds and rates, with those of the warm start.
        states: Where each seed stands after its warm start; none without one.
    """

    def __init__(
        self,
        base: Spec,
        own: Own,
        seeds: Sequence[int],
        *,
        warm: int,
        warm_lr: float,
        steps: int,
        largest: int,
    ) -> None:
        self.base, self.own, self.seeds, self.largest = base, own, list(seeds), largest
        self.warm, self.warm_lr, self.steps = warm, warm_lr, steps
        self.forks: dict[tuple[int, int], Fork] = {}
        self.spent = 0
        self.states: dict[int, State] = {}

    def warm_start(self) -> Iterator[Stage]:
        """Train each seed for the updates of the warm start, and keep where that leads.

        If a seed diverges, there is none: the forks begin with the initial weights.
        """
        specs = [self._spec(self.warm_lr, seed) for seed in self.seeds]
        for numbers in partition(specs, self.largest) if self.warm else ():
            group = build_group([specs[number] for number in numbers], numbers, self.own)
            for event in group.events():
                if isinstance(event, Diverged):
                    self.warm, self.states = 0, {}
                    return
                if isinstance(event, Step):
                    self.spent += len(event.members)
                    yield Stage("warm start", event.clock.step / self.warm)
                    if event.clock.step == self.warm:
                        taken = group.snapshot()
                        for row, number in enumerate(numbers):
                            self.states[self.seeds[number]] = _one(taken, row, len(numbers))
                        break

    def race(self, places: Sequence[int], rungs: Sequence[tuple[int, int]]) -> Iterator[Stage]:
        """Let learning rates go their ways; at each rung the worse ones leave.

        Args:
            places: The rates, by their places on the half-decade grid.
            rungs: Steps since the fork, and how many rates go on from there; the last one is the
                end.
        """
        forks = [Fork(place, seed) for place in places for seed in self.seeds]
        self.forks |= {(fork.place, fork.seed): fork for fork in forks}
        specs = [self._spec(half_decade(fork.place), fork.seed) for fork in forks]
        ways = [
            _Way(self._begin([specs[number] for number in numbers], numbers), forks)
            for numbers in partition(specs, self.largest)
        ]
        for way in ways:
            way.evaluate(0, self._held_out(way.group))
        left = list(places)
        for steps, count in rungs:
            for k, way in enumerate(ways):
                for event in way.until(self.warm + steps):
                    self.spent += len(event.members)
                    share = (event.clock.step - self.warm) / self.steps
                    yield Stage(f"forks at {len(left)} rates", (k + share) / len(ways))
                way.evaluate(steps, self._held_out(way.group))
            scores = {place: self.mean(place, steps) for place in left}
            stay = sorted(left, key=lambda place: scores[place])[:count]
            if steps < self.steps:
                out = [place for place in left if place not in stay]
                for way in ways:
                    way.prune(out)
            left = stay

    def mean(self, place: int, steps: int) -> float:
        """Return a rate's mean held-out loss over the seeds; infinite if one diverged."""
        told = [self.forks[place, seed].losses.get(steps, inf) for seed in self.seeds]
        return sum(told) / len(told)

    def look(self, seed: int, place: int | None = None) -> Group:
        """Return a group of one fork of a seed: where all begin, or where that of a rate ends."""
        lr = self.warm_lr if place is None else half_decade(place)
        group = self._begin([self._spec(lr, seed)], [0])
        if place is not None:
            for _ in _Way(group, [Fork(place, seed)]).until(self.warm + self.steps):
                self.spent += 1
        return group

    def _spec(self, lr: float, seed: int) -> Spec:
        changes = {"optimizer.lr": lr, "steps": self.warm + self.steps, "seed": seed}
        return self.base.override(changes)

    def _begin(self, specs: Sequence[Spec], numbers: Sequence[int]) -> Group:
        """Return a group of forks, each where its seed stands."""
        group = build_group(specs, numbers, self.own)
        if self.states:
            states = [self.states[spec.seed] for spec in specs]
            group.restore(_many(group.snapshot(), states))
        return group

    def _held_out(self, group: Group) -> Split:
        val = group.data[0].val
        assert val is not None
        return val if len(val) <= HELD_OUT else val.take(torch.arange(HELD_OUT))


class _Way:
    """A group of forks on its way."""

    def __init__(self, group: Group, forks: Sequence[Fork]) -> None:
        self.group, self.forks = group, forks
        self.events: Iterator[Event] = group.events()
        self.alive = True

    def until(self, update: int) -> Iterator[Step]:
        """Train until an update is made, and yield all on the way there."""
        while self.alive:
            event = next(self.events, None)
            if isinstance(event, Diverged):
                for number in event.members:
                    self.forks[number].reason = "diverged"
            self.alive = event is not None
            if isinstance(event, Step):
                yield event
                if event.clock.step == update:
                    return

    def evaluate(self, steps: int, held_out: Split) -> None:
        """Take note of the held-out losses of those that train."""
        members = self.group.progress.active if self.alive else []
        if members:
            losses = self.group.cohort.evaluate(held_out, slow=self.group.slow)["loss"]
            rows = self.group.progress.members
            for member, loss in zip(rows, losses, strict=True):
                good = loss if isfinite(loss) else inf
                self.forks[member.number].losses[steps] = good

    def prune(self, places: Sequence[int]) -> None:
        """Take the forks of some rates out."""
        active = [member.number for member in self.group.progress.active] if self.alive else []
        out = [number for number in active if self.forks[number].place in places]
        for number in out:
            self.forks[number].reason = "pruned"
        if out and len(out) == len(active):
            self.alive = False
        elif out:
            self.group.prune(out)


def _one(taken: Snapshot, row: int, members: int) -> State:
    """Return the state of one member of a snapshot whose members each have their own order."""
    own: dict[str, Tensor] = {}
    for name, array in taken.arrays.items():
        room, _, which = name.rpartition("/")
        if room in {"generators/order", "generators/masks"}:
            if int(which) == row:
                own[room] = array
        elif FOREIGN in name:  # such a rule has its group for itself
            own[name] = array
        else:
            own[name] = array[row : row + 1].clone()
    kept = ("updates", "gradients", "done", "due", "counts")
    return State(own, {name: taken.facts[name] for name in kept})


def _many(fresh: Snapshot, states: Sequence[State]) -> Snapshot:
    """Return a snapshot of members that each stand where a state says.

    Args:
        fresh: A snapshot of their group before its first step.
        states: One a member; those of one seed are one object.
    """
    distinct = list({id(state): state for state in states}.values())
    arrays: dict[str, Tensor] = {}
    for name in {**fresh.arrays, **states[0].arrays}:
        room, _, which = name.rpartition("/")
        if name in {"generators/order", "generators/masks"}:
            continue
        if room == "generators/order":
            arrays[name] = distinct[int(which)].arrays[room]
        elif room == "generators/masks":
            arrays[name] = states[int(which)].arrays[room]
        elif FOREIGN in name:
            arrays[name] = states[0].arrays[name]
        else:
            arrays[name] = torch.cat([state.arrays[name] for state in states])
    return Snapshot(arrays, {**fresh.facts, **states[0].facts})
