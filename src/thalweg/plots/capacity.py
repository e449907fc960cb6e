"""How many random labellings a classifier can fit, beside what counting says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, look, style


@dataclass(frozen=True)
class Drawn:
    """Shares of random labellings that could be fitted.

    Args:
        name: Of what samples.
        loads: Samples for each free number, n.
        shares: Share of the labellings at each.
        ends: The ends of its interval.
    """

    name: str
    loads: Sequence[float]
    shares: Sequence[float]
    ends: Sequence[tuple[float, float]]


def capacity(
    loads: Sequence[float], counted: Sequence[float], drawn: Sequence[Drawn], title: str = ""
) -> go.Figure:
    """Draw the share of labellings that can be fitted against the number of samples.

    Args:
        loads: Samples for each free number, where the curve is known.
        counted: The share by counting, at each.
        drawn: What was found, by what.
        title: What to write above.

    Example:
        >>> figure = capacity(
        ...     [1, 2, 3], [1.0, 0.5, 0.0], [Drawn("noise", [2], [0.4], [(0.3, 0.5)])]
        ... )
        >>> [trace.name for trace in figure.data]
        ['by counting', 'noise']
    """
    figure = style(go.Figure(), plain(title))
    colour, _ = look(0)
    figure.add_scatter(
        x=list(loads), y=list(counted), mode="lines", name="by counting",
        line={"color": colour, "width": 2}, hovertemplate="%{y:.1%} at %{x:.3~g}",
    )  # fmt: skip
    for place, each in enumerate(drawn, start=1):
        colour, marker = look(place)
        y, ends = np.array(each.shares), np.array(each.ends).reshape(-1, 2)
        bars = {"array": ends[:, 1] - y, "arrayminus": y - ends[:, 0], "symmetric": False}
        figure.add_scatter(
            x=np.array(each.loads) + 0.015 * (place - 1), y=y, mode="markers",
            name=plain(each.name), error_y=bars | {"color": colour, "thickness": 1.5, "width": 4},
            marker={"color": colour, "symbol": marker, "size": 8},
            hovertemplate="%{y:.1%} at %{x:.3~g}",
        )  # fmt: skip
    figure.add_vline(x=2, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title_text="samples for each number of a hyperplane", zeroline=False)
    figure.update_yaxes(
        title_text="share of labellings that it fits", tickformat=".0%", range=[-0.04, 1.06],
        zeroline=False,
    )  # fmt: skip
    return figure
