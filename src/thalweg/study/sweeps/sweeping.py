"""A sweep: one spec, varied over a grid, with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from thalweg.cluster import Executor, open_executor
from thalweg.cluster.opening import On
from thalweg.engine import Event, States
from thalweg.engine.history import CLOCK
from thalweg.errors import FileError, SpecError, nearest
from thalweg.frames import to_frame
from thalweg.spec import Spec
from thalweg.store import SeriesFolder, find_series
from thalweg.study.intervals import Interval, mean_interval
from thalweg.study.sweeps.grid import Axes, grid
from thalweg.study.sweeps.recorded import (
    begin_series,
    check_own,
    go_on_series,
    read_series,
)
from thalweg.study.sweeps.results import results_table
from thalweg.study.sweeps.scattered import events_of, group_size, with_threads
from thalweg.study.sweeps.series import Series
from thalweg.study.training import settle

if TYPE_CHECKING:
    import pandas as pd


class Sweep:
    """What came of a sweep.

    Args:
        series: Its members, and what became of them.
        base: The spec that they differ from.
        folder: Where it is recorded; None if nowhere.

    Attributes:
        axes: What was varied, beside the seed.
    """

    def __init__(self, series: Series, base: Spec, folder: Path | None = None) -> None:
        self.series, self.base, self.folder = series, base, folder
        self.axes = list(dict.fromkeys(key for p in series.points for key in p.setting))

    @property
    def results(self) -> dict[str, list[Any]]:
        """A row for each member that is over, as columns: see `results_table`."""
        return results_table(self.series)

    @property
    def metrics(self) -> list[str]:
        """What was measured, at the end of each member."""
        results = self.series.results.values()
        return list(dict.fromkeys(name for result in results for name in result.metrics))

    def table(self, epoch: float | None = None) -> list[Row]:
        """Return a row for each setting, over its seeds, in the order of the grid.

        Args:
            epoch: Take the evaluation after so many epochs, for those that came so far; each
                member's last one if None.
        """
        numbers: dict[str, list[int]] = {}
        for number, point in enumerate(self.series.points):
            numbers.setdefault(repr(dict(point.setting)), []).append(number)
        return [Row.of(self.series, own, epoch) for own in numbers.values()]

    def course(self, number: int) -> dict[str, list[Any]]:
        """Return what a member said by evaluation, as columns; see `History`.

        Args:
            number: Its place in the grid.

        Raises:
            SpecError: There is no such member, or it is not over.
        """
        self._check(number)
        return course(self.series, number)

    def best(self, metric: str) -> Row:
        """Return the setting whose mean is the best, among those that never diverged.

        Args:
            metric: What to choose by, such as ``val_loss``: losses should fall, others rise.

        Raises:
            SpecError: It was not measured, or every setting diverged.
        """
        if metric not in self.metrics:
            hint = nearest(metric, self.metrics)
            raise SpecError(f"metric={metric!r}", "one that was measured", hint)
        rows = [row for row in self.table() if not row.diverged and metric in row.means]
        if not rows:
            raise SpecError("settings that all diverged", "one at least that did not")
        sign = sign_of(metric)
        return max(rows, key=lambda row: sign * row.means[metric].mean)

    def to_pandas(self) -> pd.DataFrame:
        """Return the results as a DataFrame.

        Raises:
            ThalwegError: pandas is not installed.
        """
        return to_frame(self.results)

    def model(self, number: int) -> nn.Module:
        """Return a member's network as it was evaluated at its end.

        Args:
            number: Its place in the grid, as in the column ``number`` of the results.

        Raises:
            SpecError: There is no such member, it is not over, or what the sweep was given in
                Python is missing.
        """
        self._check(number)
        if self.folder is not None:
            check_own(SeriesFolder.open(self.folder), self.series.own)
        return self.series.network(number)

    def states(self, number: int) -> States:
        """Return the parameters that a member recorded on its way; none without ``record_states``.

        Args:
            number: Its place in the grid.

        Returns:
            ``steps``, and ``theta``, (1, P) each, which are read when they are asked for; as
            `thalweg.landscape.principal_components` and `Ground.vector` take them.

        Raises:
            SpecError: There is no such member, or it is not over.

        Example:
            >>> over = {"lr": [0.01, 0.1]}
            >>> found = sweep(data="digits", over=over, hidden=(8,), steps=9, record_states=3)
            >>> found.states(1).steps
            [0, 3, 6, 9]
        """
        self._check(number)
        return self.series.states[number]

    def _check(self, number: int) -> None:
        """Check that a member is over."""
        if number not in self.series.weights:
            raise SpecError(f"member {number}", f"one of {len(self.series.weights)} that are over")


class Row:
    """One setting of a sweep, over its seeds.

    Attributes:
        setting: Its values on the axes.
        numbers: Its members.
        diverged: How many of them diverged.
        means: Mean and interval of each metric over those that did not.
        seconds: Mean share of the time of training.
        over: How many of them are over.
    """

    def __init__(
        self,
        setting: Mapping[str, Any],
        numbers: Sequence[int],
        diverged: int,
        means: Mapping[str, Interval],
        seconds: float,
        over: int,
    ) -> None:
        self.setting, self.numbers, self.diverged = setting, list(numbers), diverged
        self.means, self.seconds, self.over = means, seconds, over

    @classmethod
    def of(cls, series: Series, numbers: Sequence[int], epoch: float | None = None) -> Row:
        """Return the row of some members that have one setting, at their ends or after an epoch."""
        results = [series.results[n] for n in numbers if n in series.results]
        values: dict[str, list[float]] = {}
        for result in results:
            if not result.diverged:
                told = result.metrics if epoch is None else _after(series, result.number, epoch)
                for name, value in told.items():
                    values.setdefault(name, []).append(value)
        return cls(
            series.points[numbers[0]].setting,
            numbers,
            sum(result.diverged for result in results),
            {name: mean_interval(own) for name, own in values.items()},
            sum(result.seconds for result in results) / max(1, len(results)),
            len(results),
        )


def course(series: Series, number: int) -> dict[str, list[Any]]:
    """Return what a member of a series said by evaluation, as columns."""
    (index,) = (i for i, numbers in enumerate(series.groups) if number in numbers)
    columns = series.histories[index].epochs
    rows = [row for row, member in enumerate(columns["member"]) if member == number]
    return {
        name: [values[row] for row in rows] for name, values in columns.items() if name != "member"
    }


def _after(series: Series, number: int, epoch: float) -> dict[str, float]:
    """Return what was measured of a member after so many epochs."""
    columns = course(series, number)
    if epoch not in columns["epoch"]:
        return {}
    row = columns["epoch"].index(epoch)
    found = {name: values[row] for name, values in columns.items() if name not in CLOCK}
    return {name: value for name, value in found.items() if value is not None}


def sign_of(metric: str) -> float:
    """Return 1 for a metric that should rise, −1 for one that should fall."""
    from thalweg.engine.stop import lower_is_better

    return -1.0 if lower_is_better(metric) else 1.0


def sweep(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    over: Axes | Sequence[Mapping[str, Any]],
    seeds: int | Sequence[int] = 1,
    order: Literal["shared", "own"] = "shared",
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    memory: float | None = None,
    on: On = "here",
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> Sweep:
    """Train every combination of some settings, times some seeds.

    What can share a program trains as one: a member is, bit for bit, the run that `train` makes of
    its spec.

    Args:
        model: As for `train`.
        data: As for `train`.
        over: Values by key, of which all combinations are taken, such as ``{"lr": [0.1, 1]}``; or
            the settings one by one, which may have a ``"name"`` each.
        seeds: How many seeds of each setting, or which.
        order: ``"shared"``: all see the samples in one order, so that they can be compared in
            pairs. ``"own"``: each in that of its seed.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        metrics: As for `train`.
        memory: Bytes that the members of a group may take; half of what is free if None.
        on: Who trains: ``"here"``, ``"processes:4"``, ``"ray"``, ``"ray://host:port"``; see
            `thalweg.cluster.open_executor`. Elsewhere, ``threads`` are as many as a worker has,
            and the bits are those of ``"here"`` with as many.
        out: Folder to record the sweep in, new or empty. None makes one in the folder of runs;
            False records nothing.
        name: Name of the sweep.
        tags: Words to find it by.
        **settings: Settings that all have, as for `train`.

    Returns:
        The results. Members that diverged are results, too.

    Raises:
        ThalwegError: A setting does not exist, does not fit, or the folder cannot be written.
        Interrupted: Ctrl-C or SIGTERM came; the sweep is saved, and `resume` goes on with it.

    Example:
        >>> over = {"lr": [1e-3, 1e-2]}
        >>> found = sweep("mlp", "digits", over=over, seeds=2, hidden=(16,), epochs=2)
        >>> found.best("test_accuracy").setting
        {'lr': 0.01}
    """
    base, own = settle(spec, settings, model=model, data=data, loss=loss, metrics=metrics)
    with open_executor(on, base.threads) as executor:
        base = with_threads(base, executor)
        series = plan_sweep(
            base, over, seeds, order=order, memory=memory, own=own, executor=executor
        )
        folder, events = begin_sweep(series, base, executor, out=out, name=name, tags=tags)
        for _ in events:
            pass
    return Sweep(series, base, folder)


def begin_sweep(
    series: Series, base: Spec, executor: Executor | None = None, *,
    out: str | Path | Literal[False] | None = None, **about: Any,
) -> tuple[Path | None, Iterator[tuple[int, Event]]]:  # fmt: skip
    """Return the folder of a planned sweep, None if it has none, and the events to come.

    Args:
        series: What `plan_sweep` returned.
        base: The spec that the members differ from.
        executor: Who trains; this process if None.
        out: As for `sweep`.
        **about: Name and tags, as for `sweep`.
    """
    if out is not False:
        folder, events = begin_series(
            series, base, kind="sweep", out=out, executor=executor, **about
        )
        return folder.path, events
    return None, events_of(series, executor)


def plan_sweep(
    base: Spec,
    over: Axes | Sequence[Mapping[str, Any]],
    seeds: int | Sequence[int] = 1,
    *,
    order: Literal["shared", "own"] = "shared",
    memory: float | None = None,
    own: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
) -> Series:
    """Return the series of a sweep, not begun yet; the arguments are those of `sweep`.

    Args:
        base: The spec that the members differ from.
        over: What varies.
        seeds: How many seeds of each setting, or which.
        order: Whether all see the samples in one order.
        memory: Bytes that the members may take at a time.
        own: What was given in Python rather than named.
        executor: Who is going to train; this process if None.

    Raises:
        ThalwegError: A setting does not exist, does not fit, or there is no memory for it.

    Example:
        >>> len(plan_sweep(Spec(), {"lr": [0.1, 1.0]}, seeds=3).points)
        6
    """
    if order not in {"shared", "own"}:
        raise SpecError(f"order={order!r}", "shared or own")
    points, own = grid(base, over, seeds, shared_order=order == "shared"), own or {}
    return Series(points, own=own, largest=group_size(points, own, memory, executor))


def load_sweep(sweep: str | Path, **own: Any) -> Sweep:
    """Bring a sweep back from its folder.

    Args:
        sweep: Its folder, or its name in the folder of runs.
        **own: What it was given in Python rather than by name; without it, there are the results,
            and no `Sweep.model`.

    Raises:
        ThalwegError: There is none, it is no sweep, or it is damaged.
    """
    folder, series = read_series(_sweep_folder(sweep), **own)
    return Sweep(series, folder.spec, folder.path)


def go_on_sweep(
    sweep: str | Path, executor: Executor | None = None, **own: Any
) -> tuple[Sweep, Iterator[tuple[int, Event]]]:
    """Bring a sweep back to where it was, and return it with the events to come.

    Args:
        sweep: Its folder, or its name in the folder of runs.
        executor: Who trains what is left; this process if None.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is no sweep, damaged, or complete, or another process is
            writing to it.
    """
    path = _sweep_folder(sweep, incomplete=True)
    if other := own.keys() - {"model", "data", "loss", "metrics"}:
        got = f"{min(other)}=… for the sweep {path}"
        raise SpecError(got, "its own settings", "only a run can become longer")
    folder, series, events = go_on_series(path, executor, **own)
    return Sweep(series, folder.spec, folder.path), events


def _sweep_folder(sweep: str | Path, *, incomplete: bool = False) -> Path:
    """Return the folder of a sweep.

    Raises:
        FileError: There is none, or it is damaged.
        SpecError: It is another kind of series, or has ended where it must not have.
    """
    folder = find_series(sweep)
    kind, state = folder.info.kind, folder.info.state
    if kind != "sweep":
        raise SpecError(f"{folder.path}, which is a {kind}", "a sweep")
    if incomplete and state == "running":
        got = f"{folder.path}, which another process is writing"
        raise FileError(got, "a sweep that nobody writes")
    if incomplete and state == "complete":
        got = f"{folder.path}, which has ended ({state})"
        raise SpecError(got, "a sweep that was interrupted", f"thalweg show {folder.path}")
    return folder.path
