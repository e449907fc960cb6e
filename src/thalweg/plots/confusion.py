"""Which class was taken for which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from thalweg.errors import DataError
from thalweg.plots.text import plain
from thalweg.plots.theme import EMPTY, INK, RIGHT, WRONG, style

READABLE = 26
"""Classes of which each cell has room for its number."""

LEAST = 1e-3
"""Share of a class below which mistakes all look alike."""


def confusion(
    true: ArrayLike, predicted: ArrayLike, n_classes: int | None = None
) -> NDArray[np.int64]:
    """Count the samples of each class by the class that they were taken for.

    Args:
        true: Classes (n,), from 0.
        predicted: Classes (n,), from 0.
        n_classes: How many there are; by default the greatest that occurs and those before it.

    Returns:
        Counts (C, C): a row for each true class, a column for each predicted one.

    Raises:
        DataError: Not whole numbers, not equally many, or classes that are not there.

    Example:
        >>> confusion([0, 0, 1], [0, 1, 1]).tolist()
        [[1, 1], [0, 1]]
    """
    t, p = np.asarray(true), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise DataError(f"classes of shapes {t.shape} and {p.shape}", "(n,) both")
    if t.size and not (np.issubdtype(t.dtype, np.integer) and np.issubdtype(p.dtype, np.integer)):
        raise DataError(f"classes of {t.dtype} and {p.dtype}", "whole numbers")
    both = np.concatenate([t, p]).astype(np.int64)
    C = n_classes if n_classes is not None else int(both.max(initial=-1)) + 1
    if both.size and not 0 <= both.min() <= both.max() < C:
        raise DataError(f"classes from {both.min()} to {both.max()}", f"from 0 to {C - 1}")
    return np.bincount(both[: t.size] * C + both[t.size :], minlength=C * C).reshape(C, C)


def confusion_matrix(
    true: ArrayLike, predicted: ArrayLike, classes: Sequence[str] = (), title: str = ""
) -> go.Figure:
    """Draw which class was taken for which: a row a true class, a column a predicted one.

    What is right is blue, by its share of the true class. What is wrong is orange by the logarithm
    of that share, from a thousandth on, so that few mistakes among many samples are seen. Up to 26
    classes each cell says how many samples it has.

    Args:
        true: Classes (n,), from 0.
        predicted: Classes (n,), from 0.
        classes: Their names; without them they are numbers.
        title: What to write above.

    Raises:
        DataError: Not whole numbers, not equally many, or classes without a name.

    Example:
        >>> figure = confusion_matrix([0, 0, 1], [0, 1, 1], ["cat", "dog"])
        >>> figure.data[0].text.tolist(), figure.data[0].y.tolist()
        ([['1', '1'], ['', '1']], ['cat', 'dog'])
    """
    counts = confusion(true, predicted, len(classes) or None)
    C = len(counts)
    totals = counts.sum(1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    with np.errstate(divide="ignore"):
        wrong = 1 - np.log(np.maximum(share, LEAST)) / math.log(LEAST)
    z = np.where(share > 0, -np.clip(wrong, 0.15, 1), 0.0)
    np.fill_diagonal(z, np.diag(share))
    names = _unique([plain(name, most=18) for name in classes] or [str(c) for c in range(C)])
    figure = go.Figure()
    figure.add_heatmap(
        z=z.round(4),
        x=np.array(names, dtype=object),
        y=np.array(names, dtype=object),
        customdata=np.stack([counts, share.round(4)], axis=-1),
        text=np.vectorize(lambda n: f"{n}" if n else "", otypes=[object])(counts)
        if 0 < C <= READABLE
        else None,
        textfont={"color": INK},
        texttemplate="%{text}" if C <= READABLE else None,
        hovertemplate="%{y} → %{x}<br>%{customdata[0]:,} samples, %{customdata[1]:.2%} of %{y}"
        "<extra></extra>",
        zmin=-1,
        zmax=1,
        colorscale=[[0, WRONG], [0.5, EMPTY], [1, RIGHT]],
        showscale=False,
        xgap=1,
        ygap=1,
    )
    style(figure, plain(title))
    readable = C <= READABLE
    slant = 0 if max(map(len, names), default=0) <= 2 else -45 if readable else -90
    axis: dict[str, Any] = {
        "type": "category",
        "dtick": 1 if readable else math.ceil(C / READABLE),
        "constrain": "domain",
        "showgrid": False,
        "showline": False,
        "ticks": "",
    }
    # The slant is given: if Plotly chose it by the room there is, the margins would never settle.
    figure.update_xaxes(title_text="predicted class", tickangle=slant, **axis)
    figure.update_yaxes(title_text="true class", autorange="reversed", **axis)
    figure.update_yaxes(scaleanchor="x", constraintoward="top")
    cell = min(84, max(24, 440 // max(C, 1))) if readable else 640 / C
    top = 56 if title else 8
    side = round(C * cell)
    figure.update_layout(width=side + 160, height=side + top + 100, margin={"t": top})
    return figure


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, with a number behind each that is taken."""
    unique: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in unique:
            number += 1
            free = f"{name} ({number})"
        unique[free] = None
    return list(unique)
