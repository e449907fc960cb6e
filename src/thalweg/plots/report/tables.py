"""The tables of a report: cells of text, made from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.plots.columns import CLOCK, SPLITS, Columns, measured, rows_of, values
from thalweg.plots.report.words import duration
from thalweg.plots.text import amount, falls, is_share

MOST_ROWS = 200
"""Evaluations that a page lists, the last ones."""


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, small print below, and whether the clock decides it."""

    text: str
    note: str = ""
    clock: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its head, and rows, each a name and cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    clocks: frozenset[str] = frozenset()


def final_metrics(epochs: Columns, metrics: Sequence[str], samples: Mapping[str, int]) -> Table:
    """Return the last value of each metric on each split, and below it the best one.

    Example:
        >>> table = final_metrics(
        ...     {"step": [1, 2], "epoch": [1.0, 2.0], "test_accuracy": [0.9, 0.8]},
        ...     ["accuracy"],
        ...     {"test": 10},
        ... )
        >>> name, (n, accuracy) = table.rows[0]
        >>> name, n.text, accuracy.text, accuracy.note
        ('test', '10', '80.00 %', '8 of 10; best 90.00 % at epoch 1')
    """
    rows = []
    for split in SPLITS:
        n = samples.get(split)
        cells = tuple(_last(epochs, split, metric, n) for metric in metrics)
        if any(cell.text for cell in cells):
            rows.append((split, (Cell(f"{n:,}" if n else ""), *cells)))
    return Table(("split", "samples", *metrics), tuple(rows))


def _last(epochs: Columns, split: str, metric: str, n: int | None) -> Cell:
    name = f"{split}_{metric}"
    rows = measured(epochs, name)
    if not rows:
        return Cell("")
    y, epoch = values(epochs, name), values(epochs, "epoch")
    value = float(y[rows[-1]])
    notes = []
    if n and is_share(metric) and np.isfinite(value):
        notes.append(f"{round(value * n):,} of {n:,}")
    if rows[-1] != rows_of(epochs) - 1:
        notes.append(f"at epoch {epoch[rows[-1]]:.4g}")
    if np.isfinite(y).sum() > 1 and split != "running":
        best = int(np.nanargmin(y) if falls(metric) else np.nanargmax(y))
        if y[best] == value:
            notes.append("its best")
        else:
            notes.append(f"best {amount(metric, float(y[best]))} at epoch {epoch[best]:.4g}")
    return Cell(amount(metric, value), "; ".join(notes))


def evaluations(epochs: Columns) -> Table:
    """Return what was measured at each evaluation; of very many the last ones."""
    names = [name for name in epochs if name not in ("gradients", "seconds")]
    names = [name for name in names if name in CLOCK or measured(epochs, name)]
    rows = range(rows_of(epochs))[-MOST_ROWS:]
    head = tuple(name.replace("_", " ") for name in names[1:])
    body = tuple(
        (
            f"{epochs['step'][row]:,}",
            (
                *(_cell(name, epochs[name][row]) for name in names[1:]),
                Cell(duration(epochs["seconds"][row]), clock=True),
            ),
        )
        for row in rows
    )
    return Table(("step", *head, "time"), body, frozenset({"time"}))


def _cell(name: str, value: Any) -> Cell:
    if value is None:
        return Cell("")
    if name in CLOCK:
        return Cell(f"{value:.3g}" if name == "lr" else f"{value:.6g}")
    return Cell(amount(name.partition("_")[2], float(value)))


def by_class(counts: NDArray[np.int64], classes: Sequence[str]) -> Table:
    """Return of each class how much was right, and what the rest was mostly taken for.

    Args:
        counts: Samples by true and predicted class, (C, C).
        classes: Names of the classes, C.

    Example:
        >>> by_class(np.array([[3, 1], [0, 0]]), ["cat", "dog"]).rows[0][1][-1].text
        'dog (1 ×)'
    """
    rows = []
    for k, name in enumerate(classes):
        total, right = int(counts[k].sum()), int(counts[k, k])
        wrong = counts[k].copy()
        wrong[k] = 0
        worst = int(wrong.argmax())
        taken = f"{classes[worst]} ({wrong[worst]:,} ×)" if wrong[worst] else ""
        share = f"{100 * right / total:.1f} %" if total else ""
        rows.append((name, (Cell(f"{total:,}"), Cell(share), Cell(taken))))
    return Table(("class", "samples", "right", "mostly said"), tuple(rows))
