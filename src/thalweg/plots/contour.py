"""A landscape from above: contours, and the ways of runs on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import split_of, spoken
from thalweg.plots.levels import Levels, levels_of
from thalweg.plots.plane import Mark, Plane, Way
from thalweg.plots.sentences import explained, head, interpolated, lost, measured, unseen
from thalweg.plots.text import amount, falls, plain
from thalweg.plots.theme import EMPTY, INK, MUTED, PAPER, RIGHT, SIZE, style
from thalweg.plots.ways import draw_way, interval, key
from thalweg.plots.window import Window, window_of

WIDTH, HEIGHT = 1000, 600
"""Of the figure, in pixels; a plane that is much wider than high needs less height."""

WIDEST, HIGHEST = 600, 450
"""What is left of them beside the legend and below the title."""


def contour(
    plane: Plane, ways: Sequence[Way] = (), *, marks: Sequence[Mark] = (), title: str = ""
) -> go.Figure:
    """Draw a plane from above: the lower the loss, the bluer, and ways on it.

    Levels of a loss are spaced evenly in the logarithm of its height above the least on the grid,
    so that the floor of a valley shows; of a metric of which more is better they are linear. The
    bar says them in the metric's own units. What is not finite is blank, with a × at each node.
    Orthonormal directions have equal axes. A way has a ring at its start, a dot every so many
    steps, and a marker at its end; the window goes as far beyond the grid as ways and marks do, up
    to two of its widths.

    Args:
        plane: What to draw.
        ways: Of runs.
        marks: Points with names.
        title: What to write above.

    Example:
        >>> axis = np.linspace(-1, 1, 21)
        >>> plane = Plane(axis, axis, axis[:, None] ** 2 + 9 * axis**2, "loss", "principal")
        >>> way = Way("sgd", axis[:11], axis[:11], axis[:11] ** 2, np.arange(11.0), np.zeros(11))
        >>> figure = contour(plane, [way])
        >>> [trace.name for trace in figure.data if trace.showlegend is not False]
        ['reference', 'least on the grid', 'sgd', 'start', 'every step']
    """
    figure, window = ground(plane, ways, marks, title)
    every = interval(ways)
    for place, way in enumerate(ways):
        draw_way(figure, way, place, every, plane.metric, window)
    key(figure, ways, every)
    name_marks(figure, marks, window)
    return figure


def ground(
    plane: Plane, ways: Sequence[Way], marks: Sequence[Mark], title: str
) -> tuple[go.Figure, Window]:
    """Return the contours of a plane in the window of some ways, and the window."""
    figure = style(go.Figure(), plain(title))
    window = window_of(plane, ways, marks)
    levels = levels_of(plane.values, plane.metric)
    right = _frame(figure, plane, window)
    _contours(figure, plane, levels, right)
    _blank(figure, plane)
    point: dict[str, Any] = {"mode": "markers", "legendrank": 1400, "hoverinfo": "name"}
    point["cliponaxis"] = False
    edge = {"color": PAPER, "width": 1}
    cross = {"symbol": "cross-thin", "size": 26, "line": {"color": INK, "width": 2}}
    figure.add_scatter(x=[0.0], y=[0.0], name="reference", marker=cross, **point)
    if (best := best_of(plane)) is not None:
        star = {"symbol": "star", "size": 14, "color": INK, "line": edge}
        name = f"{'least' if falls(plane.metric) else 'greatest'} on the grid"
        x, y = plane.x[best[0]], plane.y[best[1]]
        figure.add_scatter(x=[x], y=[y], name=name, marker=star, **point)
    beyond = "beyond the dotted frame nothing was measured" if window.beyond else ""
    sentences = [explained(plane), unseen(ways), *lost(ways, window), beyond, measured(plane)]
    head(figure, plain(title), [*sentences, interpolated(plane)])
    return figure, window


def best_of(plane: Plane) -> tuple[int, int] | None:
    """Return the measured node with the best value, the least of a loss; None if none is finite.

    Example:
        >>> axis = np.array([0.0, 1.0])
        >>> values = np.array([[3.0, np.nan], [1.0, np.inf]])
        >>> best_of(Plane(axis, axis, values, "loss", "own"))
        (1, 0)
    """
    sign = 1.0 if falls(plane.metric) else -1.0
    cost = np.where(np.isfinite(plane.values), sign * plane.values, np.inf)
    if plane.measured is not None:
        cost = np.where(plane.measured, cost, np.inf)
    if not np.isfinite(cost).any():
        return None
    i, j = np.unravel_index(cost.argmin(), cost.shape)
    return int(i), int(j)


def directions_of(plane: Plane) -> tuple[str, str]:
    """Return what the axes are called."""
    if plane.kind.startswith("principal"):
        return "first principal direction", "second principal direction"
    if plane.kind.startswith(("hessian", "eigenvectors")):
        return "first eigenvector of the Hessian", "second eigenvector of the Hessian"
    if plane.kind.startswith("random"):
        return "first random direction", "second random direction"
    if plane.kind.startswith(("between", "plane through")):
        return "from the first network to the second", "from the first network to the third"
    return "first direction", "second direction"


def name_marks(figure: go.Figure, marks: Sequence[Mark], window: Window) -> None:
    """Draw points with their names beside them, on top of everything."""
    sides = [
        f"{('bottom', 'top')[_outwards(mark.y, window.y, 0.1)]} "
        f"{('left', 'right')[_outwards(mark.x, window.x, 0.16)]}"
        for mark in marks
    ]
    if marks:
        figure.add_scatter(
            x=[mark.x for mark in marks], y=[mark.y for mark in marks], mode="markers+text",
            text=[f"<b>{plain(mark.name)}</b>" for mark in marks], textposition=sides,
            textfont={"color": INK}, showlegend=False, hoverinfo="text", name="marks",
            marker={"symbol": "diamond", "size": 11, "color": INK,
                    "line": {"color": PAPER, "width": 1.5}},
        )  # fmt: skip


def _outwards(at: float, ends: tuple[float, float], room: float) -> bool:
    """Tell whether a name goes upwards: away from the middle, where ways are, if there is room."""
    share = (at - ends[0]) / (ends[1] - ends[0])
    return share < room or 0.5 < share < 1 - room


def _frame(figure: go.Figure, plane: Plane, window: Window) -> float:
    """Lay out axes, legend and size; return where the plot ends, as a share of the width."""
    wide, high = float(WIDEST), float(HIGHEST)
    if plane.equal:
        wide = min(WIDEST, max(WIDEST / 3, window.aspect * HIGHEST))
        high = min(HIGHEST, max(HIGHEST / 2, WIDEST / window.aspect))
    right = wide / (0.87 * WIDTH)
    bare = {"showgrid": False, "zeroline": False, "ticks": "outside", "constrain": "domain"}
    x, y = directions_of(plane)
    figure.update_xaxes(title_text=x, range=window.x, domain=[0, right], **bare)
    figure.update_yaxes(title_text=y, range=window.y, **bare)
    if plane.equal:
        figure.update_yaxes(scaleanchor="x", scaleratio=1, constraintoward="top")
    figure.update_layout(
        width=WIDTH, height=round(HEIGHT - HIGHEST + high), hovermode="closest",
        legend={"orientation": "v", "x": right + 0.12, "y": 1, "yanchor": "top"},
    )  # fmt: skip
    if window.beyond:
        figure.add_shape(
            type="rect", x0=plane.x.min(), x1=plane.x.max(), y0=plane.y.min(), y1=plane.y.max(),
            line={"color": MUTED, "width": 1, "dash": "dot"},
        )  # fmt: skip
    return right


def _contours(figure: go.Figure, plane: Plane, levels: Levels, right: float) -> None:
    """Draw filled contours, with a bar that says the levels."""
    name = split_of(plane.metric)[1]
    told = [[amount(name, value) for value in row] for row in plane.values.T]
    colours = [[0, RIGHT], [1, EMPTY]] if falls(plane.metric) else [[0, EMPTY], [1, RIGHT]]
    figure.add_contour(
        x=plane.x, y=plane.y, z=levels.drawn(plane.values).T, autocontour=False,
        contours={"start": levels.at[0], "end": levels.at[-1], "size": levels.step,
                  "coloring": "fill"},
        colorscale=colours, line={"color": MUTED, "width": 0.75}, connectgaps=False,
        text=told, hovertemplate=f"{plain(plane.metric)} %{{text}}<extra></extra>",
        hoverongaps=False, name="ground", showlegend=False,
        colorbar={"x": right + 0.012, "xanchor": "left", "thickness": 14, "len": 1, "y": 0.5,
                  "outlinewidth": 0, "tickvals": levels.at, "ticktext": levels.texts,
                  "tickfont": {"color": INK, "size": SIZE - 1}, "ypad": 0,
                  "title": {"text": plain(spoken(plane.metric)),
                            "font": {"color": INK, "size": SIZE}}},
    )  # fmt: skip


def _blank(figure: go.Figure, plane: Plane) -> None:
    """Mark the nodes whose value is not finite."""
    i, j = np.nonzero(~np.isfinite(plane.values))
    if len(i):
        figure.add_scatter(
            x=plane.x[i], y=plane.y[j], mode="markers", name=f"no finite {plain(plane.metric)}",
            legendrank=1450, hoverinfo="name", cliponaxis=False,
            marker={"symbol": "x-thin", "size": 5, "line": {"color": MUTED, "width": 1}},
        )  # fmt: skip
