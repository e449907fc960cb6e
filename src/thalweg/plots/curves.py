"""Curves of one run: a metric, or the learning rate, by epoch or by step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.columns import SPLITS, Columns, measured, rows_of, values
from thalweg.plots.drawing import Curve, choose_scale, curve_of, draw, points
from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, SERIES, SPLIT_DASHES
from thalweg.plots.thin import extremes, running_mean

FEW = 27
"""Updates that need no running mean: three windows of it."""

_SPLIT_LOOKS = {
    "running": (SERIES[5], "triangle-up"),
    "train": (SERIES[0], "circle"),
    "val": (SERIES[3], "diamond"),
    "test": (SERIES[1], "square"),
}


def training_curves(
    steps: Columns,
    epochs: Columns,
    metric: str = "loss",
    title: str = "",
    *,
    diverged: bool = False,
) -> go.Figure:
    """Draw one metric of a run: of each batch, of the epoch so far, and of the splits.

    A batch says little by itself, so its curve is faint, with a running mean over it; of very many
    the least and the greatest of each piece are drawn. A loss that spans more than a decade gets a
    logarithmic axis. What is no finite number is a gap. ``figure.layout.meta["caption"]`` says in
    words what the curves are.

    Args:
        steps: One row an update: ``step``, ``epoch``, and the metric over the batch.
        epochs: One row an evaluation: ``step``, ``epoch``, and ``train_loss``, ``test_loss``,
            ``running_loss`` and so on; None where a split was not evaluated.
        metric: ``loss``, ``accuracy``, …
        title: What to write above.
        diverged: Whether the update after the last row failed; it is marked.

    Example:
        >>> figure = training_curves(
        ...     {"step": [1, 2], "epoch": [0.5, 1.0], "loss": [4.0, 1.0]},
        ...     {"step": [2], "epoch": [1.0], "test_loss": [1.5]},
        ... )
        >>> [trace.name for trace in figure.data], figure.layout.yaxis.type
        (['batch', 'test'], 'linear')
    """
    batches, notes = _batches(steps, metric)
    curves = [*batches, *_splits(epochs, metric)]
    ending = _ending(steps, epochs)
    if diverged and ending is not None:
        curves.append(_mark(*ending))
        notes.append(f"The loss of the update after step {ending[0]:,.0f} was no finite number.")
    figure = draw(curves, plain(metric), title)
    notes += choose_scale(figure, metric, n_batches=len(batches))
    figure.update_layout(meta={"caption": " ".join(notes)})
    return figure


def learning_rate(steps: Columns, epochs: Columns, title: str = "") -> go.Figure:
    """Draw the learning rate of each update.

    Args:
        steps: One row an update, with ``step``, ``epoch`` and ``lr``.
        epochs: One row an evaluation, likewise; drawn if there are no steps.
        title: What to write above.

    Example:
        >>> learning_rate({"step": [1], "epoch": [1.0], "lr": [0.1]}, {}).data[0].y.tolist()
        [0.1]
    """
    table = steps if rows_of(steps) else epochs
    lr = values(table, "lr")
    rows = extremes(lr)
    line = {"color": SERIES[0], "width": 2}
    mode = "lines" if len(rows) > 1 else "markers"
    curve = curve_of(table, rows, lr[rows], name="lr", mode=mode, line=line, showlegend=False)
    figure = draw([curve] if len(rows) else [], "learning rate", title)
    figure.update_yaxes(rangemode="tozero", exponentformat="power")
    return figure


def _batches(steps: Columns, metric: str) -> tuple[list[Curve], list[str]]:
    """Return the curves of single batches, and what to say of them."""
    y = values(steps, metric)
    if not np.isfinite(y).any():
        return [], []
    rows, smooth = extremes(y), len(y) > FEW
    line = {"color": MUTED, "width": 1}
    options = points(len(y)) if not smooth else {"mode": "lines"}
    options |= {"line": line, "marker": {"color": MUTED, "size": 4}}
    options |= {"opacity": 0.4 if smooth else 0.8}
    curves = [curve_of(steps, rows, y[rows], name="batch", **options)]
    if not smooth:
        return curves, ["Grey: one batch each, before its update."]
    every, means, width = running_mean(y)
    line = {"color": MUTED, "width": 2.5}
    name = f"mean of {width:,}"
    options = {"mode": "lines", "line": line, "opacity": 0.8}
    curves.append(curve_of(steps, every, means, name=name, **options))
    faint = "one batch each, before its update"
    if len(rows) < len(y):
        faint += f"; of {len(y):,} only peaks and troughs are drawn"
    return curves, [f"Faint grey: {faint}. Thick grey: the mean over {width:,} batches."]


def _splits(epochs: Columns, metric: str) -> Iterator[Curve]:
    for split in SPLITS:
        rows = np.array(measured(epochs, f"{split}_{metric}"), dtype=np.int64)
        if not len(rows):
            continue
        y = values(epochs, f"{split}_{metric}")[rows]
        colour, marker = _SPLIT_LOOKS[split]
        kept = extremes(y)
        yield curve_of(
            epochs,
            rows[kept],
            y[kept],
            name=split,
            line={"color": colour, "dash": SPLIT_DASHES[split], "width": 2},
            marker={"color": colour, "symbol": marker, "size": 6},
            **points(len(rows)),
        )


def _mark(step: float, epoch: float) -> Curve:
    """Return a line from the bottom to the top, on an axis of its own."""
    return Curve(
        np.full(2, step),
        np.full(2, epoch),
        np.array([0.0, 1.0]),
        {
            "name": f"diverged after step {step:,.0f}",
            "mode": "lines",
            "line": {"color": SERIES[3], "width": 3, "dash": "longdash"},
            "yaxis": "y2",
            "hoverinfo": "skip",
        },
    )


def _ending(steps: Columns, epochs: Columns) -> tuple[float, float] | None:
    """Return the step and the epoch that the run came to."""
    ends = [
        (float(table["step"][-1]), float(table["epoch"][-1]))
        for table in (steps, epochs)
        if rows_of(table)
    ]
    return max(ends, default=None)
