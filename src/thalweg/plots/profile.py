"""Performance profiles: on how many problems is a solver how far from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.switch import switch
from thalweg.plots.text import plain
from thalweg.plots.theme import look, style
from thalweg.plots.thin import Floats


def performance_profile(
    ratios: Mapping[str, Mapping[str, Sequence[float]]], title: str = ""
) -> go.Figure:
    """Draw the share of problems that each solves within a multiple of the least cost.

    The left end says how often one was the cheapest, the right end how often it got there at all
    (Dolan & Moré 2002).

    Args:
        ratios: By cost, then by name: the cost on each problem over the least of anybody, infinite
            where it was not solved; equally many for all.
        title: What to write above.

    Example:
        >>> figure = performance_profile(
        ...     {"epochs": {"adam": [1.0, 2.0], "sgd": [1.0, float("inf")]}}
        ... )
        >>> [(trace.name, trace.x.tolist(), trace.y.tolist()) for trace in figure.data]
        [('adam', [1.0, 2.0, 2.2], [0.5, 1.0, 1.0]), ('sgd', [1.0, 2.2], [0.5, 0.5])]
    """
    figure = style(go.Figure(), plain(title))
    stairs = {cost: _stairs(own) for cost, own in ratios.items()}
    first = next(iter(stairs), None)
    for place, (name, (x, y)) in enumerate(stairs[first].items() if first else ()):
        colour, marker = look(place)
        figure.add_scatter(
            x=x, y=y, name=plain(name, most=40), mode="lines+markers",
            line={"color": colour, "width": 2, "shape": "hv"},
            marker={"color": colour, "symbol": marker, "size": 6},
            hovertemplate="%{y:.0%} within %{x:.3~g} ×",
        )  # fmt: skip
    figure.update_layout(hovermode="closest", showlegend=len(figure.data) > 1)
    figure.update_xaxes(
        title_text=f"times the least {first}", type="log", dtick="D2", tickformat=".3~g"
    )
    figure.update_yaxes(title_text="share of problems solved", tickformat=".0%",
                        range=[-0.03, 1.05], zeroline=False)  # fmt: skip
    states = {
        cost: (
            {
                "x": [x.tolist() for x, _ in own.values()],
                "y": [y.tolist() for _, y in own.values()],
            },
            {"xaxis.title.text": f"times the least {cost}"},
        )
        for cost, own in stairs.items()
    }
    switch(figure, states)
    return figure


def _stairs(ratios: Mapping[str, Sequence[float]]) -> dict[str, tuple[Floats, Floats]]:
    """Return the corners of each profile: ratios, and the share solved within them."""
    finite = [r for own in ratios.values() for r in own if np.isfinite(r)]
    end = 1.1 * max(finite, default=1.0)
    found = {}
    for name, own in ratios.items():
        r = np.array(sorted(own), dtype=np.float64)
        good = r[np.isfinite(r)]
        x, counts = np.unique(good, return_counts=True)
        y = counts.cumsum() / max(1, len(r))
        if not len(x) or x[0] > 1:
            x, y = np.append(1.0, x), np.append(0.0, y)
        found[name] = np.append(x, end), np.append(y, y[-1])
    return found
