"""Curves of several runs on one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.columns import Columns, measured, values
from thalweg.plots.drawing import Curve, choose_scale, curve_of, draw, points
from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, SPLIT_DASHES, look
from thalweg.plots.thin import extremes


def comparison(
    runs: Mapping[str, Columns],
    metric: str = "loss",
    splits: Sequence[str] = ("test", "train"),
    title: str = "",
) -> go.Figure:
    """Draw one metric of several runs: a colour and a marker a run, a dash a split.

    A run whose values end in what is no finite number gets a cross where it was last sound.

    Args:
        runs: By name, the evaluations of each run.
        metric: ``loss``, ``accuracy``, …
        splits: Which to draw, of ``test``, ``val``, ``train`` and ``running``; those that no run
            evaluated are left out.
        title: What to write above.

    Example:
        >>> one = {"step": [9], "epoch": [1.0], "test_loss": [0.5], "train_loss": [0.4]}
        >>> figure = comparison({"a": one, "b": one}, splits=["test"])
        >>> [trace.name for trace in figure.data], figure.layout.yaxis.title.text
        (['a', 'b'], 'test loss')
    """
    there = {s for s in splits if any(measured(e, f"{s}_{metric}") for e in runs.values())}
    drawn = [split for split in SPLIT_DASHES if split in there]
    curves: list[Curve] = []
    for place, (name, epochs) in enumerate(runs.items()):
        colour, marker = look(place)
        shared = {"name": plain(name, most=40), "legendgroup": f"run {place}"}
        first = True
        for split in drawn:
            rows = np.array(measured(epochs, f"{split}_{metric}"), dtype=np.int64)
            if not len(rows):
                continue
            y = values(epochs, f"{split}_{metric}")[rows]
            line = {"color": colour, "dash": SPLIT_DASHES[split], "width": 2}
            dot = {"color": colour, "symbol": marker, "size": 6}
            options = points(len(rows)) | {"line": line, "marker": dot, "showlegend": first}
            kept = extremes(y)
            curves.append(curve_of(epochs, rows[kept], y[kept], **shared, **options))
            first = False
            sound = np.flatnonzero(np.isfinite(y))
            if len(sound) and sound[-1] < len(y) - 1:
                end = sound[-1:]
                edge = {"color": colour, "width": 3}
                cross = {"symbol": "x-thin", "size": 14, "line": edge}
                options = {"mode": "markers", "marker": cross, "showlegend": False}
                curves.append(curve_of(epochs, rows[end], y[end], **shared, **options))
    if len(drawn) > 1:
        curves += [_key(split) for split in drawn]
    what = f"{drawn[0]} {metric}" if len(drawn) == 1 else metric
    figure = draw(curves, plain(what), title)
    figure.update_layout(hovermode="closest")
    choose_scale(figure, metric)
    return figure


def _key(split: str) -> Curve:
    """Return a curve without points: it puts the dash of a split into the legend."""
    nothing = np.full(1, np.nan)
    line = {"color": MUTED, "dash": SPLIT_DASHES[split], "width": 2}
    return Curve(nothing, nothing, nothing, {"name": split, "mode": "lines", "line": line})
