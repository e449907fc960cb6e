"""A group that is written down while it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from thalweg.engine import Event, Group, Snapshot, Step
from thalweg.engine.history import CLOCK
from thalweg.engine.progress import check_facts
from thalweg.errors import DataError, FileError
from thalweg.store import (
    SeriesFolder,
    Table,
)
from thalweg.store.states import StateFiles
from thalweg.study.sweeps.results import results_table
from thalweg.study.sweeps.scattered import epoch_columns, state_places
from thalweg.study.sweeps.series import Series
from thalweg.study.training import fingerprint

MOST_OF_THE_TIME = 20
"""A checkpoint that takes a second to write is followed by so many of training, at least."""

LOOSE = 64 * 2**20
"""Bytes of recorded states that a group keeps in memory before they are written."""


class GroupWriter:
    """Writes down one group of a series.

    What a checkpoint rests on is on the disk before it; a group is over once its results are.

    Raises:
        FileError: What is on the disk cannot be read, or not be written.
    """

    def __init__(
        self, series: Series, folder: SeriesFolder, index: int, every: tuple[float, str] | None
    ) -> None:
        self.series, self.folder, self.index, self.every = series, folder, index, every
        group = series.group if series.group is not None else series.begin(index)
        if index == 0 and fingerprint(group.data[0]) != folder.info.data.fingerprint:
            raise DataError(f"data that are not those of {folder.path}", "those that it began with")
        self.table = Table(folder.metrics_folder(index), epoch_columns(group))
        self.group, self.shelves = group, _shelves(group, folder)
        rows = 0
        found = folder.checkpoint(index)
        if found is not None:
            rows = self._restore(found.arrays, found.facts)
        else:
            for files in self.shelves.values():
                files.forget()
        self.table.forget(rows)
        self.saved, self.cost, self.step = time.monotonic(), 0.0, group.cohort.updates

    def _restore(self, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> int:
        """Bring the group back to a checkpoint, and return the rows of its metrics."""
        own = dict(facts)
        shares: Any = own.pop("shares", None)
        intervals: Any = own.pop("states", {})
        snapshot = Snapshot({n: a for n, a in arrays.items() if not n.startswith("gone/")}, own)
        known = check_facts(snapshot)
        series, group = self.series, self.group
        group.restore(snapshot)
        try:
            series.shares = {int(number): float(share) for number, share in shares.items()}
        except (AttributeError, TypeError, ValueError):
            got = f"a checkpoint of {self.folder.path} without shares"
            raise FileError(got, "a whole one") from None
        for member in group.progress.gone:
            prefix = f"gone/{member.number}/"
            member.remains = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
        for member in group.progress.everyone:
            if member.number in self.shelves:
                every = _interval(intervals, member.number, self.folder)
                self._restore_states(member.number, every, group.made(member)[0])
        rows = known.rows.get("epochs", 0)
        columns = self.folder.metrics(self.index)
        if len(columns.get("step", [])) < rows:
            raise FileError(f"{self.table.folder} with fewer rows", f"the {rows} of its checkpoint")
        if not rows:  # nobody was evaluated yet
            return 0
        kept = {name: values[:rows] for name, values in columns.items()}
        series.histories[self.index].epochs = {
            name: values
            for name, values in kept.items()
            if name in {"member", *CLOCK} or any(value is not None for value in values)
        }
        return rows

    def _restore_states(self, number: int, every: int, made: int) -> None:
        """Bring back the states of a member up to a checkpoint, and forget those after it.

        After an older checkpoint than the last, every second one may be gone: a member on its way
        there would drop them, too.
        """
        files, states = self.shelves[number], self.group.states[number]
        there = set(files.steps())
        while every and not there.issuperset(range(0, made + 1, every)):
            if every > made:
                got = f"{self.folder.path / 'states'} without step 0 of member {number}"
                raise FileError(got, "the states of its members")
            every *= 2
        steps = range(0, made + 1, every) if every else ()
        files.keep(set(steps))
        states.refill(every, {step: partial(files.read, step) for step in steps})

    def __call__(self, event: Event) -> None:
        """Write what this event makes due."""
        if not isinstance(event, Step):
            return
        if self._is_due(event):
            self.save()
        elif self.shelves and self._loose() > LOOSE:
            self._shelve()

    def _loose(self) -> int:
        """Return the bytes of recorded states that are in memory."""
        theta, states = self.group.cohort.stack.theta, self.group.states
        return theta[0].nbytes * sum(states[number].fresh for number in self.shelves)

    def _shelve(self) -> None:
        """Write the recorded states that are in memory."""
        places = state_places(self.group)
        for number, files in self.shelves.items():
            states = self.group.states[number]
            if loose := states.loose:
                files.write(loose, places)
                states.shelve({step: partial(files.read, step) for step in loose})

    def _tidy(self) -> None:
        """Remove the states that have been dropped."""
        for number, files in self.shelves.items():
            files.keep(set(self.group.states[number].steps))

    def _is_due(self, event: Step) -> bool:
        if self.every is None:
            return False
        count, unit = self.every
        waited = time.monotonic() - self.saved
        if waited < MOST_OF_THE_TIME * self.cost:
            return False
        if unit == "second":
            return waited >= count
        per_epoch = self.group.progress.length.per_epoch
        return event.clock.step % int(count * (per_epoch if unit == "epoch" else 1)) == 0

    def save(self) -> None:
        """Write the metrics and the states so far, then a checkpoint."""
        begin, series, group = time.monotonic(), self.series, self.group
        history = series.histories[self.index]
        self.table.write(history.epochs)
        self._shelve()
        taken = group.snapshot()
        arrays = dict(taken.arrays)
        for member in group.progress.gone:
            remains = member.remains or {}
            arrays |= {f"gone/{member.number}/{name}": a for name, a in remains.items()}
        more = {
            "rows": {"epochs": len(history.epochs["step"])},
            "shares": {str(number): share for number, share in series.shares.items()},
            "states": {str(number): group.states[number].every for number in self.shelves},
        }
        self.folder.write_checkpoint(self.index, arrays, {**taken.facts, **more})
        self._tidy()
        self.saved = time.monotonic()
        self.cost = self.saved - begin

    def close(self) -> None:
        """Write what has become of the group's members."""
        series, numbers = self.series, self.series.groups[self.index]
        self.table.write(series.histories[self.index].epochs)
        self._shelve()
        self._tidy()
        self.folder.write_weights(self.index, {n: series.weights[n] for n in numbers})
        self.folder.write_results(results_table(series))
        self.folder.remove_checkpoints(self.index)


def _shelves(group: Group, folder: SeriesFolder) -> dict[int, StateFiles]:
    """Return where the states of those members go that record them."""
    everyone = group.progress.everyone
    return {m.number: folder.states(m.number) for m in everyone if m.spec.record_states}


def _interval(intervals: Any, number: int, folder: SeriesFolder) -> int:
    """Return the steps between two states of a member, as a checkpoint says them."""
    every = intervals.get(str(number), 0) if isinstance(intervals, dict) else None
    if type(every) is not int or not 0 <= every < 2**53:
        got = f"a checkpoint of {folder.path} with states at every {every!r} steps"
        raise FileError(got, "a whole number of them")
    return every
