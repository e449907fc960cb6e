"""A series that is written down as it goes, and gone on with after anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thalweg.cluster import Executor
from thalweg.engine import Event, Finished, short_keys
from thalweg.errors import FileError, SpecError
from thalweg.spec import Spec, parse_interval
from thalweg.store import (
    SeriesFolder,
    claim_path,
    differences,
    environment,
    new_series_info,
)
from thalweg.store.series import Planned
from thalweg.study.signals import Interrupted, stop_on_signals
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.results import restore_results
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.writing import GroupWriter
from thalweg.study.training import data_facts, told_of


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
    restore_results(series, folder)
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
            writer = GroupWriter(series, folder, index, base)
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


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
