"""Waves of trials that are trained elsewhere: by other processes, or on a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.cluster import Done, Executor, Told, Work
from thalweg.data import Data
from thalweg.engine import Step
from thalweg.spec import DataSpec, Spec
from thalweg.study.search.ledger import Ledger, State, Wave
from thalweg.study.search.rungs import Rungs
from thalweg.study.search.space import Space
from thalweg.study.search.worker import Progress, Trained, Waited, Worker, obey
from thalweg.study.signals import Stop


@dataclass(frozen=True)
class Job:
    """A wave that is to be trained.

    Args:
        wave: The wave.
        again: Whether its worker died.
    """

    wave: Wave
    again: bool = False


@dataclass(frozen=True)
class Letter:
    """What a worker has to write into the ledger.

    Args:
        what: ``report`` or ``tell``.
        given: The arguments.
        facts: Those that have names.
    """

    what: str
    given: Sequence[Any]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Notes:
    """The ledger as a worker sees it that has one wave, and whose notes another writes down.

    Args:
        space: What may be chosen.
        rungs: When trials are ranked.
        job: The wave.
    """

    def __init__(self, space: Space, rungs: Rungs, job: Job) -> None:
        self.space, self.rungs = space, rungs
        self._job, self._left = job, [job.wave]
        self._letters: list[Letter] = []

    @property
    def is_over(self) -> bool:
        """Whether the wave was given out."""
        return not self._left

    def adopt(self) -> Wave | None:
        """Return the wave, if its worker died."""
        return self._left.pop() if self._job.again and self._left else None

    def ask(self, members: int) -> Wave | None:
        """Return the wave, however many are asked for."""
        return self._left.pop() if self._left else None

    def report(self, number: int, step: int, value: float) -> None:
        """Let it be written down how good a trial is after so many updates."""
        self._letters.append(Letter("report", (number, step, value)))

    def tell(self, number: int, state: State, value: float | None, **facts: Any) -> None:
        """Let it be written down what became of a trial."""
        self._letters.append(Letter("tell", (number, state, value), facts))

    def finish(self, wave: int) -> None:
        """Do nothing: that the wave is over is known when the job is done."""

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def letters(self) -> list[Letter]:
        """Return what was noted since this was asked."""
        found, self._letters = self._letters, []
        return found


class Waves(Work):
    """Trains waves: a job is one of them, or None if there was none left.

    Args:
        space: What may be chosen.
        rungs: When trials are ranked.
        base: Where the settings start from.
        metric: What decides.
        own: What was given in Python rather than named.
        loaded: Data that are there already.
    """

    def __init__(
        self, space: Space, rungs: Rungs, base: Spec, metric: str, own: Mapping[str, Any],
        loaded: dict[DataSpec, Data],
    ) -> None:  # fmt: skip
        self.space, self.rungs, self.base, self.metric = space, rungs, base, metric
        self.own, self.loaded = dict(own), loaded
        self.gpus = int(base.device.startswith("cuda"))

    def do(self, job: Job | None) -> Generator[Letter | Progress, None, None]:
        if job is None:
            return
        notes = Notes(self.space, self.rungs, job)
        worker = Worker(
            notes, self.base, self.metric, self.own, len(job.wave.trials), loaded=self.loaded
        )
        for happening in worker.events(Stop()):
            yield from notes.letters()
            if not isinstance(happening, Trained) or not isinstance(happening.event, Step):
                yield happening


class _Jobs(Sequence[Any]):
    """The waves that are left. Each is asked for when there is somebody to train it."""

    def __init__(self, ledger: Ledger, members: int) -> None:
        self.ledger, self.members = ledger, members
        self._given: dict[int, int | None] = {}
        self._orphans: list[Wave] = []
        while (wave := ledger.adopt()) is not None:
            self._orphans.append(wave)
        self._count = len(self._orphans) + len(ledger.to_come(members))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        if (number := self._given.get(place)) is not None:  # its worker was lost
            return Job(self.ledger.again(number), again=True)
        adopted = self._orphans.pop(0) if self._orphans else None
        wave = adopted or self.ledger.ask(self.members)
        self._given[place] = None if wave is None else wave.number
        return None if wave is None else Job(wave, again=adopted is not None)

    def over(self, place: int) -> None:
        """Note that a wave is over."""
        number = self._given[place]
        if number is not None:
            self.ledger.finish(number)


def scatter_waves(
    ledger: Ledger, work: Waves, executor: Executor, members: int, stop: Stop
) -> Iterator[Progress]:
    """Train waves of trials, several at a time, until all have been told; yield what happens.

    The next wave is asked for when a worker is free, so that it knows of all that was told by then.
    A worker that is lost costs what had not been told of its wave. Steps are not told.

    Args:
        ledger: What is known.
        work: What trains them.
        executor: Who does.
        members: Trials of a wave.
        stop: Whether to stop.

    Raises:
        ThalwegError: There is nobody to train, or workers are lost again and again.
        Interrupted: A stop was asked for; what was told stays.
    """
    try:
        jobs = _Jobs(ledger, members)
        for happening in executor.run(work, jobs):
            if isinstance(happening, Done):
                jobs.over(happening.job)
            elif not isinstance(happening, Told):
                yield Waited()
            elif isinstance(happening.what, Letter):
                letter = happening.what
                getattr(ledger, letter.what)(*letter.given, **letter.facts)
            else:
                yield happening.what
            obey(stop)
    finally:
        ledger.close()
