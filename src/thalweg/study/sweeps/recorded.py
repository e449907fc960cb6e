"""A series that is written down as it goes, and gone on with after anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from thalweg.cluster import Executor
from thalweg.engine import Event, Finished, Group, Snapshot, States, Step, short_keys
from thalweg.engine.history import CLOCK
from thalweg.engine.progress import check_facts
from thalweg.errors import DataError, FileError, SpecError
from thalweg.spec import Spec, parse_interval
from thalweg.store import (
    SeriesFolder,
    Table,
    claim_path,
    differences,
    environment,
    new_series_info,
)
from thalweg.store.series import Planned
from thalweg.store.states import StateFiles
from thalweg.study.signals import Interrupted, stop_on_signals
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.scattered import epoch_columns, state_places
from thalweg.study.sweeps.series import Result, Series
from thalweg.study.training import data_facts, fingerprint, told_of

MOST_OF_THE_TIME = 20
"""A checkpoint that takes a second to write is followed by so many of training, at least."""

LOOSE = 64 * 2**20
"""Bytes of recorded states that a group keeps in memory before they are written."""

FACTS = ("number", "group", "reason", "steps", "epochs", "gradients", "seconds")
"""The first columns of the results; then come the seed, the axes, and the metrics."""


def begin_series(
    series: Series,
    base: Spec,
    *,
    kind: str,
    out: str | Path | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
) -> tuple[SeriesFolder, Iterator[tuple[int, Event]]]:
    """Make the folder of a series, and return it with the events to come.

    Args:
        series: The series, not begun yet.
        base: What all its members come from.
        kind: What it is made for.
        out: The folder, new or empty; None for one in the folder of runs.
        name: Name of the series; by default that of its folder.
        tags: Words to find it by.
        about: What the kind of series has to say of itself.
        executor: Who trains; this process if None.

    Raises:
        FileError: The folder is taken, or cannot be written.
    """
    first = series.begin(0)  # what is wrong with the specs is known before there is a folder
    path = (claim_path(base, name or kind) if out is None else Path(out)).absolute()
    info = new_series_info(
        kind=kind,
        name=name or path.name,
        tags=list(tags),
        own=sorted(told_of(series.own, base)),
        data=data_facts(first.data[0]),
        about=dict(about or {}),
        members=[
            Planned(changes=_plain(point.changes), setting=_plain(point.setting))
            for point in series.points
        ],
        groups=series.groups,
    )
    folder = SeriesFolder.create(path, info, base, environment())
    return folder, _record(series, folder, "began", executor)


def open_series(path: str | Path, **own: Any) -> tuple[SeriesFolder, Series]:
    """Bring a series back from its folder, with the results that there are.

    Args:
        path: Its folder.
        **own: What it was given in Python rather than by name: model, data, loss, metrics.

    Raises:
        FileError: There is none, or it is damaged.
        SpecError: What it was given in Python is missing.
    """
    folder, series = read_series(path, **own)
    check_own(folder, own)
    return folder, series


def check_own(folder: SeriesFolder, own: Mapping[str, Any]) -> None:
    """Check that what a series was given in Python is there again.

    Raises:
        SpecError: Something is missing.
    """
    missing = sorted(set(folder.info.own) - own.keys())
    if missing:
        hint = f"in Python: {', '.join(f'{name}=…' for name in missing)}"
        got = f"{folder.path}, whose {missing[0]} came from Python"
        raise SpecError(got, "the same again", hint)


def read_series(path: str | Path, **own: Any) -> tuple[SeriesFolder, Series]:
    """Bring a series back as `open_series` does, without asking for what came from Python."""
    folder = SeriesFolder.open(Path(path))
    homes = short_keys()
    try:
        points = [
            Point(folder.spec.override(each.changes, homes), each.changes, each.setting)
            for each in folder.info.members
        ]
    except SpecError as error:
        got = f"{folder.path / 'series.json'} with {error.got}"
        raise FileError(got, error.expected, error.hint) from None
    series = Series(points, [list(group) for group in folder.info.groups], own)
    _restore_results(series, folder)
    return folder, series


def go_on_series(
    path: str | Path, executor: Executor | None = None, **own: Any
) -> tuple[SeriesFolder, Series, Iterator[tuple[int, Event]]]:
    """Go on with a series that was interrupted, to the results that it would have had.

    Raises:
        ThalwegError: There is none, it is damaged, complete, or another process is writing to it.
    """
    folder, series = open_series(path, **own)
    how = "; ".join(["resumed", *differences(dict(folder.environment), environment())])
    return folder, series, _record(series, folder, how, executor)


def _record(
    series: Series, folder: SeriesFolder, how: str, executor: Executor | None
) -> Iterator[tuple[int, Event]]:
    """Train group after group, here or elsewhere, write down what happens, and yield it."""
    if executor is not None:
        from thalweg.study.sweeps.gathered import record_scattered

        yield from record_scattered(series, folder, how, executor)
        return
    base = parse_interval(folder.spec.record.checkpoint_every, seconds=True)
    with folder.locked(), stop_on_signals() as stop:
        folder = folder.change(state="running")
        folder.log(how)
        for index in range(len(series.groups)):
            if series.is_over(index):
                continue
            writer = _GroupWriter(series, folder, index, base)
            for item in series.descend(index):
                event = item[1]
                writer(event)
                yield item
                if stop.signal is not None and not isinstance(event, Finished):
                    writer.save()
                    folder.change(state="interrupted")
                    folder.log("interrupted")
                    hint = f"saved; thalweg resume {folder.path} goes on"
                    raise Interrupted(stop.signal, hint)
            writer.close()
        folder.change(state="complete")
        folder.log("complete")


class _GroupWriter:
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


def _restore_states(series: Series, folder: SeriesFolder, number: int) -> None:
    """Bring back where the states are that a member recorded; whoever removed them has none.

    Raises:
        FileError: Some of them are missing, or a file is damaged.
    """
    spec, files = series.points[number].spec, folder.states(number)
    steps = files.steps() if spec.record_states else []
    every = steps[1] if len(steps) > 1 else spec.record_states
    if steps != list(range(0, len(steps) * every, max(1, every))):
        got = f"{folder.path / 'states'} with steps {steps} of member {number}"
        raise FileError(got, "evenly spaced ones from 0 on")
    states = States(spec.record_states, spec.record_budget * 2**20)
    states.refill(every, {step: partial(files.read, step) for step in steps})
    series.states[number] = states


def results_table(series: Series) -> dict[str, list[Any]]:
    """Return the members that are over as columns, in the order of their numbers.

    Returns:
        ``number``, ``group``, ``reason``, ``steps``, ``epochs``, ``gradients``, ``seconds``,
        ``seed``, one column for each axis, and one for each metric; None where there is none.
    """
    group_of = {n: index for index, numbers in enumerate(series.groups) for n in numbers}
    results = [series.results[number] for number in sorted(series.results)]
    columns: dict[str, list[Any]] = {
        "number": [r.number for r in results],
        "group": [group_of[r.number] for r in results],
        "reason": [str(r.reason) for r in results],
        "steps": [r.steps for r in results],
        "epochs": [r.epochs for r in results],
        "gradients": [r.gradients for r in results],
        "seconds": [r.seconds for r in results],
        "seed": [series.points[r.number].spec.seed for r in results],
    }
    axes = dict.fromkeys(key for point in series.points for key in point.setting)
    for key in axes:
        columns[axis_column(key)] = [series.points[r.number].setting.get(key) for r in results]
    for name in dict.fromkeys(name for r in results for name in r.metrics):
        columns[name] = [r.metrics.get(name) for r in results]
    return columns


def axis_column(key: str) -> str:
    """Return the column of a setting: its key, unless a fact is called so.

    Example:
        >>> axis_column("lr"), axis_column("steps")
        ('lr', 'over_steps')
    """
    return f"over_{key}" if key in FACTS else key


def _restore_results(series: Series, folder: SeriesFolder) -> None:
    """Fill in the results of the groups that are over."""
    columns = folder.results()
    if not columns:
        return
    axes = {axis_column(key) for point in series.points for key in point.setting}
    metrics = [name for name in columns if name not in {*FACTS, "seed", *axes}]
    try:
        for row, number in enumerate(columns["number"]):
            facts = {name: columns[name][row] for name in FACTS if name not in {"number", "group"}}
            measured = {n: float(columns[n][row]) for n in metrics if columns[n][row] is not None}
            _ = series.points[number], int(facts["steps"]), float(facts["seconds"])
            series.results[number] = Result(number=number, metrics=measured, **facts)
    except (KeyError, IndexError, TypeError, ValueError):
        file = folder.path / "results.parquet"
        raise FileError(f"{file} (damaged)", "what a series writes") from None
    for index, numbers in enumerate(series.groups):
        if series.is_over(index):
            columns, own = folder.metrics(index), folder.weights(index)
            if set(own) != set(numbers):
                file = folder.path / f"weights/group-{index:03d}.safetensors"
                raise FileError(f"{file} of other members", f"those of group {index}")
            if "member" in columns:
                series.histories[index].epochs = columns
            elif any(series.results[number].metrics for number in numbers):
                raise FileError(f"{folder.metrics_folder(index)} (missing)", "what it measured")
            series.weights |= own
            for number in numbers:
                _restore_states(series, folder, number)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
