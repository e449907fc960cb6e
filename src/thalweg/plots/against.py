"""A metric against a setting: means with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, edges, spoken, told
from thalweg.plots.scales import axis_of, ordered, places, reach, scale_of
from thalweg.plots.text import plain, setting_text
from thalweg.plots.theme import INK, look, style


@dataclass(frozen=True)
class Line:
    """Means of a metric at some values of a setting.

    Args:
        name: What it is of.
        x: Values of the setting, n.
        y: The metric at each; None where every seed diverged, or none is over.
        diverged: How many seeds diverged at each; none if empty.
        chosen: The value to mark, if there is one.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[Interval | None]
    diverged: Sequence[int] = ()
    chosen: Any = None


def metric_against(lines: Sequence[Line], axis: str, metric: str, title: str = "") -> go.Figure:
    """Draw a metric against a setting, a line each, with error bars.

    The axis is logarithmic where the values lie so. A ring marks what was chosen, a cross at the
    foot of the figure what diverged.

    Args:
        lines: What to draw.
        axis: The setting, such as ``lr``.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> y = [SimpleNamespace(mean=m, low=m - 0.1, high=m + 0.1) for m in (0.5, 0.8)]
        >>> figure = metric_against(
        ...     [Line("adam", [0.1, 0.01, 1], [*y, None], [0, 0, 3])], "lr", "val_accuracy"
        ... )
        >>> [(t.name, t.x.tolist()) for t in figure.data], figure.layout.xaxis.type
        ([('adam', [0.01, 0.1, 1.0]), ('diverged', [1.0])], 'log')
    """
    figure = style(go.Figure(), plain(title))
    found = ordered([value for line in lines for value in line.x])
    scale = scale_of(found)
    rank = {repr(value): k for k, value in enumerate(found)}
    ends = [np.empty((3, 0))]
    keyed: set[str] = set()
    for place, line in enumerate(lines):
        colour, marker = look(place)
        rows = sorted(range(len(line.x)), key=lambda row: rank[repr(line.x[row])])
        values, y = [line.x[row] for row in rows], [line.y[row] for row in rows]
        x = places(values, found, scale)
        mean, low, high = edges(y)
        ends.append(np.stack([mean, low, high]))
        name, group = plain(line.name, most=40), f"line {place}"
        bars = {"array": np.nan_to_num(high - mean), "arrayminus": np.nan_to_num(mean - low)}
        figure.add_scatter(
            x=x, y=mean, name=name, legendgroup=group, mode="lines+markers",
            error_y=bars | {"color": colour, "thickness": 1.5, "width": 4, "symmetric": False},
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": marker, "size": 7},
            text=[f"{plain(setting_text(v))}: {told(metric, each)}"
                  for v, each in zip(values, y, strict=True)],
            hovertemplate="%{text}",
        )  # fmt: skip
        lost = [row for row, k in enumerate(rows) if line.diverged and line.diverged[k]]
        if lost:
            texts = [
                f"{plain(setting_text(values[row]))}: {line.diverged[rows[row]]} diverged"
                for row in lost
            ]
            figure.add_scatter(
                x=x[lost], y=np.full(len(lost), 0.03 + 0.04 * place), yaxis="y2", mode="markers",
                name="diverged", legendgroup="diverged", legendrank=2000,
                showlegend="diverged" not in keyed,
                marker={"symbol": "x-thin", "size": 9, "line": {"color": colour, "width": 2.5}},
                text=texts, hovertemplate=f"{name}, %{{text}}<extra></extra>",
            )  # fmt: skip
            keyed.add("diverged")
        at = [row for row, value in enumerate(values) if repr(value) == repr(line.chosen)]
        if at and np.isfinite(mean[at[0]]):
            figure.add_scatter(
                x=x[at], y=mean[at], mode="markers", name="chosen", legendgroup="chosen",
                legendrank=1999, showlegend="chosen" not in keyed, hoverinfo="skip",
                marker={"symbol": "circle-open", "size": 16, "color": INK,
                        "line": {"color": INK, "width": 2}},
            )  # fmt: skip
            keyed.add("chosen")
    figure.update_layout(
        hovermode="closest",
        showlegend=len(lines) > 1 or bool(keyed),
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    )
    figure.update_xaxes(title_text=plain(axis, most=36), **(axis_of(found, scale) if found else {}))
    figure.update_yaxes(selector={"overlaying": None}, title_text=plain(spoken(metric)))
    mean, low, high = np.concatenate(ends, axis=1)
    reach(figure, metric, mean, low, high)
    figure.update_layout(yaxis2={"type": "linear", "range": [0, 1]})
    return figure
