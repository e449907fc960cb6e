"""A sweep: one spec, varied over a grid, with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from thalweg.engine import Event
from thalweg.errors import SpecError, ThalwegError, nearest
from thalweg.spec import Spec
from thalweg.store import SeriesFolder
from thalweg.study.grid import Axes, grid
from thalweg.study.intervals import Interval, mean_interval
from thalweg.study.recorded import begin_series, go_on_series, open_series, results_table
from thalweg.study.series import Series
from thalweg.study.size import largest_group
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

    def table(self) -> list[Row]:
        """Return a row for each setting, over its seeds, in the order of the grid."""
        numbers: dict[str, list[int]] = {}
        for number, point in enumerate(self.series.points):
            numbers.setdefault(repr(dict(point.setting)), []).append(number)
        return [Row.of(self.series, own, self.metrics) for own in numbers.values()]

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
        try:
            import pandas as pd
        except ImportError:
            raise ThalwegError("no pandas", "pandas", "pip install pandas") from None
        return pd.DataFrame(self.results)

    def model(self, number: int) -> nn.Module:
        """Return a member's network as it was evaluated at its end.

        Args:
            number: Its place in the grid, as in the column ``number`` of the results.

        Raises:
            SpecError: There is no such member, or it is not over.
        """
        if number not in self.series.weights:
            raise SpecError(f"member {number}", f"one of {len(self.series.weights)} that are over")
        return self.series.network(number)


class Row:
    """One setting of a sweep, over its seeds.

    Attributes:
        setting: Its values on the axes.
        numbers: Its members.
        diverged: How many of them diverged.
        means: Mean and interval of each metric over those that did not.
        seconds: Mean share of the time of training.
    """

    def __init__(
        self,
        setting: Mapping[str, Any],
        numbers: Sequence[int],
        diverged: int,
        means: Mapping[str, Interval],
        seconds: float,
    ) -> None:
        self.setting, self.numbers, self.diverged = setting, list(numbers), diverged
        self.means, self.seconds = means, seconds

    @classmethod
    def of(cls, series: Series, numbers: Sequence[int], metrics: Sequence[str]) -> Row:
        """Return the row of some members that have one setting."""
        results = [series.results[n] for n in numbers if n in series.results]
        good = [result.metrics for result in results if not result.diverged]
        values = {name: [m[name] for m in good if name in m] for name in metrics}
        return cls(
            series.points[numbers[0]].setting,
            numbers,
            sum(result.diverged for result in results),
            {name: mean_interval(own) for name, own in values.items() if own},
            sum(result.seconds for result in results) / max(1, len(results)),
        )


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
            the settings one by one.
        seeds: How many seeds of each setting, or which.
        order: ``"shared"``: all see the samples in one order, so that they can be compared in
            pairs. ``"own"``: each in that of its seed.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        metrics: As for `train`.
        memory: Bytes that the members may take at a time; half of what is free if None.
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
    points = grid(base, over, seeds, shared_order=order == "shared")
    series = Series(points, own=own, largest=largest_group(points, own, memory))
    folder: SeriesFolder | None = None
    events: Iterator[tuple[int, Event]] = series.events()
    if out is not False:
        folder, events = begin_series(series, base, kind="sweep", out=out, name=name, tags=tags)
    for _ in events:
        pass
    return Sweep(series, base, folder.path if folder else None)


def load_sweep(path: str | Path, **own: Any) -> Sweep:
    """Bring a sweep back from its folder.

    Args:
        path: Its folder.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or what it was given is missing.
    """
    folder, series = open_series(path, **own)
    return Sweep(series, folder.spec, folder.path)


def resume_sweep(path: str | Path, **own: Any) -> Sweep:
    """Go on with a sweep that was interrupted, to the results that it would have had.

    Args:
        path: Its folder.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or another process is writing to it.
        Interrupted: Ctrl-C or SIGTERM came; the sweep is saved.
    """
    folder, series, events = go_on_series(path, **own)
    for _ in events:
        pass
    return Sweep(series, folder.spec, folder.path)
