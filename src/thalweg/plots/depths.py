"""From layer to layer: what becomes of signals and gradients, and what a network learns then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, edges
from thalweg.plots.text import plain
from thalweg.plots.theme import MUTED, look, style

LEAST = 0.02
"""Changes that are less are drawn as if they were so large."""


@dataclass(frozen=True)
class Place:
    """A network: where it starts, and where it ends.

    Args:
        name: What it is called.
        kind: What it has in common with others.
        start: What was measured before training.
        end: What it came to.
    """

    name: str
    kind: str
    start: float
    end: Interval | None


def by_layer(lines: Mapping[str, Sequence[float]], what: str, title: str = "") -> go.Figure:
    """Draw something positive from the first hidden layer to the last, by decades.

    Args:
        lines: Values of each layer, by name.
        what: What they are.
        title: What to write above.

    Example:
        >>> by_layer({"he-normal": [1.0, 0.9]}, "signal").data[0].x.tolist()
        [1, 2]
    """
    figure = style(go.Figure(), plain(title))
    for place, (name, own) in enumerate(lines.items()):
        colour, marker = look(place)
        figure.add_scatter(
            x=np.arange(1, len(own) + 1), y=np.array(own), name=plain(name), mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": marker, "size": 5},
            hovertemplate="%{y:.2~g} in layer %{x}",
        )  # fmt: skip
    figure.update_layout(hovermode="closest", showlegend=True)
    figure.update_xaxes(title_text="hidden layer", zeroline=False)
    figure.update_yaxes(title_text=plain(what), type="log", exponentformat="power", zeroline=False)
    return figure


def start_and_end(places: Sequence[Place], chance: float, title: str = "") -> go.Figure:
    """Draw what networks came to against what was measured at the start.

    Args:
        places: The networks.
        chance: What knowing nothing comes to.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> good = SimpleNamespace(mean=0.9, low=0.8, high=1.0)
        >>> figure = start_and_end([Place("a", "relu", 0.5, good)], 0.1)
        >>> figure.data[0].name, figure.data[0].y.tolist()
        ('relu', [0.9])
    """
    figure = style(go.Figure(), plain(title))
    kinds = list(dict.fromkeys(place.kind for place in places))
    for number, kind in enumerate(kinds):
        colour, marker = look(number)
        own = [place for place in places if place.kind == kind]
        mean, low, high = edges([place.end for place in own])
        bars = {"array": np.nan_to_num(high - mean), "arrayminus": np.nan_to_num(mean - low)}
        figure.add_scatter(
            x=np.maximum([place.start for place in own], LEAST), y=mean, mode="markers",
            name=plain(kind),
            error_y=bars | {"color": colour, "thickness": 1, "width": 0, "symmetric": False},
            marker={"color": colour, "symbol": marker, "size": 8},
            text=[plain(place.name) for place in own],
            hovertemplate="%{text}: %{y:.1%}<extra></extra>",
        )  # fmt: skip
    figure.add_hline(y=chance, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_layout(hovermode="closest", showlegend=True)
    figure.update_xaxes(
        title_text="decades that it changes on its way", type="log", dtick="D2", tickformat=".3~g",
        zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(
        title_text="test accuracy", tickformat=".0%", range=[-0.02, 1.04], zeroline=False
    )
    return figure
