"""Intervals below one another: who is ahead, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, edges, split_of, spoken, told
from thalweg.plots.scales import span
from thalweg.plots.switch import switch
from thalweg.plots.text import is_share, plain
from thalweg.plots.theme import INK, MUTED, SERIES, SIZE, style
from thalweg.plots.thin import Floats


@dataclass(frozen=True)
class Entry:
    """One row.

    Args:
        name: What it is of.
        value: Mean and interval; None if there is none.
        behind: How much worse than the first it is, in pairs; None for the first, or without pairs.
        note: What to say below the name, such as how many seeds diverged.
    """

    name: str
    value: Interval | None
    behind: Interval | None = None
    note: str = ""


def forest(rows: Mapping[str, Sequence[Entry]], what: str, title: str = "") -> go.Figure:
    """Draw means and intervals below one another, the first on top.

    If a row says how far it is behind the first, a second panel shows that: an interval that leaves
    out zero is a difference beyond doubt. With several costs, buttons turn from one to the other.

    Args:
        rows: The rows by cost, as many for each, in the order in which they are to stand.
        what: What the values are: a metric, such as ``val_accuracy``, or a cost.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> value = SimpleNamespace(mean=0.5, low=0.4, high=0.6)
        >>> figure = forest(
        ...     {"epochs": [Entry("adam", value), Entry("sgd", None, None, "lost")]}, "val_accuracy"
        ... )
        >>> figure.data[1].x.tolist(), figure.layout.yaxis.ticktext
        ([0.5, nan], ('adam', 'sgd<br><span style="font-size:11px">lost</span>'))
    """
    figure = style(go.Figure(), plain(title))
    paired = any(entry.behind is not None for own in rows.values() for entry in own)
    panels = ["value", "behind"] if paired else ["value"]
    drawn = {cost: [t for panel in panels for t in _panel(own, panel, what)]
             for cost, own in rows.items()}  # fmt: skip
    first = next(iter(rows))
    n = max(len(own) for own in rows.values())
    for k, (x, y, hover) in enumerate(drawn[first]):
        colour = SERIES[0] if k < 2 else SERIES[3]
        bar: dict[str, Any] = {"mode": "lines", "line": {"color": colour, "width": 2.5}}
        dot = {"color": colour, "size": 9, "symbol": "circle" if k < 2 else "diamond"}
        options = {"mode": "markers", "marker": dot, "hovertemplate": "%{text}<extra></extra>"}
        options = bar | {"hoverinfo": "skip"} if k % 2 == 0 else options
        figure.add_scatter(
            x=x, y=y, xaxis="x" if k < 2 else "x2", showlegend=False,
            text=hover, **options,
        )  # fmt: skip
    names = {cost: [_name(entry) for entry in own] for cost, own in rows.items()}
    figure.update_yaxes(
        tickvals=list(range(n)), ticktext=names[first], range=[n - 0.5, -0.5], zeroline=False,
    )  # fmt: skip
    share = is_share(split_of(what)[1])
    axis = {"tickformat": ".4~%" if share else ".3~g", "nticks": 4, "zeroline": False}
    axis |= {"rangemode": "tozero"} if "{cost}" in what else {}
    title_of = {cost: plain(what.format(cost=cost)) for cost in rows}
    reach = {} if "{cost}" in what else _range(rows, "value", share=share)
    figure.update_xaxes(title_text=spoken(title_of[first]), **axis | reach)
    if paired:
        look = {"font": {"color": INK, "size": SIZE}, "standoff": 8}
        second = figure.layout.xaxis.to_plotly_json() | axis
        figure.update_layout(
            xaxis={"domain": [0, 0.5]},
            xaxis2=second | {"domain": [0.62, 1], "anchor": "y", "tickformat": ".3~g",
                             "title": {"text": "points behind" if share else "behind"} | look}
            | _range(rows, "behind", scale=100.0 if share else 1.0),
        )  # fmt: skip
        figure.add_shape(
            type="line", xref="x2", yref="paper", x0=0, x1=0, y0=0, y1=1, layer="below",
            line={"color": MUTED, "width": 1.5, "dash": "dash"},
        )  # fmt: skip
    figure.update_layout(hovermode="closest", height=90 + 46 * n)
    states = {}
    for cost, parts in drawn.items():
        data = {"x": [x.tolist() for x, _, _ in parts], "text": [hover for _, _, hover in parts]}
        more = {"yaxis.ticktext": names[cost], "xaxis.title.text": spoken(title_of[cost])}
        states[cost] = (data, more)
    switch(figure, states)
    return figure


def _panel(
    own: Sequence[Entry], panel: str, what: str
) -> list[tuple[Floats, Floats, list[str] | None]]:
    """Return the bars of a panel, with gaps between them, and its dots."""
    intervals = [entry.value if panel == "value" else entry.behind for entry in own]
    mean, low, high = edges(intervals)
    share = is_share(split_of(what)[1])
    name = what if panel == "value" else ""
    hover = [f"{plain(e.name)}: {told(name, i)}" for e, i in zip(own, intervals, strict=True)]
    if panel == "behind" and share:
        mean, low, high = 100 * mean, 100 * low, 100 * high
        hover = [
            f"{plain(e.name)}: {m:.2f} ± {h - m:.2f} points behind"
            for e, m, h in zip(own, mean, high, strict=True)
        ]
    n = np.arange(len(own), dtype=np.float64)
    gap = np.full(len(own), np.nan)
    bars = np.stack([low, high, gap], 1).ravel()
    return [(bars, np.stack([n, n, gap], 1).ravel(), None), (mean, n, hover)]


def _range(
    rows: Mapping[str, Sequence[Entry]], panel: str, *, share: bool = False, scale: float = 1.0
) -> dict[str, Any]:
    """Return the range of a panel, the same whatever the cost."""
    found = [getattr(entry, panel) for own in rows.values() for entry in own]
    mean, low, high = edges(found)
    if panel == "behind":
        mean = np.append(mean, 0.0)
        mean, low, high = scale * mean, scale * low, scale * high
    return span(mean, low, high, share=share)


def _name(entry: Entry) -> str:
    name = plain(entry.name, most=30)
    note = plain(entry.note, most=28)
    return name + (f'<br><span style="font-size:11px">{note}</span>' if note else "")
