"""Costs against the batch size, and the noise that explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, edges
from thalweg.plots.text import plain
from thalweg.plots.theme import INK, MUTED, look, style


@dataclass(frozen=True)
class Cost:
    """What something costs at some batch sizes.

    Args:
        name: What it is.
        sizes: Batch sizes, n.
        means: The cost at each, over the seeds.
    """

    name: str
    sizes: Sequence[int]
    means: Sequence[Interval | None]


@dataclass(frozen=True)
class Level:
    """A value, and the ends of its interval.

    Args:
        mean: The value.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


Mark = tuple[float, float, float]
"""A value, and the ends of its interval."""


def batch_costs(
    costs: Sequence[Cost],
    curves: Mapping[str, tuple[Any, Any]],
    mark: Mark | None,
    what: str,
    title: str = "",
) -> go.Figure:
    """Draw costs against the batch size, both by decades.

    Args:
        costs: The costs.
        curves: Fitted curves by the cost's name: batch sizes (m,), and the cost at each (m,).
        mark: A batch size to mark.
        what: What the costs are.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> mean = SimpleNamespace(mean=100.0, low=90.0, high=110.0)
        >>> figure = batch_costs([Cost("steps", [8], [mean])], {}, (30.0, 20.0, 45.0), "steps")
        >>> figure.data[0].name, figure.layout.xaxis.type, len(figure.layout.shapes)
        ('steps', 'log', 2)
    """
    figure = style(go.Figure(), plain(title))
    for place, cost in enumerate(costs):
        colour, marker = look(place)
        mean, low, high = edges(cost.means)
        bars = {"array": np.nan_to_num(high - mean), "symmetric": False}
        bars["arrayminus"] = np.minimum(np.nan_to_num(mean - low), 0.98 * np.nan_to_num(mean))
        fitted = cost.name in curves
        figure.add_scatter(
            x=list(cost.sizes), y=mean, name=plain(cost.name), legendgroup=cost.name,
            mode="markers" if fitted else "lines+markers",
            error_y=bars | {"color": colour, "thickness": 1.5, "width": 4},
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": marker, "size": 8},
            hovertemplate="%{y:.4~g} at %{x:,}",
        )  # fmt: skip
        if fitted:
            x, y = curves[cost.name]
            figure.add_scatter(
                x=x, y=y, mode="lines", line={"color": colour, "width": 1.5, "dash": "dash"},
                legendgroup=cost.name, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
    if mark is not None:
        sizes = [size for cost in costs for size in cost.sizes]
        _upright(figure, mark, min(sizes) / 2, max(sizes) * 2)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(
        title_text="batch size", type="log", zeroline=False,
        tickvals=sorted({size for cost in costs for size in cost.sizes}), tickformat=",",
    )  # fmt: skip
    figure.update_yaxes(
        title_text=plain(what), type="log", dtick=1, tickformat=",.6~g", zeroline=False
    )
    return figure


def _upright(figure: go.Figure, mark: Mark, least: float, most: float) -> None:
    mean, low, high = (min(max(each, least), most) for each in mark)
    figure.add_vrect(x0=low, x1=high, fillcolor=MUTED, opacity=0.15, line_width=0)
    figure.add_vline(x=mean, line={"color": INK, "width": 1.5, "dash": "dot"})


def noise_course(
    scales: Mapping[str, Sequence[tuple[int, float, float]]], mark: Mark | None, title: str = ""
) -> go.Figure:
    """Draw the gradient noise scale along training.

    Args:
        scales: Step, scale and its standard error, by name.
        mark: A batch size to mark.
        title: What to write above.

    Example:
        >>> figure = noise_course({"seed 0": [(0, 10.0, 1.0), (5, 40.0, 9.0)]}, None)
        >>> figure.data[0].y.tolist()
        [10.0, 40.0]
    """
    figure = style(go.Figure(), plain(title))
    for place, (name, own) in enumerate(scales.items()):
        colour, marker = look(place)
        steps, scale, error = np.array(own, dtype=np.float64).reshape(-1, 3).T
        bars = {"array": error, "arrayminus": np.minimum(error, 0.9 * scale), "symmetric": False}
        figure.add_scatter(
            x=steps, y=scale, name=plain(name), mode="lines+markers",
            error_y=bars | {"color": colour, "thickness": 1.5, "width": 4},
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": marker, "size": 7},
            hovertemplate="%{y:.3~g} samples at step %{x:,}",
        )  # fmt: skip
    if mark is not None:
        seen = [each[1] for own in scales.values() for each in own]
        least, most = min(*seen, mark[0]) / 1.6, max(*seen, mark[0]) * 1.6
        low, high = (min(max(each, least), most) for each in mark[1:])
        figure.add_hrect(y0=low, y1=high, fillcolor=MUTED, opacity=0.15, line_width=0)
        figure.add_hline(y=mark[0], line={"color": INK, "width": 1.5, "dash": "dot"})
        figure.update_yaxes(range=[np.log10(least), np.log10(most)])
    figure.update_layout(hovermode="closest", showlegend=True)
    figure.update_xaxes(title_text="step", rangemode="tozero", zeroline=False)
    figure.update_yaxes(
        title_text="noise scale, in samples", type="log", dtick="D2", tickformat=",.6~g",
        zeroline=False,
    )  # fmt: skip
    return figure
