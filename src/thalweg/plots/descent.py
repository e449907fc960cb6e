"""The race of runs over a landscape, as a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from thalweg.plots.contour import ground
from thalweg.plots.plane import Plane, Way
from thalweg.plots.theme import GRID, INK, MUTED, PAPER, SIZE, look
from thalweg.plots.ways import CASING, draw_exit, draw_start, flag, group_of, said, there, thinned

FRAMES = 100
"""At most."""

PIECES = 50
"""A way is thinned to so many pieces, the extremes of each kept: every frame holds it anew."""

APART = 4
"""From how many times the steps of the shortest way on runs go by shares of their ways."""

MOMENT = 80
"""Milliseconds of a frame."""


def descent(plane: Plane, ways: Sequence[Way], *, title: str = "") -> go.Figure:
    """Draw a plane from above, with runs that move on it.

    All start at once. They go step by step; where one has more than four times the steps of
    another, each goes by the share of its own way. A run stands at the last state that is not
    later, so that nothing is shown that was not recorded. At first the film is at its end, so that
    a picture of it shows all; it plays from the start.

    Args:
        plane: What to draw.
        ways: Of runs.
        title: What to write above.

    Example:
        >>> axis = np.linspace(-1, 1, 21)
        >>> plane = Plane(axis, axis, axis[:, None] ** 2 + axis**2, "loss", "principal")
        >>> way = Way("sgd", axis[:11], axis[:11], axis[:11] ** 2, np.arange(11.0), np.zeros(11))
        >>> figure = descent(plane, [way])
        >>> len(figure.frames), figure.layout.sliders[0].steps[-1].label
        (11, '10')
    """
    figure, window = ground(plane, ways, (), title)
    by_share = _by_share(ways)
    clocks = [_clock(way, by_share=by_share) for way in ways]
    times = moments(clocks)
    first = len(figure.data)
    shown = [
        (way, clock, thinned(way, _at(clock, times), PIECES))
        for way, clock in zip(ways, clocks, strict=True)
    ]
    for place, (way, _, rows) in enumerate(shown):
        _add(figure, way, rows, place, plane.metric)
    moving = list(range(first, len(figure.data)))
    for place, way in enumerate(ways):
        draw_start(figure, way, place)
        draw_exit(figure, way, place, window)
    frames = []
    for number, time in enumerate(times):
        data = [trace for each in shown for trace in _until(*each, time, plane.metric)]
        frames.append(go.Frame(name=str(number), data=data, traces=moving))
    figure.frames = frames
    unit = " %" if by_share else ""
    labels = [f"{time:,.0f}{unit}" for time in times]
    _controls(figure, labels, "share of each way: " if by_share else "step ")
    return figure


def moments(clocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the times of the frames, (n,), ascending: those of all states, a hundred at most.

    Args:
        clocks: The times of each way's states, (T,) each.

    Example:
        >>> moments([np.array([0.0, 2, 4]), np.array([0.0, 3])]).tolist()
        [0.0, 2.0, 3.0, 4.0]
    """
    found = np.unique(np.concatenate([np.zeros(1), *clocks]))
    if len(found) <= FRAMES:
        return found
    return found[np.unique(np.linspace(0, len(found) - 1, FRAMES).round().astype(np.int64))]


def _by_share(ways: Sequence[Way]) -> bool:
    spans = [float(way.steps[-1] - way.steps[0]) for way in ways]
    return max(spans, default=0.0) > APART * min(spans, default=0.0)


def _clock(way: Way, *, by_share: bool) -> NDArray[np.float64]:
    """Return when each state is reached: by step, or by percent of the way's steps."""
    since = way.steps - way.steps[0]
    return 100 * since / max(float(since[-1]), 1.0) if by_share else way.steps


def _at(clock: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the last states that are not later than some times; the first, if all are."""
    return np.maximum(np.searchsorted(clock, times, side="right") - 1, 0)


def _add(figure: go.Figure, way: Way, rows: NDArray[np.int64], place: int, metric: str) -> None:
    """Add casing, line and head of a way, at its end."""
    colour, symbol = look(place)
    group = group_of(way, place)
    casing, line, head = _until(way, way.steps, rows, np.inf, metric)
    quiet: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip", "showlegend": False}
    figure.add_trace(casing.update(line=CASING, opacity=0.8, **quiet, **group))
    figure.add_trace(line.update(line={"color": colour, "width": 2}, **quiet, **group))
    figure.add_trace(head.update(**flag(colour, symbol), **group))


def _until(
    way: Way, clock: NDArray[np.float64], rows: NDArray[np.int64], time: float, metric: str
) -> list[go.Scatter]:
    """Return where casing, line and head of a way are at a time."""
    past = rows[clock[rows] <= time]
    past = past if len(past) else rows[:1]
    seen = there(way)[past]
    x, y = (np.where(seen, each[past], np.nan) for each in (way.x, way.y))
    head = past[np.flatnonzero(seen)[-1:]]
    last = go.Scatter(x=way.x[head], y=way.y[head], text=said(way, head, metric))
    return [go.Scatter(x=x, y=y), go.Scatter(x=x, y=y), last]


def _controls(figure: go.Figure, labels: Sequence[str], prefix: str) -> None:
    """Add a button to play, one to pause, and a slider."""
    frame = {"duration": MOMENT, "redraw": True}  # without, Plotly loses the contours
    still = {"duration": 0, "redraw": True}
    at_once = {"mode": "immediate", "transition": {"duration": 0}}
    play = {"label": "play", "method": "animate",
            "args": [None, {"frame": frame, "fromcurrent": True, **at_once}]}  # fmt: skip
    pause = {"label": "pause", "method": "animate", "args": [[None], {"frame": still, **at_once}]}
    steps = [
        {"label": label, "method": "animate", "args": [[str(k)], {"frame": still, **at_once}]}
        for k, label in enumerate(labels)
    ]
    right = figure.layout.xaxis.domain[1]
    font = {"color": INK, "size": SIZE - 1}
    figure.update_layout(
        height=figure.layout.height + 70,
        updatemenus=[{
            "type": "buttons", "direction": "right", "buttons": [play, pause], "showactive": False,
            "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 62, "r": 12},
            "font": font, "bgcolor": PAPER, "bordercolor": MUTED,
        }],
        sliders=[{
            "steps": steps, "active": len(steps) - 1, "x": 0.16, "xanchor": "left",
            "len": max(right, 0.5) - 0.16, "y": 0, "yanchor": "top", "pad": {"t": 52},
            "currentvalue": {"prefix": prefix, "xanchor": "left", "font": font},
            "font": font, "bgcolor": GRID, "bordercolor": MUTED, "activebgcolor": INK,
            "tickcolor": MUTED, "transition": {"duration": 0}, "minorticklen": 0,
        }],
    )  # fmt: skip
