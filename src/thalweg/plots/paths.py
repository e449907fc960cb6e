"""Paths of optimizers over a function of two variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from thalweg.plots.text import plain
from thalweg.plots.theme import GRID, INK, MUTED, look, style

Floats = NDArray[np.float64]

CELLS = 241
"""Points a side at which the height is drawn."""


def terrain_paths(
    value: Callable[[Floats], Floats],
    window: tuple[float, float, float, float],
    minimum: tuple[float, float],
    names: Sequence[str],
    points: Sequence[Floats],
    values: Sequence[Floats],
    title: str = "",
) -> go.Figure:
    """Draw paths on a map of contours, and beside it the height by step.

    Contours are spaced evenly in the logarithm of the height above the minimum, so that the floor
    of a valley shows. The axes are equal. A path ends in a marker; where it leaves the window, the
    map does not follow.

    Args:
        value: Points (…, 2) to heights (…).
        window: Least and greatest x, least and greatest y.
        minimum: Where it is lowest; marked with a star.
        names: One a path.
        points: Where each path was, (steps + 1, 2).
        values: Heights there, (steps + 1,).
        title: What to write above.

    Example:
        >>> bowl = lambda p: (p**2).sum(-1)
        >>> way = np.array([[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
        >>> figure = terrain_paths(bowl, (-2, 2, -2, 2), (0, 0), ["sgd"], [way], [bowl(way)])
        >>> [trace.type for trace in figure.data]
        ['contour', 'scatter', 'scatter', 'scatter', 'scatter']
    """
    left, right, low, high = window
    x, y = np.linspace(left, right, CELLS), np.linspace(low, high, CELLS)
    lowest = float(value(np.asarray(minimum, dtype=np.float64)))
    heights = value(np.stack(np.meshgrid(x, y), axis=-1)) - lowest
    floor = max(float(heights.max()) * 1e-5, 1e-12)
    figure = make_subplots(1, 2, column_widths=[0.58, 0.42], horizontal_spacing=0.12)
    style(figure, title)
    figure.add_contour(
        x=x, y=y, z=np.log10(heights + floor), ncontours=18, showscale=False,
        contours={"coloring": "lines"}, colorscale=[[0, MUTED], [1, GRID]], line={"width": 1},
        hoverinfo="skip", name="height", row=1, col=1,
    )  # fmt: skip
    for place, (name, way, height) in enumerate(zip(names, points, values, strict=True)):
        colour, marker = look(place)
        line = {"color": colour, "width": 2}
        seen = np.where(np.isfinite(way).all(-1, keepdims=True), way, np.nan)
        figure.add_scatter(
            x=seen[:, 0], y=seen[:, 1], mode="lines+markers", name=plain(name), line=line,
            legendgroup=name, marker={"size": 4, "color": colour}, row=1, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=seen[-1:, 0], y=seen[-1:, 1], mode="markers", legendgroup=name, showlegend=False,
            marker={"size": 12, "color": colour, "symbol": marker, "line": {"width": 1}},
            hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
        above = np.where(np.isfinite(height), np.maximum(height - lowest, 1e-16), np.nan)
        figure.add_scatter(
            x=np.arange(len(above)), y=above, mode="lines", name=plain(name), line=line,
            legendgroup=name, showlegend=False, row=1, col=2,
        )  # fmt: skip
    star: dict[str, Any] = {"symbol": "star", "size": 14, "color": INK}
    figure.add_scatter(
        x=[minimum[0]], y=[minimum[1]], mode="markers", marker=star, name="minimum", row=1, col=1
    )
    figure.update_xaxes(range=[left, right], title="x", constrain="domain", row=1, col=1)
    figure.update_yaxes(
        range=[low, high], title="y", scaleanchor="x", constrain="domain", row=1, col=1
    )
    figure.update_xaxes(title="step", row=1, col=2)
    figure.update_yaxes(
        title="height above the minimum", type="log", dtick=1, exponentformat="power", row=1, col=2
    )
    figure.update_layout(height=520, width=1000)
    return figure
