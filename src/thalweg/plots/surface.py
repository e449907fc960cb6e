"""A landscape as a surface, with the ways of runs at their own heights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.contour import HEIGHT, WIDTH, best_of, directions_of
from thalweg.plots.intervals import split_of, spoken
from thalweg.plots.levels import COUNT, numbers, round_step
from thalweg.plots.plane import Mark, Plane, Way
from thalweg.plots.sentences import explained, head, interpolated, lost, measured, unseen
from thalweg.plots.text import amount, falls, is_share, plain
from thalweg.plots.theme import EMPTY, FONT, GRID, INK, MUTED, PAPER, RIGHT, SIZE, look, style
from thalweg.plots.thin import Floats
from thalweg.plots.ways import dots, group_of, interval, key, said, there, thinned
from thalweg.plots.window import Window, window_of

DECADES = 4.0
"""What a logarithmic axis shows of the surface above its median; what is higher is cut off."""

SOLID = {"triangle-up": "diamond-open", "star": "square-open"}
"""What stands for the markers that three dimensions do not have."""

FLOOR = 0.06
"""Below the least height, as a share of the axis."""


@dataclass(frozen=True)
class Rise:
    """How heights are drawn: as they are, or their logarithms.

    Args:
        log: Whether they are logarithms to base 10.
        low: Where the axis begins, as drawn.
        high: Where it ends.
    """

    log: bool
    low: float
    high: float

    def drawn(self, values: Floats) -> Floats:
        """Return heights as drawn; no number where one is not finite."""
        y = np.where(np.isfinite(values), values, np.nan)
        return np.asarray(np.log10(np.maximum(y, 10**self.low))) if self.log else y

    def ticks(self) -> Floats:
        """Return heights to write at the axis, in the metric's own units."""
        if not self.log:
            step = round_step(self.high - self.low, 6)
            return np.asarray(step * np.arange(np.ceil(self.low / step), self.high / step))
        decades = np.arange(np.floor(self.low), np.ceil(self.high) + 1)
        parts = (1.0,) if self.high - self.low > 3 else (1.0, 2.0, 5.0)
        found = np.sort(np.concatenate([part * 10**decades for part in parts]))
        return np.asarray(found[(self.low <= np.log10(found)) & (np.log10(found) <= self.high)])


def rise_of(plane: Plane, ways: Sequence[Way]) -> Rise:
    """Return how to draw the heights of a plane and of ways: logarithms of what falls by decades.

    Example:
        >>> axis = np.linspace(-1, 1, 3)
        >>> plane = Plane(axis, axis, 0.01 + axis[:, None] ** 2 + axis**2, "loss", "own")
        >>> rise_of(plane, []).log
        True
    """
    own = np.concatenate([np.empty(0), *(way.values for way in ways)])
    own, y = own[np.isfinite(own)], plane.values[np.isfinite(plane.values)]
    both = np.concatenate([own, y])
    above = both[both > 0]
    log = falls(plane.metric) and not (both < 0).any() and len(above) > 0
    log = log and bool(above.max() > 10 * above.min())
    if log:
        own, y = np.log10(own[own > 0]), np.log10(y[y > 0])
        middle = float(np.median(y)) if len(y) else 0.0
        y = y.clip(middle - DECADES, middle + DECADES)
        both = np.concatenate([own, y])
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    return Rise(log, low - FLOOR * ((high - low) or 1.0), high)


