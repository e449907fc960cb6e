"""A metric over two settings, as a map of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.intervals import Interval, split_of, told
from thalweg.plots.scales import ordered, scale_of
from thalweg.plots.text import amount, falls, is_share, plain, setting_text
from thalweg.plots.theme import EMPTY, INK, MUTED, RAMP, RIGHT, SERIES, WRONG, style
from thalweg.plots.thin import Floats

READABLE = 12
"""Columns of which each cell has room for its number."""


@dataclass(frozen=True)
class Cell:
    """One setting of two axes.

    Args:
        x: Its value on the one.
        y: Its value on the other.
        mean: The metric over the seeds that did not diverge; None if there are none.
        diverged: How many seeds diverged.
    """

    x: Any
    y: Any
    mean: Interval | None
    diverged: int = 0


def heat_map(
    cells: Sequence[Cell], axes: tuple[str, str], metric: str, title: str = ""
) -> go.Figure:
    """Draw a metric over two settings: the better, the bluer; a frame around the best.

    All cells are of one size, so that values that are log spaced lie as on a logarithmic axis. What
    diverged on every seed is orange with a cross; where some seeds did, the cell says how many.
    What has not been trained is empty. The best is the one with the best mean among those that
    never diverged.

    Args:
        cells: One a setting.
        axes: What x and y are.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> good = SimpleNamespace(mean=0.5, low=0.4, high=0.6)
        >>> cells = [Cell(0.1, 8, good), Cell(1.0, 8, None, diverged=2)]
        >>> figure = heat_map(cells, ("lr", "batch_size"), "val_accuracy")
        >>> figure.data[0].z.tolist(), figure.data[0].text.tolist()
        ([[0.5, nan]], [['50.0', '×']])
    """
    xs, ys = ordered([cell.x for cell in cells]), ordered([cell.y for cell in cells])
    readable = len(xs) <= READABLE
    shape = (len(ys), len(xs))
    z, lost = np.full(shape, np.nan), np.full(shape, np.nan)
    text, hover = np.full(shape, "", object), np.full(shape, "", object)
    row_of, column_of = ({repr(v): k for k, v in enumerate(found)} for found in (ys, xs))
    best: tuple[int, int] | None = None
    sign = -1.0 if falls(metric) else 1.0
    for cell in cells:
        at = row_of[repr(cell.y)], column_of[repr(cell.x)]
        where = f"{plain(axes[0])} {plain(setting_text(cell.x))}"
        where += f", {plain(axes[1])} {plain(setting_text(cell.y))}"
        count = f"{cell.diverged} diverged" if cell.diverged else ""
        if cell.mean is not None and np.isfinite(cell.mean.mean):
            z[at] = cell.mean.mean
            text[at] = _short(metric, z[at]) + (f"<br>{cell.diverged} ×" if cell.diverged else "")
            if not cell.diverged and (best is None or sign * z[at] > sign * z[best]):
                best = at
        elif cell.diverged:
            lost[at], text[at] = 1.0, "×"
        said = [where, told(metric, cell.mean) if cell.mean else "", count]
        hover[at] = "<br>".join(filter(None, said))
    colours = [EMPTY, RIGHT] if readable else list(RAMP)
    figure = style(go.Figure(), plain(title))
    shared: dict[str, Any] = {"text": text, "customdata": hover, "xgap": 1, "ygap": 1}
    shared |= {"texttemplate": "%{text}" if readable else None, "textfont": {"color": INK}}
    shared |= {"hovertemplate": "%{customdata}<extra></extra>"}
    figure.add_heatmap(z=z, **shared, **_colours(z, metric, colours, shown=not readable))
    shared["texttemplate"] = "%{text}"
    orange = [[0, WRONG], [1, WRONG]]
    figure.add_heatmap(z=lost, zmin=0, zmax=1, colorscale=orange, showscale=False, **shared)
    if best is not None:
        figure.add_shape(
            type="rect", x0=best[1] - 0.5, x1=best[1] + 0.5, y0=best[0] - 0.5, y1=best[0] + 0.5,
            line={"color": INK if readable else SERIES[1], "width": 3},
        )  # fmt: skip
    figure.update_xaxes(title_text=_with_scale(axes[0], xs), **_ticks(xs))
    figure.update_yaxes(title_text=_with_scale(axes[1], ys), **_ticks(ys))
    figure.update_xaxes(tickangle=0 if _narrow(xs) else -45)
    figure.update_layout(height=120 + max(2, len(ys)) * (44 if readable else 24))
    return figure


def _colours(z: Floats, metric: str, colours: Sequence[str], *, shown: bool) -> dict[str, Any]:
    """Return how Plotly colours values: the last colour is the best."""
    good = z[np.isfinite(z)]
    low, high = (float(good.min()), float(good.max())) if len(good) else (0.0, 1.0)
    if low == high:
        low = high - 1
    n = len(colours) - 1
    scale = [[k / n, colour] for k, colour in enumerate(colours)]
    if falls(metric):
        scale = [[k / n, colour] for k, colour in enumerate(reversed(colours))]
        # What is many times the best is as bad as bad can be; else one such hides all the rest.
        high = min(high, float(np.median(good)) * 3 - low * 2) if len(good) > 2 else high
        high = high if high > low else low + 1
    share = is_share(split_of(metric)[1])
    bar = {"thickness": 14, "outlinewidth": 0, "tickformat": ".4~%" if share else ".3~g",
           "tickfont": {"color": MUTED}}  # fmt: skip
    ends = {"zmin": low, "zmax": high, "colorscale": scale}
    return ends | {"showscale": shown} | ({"colorbar": bar} if shown else {})


def _short(metric: str, value: float) -> str:
    if is_share(split_of(metric)[1]):
        return f"{100 * value:.1f}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else amount("", value)


def _with_scale(name: str, found: Sequence[Any]) -> str:
    note = " (logarithmic)" if len(found) > 2 and scale_of(found) == "log" else ""
    return plain(name, most=24) + note


def _narrow(found: Sequence[Any]) -> bool:
    return all(len(setting_text(value)) * len(found) <= 40 for value in found)


def _ticks(found: Sequence[Any]) -> dict[str, Any]:
    every = -(-len(found) // 26)
    kept = range(0, len(found), every)
    return {
        "tickvals": list(kept),
        "ticktext": [plain(setting_text(found[k], most=16)) for k in kept],
        "range": [-0.5, len(found) - 0.5],
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }
