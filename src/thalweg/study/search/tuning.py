"""A search and what came of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage

from thalweg.cluster import Executor
from thalweg.engine import Event, Group
from thalweg.engine.stop import lower_is_better
from thalweg.errors import DataError, FileError, SpecError
from thalweg.files import remove, write_atomically
from thalweg.frames import to_frame
from thalweg.spec import Spec
from thalweg.store import is_series
from thalweg.store.lock import locked
from thalweg.store.tune import TuneInfo, read_tune, write_tune
from thalweg.study.intervals import Interval
from thalweg.study.races.contest import UNFINISHED, plain
from thalweg.study.search.elsewhere import Waves, scatter_waves
from thalweg.study.search.finals import (
    Finalist,
    final_points,
    finalists_of,
    interval_of,
    judged,
    rank,
    test_of,
)
from thalweg.study.search.ledger import Ledger, Trial
from thalweg.study.search.locks import Locks, NoLocks
from thalweg.study.search.rungs import Rungs
from thalweg.study.search.space import Space
from thalweg.study.search.storage import LOCKS, close_storage, find_study, open_storage
from thalweg.study.search.team import Team
from thalweg.study.search.worker import Progress, Worker, wave_size
from thalweg.study.signals import Interrupted, Stop, stop_on_signals
from thalweg.study.sweeps.recorded import begin_series, go_on_series, read_series
from thalweg.study.sweeps.scattered import data_to_send, events_of, group_size, share_of
from thalweg.study.sweeps.series import Series
from thalweg.study.training import fingerprint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Final:
    """Something happened while the best trials are run on fresh seeds.

    Args:
        series: Their series.
        event: What happened.
    """

    series: Series
    event: Event


Happening = Progress | Final
"""What happens in a search: with its trials, then with the best of them."""


class Tuning:
    """A search for the best settings, and what came of it.

    Args:
        info: What it is.
        base: The spec that its trials come from.
        own: What was given in Python rather than named.
        folder: Its folder; None if it is not recorded, or this process only helps.
        memory: Bytes that the members may take at a time; half of what is free if None.
        storage: Address of the database, with the password if it needs one here.
        workers: Processes that train at once.
        executor: Who trains; this process, with such workers, if None.

    Attributes:
        space: What may be chosen.
        rungs: When trials are ranked.
        trials: What was tried, by number.
        final: The best ones on fresh seeds, a series; None before.
    """

    def __init__(
        self,
        info: TuneInfo,
        base: Spec,
        own: Mapping[str, Any],
        folder: Path | None = None,
        memory: float | None = None,
        storage: str | None = None,
        workers: int = 1,
        executor: Executor | None = None,
    ) -> None:
        self.info, self.base, self.own, self.folder, self.memory = info, base, own, folder, memory
        self.space = Space.from_json(info.space)
        self.rungs = Rungs(info.pruner, info.eta, info.rungs)
        self.trials: list[Trial] = []
        self.final: Series | None = None
        self._url, self._workers, self._executor = storage or info.storage, workers, executor
        self._memory_storage: BaseStorage | None = None

    @property
    def sign(self) -> float:
        """1 if more of the metric is better, else −1."""
        return -1.0 if lower_is_better(self.info.metric) else 1.0

    # ── running it ───────────────────────────────────────────────────────────────────────────

    def keep(self, storage: BaseStorage) -> None:
        """Remember trials in memory, where nothing is recorded."""
        self._memory_storage = storage

    @contextmanager
    def study(self) -> Iterator[optuna.Study]:
        """Open Optuna's study, for a while.

        Raises:
            FileError: The database does not answer, or there is no such study in it.
        """
        with self._opened() as (study, _):
            yield study

    @contextmanager
    def _opened(self) -> Iterator[tuple[optuna.Study, Locks]]:
        if self._memory_storage is not None:
            yield find_study(self._memory_storage, self.info.study), NoLocks()
            return
        storage, locks = open_storage(self.folder, self._url, self.info.study)
        try:
            yield find_study(storage, self.info.study), locks
        finally:
            locks.close()
            close_storage(storage)

    def events(self) -> Iterator[Happening]:
        """Search, run the best trials on fresh seeds, and yield what happens.

        Trials that were told are not trained again; the end has one writer.

        Raises:
            ThalwegError: Another process writes to the folder, it is damaged, or the database does
                not answer.
            Interrupted: Ctrl-C or SIGTERM came; the search is saved.
        """
        begun = time.monotonic() - self.info.seconds
        if self.folder is None:
            yield from self._run(Stop(), begun)
            return
        with locked(self.folder), stop_on_signals() as stop:
            self._write(state="running")
            try:
                yield from self._run(stop, begun)
            except Interrupted as error:
                self._write(state="interrupted", seconds=time.monotonic() - begun)
                hint = f"saved; thalweg resume {self.folder} goes on"
                raise Interrupted(error.signal, hint) from None

    def help(self) -> Iterator[Happening]:
        """Train trials beside other workers until there are no more, and leave the end to them.

        Raises:
            FileError: The database does not answer.
            Interrupted: Ctrl-C or SIGTERM came; what was told stays, others train the rest.
        """
        with stop_on_signals() as stop, self._opened() as (study, locks):
            yield from self._worker(self._ledger(study, locks), self.memory).events(stop)

    def _run(self, stop: Stop, begun: float) -> Iterator[Happening]:
        with self._opened() as (study, locks):
            ledger = self._ledger(study, locks)
            if self._executor is not None:
                yield from self._scattered(ledger, self._executor, stop)
            else:
                with Team(self.folder, self._workers, self._url) as team:
                    yield from self._worker(ledger, team.share(self.memory)).events(stop)
                    team.wait()
            self.trials = ledger.trials()
        best = finalists_of(self.trials, self.info.best, self.sign)
        test = None
        if best:
            yield from self._finals(best, stop)
            if stop.signal is not None:
                raise Interrupted(stop.signal, "saved")
            assert self.final is not None
            winner = self.finalists[0]
            test = test_of(self.final, winner.numbers, self.own)
            if self.folder is not None:
                write_atomically(self.folder / "winner.toml", self.recipe())
        if self.folder is not None:
            shutil.rmtree(self.folder / LOCKS, ignore_errors=True)
        self._write(state="complete", test=test, seconds=time.monotonic() - begun)

    def _ledger(self, study: optuna.Study, locks: Locks) -> Ledger:
        info = self.info
        return Ledger(
            study, self.space, self.rungs, info.trials, info.sampler, self.base.seed, locks
        )

    def _size(self, memory: float | None, workers: int = 1) -> int:
        """Return how many trials are asked for at a time."""
        info = self.info
        return wave_size(
            self.base, self.space, info.sampler, info.trials, self.own, group=info.group,
            memory=memory, workers=workers,
        )  # fmt: skip

    def _worker(self, ledger: Ledger, memory: float | None) -> Worker:
        return Worker(ledger, self.base, self.info.metric, self.own, self._size(memory))

    def _scattered(self, ledger: Ledger, executor: Executor, stop: Stop) -> Iterator[Progress]:
        """Let waves be trained elsewhere."""
        specs = [self.space.spec(self.base, values) for values in self.space.corners()]
        loaded, own = data_to_send(specs, self.own)
        work = Waves(self.space, self.rungs, self.base, self.info.metric, own, loaded)
        size = self._size(share_of(executor, self.memory, self.base.device), executor.workers)
        yield from scatter_waves(ledger, work, executor, size, stop)

    def _finals(self, best: Sequence[Trial], stop: Stop) -> Generator[Happening, None, None]:
        """Run the best trials on fresh seeds, or go on with that, or read what came of it."""
        points = final_points(self.base, self.space, best, self.info.seeds)
        path = None if self.folder is None else self.folder / "final"
        if path is not None and is_series(path):
            kept, series = read_series(path, **self.own)
            if [dict(p.changes) for p in series.points] != [plain(p.changes) for p in points]:
                hint = "its folder was changed, or this is another version of thalweg"
                raise FileError(f"{path}, with other members", "those of this search", hint)
            events: Iterator[tuple[int, Event]] = iter(())
            if kept.info.state != "complete":
                _, series, events = go_on_series(path, self._executor, **self.own)
        else:
            largest = group_size(points, self.own, self.memory, self._executor)
            series = Series(points, own=self.own, largest=largest)
            events = events_of(series, self._executor)
            if path is not None:
                for name in UNFINISHED:
                    remove(path / name)
                _, events = begin_series(
                    series, self.base, kind="tune", out=path, name="final", executor=self._executor
                )
        for _, event in events:
            yield Final(series, event)
        self.final = series

    def _write(self, **facts: Any) -> None:
        """Take note of how the search stands, in its folder, too."""
        self.info = self.info.model_copy(update=facts)
        if self.folder is not None:
            write_tune(self.folder, self.info)

    def look(self) -> None:
        """Read what there is, and train nothing.

        Raises:
            FileError: The database does not answer, or a part of the folder is damaged.
        """
        with self._opened() as (study, _):
            ledger = Ledger(
                study, self.space, self.rungs, self.info.trials, self.info.sampler, 0, NoLocks()
            )
            self.trials = ledger.trials()
        path = None if self.folder is None else self.folder / "final"
        if path is not None and is_series(path) and self.info.state == "complete":
            _, self.final = read_series(path, **self.own)

    def check_data(self) -> None:
        """Check that the data are those that the search began with.

        Raises:
            DataError: They are others.
        """
        data = Group([self.base], **self.own).data[0]
        if fingerprint(data) != self.info.data.fingerprint:
            what = f"data that are not those of {self.folder or 'the search'}"
            raise DataError(what, f"{self.info.data.name} as it was")

    # ── what came of it ──────────────────────────────────────────────────────────────────────

    @property
    def best(self) -> Trial:
        """The best trial, on the one seed of all trials.

        Raises:
            SpecError: None came to its end.
        """
        found = finalists_of(self.trials, 1, self.sign)
        if not found:
            raise SpecError("a search in which no trial came to its end", "one at least that did")
        return found[0]

    @property
    def finalists(self) -> list[Finalist]:
        """The best trials on fresh seeds, the best on the validation split first.

        Raises:
            SpecError: The search is not over.
        """
        if self.final is None:
            if self.info.state == "complete":
                return []
            hint = f"thalweg resume {self.folder} goes on" if self.folder else ""
            raise SpecError("a search that is not over", "one that is", hint)
        trials = {trial.number: trial for trial in self.trials}
        numbers = dict.fromkeys(point.setting["trial"] for point in self.final.points)
        return rank(self.final, [trials[number] for number in numbers], self.info.metric)

    @property
    def winner(self) -> Finalist:
        """The first of the finalists.

        Raises:
            SpecError: The search is not over, or no trial came to its end.
        """
        found = self.finalists
        if not found:
            raise SpecError("a search in which no trial came to its end", "one at least that did")
        return found[0]

    @property
    def verdict(self) -> str:
        """Which trial won on the validation split; or that one cannot tell."""
        return judged(self.finalists)

    @property
    def spec(self) -> Spec:
        """The winner's spec, with the seed of the search."""
        return self.space.spec(self.base, self.winner.trial.values)

    def recipe(self) -> str:
        """Return the winner's spec as TOML, as `Spec.from_toml` and ``--spec`` take it."""
        winner, seeds = self.winner, len(self.info.seeds)
        told = f"# {self.info.metric} {winner.value} over {seeds} fresh seeds; trial "
        return f"{told}{winner.trial.number} of the search {self.info.name}\n{self.spec.to_toml()}"

    def test(self) -> dict[str, Interval]:
        """Return what the winner came to on the test split, over the fresh seeds, by metric."""
        found = {name: interval_of(values) for name, values in (self.info.test or {}).items()}
        return {name: interval for name, interval in found.items() if interval is not None}

    def leaders(self) -> list[Trial]:
        """Return the best trial for each choice of the first axis that others depend on.

        That is of each optimizer, where there are several; else the best of all.
        """
        leading = {name for axis in self.space.axes for name in axis.when}
        axis = next((axis.name for axis in self.space.axes if axis.name in leading), None)
        found: dict[Any, Trial] = {}
        for trial in finalists_of(self.trials, len(self.trials), self.sign):
            found.setdefault(trial.values.get(axis) if axis else None, trial)
        return list(found.values())

    @property
    def table(self) -> dict[str, list[Any]]:
        """A row for each trial, as columns: what is known of it, and its value on each axis."""
        columns: dict[str, list[Any]] = {
            "number": [each.number for each in self.trials],
            "state": [str(each.state) for each in self.trials],
            self.info.metric: [each.value for each in self.trials],
            "epochs": [each.epochs for each in self.trials],
            "seconds": [each.seconds for each in self.trials],
            "wave": [each.wave for each in self.trials],
            "begun": [each.begun for each in self.trials],
        }
        for name in self.space.names:
            columns[name] = [each.values.get(name) for each in self.trials]
        return columns

    def to_pandas(self) -> pd.DataFrame:
        """Return the trials as a DataFrame.

        Raises:
            ThalwegError: pandas is not installed.
        """
        return to_frame(self.table)


def open_tuning(path: Path, own: Mapping[str, Any], **options: Any) -> Tuning:
    """Return a search from its folder; nothing of its trials is read.

    Raises:
        FileError: There is none, or it is damaged.
    """
    info, base = read_tune(path)
    return Tuning(info, base, own, path, **options)
