"""The density of a Hessian's eigenvalues: the bulk at zero, and what stands out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from thalweg.plots.sentences import head
from thalweg.plots.text import plain
from thalweg.plots.theme import INK, MUTED, RIGHT, SERIES, SIZE, style
from thalweg.plots.thin import Floats

BULK = 0.9
"""The share of the eigenvalues nearest to zero that the linear part of the axis holds."""

APART = 10.0
"""From how many times the bulk's width on the axis is logarithmic beyond it."""

DECADES = 8.0
"""How far the axis of the density goes below its peak; a Gaussian's tail never ends."""

NAMED = 5
"""The largest eigenvalues that are written below their ticks, at most."""

APART_TEXT = 0.045
"""From one of them to the next, as a share of the axis."""


def spectrum(
    values: Floats,
    densities: Floats,
    *,
    eigenvalues: Sequence[float] = (),
    trace: float | None = None,
    title: str = "",
) -> go.Figure:
    """Draw the density of eigenvalues, on a logarithmic axis: one in a million is seen.

    Where the spectrum is much wider than its bulk, the axis of the eigenvalues is stretched about
    zero: λ is drawn at arsinh(λ / w), w the bulk's width, which is linear near zero and logarithmic
    beyond.

    Args:
        values: Eigenvalues, (n,), ascending.
        densities: The density at each, (n,).
        eigenvalues: The largest, as they were found one by one: a tick each.
        trace: Their sum over all, to be said.
        title: What to write above.

    Example:
        >>> x = np.linspace(-1, 9, 101)
        >>> figure = spectrum(x, np.exp(-(x**2) / 0.02), eigenvalues=[8.0, 5.0], trace=13.0)
        >>> figure.layout.meta["caption"]
        'The 2 largest eigenvalues (ticks): 5 to 8. Trace: 13.'
    """
    figure = style(go.Figure(), plain(title))
    there = np.isfinite(values) & np.isfinite(densities)
    x, y = values[there], np.maximum(densities[there], 0.0)
    top = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    top = top[np.isfinite(top)]
    scale = _Stretch.of(x, y, top)
    peak = float(y.max(initial=0.0)) or 1.0
    floor = max(peak * 10**-DECADES, float(y[y > 0].min(initial=peak)))
    figure.add_scatter(
        x=scale.drawn(x), y=np.maximum(y, floor / 10), fill="tozeroy", mode="lines",
        name="density", line={"color": SERIES[0], "width": 2}, fillcolor=RIGHT, customdata=x,
        hovertemplate="λ = %{customdata:.4~g}<br>density %{y:.3~g}<extra></extra>",
    )  # fmt: skip
    low, high = float(np.log10(floor)), float(np.log10(peak))
    high = max(high, low + 1)
    figure.update_xaxes(**scale.axis(), zerolinecolor=MUTED, showgrid=False, ticks="outside")
    figure.update_yaxes(
        title_text="density", type="log", range=[low, high + 0.25 * (high - low)],
        exponentformat="power", dtick=1 if high - low < 5 else 2,
    )  # fmt: skip
    if len(top):
        _mark(figure, top, scale)
    figure.update_layout(hovermode="closest", showlegend=False, width=1000, height=480)
    largest = ""
    if len(top) == 1:
        largest = f"largest eigenvalue (tick): {top[0]:.4g}"
    elif len(top):
        largest = f"the {len(top)} largest eigenvalues (ticks): {top[-1]:.4g} to {top[0]:.4g}"
    head(figure, plain(title), [largest, "" if trace is None else f"trace: {trace:.4g}"])
    return figure


def bulk(values: Floats, densities: Floats) -> float:
    """Return how far from zero the nearest nine tenths of the eigenvalues go.

    Example:
        >>> x = np.linspace(-1, 9, 1001)
        >>> round(bulk(x, np.exp(-(x**2) / 0.02)), 2)  # 1.64 standard deviations
        0.16
    """
    if len(values) < 2 or not densities.sum() > 0:
        return 0.0
    mass = densities * np.gradient(values)
    order = np.argsort(np.abs(values))
    place = np.searchsorted(np.cumsum(mass[order]), BULK * mass.sum())
    return float(np.abs(values[order[min(int(place), len(order) - 1)]]))


@dataclass(frozen=True)
class _Stretch:
    """The axis of eigenvalues.

    Args:
        width: The bulk's width, at which the axis becomes logarithmic; 0 for a linear axis.
        low: The least eigenvalue shown.
        high: The greatest.
    """

    width: float
    low: float
    high: float

    @classmethod
    def of(cls, x: Floats, y: Floats, top: Floats) -> _Stretch:
        width = bulk(x, y)
        ends = np.concatenate([x, top, np.zeros(1)])
        far = float(np.abs(ends).max())
        return cls(width if far > APART * width else 0.0, float(ends.min()), float(ends.max()))

    def drawn(self, found: Floats) -> Floats:
        """Return where eigenvalues are on the axis."""
        return np.arcsinh(found / self.width) if self.width else found

    def axis(self) -> dict[str, Any]:
        """Return the axis's layout."""
        first, last = self.drawn(np.array([self.low, self.high])).tolist()
        margin = 0.03 * ((last - first) or 1.0)
        axis: dict[str, Any] = {"title_text": "eigenvalue λ", "zeroline": True}
        axis["range"] = [first - margin, last + margin]
        if not self.width:
            return axis
        ticks = self.ticks()
        axis["title_text"] = "eigenvalue λ (linear about zero, logarithmic beyond)"
        return axis | {"tickvals": self.drawn(ticks), "ticktext": _signed(ticks)}

    def ticks(self) -> Floats:
        """Return zero, and round numbers of either sign from the bulk's width on."""
        far = max(-self.low, self.high)
        decades = np.arange(np.floor(np.log10(self.width)), np.ceil(np.log10(far)))
        parts = (1.0, 2.0, 5.0) if len(decades) < 4 else (1.0,)
        found = np.array([part * 10**decade for decade in decades for part in parts])
        found = found[found >= self.width / 2]
        both = np.concatenate([-found[::-1], [0.0], found])
        return both[(self.low <= both) & (both <= self.high)]


def _signed(ticks: Floats) -> list[str]:
    return [f"{tick:.3g}".replace("-", "−", 1) for tick in ticks]


def _mark(figure: go.Figure, top: Floats, scale: _Stretch) -> None:
    """Draw a tick for each of the largest eigenvalues, and write the first as room allows."""
    x = scale.drawn(top)
    low, high = figure.layout.xaxis.range
    texts: list[str] = []
    free = np.inf
    for place in x:
        roomy = free - place > APART_TEXT * (high - low) and len([t for t in texts if t]) < NAMED
        texts.append(f"{top[len(texts)]:.3g}" if roomy else "")
        free = place if roomy else free
    figure.add_scatter(
        x=x, y=np.full(len(x), 0.97), yaxis="y2", mode="markers+text", text=texts,
        textposition="bottom center", textfont={"color": INK, "size": SIZE - 1}, customdata=top,
        marker={"symbol": "line-ns", "size": 18, "line": {"color": INK, "width": 2}},
        name="largest eigenvalues", hovertemplate="λ = %{customdata:.6~g}<extra></extra>",
    )  # fmt: skip
    bare = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    figure.update_layout(yaxis2=bare | {"type": "linear"})
