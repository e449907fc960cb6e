"""A room in which waves of trials train side by side: what can share a program is one group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

from thalweg.data import Data
from thalweg.engine import Evaluated, Event, Group, Step
from thalweg.engine.partition import partition
from thalweg.spec import DataSpec, Spec
from thalweg.study.search.rungs import updates_at

END = 1.0
"""The last rung: the whole length."""


class Crew:
    """A group in training, which stops where somebody is to be ranked.

    Args:
        specs: What the members are.
        numbers: What they are called by.
        rungs: At which parts of their length they are ranked, the end left out.
        metric: What they are ranked by, on the validation split.
        own: What was given in Python rather than named.
        loaded: What other groups have loaded.

    Attributes:
        scores: By member and rung; as measured.
        ended: Why members are over, by number.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        numbers: Sequence[int],
        rungs: Sequence[float],
        metric: str,
        own: Mapping[str, Any],
        loaded: dict[DataSpec, Data],
    ) -> None:
        self.first, self.metric = specs[0], metric
        self.group = Group(specs, numbers=numbers, loaded=loaded, **own)
        self.scores: dict[int, dict[float, float]] = {}
        self.ended: dict[int, str] = {}
        self.shares: dict[int, float] = {}
        self._marks: dict[int, dict[float, int]] = {}
        self._mark(numbers, rungs)
        self._events, self._before = self.group.events(), 0.0

    def _mark(self, numbers: Sequence[int], rungs: Sequence[float]) -> None:
        lengths = {member.number: member.length for member in self.group.progress.members}
        for number in numbers:
            own = lengths[number]
            self._marks[number] = {rung: updates_at(rung, own) for rung in (*rungs, END)}
            self.scores[number], self.shares[number] = {}, 0.0

    @property
    def ready(self) -> bool:
        """Whether others may enter: an epoch ended, and somebody trains."""
        p = self.group.progress
        return not (p.due or p.done) and bool(p.active)

    def enter(self, specs: Sequence[Spec], numbers: Sequence[int], rungs: Sequence[float]) -> None:
        """Let further members begin."""
        self.group.enter(specs, numbers)
        self._mark(numbers, rungs)

    def reached(self, number: int, rung: float) -> bool:
        """Tell whether a member came to a rung, or to its end."""
        return number in self.ended or rung in self.scores[number]

    def advance(self, numbers: Sequence[int], rung: float) -> Iterator[Event]:
        """Train until some members have come to a rung, or to their ends."""
        while not all(self.reached(number, rung) for number in numbers):
            event = next(self._events, None)
            if isinstance(event, Step):
                self._share(event)
                self._measure(event)
            self._note_ends()
            if event is None:
                break
            yield event

    def settle(self) -> Iterator[Event]:
        """Conclude an update after which there is an evaluation: then others may enter."""
        p = self.group.progress
        if self.is_over or not p.due or not p.active:
            return
        updates, every = self.group.cohort.updates, p.length.evaluate_every
        made = {member: updates - member.begun[0] for member in p.active}
        if every and any(n % every == 0 or n >= m.length.updates for m, n in made.items()):
            event = next(self._events)  # it is the evaluation, not the next step
            assert isinstance(event, Evaluated)
            self._note_ends()
            yield event

    def prune(self, numbers: Sequence[int]) -> None:
        """Send members away."""
        alive = [member.number for member in self.group.progress.active]
        out = [number for number in numbers if number in alive]
        for number in numbers:
            self.ended.setdefault(number, "pruned")
        if set(out) == set(alive):
            self._events = iter(())
        else:
            self.group.prune(out)

    @property
    def is_over(self) -> bool:
        """Whether nobody trains any more."""
        return all(number in self.ended for number in self.scores)

    def epochs(self, number: int) -> float:
        """Return how many passes over the training samples a member has made."""
        (own,) = (m for m in self.group.progress.everyone if m.number == number)
        return self.group.made(own)[0] / own.length.per_epoch

    def updates(self, number: int, rung: float) -> int:
        """Return after how many updates a member comes to a rung."""
        return self._marks[number][rung]

    def _share(self, event: Step) -> None:
        share = (event.clock.seconds - self._before) / len(event.members)
        self._before = event.clock.seconds
        for number in event.members:
            self.shares[number] += share

    def _measure(self, event: Step) -> None:
        """Score those who have come to a rung."""
        group, due = self.group, dict[int, list[float]]()
        for member in group.progress.active:
            made, marks = event.clock.step - member.begun[0], self._marks[member.number]
            due[member.number] = [rung for rung, updates in marks.items() if updates == made]
        if not any(due.values()):
            return
        splits = [data.splits()["val"] for data in group.data]
        found = group.cohort.evaluate(splits, slow=group.slow)[self.metric.partition("_")[2]]
        for member, value in zip(group.progress.members, found, strict=True):
            for rung in due.get(member.number, ()):
                self.scores[member.number][rung] = value

    def _note_ends(self) -> None:
        for member in self.group.progress.everyone:
            if member.reason is None or member.number in self.ended:
                continue
            self.ended[member.number] = member.reason
            value = member.last.get(self.metric)
            if member.reason != "diverged" and value is not None:
                self.scores[member.number].setdefault(END, value)


