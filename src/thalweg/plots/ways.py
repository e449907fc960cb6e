"""Ways of runs over a plane: a line with a dot every so many steps, a ring first, a marker last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from thalweg.plots.intervals import split_of
from thalweg.plots.levels import round_step
from thalweg.plots.plane import Way
from thalweg.plots.text import amount, plain
from thalweg.plots.theme import MUTED, PAPER, look
from thalweg.plots.thin import extremes
from thalweg.plots.window import Window

DOTS = 12
"""Dots on the longest way, at most."""

CASING = {"color": PAPER, "width": 5}
"""The pale line below a way's own."""

PIECES = 250
"""A way is thinned to so many pieces, the extremes of each kept."""

LONGEST = 28
"""Letters of a name."""


def interval(ways: Sequence[Way]) -> int:
    """Return the round number of steps from one dot to the next.

    Example:
        >>> way = Way("adam", *np.zeros((3, 241)), np.arange(241.0), np.zeros(241))
        >>> interval([way])
        20
    """
    longest = max((float(way.steps[-1] - way.steps[0]) for way in ways), default=0.0)
    return max(1, round(round_step(longest, DOTS))) if longest > 0 else 1


def dots(way: Way, every: int) -> NDArray[np.int64]:
    """Return the states at multiples of a number of steps, or the first after each.

    Example:
        >>> way = Way("adam", *np.zeros((3, 4)), np.array([0.0, 7, 14, 21]), np.zeros(4))
        >>> dots(way, 10).tolist()
        [0, 2, 3]
    """
    times = np.arange(np.ceil(way.steps[0] / every), way.steps[-1] // every + 1) * every
    return np.unique(np.searchsorted(way.steps, times))


def there(way: Way) -> NDArray[np.bool_]:
    """Return which states have a place on the plane, (T,)."""
    return np.isfinite(way.x) & np.isfinite(way.y)


def thinned(way: Way, kept: NDArray[np.int64], pieces: int = PIECES) -> NDArray[np.int64]:
    """Return the states to draw, ascending: some to keep, and no turn of the way lost.

    Of many states the outermost of each piece are kept, and some at equal lengths of the way: most
    of it may lie in its first steps.

    Args:
        way: The way.
        kept: States to keep.
        pieces: How many.
    """
    lengths = np.hypot(np.diff(way.x), np.diff(way.y))
    run = np.cumsum(np.where(np.isfinite(lengths), lengths, 0.0))
    even = np.searchsorted(run, np.linspace(0, run[-1], pieces)) if len(run) else kept
    return np.unique(np.concatenate([extremes(way.x, pieces), extremes(way.y, pieces), even, kept]))


def said(way: Way, rows: NDArray[np.int64], metric: str) -> list[str]:
    """Return what to say of some states: the step, their own height, what the plane lacks."""
    name = split_of(metric)[1]
    return [
        f"step {way.steps[k]:,.0f}<br>{plain(metric)} {amount(name, way.values[k])}<br>"
        f"{100 * way.residuals[k]:.0f} % not in the plane"
        for k in rows
    ]


def draw_way(
    figure: go.Figure, way: Way, place: int, every: int, metric: str, window: Window
) -> None:
    """Draw a way: over a pale casing, so that it shows on any ground.

    Args:
        figure: Changed in place.
        way: What to draw.
        place: Which of the ways it is; its colour and its marker.
        every: Steps from dot to dot.
        metric: What the plane's values are.
        window: What is seen; where the way leaves it, there is a mark at the edge.
    """
    colour, symbol = look(place)
    seen = there(way)
    marked = dots(way, every)
    rows = thinned(way, marked)
    x, y = (np.where(seen, each, np.nan)[rows] for each in (way.x, way.y))
    group = group_of(way, place)
    quiet: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=y, mode="lines", line=CASING, opacity=0.8, **quiet, **group)
    figure.add_scatter(
        x=x, y=y, mode="lines+markers", line={"color": colour, "width": 2},
        marker={"color": colour, "opacity": 1, "size": np.where(np.isin(rows, marked), 6, 0),
                "line": {"color": PAPER, "width": 1}},
        text=said(way, rows, metric), hovertemplate="%{text}", showlegend=False, **group,
    )  # fmt: skip
    draw_start(figure, way, place)
    draw_exit(figure, way, place, window)
    last = np.flatnonzero(seen)[-1:]
    figure.add_scatter(
        x=way.x[last], y=way.y[last], text=said(way, last, metric), **flag(colour, symbol), **group
    )


def group_of(way: Way, place: int) -> dict[str, Any]:
    """Return what makes the traces of a way one in the legend."""
    return {"legendgroup": f"way {place}", "name": plain(way.name, most=LONGEST)}


def ring(colour: str) -> dict[str, Any]:
    """Return the marker of a start."""
    return {"symbol": "circle", "size": 10, "color": PAPER, "line": {"color": colour, "width": 2.5}}


def flag(colour: str, symbol: str) -> dict[str, Any]:
    """Return how the end of a way is drawn, which stands for all of it in the legend."""
    edge = {"color": PAPER, "width": 1.5}
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"symbol": symbol, "size": 13, "color": colour, "line": edge},
        "hovertemplate": "%{text}",
        "cliponaxis": False,
    }


def draw_start(figure: go.Figure, way: Way, place: int) -> None:
    """Draw a ring where a way starts."""
    first = np.flatnonzero(there(way))[:1]
    figure.add_scatter(
        x=way.x[first], y=way.y[first], mode="markers", marker=ring(look(place)[0]),
        hoverinfo="skip", cliponaxis=False, showlegend=False, **group_of(way, place),
    )  # fmt: skip


def draw_exit(figure: go.Figure, way: Way, place: int, window: Window) -> None:
    """Draw a × at the edge of a window where a way leaves it, if it does."""
    if len(far := window.outside(way.x, way.y)[:1]):
        edge = {"color": PAPER, "width": 1}
        figure.add_scatter(
            x=np.clip(way.x[far], *window.x), y=np.clip(way.y[far], *window.y), mode="markers",
            marker={"symbol": "x", "size": 12, "color": look(place)[0], "line": edge},
            hoverinfo="name", cliponaxis=False, showlegend=False, **group_of(way, place),
        )  # fmt: skip


def key(figure: go.Figure, ways: Sequence[Way], every: int, *, solid: bool = False) -> None:
    """Say in the legend what rings and dots are; what no way has is not said.

    Args:
        figure: Changed in place.
        ways: Those drawn.
        every: Steps from dot to dot.
        solid: Whether the figure has three dimensions.
    """
    add = figure.add_scatter3d if solid else figure.add_scatter
    nowhere: dict[str, Any] = {axis: [None] for axis in ("xyz" if solid else "xy")}
    nowhere |= {"mode": "markers", "legendrank": 1500}
    if ways:
        add(**nowhere, name="start", marker=ring(MUTED))
    if any(len(way.steps) > 2 for way in ways):
        count = "every step" if every == 1 else f"every {every:,} steps"
        add(**nowhere, name=count, marker={"size": 6, "color": MUTED})