def surface(
    plane: Plane, ways: Sequence[Way] = (), *, marks: Sequence[Mark] = (), title: str = ""
) -> go.Figure:
    """Draw a plane as a surface, and ways at their own heights.

    A way is drawn at the loss of its states, which are not in the plane: it may run above the
    surface or below it. A loss that spans more than a decade gets a logarithmic axis, with what is
    zero at its foot; what is four decades above the median is cut off, and what is not finite is a
    hole. The camera stands over the quarter in which the surface is lowest.

    Args:
        plane: What to draw.
        ways: Of runs.
        marks: Points with names: a line upright through each.
        title: What to write above.

    Example:
        >>> axis = np.linspace(-1, 1, 21)
        >>> plane = Plane(axis, axis, 0.1 + axis[:, None] ** 2 + axis**2, "loss", "principal")
        >>> way = Way("sgd", axis[:11], axis[:11], 2 * axis[:11] ** 2, *np.zeros((2, 11)))
        >>> figure = surface(plane, [way])
        >>> figure.data[0].type, float(10 ** figure.data[1].z[0])
        ('surface', 2.0)
    """
    figure = style(go.Figure(), plain(title))
    rise = rise_of(plane, ways)
    heights = rise.drawn(plane.values)
    cut = bool((heights > rise.high).any())
    heights = np.where(heights > rise.high, np.nan, heights)
    _draw_surface(figure, plane, heights, rise)
    every = interval(ways)
    for place, way in enumerate(ways):
        _draw_way(figure, way, place, every, plane.metric, rise)
    key(figure, ways, every, solid=True)
    _draw_points(figure, plane, heights)
    _draw_marks(figure, marks, rise)
    window = window_of(plane, ways, marks)
    _look(figure, plane, window, rise, heights)
    top = f"what is above {numbers([10**rise.high])[0]} is cut off" if cut else ""
    sentences = [explained(plane), unseen(ways), *lost(ways, window), top, measured(plane)]
    own = "ways are at the heights of their own states, not of the plane" if ways else ""
    head(figure, plain(title), [own, *sentences, interpolated(plane)])
    return figure


def _draw_surface(figure: go.Figure, plane: Plane, heights: Floats, rise: Rise) -> None:
    """Draw the surface, with lines of equal height."""
    name = split_of(plane.metric)[1]
    told = [[amount(name, value) for value in row] for row in plane.values.T]
    colours = [[0, RIGHT], [1, EMPTY]] if falls(plane.metric) else [[0, EMPTY], [1, RIGHT]]
    lines = {"show": True, "color": MUTED, "width": 1, "start": rise.low, "end": rise.high}
    lines |= {"size": (rise.high - rise.low) / COUNT}
    figure.add_surface(
        x=plane.x, y=plane.y, z=heights.T, colorscale=colours, showscale=False,
        cmin=rise.low, cmax=rise.high, contours={"z": lines}, connectgaps=False, text=told,
        hovertemplate=f"{plain(plane.metric)} %{{text}}<extra></extra>", name="ground",
        lighting={"ambient": 0.75, "diffuse": 0.5, "specular": 0.05, "roughness": 0.9},
        opacity=0.85,
    )  # fmt: skip


def _draw_way(figure: go.Figure, way: Way, place: int, every: int, metric: str, rise: Rise) -> None:
    """Draw a way at its own heights."""
    colour, symbol = look(place)
    marked = dots(way, every)
    rows = thinned(way, marked)
    z = rise.drawn(way.values)
    seen = there(way) & np.isfinite(z)
    x, y, z = (np.where(seen, each, np.nan) for each in (way.x, way.y, z))
    group = group_of(way, place)
    figure.add_scatter3d(
        x=x[rows], y=y[rows], z=z[rows], mode="lines+markers", line={"color": colour, "width": 6},
        marker={"color": colour, "size": np.where(np.isin(rows, marked), 5, 0),
                "line": {"width": 0}},
        text=said(way, rows, metric), hovertemplate="%{text}", showlegend=False, **group,
    )  # fmt: skip
    ends = np.flatnonzero(seen)[[0, -1]] if seen.any() else np.empty(0, np.int64)
    edge = {"color": colour, "width": 3}
    figure.add_scatter3d(
        x=x[ends[:1]], y=y[ends[:1]], z=z[ends[:1]], mode="markers", showlegend=False,
        marker={"size": 6, "color": PAPER, "line": edge}, hoverinfo="skip", **group,
    )  # fmt: skip
    figure.add_scatter3d(
        x=x[ends[1:]], y=y[ends[1:]], z=z[ends[1:]], mode="lines+markers",
        line={"color": colour, "width": 6}, text=said(way, ends[1:], metric),
        hovertemplate="%{text}",
        marker={"symbol": SOLID.get(symbol, symbol), "size": 7, "color": colour}, **group,
    )  # fmt: skip


