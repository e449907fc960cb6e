"""How the cost of a surface grows, drawn: seconds by points and by samples, with slopes."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from thalweg.plots import save
from thalweg.plots.theme import MUTED, look, style

BEYOND = 2.0
"""A slope is fitted to what takes so many times as long as the least: below are fixed costs."""

WIDTH, HEIGHT = 900, 420


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the JSON lines that a run has printed."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def draw_growth(lines: Iterable[Mapping[str, Any]], file: Path) -> None:
    """Write seconds against points and against samples, both logarithmic.

    Args:
        lines: What ``landscape.py --scaling`` prints; other kinds of lines are left out.
        file: A ``.png`` or an ``.html``.
    """
    grown = [line for line in lines if line["kind"] == "growth"]
    panels = [
        ("points", "samples", [(line["side"] ** 2, line) for line in grown]),
        ("samples", "points", [(line["samples"], line) for line in grown]),
    ]
    figure = style(make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05))
    for place, (along, held, pairs) in enumerate(panels):
        common = most_common(line["samples"] if place == 0 else line["side"] for _, line in pairs)
        mine = sorted(
            (x, line["seconds"]["median"])
            for x, line in pairs
            if (line["samples"] if place == 0 else line["side"]) == common
        )
        said = f"{common:,} samples" if held == "samples" else f"{common} × {common} points"
        _draw(figure, [x for x, _ in mine], [y for _, y in mine], place, said)
        figure.update_xaxes(title_text=f"{along} (log)", type="log", dtick=1, col=place + 1)
    figure.update_xaxes(tickformat=",")
    figure.update_yaxes(type="log", dtick=1)
    figure.update_yaxes(title_text="seconds (log)", col=1)
    figure.update_layout(width=WIDTH, height=HEIGHT, showlegend=True)
    save(figure, file)


def most_common(values: Iterable[int]) -> int:
    """Return what was held while the other was varied."""
    return statistics.mode(list(values))


def fitted(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return the slope of log y over log x, and the x from which it was fitted."""
    there = [(a, b) for a, b in zip(x, y, strict=True) if b >= BEYOND * min(y)]
    if len(there) < 2:
        return math.nan, math.nan
    logs = [[math.log(value) for value in column] for column in zip(*there, strict=True)]
    return statistics.linear_regression(*logs).slope, there[0][0]


def _draw(figure: go.Figure, x: Sequence[float], y: Sequence[float], place: int, said: str) -> None:
    """Draw measurements, and below the last of them a line of slope 1."""
    colour, marker = look(place)
    slope, begin = fitted(x, y)
    how = f", slope {slope:.2f} from {begin:,} on" if math.isfinite(slope) else ""
    figure.add_scatter(
        x=x, y=y, mode="lines+markers", name=f"{said}{how}", line={"color": colour, "width": 2},
        marker={"color": colour, "symbol": marker, "size": 8}, row=1, col=place + 1,
    )  # fmt: skip
    guide = {"color": MUTED, "width": 1.5, "dash": "dash"}
    figure.add_scatter(
        x=[x[0], x[-1]], y=[y[-1] * x[0] / x[-1], y[-1]], mode="lines", name="slope 1", line=guide,
        showlegend=place == 0, legendrank=2000, row=1, col=place + 1,
    )  # fmt: skip
