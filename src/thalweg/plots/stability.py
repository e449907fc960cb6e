"""Sharpness along training, beside the limit of stability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.drawing import points
from thalweg.plots.scales import span
from thalweg.plots.slices import band
from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, look, style
from thalweg.plots.thin import Floats, extremes

BEYOND = 10.0
"""How many times the greatest sharpness a limit may be to be within the axis."""


@dataclass(frozen=True, eq=False)
class Readings:
    """The sharpness of a run, at some steps.

    Args:
        name: The run's.
        steps: Updates made, (n,), ascending.
        sharpness: The largest eigenvalue of the Hessian, (n,); what is not finite is a gap.
        limit: 2 / lr, (n,); no number, or infinite, where there is none.
        residuals: How far the sharpness may be from an eigenvalue, (n,).
    """

    name: str
    steps: Floats
    sharpness: Floats
    limit: Floats
    residuals: Floats


def stability(readings: Sequence[Readings], *, title: str = "") -> go.Figure:
    """Draw the sharpness of runs by step, each with its 2 / lr, dashed, in the same colour.

    Gradient descent with the full batch raises the sharpness up to 2 / lr, where it hovers. Where
    several runs have the same limits, those are one grey line. What spans more than a decade gets a
    logarithmic axis; limits far beyond all sharpness may leave it.

    Source: Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient descent on neural networks typically
    occurs at the edge of stability", 2021, arXiv:2103.00065.

    Args:
        readings: Of each run.
        title: What to write above.

    Example:
        >>> steps = np.arange(3.0)
        >>> run = Readings("sgd", steps, 10 * steps, np.full(3, 20.0), 0 * steps)
        >>> [(trace.name, trace.line.dash) for trace in stability([run]).data if trace.showlegend]
        [('sgd', None), ('2 / lr', 'dash')]
    """
    figure = style(go.Figure(), plain(title))
    for place, run in enumerate(readings):
        _draw(figure, run, place)
    for places in _alike(readings):
        _draw_limit(figure, readings[places[0]], places)
    if any(np.isfinite(run.limit).any() for run in readings):
        figure.add_scatter(
            x=[None], y=[None], mode="lines", name="2 / lr", showlegend=True, legendrank=2000,
            line={"color": MUTED, "width": 2, "dash": "dash"},
        )  # fmt: skip
    figure.update_layout(hovermode="closest", showlegend=True)
    figure.update_xaxes(title_text="step", rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text="sharpness", zeroline=False, **_height(readings))
    return figure


def _draw(figure: go.Figure, run: Readings, place: int) -> None:
    """Draw the sharpness of a run, and how far off it may be."""
    colour, marker = look(place)
    y = _finite(run.sharpness)
    rows = extremes(y)
    shared: dict[str, Any] = {"name": plain(run.name, most=36), "legendgroup": f"run {place}"}
    off = np.where(np.isfinite(run.residuals), run.residuals, 0.0)
    xs, ys = band(run.steps[rows], np.maximum(y - off, y / 1e3)[rows], (y + off)[rows])
    figure.add_scatter(
        x=xs, y=ys, fill="toself", fillcolor=colour, mode="lines", opacity=0.2,
        line={"width": 0, "color": colour}, hoverinfo="skip", showlegend=False, **shared,
    )  # fmt: skip
    figure.add_scatter(
        x=run.steps[rows], y=y[rows], line={"color": colour, "width": 2}, showlegend=True,
        marker={"color": colour, "symbol": marker, "size": 6}, customdata=off[rows],
        hovertemplate="step %{x:,}: %{y:.4~g} ± %{customdata:.2~g}", **points(len(rows)), **shared,
    )  # fmt: skip


def _draw_limit(figure: go.Figure, run: Readings, places: Sequence[int]) -> None:
    """Draw a limit that some runs have: in the colour of the one, or in grey."""
    alone = len(places) == 1
    figure.add_scatter(
        x=run.steps, y=_finite(run.limit), mode="lines", name=f"2 / lr, {plain(run.name, most=36)}",
        line={"color": look(places[0])[0] if alone else MUTED, "width": 2, "dash": "dash"},
        hovertemplate="step %{x:,}: 2 / lr = %{y:.4~g}<extra></extra>", showlegend=False,
        legendgroup=f"run {places[0]}" if alone else "limit",
    )  # fmt: skip


def _alike(readings: Sequence[Readings]) -> list[list[int]]:
    """Return the runs in groups whose limits are the same at the same steps."""
    groups: dict[bytes, list[int]] = {}
    for place, run in enumerate(readings):
        shown = np.isfinite(run.limit)
        what = np.stack([run.steps, run.limit]).astype(np.float64)[:, shown]
        groups.setdefault(what.tobytes(), []).append(place)
    return list(groups.values())


def _height(readings: Sequence[Readings]) -> dict[str, Any]:
    """Return the axis that holds all sharpness, and all limits not far beyond it."""
    y = np.concatenate([np.empty(0), *(run.sharpness for run in readings)])
    y = y[np.isfinite(y)]
    limits = np.concatenate([np.empty(0), *(run.limit for run in readings)])
    limits = limits[limits <= BEYOND * y.max(initial=0.0)]
    ends = np.concatenate([y, limits])
    if not len(ends):
        return {}
    if not (ends.min() > 0 and ends.max() > 10 * ends.min()):
        return {"type": "linear", **span(ends, ends, ends)}
    ends = np.log10(ends)
    return {"type": "log", "dtick": "D2" if np.ptp(ends) < 3 else 1, **span(ends, ends, ends)}


def _finite(column: Floats) -> Floats:
    return np.where(np.isfinite(column), column, np.nan)
