"""Settings of three and more axes: a line each, from axis to axis, in the colour of a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from thalweg.plots.intervals import Interval, split_of, told
from thalweg.plots.scales import ordered, places, scale_of
from thalweg.plots.text import amount, falls, plain, setting_text
from thalweg.plots.theme import GRID, INK, MUTED, PAPER, RAMP, WRONG, style
from thalweg.plots.thin import Floats

MOST = 9
"""Values of an axis that are all written."""


@dataclass(frozen=True)
class Strand:
    """One setting.

    Args:
        setting: Its values by axis; an axis that it lacks is a gap.
        mean: The metric over the seeds that did not diverge; None if there are none.
        diverged: How many seeds diverged.
    """

    setting: Mapping[str, Any]
    mean: Interval | None
    diverged: int = 0


def parallel_axes(strands: Sequence[Strand], metric: str, title: str = "") -> go.Figure:
    """Draw settings as lines that cross an upright axis for each thing that varies.

    Settings that share a value lie side by side about it, the best on top. The colour is by fifths
    of the settings, the best fifth the darkest (the lightest on a dark page); the best setting that
    never diverged is thick, and what diverged on every seed orange and dotted. An axis is
    logarithmic where the values lie so; what is no number stands in equal steps.

    Args:
        strands: The settings.
        metric: What was measured, such as ``val_accuracy``.
        title: What to write above.

    Example:
        >>> from types import SimpleNamespace
        >>> good = SimpleNamespace(mean=0.5, low=0.4, high=0.6)
        >>> setting = {"lr": 0.1, "batch_size": 8, "optimizer": "adam"}
        >>> figure = parallel_axes([Strand(setting, good), Strand(setting, None, 2)], "val_loss")
        >>> [trace.name for trace in figure.data]
        ['diverged', '0.5000', 'best: 0.5000 ± 0.1']
    """
    figure = style(go.Figure(), plain(title))
    axes = list(dict.fromkeys(key for strand in strands for key in strand.setting))
    sign = -1.0 if falls(metric) else 1.0
    means = np.array([s.mean.mean if s.mean else np.nan for s in strands], dtype=np.float64)
    means[~np.isfinite(means)] = np.nan
    order = np.argsort(sign * means)  # NaN comes last
    sound = order[: int(np.isfinite(means).sum())]
    heights, figure.layout.annotations = _axes(strands, axes, np.argsort(order[::-1]))
    texts = [_text(strand, metric) for strand in strands]
    lost = [k for k, s in enumerate(strands) if s.diverged and not np.isfinite(means[k])]
    looks: dict[str, Any] = {"line": {"color": WRONG, "width": 2, "dash": "dot"}}
    if lost:
        figure.add_scatter(**_joined(heights, lost, texts), name="diverged", **looks)
    parts = [
        part for part in np.array_split(sound, min(len(RAMP), max(1, len(sound)))) if len(part)
    ]
    name = split_of(metric)[1]
    for place, part in enumerate(parts):
        ends = [amount(name, float(means[k])) for k in (part[0], part[-1])]
        said = " to ".join(dict.fromkeys(ends))
        colour = RAMP[len(RAMP) - len(parts) + place]
        figure.add_scatter(
            **_joined(heights, part.tolist(), texts),
            name=said,
            line={"color": colour, "width": 1.5},
        )
    whole = [k for k in sound.tolist() if not strands[k].diverged]
    if whole:
        best = whole[-1]
        said = f"best: {told(metric, strands[best].mean)}"
        line = {"color": INK, "width": 4}
        figure.add_scatter(**_joined(heights, [best], texts), name=said, line=line)
    for k in range(len(axes)):
        edge = {"color": MUTED, "width": 1}
        figure.add_shape(type="line", x0=k, x1=k, y0=0, y1=1, line=edge, layer="below")
    figure.update_layout(hovermode="closest", legend={"traceorder": "reversed"}, height=480)
    bare = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=[plain(axis, most=18) for axis in axes],
        range=[-0.35, len(axes) - 0.65], **bare,
    )  # fmt: skip
    figure.update_yaxes(showticklabels=False, range=[-0.1, 1.1], gridcolor=GRID, **bare)
    return figure


def _axes(
    strands: Sequence[Strand], axes: Sequence[str], ranks: NDArray[np.int64]
) -> tuple[Floats, list[dict[str, Any]]]:
    """Return where each strand crosses each axis, (n, axes) from 0 to 1, and what stands there.

    Strands that have the same value lie side by side about it, the best on top.

    Args:
        strands: The settings.
        axes: Their axes.
        ranks: Place of each strand, 0 for the best, (n,).
    """
    heights, notes = np.full((len(strands), len(axes)), np.nan), []
    for k, axis in enumerate(axes):
        rows = [row for row, strand in enumerate(strands) if axis in strand.setting]
        values = [strands[row].setting[axis] for row in rows]
        found = ordered(values)
        scale = scale_of(found)
        at = places(found, found, scale)
        at = np.log10(at) if scale == "log" else at
        span = at[-1] - at[0]
        at = (at - at[0]) / span if span else np.full(len(found), 0.5)
        where = {repr(value): height for value, height in zip(found, at, strict=True)}
        room = 0.5 * min([0.24, *np.diff(at)]) if len(at) > 1 else 0.12
        for value in found:
            same = [r for r, v in zip(rows, values, strict=True) if repr(v) == repr(value)]
            same.sort(key=lambda row: -ranks[row])
            aside = np.linspace(-room / 2, room / 2, len(same)) if len(same) > 1 else np.zeros(1)
            heights[same, k] = where[repr(value)] + aside
        every = -(-len(found) // MOST)
        for place in range(0, len(found), every):
            notes.append(
                {
                    "x": k, "y": float(at[place]), "showarrow": False,
                    "text": plain(setting_text(found[place], most=16)),
                    "bgcolor": PAPER, "bordercolor": GRID, "borderpad": 2,
                    "font": {"color": INK, "size": 12},
                }
            )  # fmt: skip
    return heights, notes


def _joined(heights: Floats, rows: Sequence[int], texts: Sequence[str]) -> dict[str, Any]:
    """Return several strands as one curve with gaps between them."""
    n = heights.shape[1]
    y = np.full((len(rows), n + 1), np.nan)
    y[:, :n] = heights[list(rows)]
    x = np.tile(np.append(np.arange(n, dtype=np.float64), np.nan), len(rows))
    hover = [text for row in rows for text in [texts[row]] * (n + 1)]
    return {"x": x, "y": y.ravel(), "mode": "lines", "text": hover,
            "hovertemplate": "%{text}<extra></extra>"}  # fmt: skip


def _text(strand: Strand, metric: str) -> str:
    said = [f"{plain(k)} {plain(setting_text(v))}" for k, v in strand.setting.items()]
    said.append(told(metric, strand.mean) if strand.mean else "")
    said.append(f"{strand.diverged} diverged" if strand.diverged else "")
    return "<br>".join(filter(None, said))