@dataclass
class Party:
    """A wave in the room.

    Args:
        number: Its number.
        rungs: At which parts of their length its members are ranked, rising, the end left out.
        began: By the clock of the room, when it entered.
        crews: The crews with its members, by number.
        left: Rungs that it has still to come to, the end among them.
    """

    number: int
    rungs: list[float]
    began: float
    crews: dict[int, Crew] = field(default_factory=dict)
    left: list[float] = field(default_factory=list)

    @property
    def due(self) -> float:
        """When it is to be ranked next, by the clock of the room."""
        return self.began + self.left[0]

    @property
    def alive(self) -> list[int]:
        """Its members that train."""
        return [number for number, crew in self.crews.items() if number not in crew.ended]


class Room:
    """Waves that train side by side, in as few programs as can be.

    Its clock counts lengths of a run. All groups come to a rung before a wave is ranked; who enters
    joins a group that shares its program and has just ended an epoch, or begins a group of its own.

    Args:
        metric: What members are ranked by, such as ``val_accuracy``.
        own: What was given in Python rather than named: model, data, loss, metrics.
        loaded: Data that are there already; what is new is added.

    Example:
        >>> from thalweg.engine import short_keys
        >>> settings = {"data": "digits", "val": 0.2, "hidden": (8,), "epochs": 3, "evaluate": ()}
        >>> base = Spec().override(settings, short_keys())
        >>> room = Room("val_accuracy")
        >>> party = room.enter(0, {k: base.override({"lr": 10.0**-k}) for k in range(4)}, [1 / 3])
        >>> for event in room.train():
        ...     pass
        >>> party.left[0], sorted(room.scores(party, party.left[0]))
        (0.3333333333333333, [0, 1, 2, 3])
        >>> room.conclude(party, keep=[2, 3])
        >>> for event in room.train():
        ...     pass
        >>> room.conclude(party, keep=[]), room.parties
        (None, [])
    """

    def __init__(
        self,
        metric: str,
        own: Mapping[str, Any] | None = None,
        loaded: dict[DataSpec, Data] | None = None,
    ) -> None:
        self.metric, self.own = metric, dict(own or {})
        self.parties: list[Party] = []
        self.crews: list[Crew] = []
        self.clock = 0.0
        self._loaded: dict[DataSpec, Data] = {} if loaded is None else loaded

    @property
    def members(self) -> int:
        """How many train."""
        return sum(len(crew.group.progress.active) for crew in self.crews if not crew.is_over)

    def enter(self, number: int, specs: Mapping[int, Spec], rungs: Sequence[float]) -> Party:
        """Let a wave enter.

        Args:
            number: Its number.
            specs: What its members are, by their numbers.
            rungs: At which parts of their length they are to be ranked, the end left out.

        Raises:
            ThalwegError: A spec does not fit its data.
        """
        party = Party(number, sorted(rungs), self.clock, left=[*sorted(rungs), END])
        waiting = dict(specs)
        for crew in self.crews:
            if crew.ready:
                fits = _sharing(crew.first, waiting)
                if fits:
                    crew.enter([waiting[n] for n in fits], fits, rungs)
                    party.crews |= dict.fromkeys(fits, crew)
                    waiting = {n: spec for n, spec in waiting.items() if n not in fits}
        places = list(waiting)
        for own in partition([waiting[n] for n in places]):
            numbers = [places[k] for k in own]
            found = [waiting[n] for n in numbers]
            crew = Crew(found, numbers, rungs, self.metric, self.own, self._loaded)
            self.crews.append(crew)
            party.crews |= dict.fromkeys(numbers, crew)
        self.parties.append(party)
        return party

    @property
    def next(self) -> Party:
        """The wave that is to be ranked next."""
        return min(self.parties, key=lambda party: (party.due, party.number))

    def train(self) -> Iterator[Event]:
        """Train until the next wave is to be ranked."""
        party = self.next
        rung = party.left[0]
        for crew in dict.fromkeys(party.crews.values()):
            numbers = [n for n, own in party.crews.items() if own is crew and n in party.alive]
            yield from crew.advance(numbers, rung)
            if rung == END:
                yield from crew.settle()
        self.clock = max(self.clock, party.due)

    def scores(self, party: Party, rung: float) -> dict[int, float]:
        """Return how good the members are that came to a rung, as measured.

        One that came to an end of its own before has the score of its end.
        """
        found = {}
        for number, crew in party.crews.items():
            own = crew.scores[number]
            if rung in own or END in own:
                found[number] = own.get(rung, own.get(END, nan))
        return found

    def conclude(self, party: Party, keep: Sequence[int]) -> None:
        """Let a wave go on from the rung that it has come to.

        Args:
            party: The wave.
            keep: Who goes on; the others are sent away.
        """
        party.left.pop(0)
        gone = [number for number in party.alive if number not in keep]
        for crew in dict.fromkeys(party.crews.values()):
            crew.prune([number for number in gone if party.crews[number] is crew])
        if not party.left or not party.alive:
            self.parties.remove(party)
        self.crews = [crew for crew in self.crews if not crew.is_over]
        if not self.parties:
            self.clock = 0.0

    def settle(self) -> Iterator[Event]:
        """Conclude updates after which there is an evaluation: then others may enter."""
        for crew in self.crews:
            yield from crew.settle()


def _sharing(first: Spec, specs: Mapping[int, Spec]) -> list[int]:
    """Return the numbers of those specs that share the program of one that trains."""
    numbers = list(specs)
    for places in partition([first, *specs.values()]):
        if 0 in places:
            return [numbers[place - 1] for place in sorted(places) if place]
    return []  # pragma: no cover - it is in one of them
