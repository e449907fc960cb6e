"""A sweep as a table: a row a setting, with means and intervals over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.cli.table import print_table
from thalweg.cli.text import is_share, metric, number

if TYPE_CHECKING:
    from thalweg.study import Interval, Row, Sweep

SPLITS = ("val", "test", "train", "running")
"""The splits, that whose numbers say most first."""


def print_rows(sweep: Sweep) -> None:
    """Print the table of a sweep; a narrow terminal does without the metrics that say least."""
    rows, metrics = sweep.table(), by_weight(sweep.metrics)
    seeds = max(len(row.numbers) for row in rows)
    titles = [*sweep.axes, "members", "diverged", *metrics, "seconds"]
    if not any(row.diverged for row in rows):
        titles.remove("diverged")
    print_table(
        titles,
        [[_cell(title, row) for title in titles] for row in rows],
        dispensable=[*reversed(metrics[1:]), "seconds"],
    )
    if metrics and seeds > 1:
        print("± is the 95 % interval of the mean over the seeds, by Student's t")


def row_facts(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it; an interval of one value has no half."""
    return {
        "setting": dict(row.setting),
        "members": len(row.numbers),
        "over": row.over,
        "diverged": row.diverged,
        "seconds": row.seconds,
        "metrics": {
            name: {"mean": each.mean, "half": _finite(each.half), "n": each.n}
            for name, each in row.means.items()
        },
    }


def by_weight(names: Iterable[str]) -> list[str]:
    """Return metrics by how much they say: unseen samples first, and no loss before the others.

    Example:
        >>> by_weight(["running_loss", "train_accuracy", "test_loss", "test_accuracy"])
        ['test_accuracy', 'test_loss', 'train_accuracy', 'running_loss']
    """

    def rank(name: str) -> tuple[int, bool]:
        split, _, what = name.partition("_")
        return SPLITS.index(split), what == "loss"

    return sorted(names, key=rank)


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return a setting in one line.

    Example:
        >>> setting_text({"lr": 0.1, "hidden": [64, 64, 64, 64]})
        'lr=0.1 hidden=4×64'
    """
    return " ".join(f"{key}={value_text(value)}" for key, value in setting.items())


def value_text(value: Any) -> str:
    """Return the value of a setting; of many that are equal, how many.

    Example:
        >>> value_text([200, 100]), value_text(None), value_text(1e-3), value_text(True)
        ('200,100', 'none', '0.001', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        if len(value) > 3 and len(set(value)) == 1:
            return f"{len(value)}×{value[0]}"
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.10g}"
    return "none" if value is None else str(value)


def interval_text(name: str, interval: Interval) -> str:
    """Return a mean with its interval: a share of the samples in percent.

    Example:
        >>> from thalweg.study import mean_interval
        >>> interval_text("test_accuracy", mean_interval([0.971, 0.973]))
        '97.20 ± 1.27 %'
        >>> interval_text("test_loss", mean_interval([0.25]))
        '0.2500'
    """
    what = name.partition("_")[2]
    if not math.isfinite(interval.half):
        return metric(what, interval.mean)
    if is_share(what):
        return f"{100 * interval.mean:.2f} ± {100 * interval.half:.2f} %"
    return f"{number(interval.mean)} ± {interval.half:.2g}"


def _cell(title: str, row: Row) -> str:
    if title in row.setting:
        return value_text(row.setting[title])
    if title == "members":
        every = len(row.numbers)
        return str(every) if row.over == every else f"{row.over} of {every}"
    if title == "diverged":
        return str(row.diverged)
    if title == "seconds":
        return f"{row.seconds:.1f}" if row.over else "–"
    return interval_text(title, row.means[title]) if title in row.means else "–"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def leading(names: Sequence[str]) -> str | None:
    """Return the metric that says most; None if there is none."""
    return next(iter(by_weight(names)), None)
