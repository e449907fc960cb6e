"""A metric along lines through the landscape, with what the choice of samples leaves unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.drawing import points
from thalweg.plots.intervals import split_of, spoken
from thalweg.plots.plane import Mark
from thalweg.plots.scales import reach
from thalweg.plots.sentences import head
from thalweg.plots.text import amount, plain
from thalweg.plots.theme import INK, MUTED, SIZE, look, style
from thalweg.plots.thin import Floats


@dataclass(frozen=True, eq=False)
class Profile:
    """A metric along a line.

    Args:
        name: What it is of.
        x: Coordinates along the line, (n,), ascending.
        values: The metric there, (n,); what is not finite is a gap.
        errors: Its standard errors, (n,); where one is not finite there is no band.
    """

    name: str
    x: Floats
    values: Floats
    errors: Floats


def slices(
    profiles: Sequence[Profile],
    *,
    metric: str,
    along: str,
    marks: Sequence[Mark] = (),
    title: str = "",
) -> go.Figure:
    """Draw a metric along lines, with bands of one standard error to either side.

    A loss that spans more than a decade gets a logarithmic axis.

    Args:
        profiles: What to draw.
        metric: What was measured, such as ``"loss"``.
        along: What the lines are, such as ``"from the first network to the second"``.
        marks: Named places on the lines: an upright at each.
        title: What to write above.

    Example:
        >>> x = np.linspace(-1, 1, 5)
        >>> figure = slices([Profile("adam", x, x**2, 0 * x)], metric="loss", along="step")
        >>> [(trace.name, trace.y.tolist()) for trace in figure.data if trace.line.width]
        [('adam', [1.0, 0.25, 0.0, 0.25, 1.0])]
    """
    figure = style(go.Figure(), plain(title))
    ends = [np.empty((3, 0))]
    for profile in profiles:
        y = np.where(np.isfinite(profile.values), profile.values, np.nan)
        ends.append(np.stack([y, y - profile.errors, y + profile.errors]))
    means, lows, highs = np.concatenate(ends, axis=1)
    figure.update_yaxes(title_text=plain(spoken(metric)))
    figure.update_xaxes(title_text=plain(along), zeroline=False)
    reach(figure, metric, means, lows, highs)
    log = figure.layout.yaxis.type == "log"
    bottom = float(np.nanmin(means)) / 1e3 if log else -np.inf  # a logarithm has no zero
    for place, (profile, own) in enumerate(zip(profiles, ends[1:], strict=True)):
        _draw(figure, profile, own, place, metric, bottom)
    for mark in marks:
        figure.add_vline(
            mark.x, line={"color": MUTED, "width": 1, "dash": "dot"},
            annotation={"text": plain(mark.name), "yref": "paper", "y": 1, "yanchor": "bottom",
                        "textangle": 0, "font": {"color": INK, "size": SIZE - 1}},
            annotation_position="top",
        )  # fmt: skip
    figure.update_layout(hovermode="closest", showlegend=len(profiles) > 1)
    sure = any(np.isfinite(profile.errors).any() for profile in profiles)
    head(figure, plain(title), ["bands: one standard error to either side"] if sure else [])
    room = 32 * (len(profiles) > 1) + 24 * bool(marks)
    figure.update_layout(margin_t=figure.layout.margin.t + room)
    if marks:  # their names stand where the legend would
        figure.update_layout(legend_y=1.08)
    return figure


def _draw(
    figure: go.Figure, profile: Profile, ends: Floats, place: int, metric: str, bottom: float
) -> None:
    """Draw a profile over its band."""
    colour, marker = look(place)
    y, low, high = ends
    shared: dict[str, Any] = {"name": plain(profile.name, most=36), "legendgroup": f"{place}"}
    xs, ys = band(profile.x, np.maximum(low, bottom), high)
    figure.add_scatter(
        x=xs, y=ys, fill="toself", fillcolor=colour, mode="lines", opacity=0.2,
        line={"width": 0, "color": colour}, hoverinfo="skip", showlegend=False, **shared,
    )  # fmt: skip
    unit = split_of(metric)[1]
    told = [f"{amount(unit, v)} ± {e:.2g}" if np.isfinite(e) else amount(unit, v)
            for v, e in zip(y, profile.errors, strict=True)]  # fmt: skip
    figure.add_scatter(
        x=profile.x, y=y, line={"color": colour, "width": 2}, text=told,
        marker={"color": colour, "symbol": marker, "size": 6}, hovertemplate="%{x:.3~g}: %{text}",
        **points(len(y)), **shared,
    )  # fmt: skip


def band(x: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the outline of a band, (k,) and (k,): a piece for each run of finite ends.

    Example:
        >>> xs, ys = band(np.arange(4.0), np.array([0, np.nan, 1, 2]), np.array([1, 1, 3.0, 4]))
        >>> xs.tolist(), ys.tolist()
        ([0.0, 0.0, nan, 2.0, 3.0, 3.0, 2.0, nan], [0.0, 1.0, nan, 1.0, 2.0, 4.0, 3.0, nan])
    """
    sure = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    xs, ys = [np.empty(0)], [np.empty(0)]
    for rows in np.split(sure, np.flatnonzero(np.diff(sure) > 1) + 1):
        if len(rows):
            xs.append(np.concatenate([x[rows], x[rows][::-1], [np.nan]]))
            ys.append(np.concatenate([low[rows], high[rows][::-1], [np.nan]]))
    return np.concatenate(xs), np.concatenate(ys)
