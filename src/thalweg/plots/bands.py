"""Curves with bands: means over seeds, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.drawing import points
from thalweg.plots.intervals import split_of, spoken
from thalweg.plots.scales import reach
from thalweg.plots.switch import switch
from thalweg.plots.text import is_share, plain
from thalweg.plots.theme import look, style
from thalweg.plots.thin import Floats


@dataclass(frozen=True)
class Band:
    """A curve of means over seeds, and the ends of their intervals, n each.

    Args:
        name: What it is of.
        x: Where the points are, by each cost that they can be drawn by.
        mean: Means.
        low: Lower ends; what is no finite number is a gap.
        high: Upper ends.
        note: What to say behind the name, such as how many seeds diverged.
    """

    name: str
    x: Mapping[str, Sequence[float]]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    note: str = ""


def band_curves(bands: Sequence[Band], metric: str, title: str = "") -> go.Figure:
    """Draw curves with bands, with buttons that turn to the other costs.

    Args:
        bands: The curves; all have the same costs.
        metric: What is drawn, such as ``val_loss``.
        title: What to write above.

    Example:
        >>> band = Band("adam", {"epochs": [1.0, 2.0]}, [0.5, 0.8], [0.4, 0.7], [0.6, 0.9])
        >>> figure = band_curves([band], "val_accuracy")
        >>> [trace.name for trace in figure.data], figure.data[1].y.tolist()
        (['adam', 'adam'], [0.5, 0.8])
    """
    figure = style(go.Figure(), plain(title))
    costs = list(bands[0].x) if bands else []
    drawn: list[Mapping[str, Floats]] = []
    shade = np.full(0, np.nan)
    lows, highs, means = [shade], [shade], [shade]
    share = is_share(split_of(metric)[1])
    number = ".2%" if share else ".4~g"
    for place, band in enumerate(bands):
        colour, marker = look(place)
        mean, low, high = map(_column, (band.mean, band.low, band.high))
        sure = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        note = f" ({band.note})" if band.note else ""
        name = plain(band.name, most=max(8, 36 - len(note))) + plain(note)
        shared: dict[str, Any] = {"name": name, "legendgroup": f"band {place}"}
        around = np.concatenate([sure, sure[::-1]])
        figure.add_scatter(
            y=np.concatenate([low[sure], high[sure][::-1]]), fill="toself", fillcolor=colour,
            mode="lines", line={"width": 0, "color": colour}, opacity=0.18, hoverinfo="skip",
            showlegend=False, **shared,
        )  # fmt: skip
        drawn.append({cost: _column(band.x[cost])[around] for cost in costs})
        half = [_plus_minus(h, share=share) for h in high - mean]
        figure.add_scatter(
            y=mean, line={"color": colour, "width": 2}, customdata=half,
            marker={"color": colour, "symbol": marker, "size": 6},
            hovertemplate=f"%{{y:{number}}}%{{customdata}}", **points(len(mean)), **shared,
        )  # fmt: skip
        drawn.append({cost: _column(band.x[cost]) for cost in costs})
        for ends, own in ((lows, low), (highs, high), (means, mean)):
            ends.append(own)
    for trace, xs in zip(figure.data, drawn, strict=True):
        trace.x = xs[costs[0]]
    figure.update_layout(hovermode="closest", showlegend=len(bands) > 1)
    figure.update_xaxes(title_text=costs[0] if costs else "", rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text=plain(spoken(metric)))
    reach(figure, metric, *map(np.concatenate, (means, lows, highs)))
    states = {
        cost: ({"x": [xs[cost].tolist() for xs in drawn]}, {"xaxis.title.text": cost})
        for cost in costs
    }
    switch(figure, states)
    return figure


def _plus_minus(half: float, *, share: bool) -> str:
    if not np.isfinite(half):
        return ""
    return f" ± {half:.1%}" if share else f" ± {half:.2g}"


def _column(values: Sequence[float]) -> Floats:
    column = np.array(values, dtype=np.float64)
    column[~np.isfinite(column)] = np.nan
    return column
