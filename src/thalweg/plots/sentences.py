"""What to know of a picture of a landscape, in words: what it shows of the ways, and what not."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg.plots.plane import Plane, Way
from thalweg.plots.text import plain
from thalweg.plots.theme import SIZE
from thalweg.plots.thin import Floats
from thalweg.plots.ways import LONGEST, there
from thalweg.plots.window import Window

WIDTH = 128
"""Letters of a line above a figure."""

FEW = 3
"""Runs that are spoken of one by one."""


def explained(plane: Plane) -> str:
    """Return what both directions explain, beside what they would of a random walk.

    Example:
        >>> axis = np.linspace(-1, 1, 3)
        >>> plane = Plane(axis, axis, np.zeros((3, 3)), "loss", "own", (0.83, 0.09), (0.81, 0.09))
        >>> explained(plane)
        'explained 83 + 9 % (a random walk: 81 + 9 %)'
    """
    if not plane.explained:
        return ""
    null = f" (a random walk: {_shares(plane.null)})" if plane.null else ""
    return f"explained {_shares(plane.explained)}{null}"


def unseen(ways: Sequence[Way]) -> str:
    """Return how much of the states' distance to the reference is not in the plane.

    Example:
        >>> way = Way("adam", *np.zeros((3, 3)), np.arange(3.0), np.array([0.1, 0.2, 0.9]))
        >>> unseen([way])
        "not in the plane, of a state's distance to the reference: 20 % (at most 90 %)"
        >>> unseen([way, way]).partition(": ")[2]
        '20 % (at most 90 %) for adam, 20 % (at most 90 %) for adam'
    """
    found = [(way.name, way.residuals[np.isfinite(way.residuals)]) for way in ways]
    found = [(name, residuals) for name, residuals in found if len(residuals)]
    if not found:
        return ""
    if len(found) > FEW:
        found = [("", np.concatenate([residuals for _, residuals in found]))]
    several = len(found) > 1
    each = [
        f"{100 * np.median(residuals):.0f} % (at most {100 * residuals.max():.0f} %)"
        + (f" for {plain(name, most=LONGEST)}" if several else "")
        for name, residuals in found
    ]
    return f"not in the plane, of a state's distance to the reference: {', '.join(each)}"


def measured(plane: Plane) -> str:
    """Return over what the values are means, and with which statistics."""
    over = f"mean over {plane.samples:,} samples" if plane.samples else ""
    how = f"BatchNorm {plane.statistics}" if plane.statistics != "frozen" else ""
    return ", ".join(filter(None, (over, how)))


def interpolated(plane: Plane) -> str:
    """Return at how many nodes a plane was measured, and how good the others are; else nothing.

    Example:
        >>> axis, off = np.linspace(-1, 1, 3), np.array([0.01, 0.04])
        >>> interpolated(Plane(axis, axis, np.zeros((3, 3)), "loss", "own"))
        ''
        >>> plane = Plane(axis, axis, np.eye(3), "loss", "own", measured=np.eye(3) > 0, off=off)
        >>> interpolated(plane).partition(": ")[0]
        'measured at 3 of 9 nodes, elsewhere interpolated'
    """
    if plane.measured is None or plane.measured.all():
        return ""
    words = f"measured at {plane.measured.sum():,} of {plane.measured.size:,} nodes, "
    return f"{words}elsewhere interpolated{off(plane.off)}"


def off(errors: Floats | None) -> str:
    """Return how far interpolation was off at the nodes where that was looked at.

    Args:
        errors: In steps between contours, (k,); infinite where only one of both is a number.

    Example:
        >>> off(np.array([0.01, 0.04]))
        ': off by at most 4 % of a step between contours at 2 nodes that were checked'
        >>> off(None)
        ''
    """
    if errors is None or not len(errors):
        return ""
    most = f"at most {100 * errors.max():.2g} % of" if np.isfinite(errors).all() else "more than"
    return f": off by {most} a step between contours at {len(errors):,} nodes that were checked"


def lost(ways: Sequence[Way], window: Window) -> list[str]:
    """Return what became of the ways that are not seen to their end."""
    gone, out = [], []
    for way in ways:
        name = plain(way.name, most=LONGEST)
        if not there(way).all():
            last = np.flatnonzero(there(way))[-1:]
            gone.append(f"{name} (after step {way.steps[last[0]]:,.0f})" if len(last) else name)
        if len(far := window.outside(way.x, way.y)):
            out.append(f"{name} (at step {way.steps[far[0]]:,.0f})")
    return [
        f"out of the picture: {_listed(out)}" if out else "",
        f"without a place on the plane: {_listed(gone)}" if gone else "",
    ]


def head(figure: Any, title: str, sentences: Sequence[str]) -> None:
    """Write a title and, below it, what to know; also into ``layout.meta["caption"]``.

    Args:
        figure: Changed in place.
        title: As Plotly reads it; may be empty.
        sentences: Without their stops; empty ones are left out.
    """
    said = [text[0].upper() + text[1:] + "." for text in sentences if text]
    lines = textwrap.wrap(" ".join(said), WIDTH)
    rows = [f'<span style="font-size:{SIZE}px">{line}</span>' for line in lines]
    figure.update_layout(
        title_text="<br>".join([title, *rows] if title else rows) or None,
        margin_t=22 + (26 if title else 0) + 22 * len(lines),
        meta={"caption": " ".join(said)},
    )


def _shares(shares: Sequence[float]) -> str:
    parts = [f"{100 * s:.0f}" if s >= 0.01 or s == 0 else f"{100 * s:.1g}" for s in shares]
    return f"{' + '.join(parts)} %"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
