"""A search for a learning rate: the range test above, what held rates come to below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log10, sqrt
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from thalweg.plots.text import plain
from thalweg.plots.theme import INK, MUTED, SERIES, SIZE, style
from thalweg.plots.thin import Floats

OURS, HELD, PEERS = SERIES[0], SERIES[1], SERIES[3:]
"""Colours of the range test, of held rates, and of what others choose."""


@dataclass(frozen=True)
class Held:
    """A learning rate that was held.

    Args:
        lr: The rate.
        loss: Its held-out loss, the mean over the seeds; no finite number if a seed diverged.
        error: The standard error of that.
        steps: Updates after which that was.
        diverged: Seeds that diverged.
        whole: Whether it came to the end.
    """

    lr: float
    loss: float
    error: float
    steps: int
    diverged: int
    whole: bool


@dataclass(frozen=True)
class Choice:
    """What another rule chooses.

    Args:
        name: The rule.
        lr: The median of its choices.
        each: All of them, one a seed.
    """

    name: str
    lr: float
    each: Sequence[float]


def learning_rates(
    curve: Mapping[str, Sequence[float]],
    held: Sequence[Held],
    choices: Sequence[Choice] = (),
    *,
    edge: float | None = None,
    best: float | None = None,
    interval: tuple[float, float] | None = None,
    title: str = "",
) -> go.Figure:
    """Draw a search for a learning rate.

    Above is the loss while the rate rises, with its quartiles and the divergence edge; in the
    middle the held-out loss of each rate that was held, with its standard error, and the rates that
    cannot be told from the best shaded; below what other rules choose, by seed.

    Args:
        curve: The columns ``lr``, ``loss``, ``low`` and ``high`` of the range test.
        held: The rates that were held.
        choices: What others choose.
        edge: The divergence edge.
        best: The best rate.
        interval: The lowest and the highest rate that cannot be told from it.
        title: What to write above.

    Example:
        >>> curve = {"lr": [0.1, 1.0], "loss": [2.0, 1.0], "low": [2.0, 0.9], "high": [2.0, 1.1]}
        >>> rates = [Held(0.1, 0.5, 0.02, 200, 0, True), Held(1.0, 0.4, 0.02, 200, 0, True)]
        >>> figure = learning_rates(
        ...     curve, rates, [Choice("valley", 0.2, [0.1, 0.2, 0.3])], best=1.0
        ... )
        >>> [trace.name for trace in figure.data if trace.name]
        ['range test', 'rate rises', 'held to the end', 'the best', 'valley']
    """
    rows = 3 if choices else 2
    below = min(0.04 * len(choices) + 0.02, 0.4)
    heights = [0.45 * (1 - below), 0.55 * (1 - below), below][:rows]
    figure = make_subplots(rows, 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.09)
    lines = wrap(title, 72)
    style(figure, "<br>".join(map(plain, lines)))
    figure.update_layout(height=600, margin_t=88 + 24 * max(0, len(lines) - 1))
    x = np.array(curve["lr"])
    mean, low, high = (_finite(curve[name]) for name in ("loss", "low", "high"))
    sure = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    figure.add_scatter(
        x=np.concatenate([x[sure], x[sure][::-1]]),
        y=np.concatenate([low[sure], high[sure][::-1]]), name="range test", mode="lines",
        fill="toself", fillcolor=OURS, opacity=0.18, line={"width": 0, "color": OURS},
        hoverinfo="skip", showlegend=False, row=1, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=mean, name="rate rises", mode="lines", line={"color": OURS, "width": 2},
        hovertemplate="lr %{x:.3~g}: %{y:.4~g}", showlegend=False, row=1, col=1,
    )  # fmt: skip
    if edge is not None:
        line = {"color": INK, "width": 1.5, "dash": "dash"}
        figure.add_vline(x=edge, line=line, row=1, col=1)
        figure.add_annotation(
            x=log10(edge), y=1, xref="x", yref="y domain", xanchor="right", yanchor="top",
            text="divergence edge ", showarrow=False, font={"size": SIZE - 1, "color": INK},
        )  # fmt: skip
    _held(figure, held, best)
    if interval is not None:
        x0, x1 = interval[0] / 10**0.12, interval[1] * 10**0.12
        area = {"fillcolor": HELD, "opacity": 0.16, "line_width": 0, "layer": "below"}
        figure.add_vrect(x0=x0, x1=x1, **area, row=2, col=1)
        figure.add_annotation(
            x=log10(sqrt(x0 * x1)), y=1, xref="x2", yref="y2 domain", yanchor="top",
            text="cannot be told from the best" if interval[0] < interval[1] else "the best",
            showarrow=False, font={"size": SIZE - 1, "color": INK},
        )  # fmt: skip
    for place, choice in enumerate(choices):
        colour = PEERS[place % len(PEERS)]
        figure.add_scatter(
            x=list(choice.each), y=[place] * len(choice.each), name=plain(choice.name),
            mode="markers", opacity=0.45, marker={"color": colour, "size": 8}, showlegend=False,
            hovertemplate="%{x:.3~g}", row=3, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=[choice.lr], y=[place], mode="markers", showlegend=False, name="",
            marker={"symbol": "line-ns", "size": 15, "line": {"width": 3, "color": colour}},
            hovertemplate="median %{x:.3~g}", row=3, col=1,
        )  # fmt: skip
    if choices:
        names = [plain(choice.name) for choice in choices]
        figure.update_yaxes(
            tickmode="array", tickvals=list(range(len(names))), ticktext=names, zeroline=False,
            range=[len(names) - 0.4, -0.6], row=3, col=1,
        )  # fmt: skip
    if best is not None and choices:
        figure.add_vline(x=best, line={"color": INK, "width": 1, "dash": "dot"}, row=3, col=1)
    _axes(
        figure,
        mean,
        held,
        [5 * (edge or held[-1].lr), *(lr for choice in choices for lr in choice.each)],
    )
    figure.update_xaxes(title_text="learning rate", showticklabels=True, row=rows, col=1)
    return figure


def _held(figure: go.Figure, held: Sequence[Held], best: float | None) -> None:
    """Draw the rates that were held: those that came to the end, the others, and the best."""
    groups = (
        ("held to the end", [one for one in held if one.whole], "circle"),
        ("taken out before", [h for h in held if not h.whole and not h.diverged], "circle-open"),
    )
    for name, own, symbol in groups:
        if own:
            figure.add_scatter(
                x=[one.lr for one in own], y=[one.loss for one in own], name=name,
                mode="lines+markers" if symbol == "circle" else "markers",
                error_y={"array": [one.error for one in own], "thickness": 1.5, "color": HELD},
                line={"color": HELD, "width": 1.5, "dash": "dot"},
                marker={"symbol": symbol, "size": 9, "color": HELD, "line": {"width": 2}},
                customdata=[[one.error, one.steps] for one in own],
                hovertemplate="lr %{x:.3~g}: %{y:.4~g} ± %{customdata[0]:.2~g} after "
                "%{customdata[1]} steps", row=2, col=1,
            )  # fmt: skip
    sound = [one.loss for one in held if not one.diverged]
    lost = [one.lr for one in held if one.diverged]
    if lost:
        figure.add_scatter(
            x=lost, y=[max(sound, default=1.0)] * len(lost), name="diverged", mode="markers",
            marker={"symbol": "x-thin", "size": 12, "line": {"width": 3, "color": MUTED}},
            hovertemplate="lr %{x:.3~g} diverged", row=2, col=1,
        )  # fmt: skip
    for one in held:
        if one.lr == best:
            figure.add_scatter(
                x=[one.lr], y=[one.loss], name="the best", mode="markers", hoverinfo="skip",
                marker={"symbol": "circle-open", "size": 18, "color": INK, "line": {"width": 2}},
                row=2, col=1,
            )  # fmt: skip


def _axes(figure: go.Figure, mean: Floats, held: Sequence[Held], others: Sequence[float]) -> None:
    """Give the axes their scales, ends and names; the flat beginning is left out."""
    every = [*(one.lr for one in held), *others]
    ends = [log10(min(every)) - 0.3, log10(max(every)) + 0.3]
    figure.update_xaxes(
        type="log", dtick=1, exponentformat="power", range=ends, zeroline=False,
        showticklabels=False,
    )  # fmt: skip
    top = _top(mean)
    seen = mean[np.isfinite(mean) & (mean <= top)]
    bottom = float(seen.min()) if len(seen) else 0.0
    room = 0.08 * ((top - bottom) or 1.0)
    figure.update_yaxes(
        title_text="batch loss,<br>rate rises", range=[bottom - room, top + room], nticks=5,
        zeroline=False, tickformat=".3~g", row=1, col=1,
    )  # fmt: skip
    sound = [one.loss for one in held if isfinite(one.loss)]
    axis: dict[str, Any] = {"type": "linear"}
    if sound and min(sound) > 0:
        least, most = log10(min(sound)), log10(min(max(sound), 30 * min(sound)))
        gap = 0.2 * max(most - least, 0.1)
        axis = {"type": "log", "dtick": "D2", "range": [least - gap, most + gap]}
    figure.update_yaxes(
        title_text="held-out loss,<br>rate held", zeroline=False, tickformat=".3~g", **axis,
        row=2, col=1,
    )  # fmt: skip
    figure.update_layout(hovermode="closest", showlegend=True)


def _top(mean: Floats) -> float:
    """Return where the axis of the range test ends: a little above where it began."""
    sound = mean[np.isfinite(mean)]
    if not len(sound):
        return 1.0
    start = float(np.median(sound[: max(1, len(sound) // 10)]))
    return float(min(sound.max(), start + 0.5 * abs(start - sound.min())))


def _finite(column: Sequence[float]) -> Floats:
    found = np.array(column, dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found
