"""Trials of a search: one after the other, against what was chosen, from rung to rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import split_of, spoken
from thalweg.plots.scales import axis_of, ordered, places, reach, scale_of
from thalweg.plots.text import amount, falls, plain, setting_text
from thalweg.plots.theme import INK, MUTED, SERIES, WRONG, look, style

MOST = 60
"""Trials whose courses are drawn, the best ones."""


@dataclass(frozen=True)
class Attempt:
    """One trial.

    Args:
        number: Its number.
        values: Its values, by axis; an axis that it lacks is not there.
        state: ``complete``, ``pruned``, ``lost`` or ``running``.
        value: What it came to; None if nothing was measured, or it diverged.
        scores: The same along its way, by passes over the training samples.
        kind: What it is one of, such as its optimizer; empty if all are of one kind.
    """

    number: int
    values: Mapping[str, Any]
    state: str
    value: float | None
    scores: Mapping[float, float] = field(default_factory=dict)
    kind: str = ""

    @property
    def text(self) -> str:
        """What to say of it."""
        own = ", ".join(f"{name} {setting_text(value)}" for name, value in self.values.items())
        return f"trial {self.number}: {plain(own)}"


def search_history(attempts: Sequence[Attempt], metric: str, title: str = "") -> go.Figure:
    """Draw what each trial came to, in the order in which they were asked for, and the best so far.

    Filled marks came to their ends, hollow ones were sent away; the line is over those that came to
    their ends.

    Args:
        attempts: The trials.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> tried = [Attempt(0, {}, "complete", 0.5), Attempt(1, {}, "pruned", 0.4)]
        >>> [trace.name for trace in search_history(tried, "val_accuracy").data]
        ['best so far', 'came to its end', 'sent away']
    """
    figure = style(go.Figure(), plain(title))
    sign, best = -1.0 if falls(metric) else 1.0, list[tuple[int, float]]()
    for each in sorted(attempts, key=lambda each: each.number):
        if each.state == "complete" and each.value is not None:
            top = max([sign * each.value, *(sign * value for _, value in best[-1:])])
            best.append((each.number, sign * top))
    if best:
        last = max(each.number for each in attempts)
        figure.add_scatter(
            x=[*(n for n, _ in best), last], y=[*(v for _, v in best), best[-1][1]],
            name="best so far", mode="lines", line={"color": INK, "width": 2, "shape": "hv"},
            hoverinfo="skip",
        )  # fmt: skip
    for state, name, symbol in (
        ("complete", "came to its end", "circle"), ("pruned", "sent away", "circle-open"),
    ):  # fmt: skip
        own = [each for each in attempts if each.state == state and each.value is not None]
        if own:
            colour = SERIES[0] if state == "complete" else MUTED
            _dots(figure, [each.number for each in own], own, metric, name, colour, symbol)
    values = np.array([each.value for each in attempts if each.value is not None], dtype=np.float64)
    reach(figure, metric, values, values, values)
    figure.update_xaxes(title_text="trial", zeroline=False)
    figure.update_yaxes(title_text=spoken(metric))
    figure.update_layout(hovermode="closest")
    return figure


def search_slice(attempts: Sequence[Attempt], axis: str, metric: str, title: str = "") -> go.Figure:
    """Draw what trials came to against one thing that was chosen, a colour for each kind.

    Args:
        attempts: The trials; those without the axis are left out.
        axis: What was chosen.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> tried = [Attempt(k, {"lr": 10.0**-k}, "complete", 0.5) for k in range(4)]
        >>> search_slice(tried, "lr", "val_accuracy").layout.xaxis.type
        'log'
    """
    figure = style(go.Figure(), plain(title))
    own = [each for each in attempts if axis in each.values and each.value is not None]
    kinds = list(dict.fromkeys(each.kind for each in attempts))
    if own:
        found = ordered([each.values[axis] for each in own])
        scale = scale_of(found)
        if scale == "category" and all(isinstance(value, float) for value in found):
            positive = found[0] > 0 and found[-1] >= 100 * found[0]
            scale = "log" if positive else "linear"
        for kind in dict.fromkeys(each.kind for each in own):
            mine = [each for each in own if each.kind == kind]
            x = places([each.values[axis] for each in mine], found, scale).tolist()
            colour, _ = look(kinds.index(kind))
            symbols = ["circle" if e.state == "complete" else "circle-open" for e in mine]
            _dots(figure, x, mine, metric, kind or "trials", colour, symbols)
        few = len(found) <= 9 or scale == "category"
        figure.update_xaxes(**(axis_of(found, scale) if few else _wide(found, scale)))
        values = np.array([each.value for each in own], dtype=np.float64)
        reach(figure, metric, values, values, values)
    figure.update_xaxes(title_text=plain(axis), zeroline=False)
    figure.update_yaxes(title_text=spoken(metric))
    named = any(each.values[axis] != each.kind for each in own)
    figure.update_layout(hovermode="closest", showlegend=len(kinds) > 1 and named)
    return figure


def search_rungs(attempts: Sequence[Attempt], metric: str, title: str = "") -> go.Figure:
    """Draw trials from rung to rung: those that came to their ends in colour, the others grey.

    Args:
        attempts: The trials.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> tried = [
        ...     Attempt(0, {}, "complete", 0.5, {1.0: 0.4, 3.0: 0.5}),
        ...     Attempt(1, {}, "pruned", 0.3, {1.0: 0.3}),
        ... ]
        >>> [trace.name for trace in search_rungs(tried, "val_accuracy").data]
        ['sent away', 'came to its end']
    """
    figure = style(go.Figure(), plain(title))
    sign = -1.0 if falls(metric) else 1.0
    known = [each for each in attempts if each.scores and each.value is not None]
    known = sorted(known, key=lambda each: -sign * (each.value or 0.0))[:MOST]
    for state, name, colour, width in (
        ("pruned", "sent away", MUTED, 1), ("complete", "came to its end", SERIES[0], 2),
    ):  # fmt: skip
        x, y, text = list[float | None](), list[float | None](), list[str]()
        for each in (one for one in known if one.state == state):
            x += [*each.scores, None]
            y += [*each.scores.values(), None]
            text += [each.text] * (len(each.scores) + 1)
        if x:
            figure.add_scatter(
                x=x, y=y, text=text, name=name, mode="lines+markers", connectgaps=False,
                line={"color": colour, "width": width}, marker={"size": 6 if width > 1 else 5},
                opacity=1.0 if width > 1 else 0.6, hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip
    values = [v for each in known for v in each.scores.values() if isfinite(v)]
    points = np.array(values, dtype=np.float64)
    reach(figure, metric, points, points, points)
    figure.update_xaxes(title_text="epochs", rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text=spoken(metric))
    figure.update_layout(hovermode="closest")
    return figure


def importance_bars(shares: Mapping[str, float], title: str = "") -> go.Figure:
    """Draw what share of the differences is due to each thing that was chosen.

    Args:
        shares: Shares from 0 to 1, by name.
        title: What to write above.

    Example:
        >>> list(importance_bars({"lr": 0.9, "beta1": 0.1}).data[0].y)
        ['beta1', 'lr']
    """
    figure = style(go.Figure(), plain(title))
    names = sorted(shares, key=lambda name: shares[name])
    figure.add_bar(
        x=[shares[name] for name in names], y=[plain(name, most=30) for name in names],
        orientation="h", marker={"color": SERIES[0]}, hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", range=[0, 1], nticks=6)
    figure.update_layout(height=60 + 30 * len(names), bargap=0.3, showlegend=False)
    return figure


def _wide(found: Sequence[float], scale: str) -> dict[str, Any]:
    """Return the layout of an axis with too many values to write them all."""
    if scale == "log" and found[-1] >= 100 * found[0]:
        return {"type": "log", "dtick": 1, "exponentformat": "power"}
    return {"type": scale, "exponentformat": "power"}


def _dots(
    figure: go.Figure,
    x: Sequence[float],
    own: Sequence[Attempt],
    metric: str,
    name: str,
    colour: str,
    symbol: str | Sequence[str],
) -> None:
    what = split_of(metric)[1]
    text = [f"{each.text}<br>{amount(what, each.value or 0.0)}" for each in own]
    edge = {"color": colour if colour != WRONG else INK, "width": 1.5}
    figure.add_scatter(
        x=list(x), y=[each.value for each in own], text=text, name=plain(name), mode="markers",
        marker={"color": colour, "size": 8, "symbol": symbol, "line": edge},
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
