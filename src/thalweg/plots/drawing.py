"""What every figure of curves shares: points by step and by epoch, the switch, and the scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from thalweg.plots.columns import Columns, values
from thalweg.plots.text import falls, is_share, plain
from thalweg.plots.theme import style
from thalweg.plots.thin import Floats

MANY = 60
"""Evaluations that get no marker each."""


@dataclass(frozen=True)
class Curve:
    """Points (m,) of a curve, by step and by epoch, and how Plotly draws them."""

    step: Floats
    epoch: Floats
    y: Floats
    options: Mapping[str, Any]


def curve_of(table: Columns, rows: NDArray[np.int64], y: Floats, **options: Any) -> Curve:
    """Return the curve through some rows of a table, (m,), with the values y, (m,)."""
    return Curve(values(table, "step")[rows], values(table, "epoch")[rows], y, options)


def points(n: int) -> dict[str, Any]:
    """Return how to draw n evaluations: each with a marker, unless they are many."""
    return {"mode": "lines+markers" if n <= MANY else "lines"}


def draw(curves: Sequence[Curve], what: str, title: str) -> go.Figure:
    """Draw curves by epoch, with buttons that turn to steps and back."""
    figure = go.Figure()
    for curve in curves:
        figure.add_scatter(x=curve.epoch, y=curve.y, **curve.options)
    style(figure, plain(title))
    figure.update_layout(hovermode="x unified", showlegend=len(curves) > 1)
    figure.update_xaxes(title_text="epoch", rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text=what, zeroline=False)
    if any(curve.options.get("yaxis") == "y2" for curve in curves):
        bare = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
        figure.update_layout(yaxis2=bare)
    if not curves:
        figure.add_annotation(
            text="nothing was measured", x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
        )
        return figure
    buttons = [
        {
            "label": f"by {axis}",
            "method": "update",
            "args": [{"x": [x.tolist() for x in columns]}, {"xaxis.title.text": axis}],
        }
        for axis, columns in (
            ("epoch", [curve.epoch.round(6) for curve in curves]),
            ("step", [curve.step for curve in curves]),
        )
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "showactive": True}
    place = {"x": 1, "xanchor": "right", "y": 0, "yanchor": "top", "pad": {"t": 32}}
    figure.update_layout(updatemenus=[menu | place])
    return figure


def choose_scale(figure: go.Figure, metric: str, n_batches: int = 0) -> list[str]:
    """Choose the scale of the y axis: percent, or decades for a loss that spans some.

    Args:
        figure: Changed in place.
        metric: What is drawn.
        n_batches: How many of the first curves are of batches: the low values of the beginning
            are left out where they would take more than half of the axis.

    Returns:
        What to say of it.
    """
    ys = [_finite(trace.y) for trace in figure.data if trace.yaxis != "y2"]
    y = np.concatenate([np.empty(0), *ys])
    if is_share(metric):
        figure.update_layout(yaxis={"tickformat": ".4~%", "hoverformat": ".2%"})
        lows = [np.quantile(each, 0.1) for each in ys[:n_batches] if len(each)]
        bottom = min([*lows, *(each.min() for each in ys[n_batches:] if len(each))], default=0.0)
        if not len(y) or bottom - y.min() <= (y.max() - y.min()) / 2:
            return []
        room = 0.06 * (y.max() - bottom)
        figure.update_layout(yaxis_range=[bottom - room, y.max() + room])
        return ["The axis leaves out the low values of the beginning; double-click to see all."]
    decades = bool(len(y)) and y.min() > 0 and y.max() > 10 * y.min()
    scale = "log" if falls(metric) and decades else "linear"
    axis = {"type": scale, "tickformat": ".3~g", "hoverformat": ".4~g"}
    if scale == "log" and y.max() < 1000 * y.min():
        axis["dtick"] = "D2"  # 1, 2 and 5 of each decade; by default it may be all nine
    figure.update_layout(yaxis=axis)
    return []


def _finite(column: Any) -> Floats:
    y: Floats = np.asarray(column, dtype=np.float64)
    return y[np.isfinite(y)]
