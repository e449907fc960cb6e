"""The mistakes a network was surest of, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from thalweg.errors import DataError
from thalweg.plots.samples import image_grid

WIDE = 16
"""Letters of a caption's line; if one is longer, all get three lines."""


def mistake_grid(
    images: ArrayLike,
    true: ArrayLike,
    predicted: ArrayLike,
    probability: ArrayLike,
    classes: Sequence[str] = (),
    title: str = "",
    *,
    columns: int | None = None,
) -> go.Figure:
    """Draw wrongly classified images, each under what it is, what was said, and how surely.

    Args:
        images: Images (n, C, H, W) of one or three channels, n ≥ 1.
        true: Their classes (n,).
        predicted: The classes that were said (n,).
        probability: Of the class that was said (n,), from 0 to 1.
        classes: Names of the classes; without them they are numbers.
        title: What to write above.
        columns: Images a row; by default as many as make the grid square.

    Raises:
        DataError: No images, ones that have neither one nor three channels, or columns that are not
            equally long.

    Example:
        >>> figure = mistake_grid(np.eye(8).reshape(1, 1, 8, 8), [9], [4], [0.98])
        >>> figure.layout.annotations[0].text
        '9 → 4, 98 %'
    """
    pictures = np.asarray(images)
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3) or not len(pictures):
        raise DataError(f"images of shape {pictures.shape}", "(n, C, H, W) with C = 1 or 3, n ≥ 1")
    shapes = {np.shape(column) for column in (true, predicted, probability)}
    if shapes != {(len(pictures),)}:
        raise DataError(f"columns of shapes {sorted(shapes)}", f"({len(pictures)},) each")
    captions = captions_of(true, predicted, probability, classes)
    return image_grid(pictures, captions, title, columns=columns, size=96)


def captions_of(
    true: ArrayLike, predicted: ArrayLike, probability: ArrayLike, classes: Sequence[str] = ()
) -> list[str]:
    r"""Say of each sample what it is, what was said, and how surely; in lines if it is long.

    Example:
        >>> captions_of([1], [0], [0.995], ["Sneaker", "Ankle boot"])
        ['Ankle boot\n→ Sneaker\n99.5 %']
    """
    parts = [
        (*(classes[int(k)] if classes else f"{int(k)}" for k in (t, p)), surely(float(share)))
        for t, p, share in zip(
            np.asarray(true), np.asarray(predicted), np.asarray(probability), strict=True
        )
    ]
    short = [f"{was} → {became}, {sure}" for was, became, sure in parts]
    if max(map(len, short), default=0) <= WIDE:
        return short
    return [f"{was}\n→ {became}\n{sure}" for was, became, sure in parts]


def surely(probability: float) -> str:
    """Return a probability in percent, with as many digits as keep it from 100 %.

    Example:
        >>> surely(0.98), surely(0.9996), surely(0.999999999), surely(1.0)
        ('98 %', '99.96 %', '> 99.99 %', '100 %')
    """
    if probability < 0.99 or probability >= 1:
        return f"{100 * probability:.0f} %"
    if probability > 0.9999:
        return "> 99.99 %"
    digits = math.ceil(-math.log10(1 - probability)) - 2
    return f"{100 * probability:.{max(1, digits)}f} %"
