"""A worker: asks for waves of trials, trains them side by side, ranks them, and tells."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, inf, isfinite, isnan, nan
from typing import Any, Protocol

from thalweg.data import Data
from thalweg.engine import Event, short_keys
from thalweg.engine.stop import Judge, lower_is_better
from thalweg.spec import DataSpec, Spec
from thalweg.study.search.ledger import State, Trial, Wave
from thalweg.study.search.room import END, Party, Room
from thalweg.study.search.rungs import Rungs, best
from thalweg.study.search.samplers import BLIND
from thalweg.study.search.space import Space
from thalweg.study.signals import Interrupted, Stop
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.size import largest_group

PARTS = 4
"""A sampler that learns is asked for so many groups, at least."""

FEW = 8
"""Trials that a group has at least, if there are so many."""

WAIT = 0.2
"""Seconds between two looks at whether another worker died, or has told its last trial."""


@dataclass(frozen=True)
class Asked:
    """A wave begins.

    Args:
        wave: Its number.
        trials: Its trials that are to be trained.
        again: Whether its worker died.
    """

    wave: int
    trials: list[Trial]
    again: bool = False


@dataclass(frozen=True)
class Trained:
    """Something happened to members in training.

    Args:
        event: What.
    """

    event: Event


@dataclass(frozen=True)
class Ranked:
    """A wave was ranked.

    Args:
        wave: Its number.
        rung: At which part of its length; 1 is its end.
        scores: How good its trials were that came so far.
        kept: Who goes on, or has come to the end.
    """

    wave: int
    rung: float
    scores: Mapping[int, float]
    kept: list[int]


@dataclass(frozen=True)
class Told:
    """It is known what became of a trial.

    Args:
        trial: The trial.
    """

    trial: Trial


@dataclass(frozen=True)
class Waited:
    """Nothing is left to do but what other workers do."""


Progress = Asked | Trained | Ranked | Told | Waited


def trial_spec(base: Spec, space: Space, values: Mapping[str, Any]) -> Spec:
    """Return the spec of a trial: it is evaluated on the validation split alone.

    Where nothing in a run depends on its evaluations, it is ranked without them.

    Example:
        >>> from thalweg.study.search.ranges import build_space
        >>> space, base = build_space(Spec(), over={"lr": "0.01..1"})
        >>> spec = trial_spec(base, space, {"lr": 0.5})
        >>> spec.optimizer.lr, spec.evaluate, spec.evaluate_last
        (0.5, (), 'chosen')
    """
    spec = space.spec(base, values)
    changes: dict[str, Any] = {"evaluate_last": "chosen"}
    if Judge(spec).watched or spec.max_seconds is not None:
        changes["evaluate"] = ["val"]
    else:
        changes |= {"evaluate": (), "evaluate_every": "1epoch"}
    return spec.override(changes, short_keys())


def wave_size(
    base: Spec,
    space: Space,
    sampler: str,
    total: int,
    own: Mapping[str, Any],
    *,
    group: int | None = None,
    memory: float | None = None,
    workers: int = 1,
) -> int:
    """Return how many trials are asked for at a time: what suits the sampler and the memory.

    Args:
        base: Where the settings start from.
        space: What may be chosen.
        sampler: Name of the sampler.
        total: Trials of the study.
        own: What was given in Python rather than named.
        group: How many are wished for, if it is not what suits the sampler.
        memory: Bytes that members may take at a time; half of what is free if None.
        workers: How many ask.
    """
    specs = [trial_spec(base, space, values) for values in space.corners()]
    largest = largest_group([Point(spec, {}, {}) for spec in specs], own, memory)
    suits = ceil(total / workers) if sampler in BLIND else max(FEW, ceil(total / PARTS))
    return min(largest, total, group or suits)


class Book(Protocol):
    """What a worker is told, and where it writes what it finds: see `Ledger`."""

    space: Space
    rungs: Rungs

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""

    def adopt(self) -> Wave | None:
        """Return a wave whose worker died."""

    def ask(self, members: int) -> Wave | None:
        """Ask for a wave of trials."""

    def report(self, number: int, step: int, value: float) -> None:
        """Write down how good a trial is after so many updates."""

    def tell(self, number: int, state: State, value: float | None, **facts: Any) -> None:
        """Write down what became of a trial."""

    def finish(self, wave: int) -> None:
        """Give back a wave of which all trials were told."""

    def close(self) -> None:
        """Give all waves back."""


class Worker:
    """Trains trials until all have been told.

    Args:
        ledger: What is known to all workers.
        base: Where the settings start from.
        metric: What decides, such as ``val_accuracy``.
        own: What was given in Python rather than named.
        group: Trials that may train at a time.
        loaded: Data that are there already; what is new is added.
    """

    def __init__(
        self,
        ledger: Book,
        base: Spec,
        metric: str,
        own: Mapping[str, Any],
        group: int,
        loaded: dict[DataSpec, Data] | None = None,
    ) -> None:
        self.ledger, self.base, self.metric, self.own = ledger, base, metric, dict(own)
        self.sign = -1.0 if lower_is_better(metric) else 1.0
        self.room, self.group = Room(metric, own, loaded), group
        self._waves: dict[int, Wave] = {}
        self._kept: dict[int, tuple[set[int], int]] = {}
        self._told: set[int] = set()

    def events(self, stop: Stop) -> Iterator[Progress]:
        """Work, and yield what happens.

        Raises:
            Interrupted: A stop was asked for; what was told stays.
        """
        try:
            while True:
                yield from self._fill()
                if self.room.parties:
                    for event in self.room.train():
                        yield Trained(event)
                        obey(stop)
                    yield from self._rank(self.room.next)
                    for event in self.room.settle():
                        yield Trained(event)
                elif self.ledger.is_over:
                    return
                else:
                    time.sleep(WAIT)
                    yield Waited()
                obey(stop)
        finally:
            self.ledger.close()

    def _fill(self) -> Iterator[Progress]:
        """Let waves enter while there is room, and an epoch has ended."""
        while True:
            free = self.group - self.room.members
            if self.room.parties:
                ready = any(crew.ready for crew in self.room.crews)
                if not ready or free < max(self.ledger.rungs.eta, self.group / 2):
                    return
            adopted = self.ledger.adopt()
            wave = adopted or self.ledger.ask(free)
            if wave is None:
                return
            self._enter(wave)
            yield Asked(wave.number, wave.running, again=adopted is not None)

    def _enter(self, wave: Wave) -> None:
        space = self.ledger.space
        specs = {t.number: trial_spec(self.base, space, t.values) for t in wave.running}
        self._waves[wave.number] = wave
        self._kept[wave.number] = ({t.number for t in wave.trials}, len(wave.trials))
        self._told |= {t.number for t in wave.trials} - specs.keys()
        self.room.enter(wave.number, specs, self.ledger.rungs.of(wave.number))

    def _rank(self, party: Party) -> Iterator[Progress]:
        """Rank a wave that came to a rung; tell of those that are sent away or over."""
        rung, wave = party.left[0], self._waves[party.number]
        place = len(self.ledger.rungs.of(party.number)) - len(party.left) + 1
        scores = self.room.scores(party, rung)
        for number, value in scores.items():
            if number not in self._told and rung in party.crews[number].scores[number]:
                self.ledger.report(number, party.crews[number].updates(number, rung), value)
        for trial in wave.trials:  # of an earlier worker
            if trial.state != "running":
                scores[trial.number] = _earlier(trial, place)
        before, n = self._kept[party.number]
        ranks = {k: self._rank_of(scores[k]) for k in before if k in scores}
        n = n if rung == END else self.ledger.rungs.keep(n)
        kept = best(ranks, n)
        self._kept[party.number] = set(kept), n
        self.room.conclude(party, kept)
        yield Ranked(party.number, rung, scores, kept)
        for number, crew in party.crews.items():
            if number in crew.ended and number not in self._told:
                yield self._tell(party, number, rung)
        if party not in self.room.parties:
            self.ledger.finish(party.number)

    def _rank_of(self, score: float) -> float:
        return self.sign * score if isfinite(score) else -inf

    def _tell(self, party: Party, number: int, rung: float) -> Told:
        crew, (trial,) = party.crews[number], self._trial(party, number)
        reason, scores = crew.ended[number], crew.scores[number]
        value = scores.get(END, scores.get(rung, nan))
        if reason == "diverged" or not isfinite(value):
            reason, state, end = "diverged", "lost", None
        else:
            state, end = "pruned" if reason == "pruned" else "complete", value
        seconds, epochs = crew.shares[number], crew.epochs(number)
        told: State = state  # type: ignore[assignment]
        self.ledger.tell(number, told, end, reason=reason, seconds=seconds, epochs=epochs)
        self._told.add(number)
        steps = {crew.updates(number, at): v for at, v in scores.items() if not isnan(v)}
        return Told(
            Trial(
                number, trial.values, trial.wave, told, end, steps, epochs, seconds, reason,
                trial.begun,
            )
        )  # fmt: skip

    def _trial(self, party: Party, number: int) -> list[Trial]:
        return [trial for trial in self._waves[party.number].trials if trial.number == number]


def _earlier(trial: Trial, place: int) -> float:
    """Return how good a trial was at a rung, that a worker told of which has died since."""
    found = list(trial.scores.values())
    if place < len(found):
        return found[place]
    return nan if trial.value is None else trial.value


def obey(stop: Stop) -> None:
    """Stop, if that was asked for.

    Raises:
        Interrupted: It was.
    """
    if stop.signal is not None:
        raise Interrupted(stop.signal, "saved")