def _draw_points(figure: go.Figure, plane: Plane, heights: Floats) -> None:
    """Draw the reference, if it is a node, and the best node."""
    at = np.flatnonzero(plane.x == 0), np.flatnonzero(plane.y == 0)
    points = {"reference": ("cross", (int(at[0][0]), int(at[1][0])) if all(map(len, at)) else None)}
    name = f"{'least' if falls(plane.metric) else 'greatest'} on the grid"
    points[name] = ("diamond", best_of(plane))
    for name, (symbol, node) in points.items():
        if node is not None:
            i, j = node
            figure.add_scatter3d(
                x=[plane.x[i]], y=[plane.y[j]], z=[heights[i, j]], mode="markers", name=name,
                legendrank=1400, hoverinfo="name",
                marker={"symbol": symbol, "size": 6, "color": INK},
            )  # fmt: skip


def _draw_marks(figure: go.Figure, marks: Sequence[Mark], rise: Rise) -> None:
    for mark in marks:
        figure.add_scatter3d(
            x=[mark.x] * 2, y=[mark.y] * 2, z=[rise.low, rise.high], mode="lines+text",
            text=["", f"<b>{plain(mark.name)}</b>"], textfont={"color": INK}, hoverinfo="skip",
            textposition="top center", line={"color": INK, "width": 3}, showlegend=False,
            name=plain(mark.name),
        )  # fmt: skip


def _look(figure: go.Figure, plane: Plane, window: Window, rise: Rise, heights: Floats) -> None:
    """Lay out the scene: axes, proportions, camera."""
    ticks = rise.ticks()
    share = is_share(split_of(plane.metric)[1])
    axis: dict[str, Any] = {
        "gridcolor": GRID, "linecolor": MUTED, "tickcolor": MUTED, "zeroline": False,
        "showbackground": False, "showspikes": False,
        "tickfont": {"color": INK, "size": SIZE - 2, "family": FONT},
    }  # fmt: skip
    font = {"color": INK, "size": SIZE, "family": FONT}
    brief = [name.removesuffix(" direction").removesuffix(" of the Hessian")
             .removeprefix("from the first network ") for name in directions_of(plane)]  # fmt: skip
    names = (*brief, spoken(plane.metric) + (" (log)" if rise.log else ""))
    x, y, z = (axis | {"title": {"text": plain(name), "font": font}} for name in names)
    z |= {"range": [rise.low, rise.high], "tickvals": rise.drawn(ticks)}
    z |= {"ticktext": numbers(ticks, share=share)}
    wide = min(2.0, max(0.5, window.aspect)) if plane.equal else 1.0
    long = {"x": wide**0.5, "y": wide**-0.5, "z": 0.6}
    figure.update_layout(
        width=WIDTH, height=HEIGHT,
        legend={"orientation": "v", "x": 0.84, "y": 1, "yanchor": "top"},
        scene={
            "xaxis": x | {"range": window.x}, "yaxis": y | {"range": window.y},
            "domain": {"x": [0, 0.82]}, "zaxis": z, "aspectmode": "manual",
            "aspectratio": long,
            "camera": {"eye": _eye(heights), "center": {"x": 0, "y": 0, "z": -0.22}},
        },
    )  # fmt: skip


def _eye(heights: Floats) -> dict[str, float]:
    """Return where the camera stands: over the quarter in which the surface is lowest."""
    n, m = (side // 2 for side in heights.shape)
    quarters = {
        (-1, -1): heights[: n + 1, : m + 1], (-1, 1): heights[: n + 1, m:],
        (1, -1): heights[n:, : m + 1], (1, 1): heights[n:, m:],
    }  # fmt: skip
    means = {
        side: float(found.mean()) if len(found := part[np.isfinite(part)]) else np.inf
        for side, part in quarters.items()
    }
    across, up = min(means, key=means.__getitem__)
    return {"x": 0.84 * across, "y": 1.3 * up, "z": 0.8}
