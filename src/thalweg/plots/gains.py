"""What each of several things changes, with the line at which nothing changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, edges
from thalweg.plots.scales import span
from thalweg.plots.text import plain
from thalweg.plots.theme import INK, MUTED, SERIES, style

VERDICTS = {1: ("better", SERIES[0], "triangle-right"), -1: ("worse", SERIES[1], "triangle-left"),
            0: ("cannot tell", MUTED, "circle-open")}  # fmt: skip
"""How each verdict is called and drawn."""


def gains(rows: Mapping[str, Interval], what: str, title: str = "") -> go.Figure:
    """Draw changes with their intervals below one another, the first on top.

    An interval that leaves out zero is a change beyond doubt; the others cannot be told from none.

    Args:
        rows: What each changes; more is better.
        what: What changes, and its unit.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> good = SimpleNamespace(mean=2.0, low=1.0, high=3.0)
        >>> unsure = SimpleNamespace(mean=1.0, low=-1.0, high=3.0)
        >>> figure = gains({"more data": good, "patience": unsure}, "points")
        >>> [(trace.name, len(trace.y)) for trace in figure.data]
        [('better', 1), ('worse', 0), ('cannot tell', 1)]
    """
    figure = style(go.Figure(), plain(title))
    mean, low, high = edges(rows.values())
    verdict = (low > 0).astype(int) - (high < 0).astype(int)
    names, y = list(rows), np.arange(len(rows))
    for which, (name, colour, marker) in VERDICTS.items():
        own = np.flatnonzero(verdict == which)
        bars = {"array": np.nan_to_num((high - mean)[own]), "color": colour, "thickness": 2.5}
        figure.add_scatter(
            x=mean[own], y=y[own], mode="markers", name=name, error_x=bars | {"width": 0},
            marker={"color": colour, "symbol": marker, "size": 9},
            text=[f"{plain(names[k])}: {mean[k]:+.2f} ± {high[k] - mean[k]:.2f}" for k in own],
            hovertemplate="%{text}<extra></extra>", showlegend=True,
        )  # fmt: skip
    reach = span(np.append(mean, 0.0), low, high, beyond=1.25)
    figure.update_xaxes(title_text=plain(what), zeroline=False, tickformat="+.3~g", **reach)
    figure.update_yaxes(
        tickvals=list(y), ticktext=[plain(name, most=34) for name in names],
        range=[len(rows) - 0.5, -0.5], zeroline=False,
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dash"}, layer="below")
    figure.update_layout(hovermode="closest", height=140 + 30 * len(rows))
    return figure
