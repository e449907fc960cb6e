"""A look at the data: a grid of images, or points in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from thalweg.errors import DataError
from thalweg.plots.text import plain
from thalweg.plots.theme import look, style

_IMAGE, _GAP, _MARGIN, _TITLE = 64, 8, 20, 48
"""In pixels: the height of an image, what is between two, the margins, and the title's."""

_LINE, _LETTER = 17, 7.5
"""In pixels: the height of a line of text, and the width of a letter."""


def sample_grid(
    x: ArrayLike,
    y: ArrayLike,
    classes: Sequence[str] = (),
    title: str = "",
    *,
    columns: int | None = None,
) -> go.Figure:
    """Draw samples with their targets.

    Images become a grid, each under its class name; their values are shown from the least to the
    greatest among them. Points in the plane become a scatter plot, coloured by target.

    Args:
        x: Images ``(n, C, H, W)`` of one or three channels, or ``(n, H, W)``, or points ``(n, 2)``;
            arrays, or tensors on the CPU. A single sample is n = 1.
        y: Class labels ``(n,)``, or targets ``(n, T)``, of which the first is shown.
        classes: Names of the classes; without them the targets are shown as numbers.
        title: What to write above.
        columns: Images a row; by default as many as make the grid square.

    Raises:
        DataError: Samples that are neither images nor points in the plane, or none at all.

    Example:
        >>> figure = sample_grid(np.eye(8).reshape(1, 8, 8), [3], title="a stroke")
        >>> figure.layout.title.text, figure.layout.annotations[0].text
        ('a stroke', '3')
    """
    samples, targets = np.asarray(x), np.asarray(y)
    targets = targets.reshape(len(targets), -1)[:, 0] if len(targets) else targets
    if samples.ndim == 3:
        samples = samples[:, None]
    is_image = samples.ndim == 4 and samples.shape[1] in (1, 3)
    if not len(samples) or not (is_image or samples.shape[1:] == (2,)):
        raise DataError(f"samples of shape {samples.shape}", "images (n, C, H, W) or points (n, 2)")
    if is_image:
        columns = columns or math.ceil(math.sqrt(len(samples)))
        return image_grid(samples, [_name(t, classes) for t in targets], title, columns=columns)
    return _points(samples, targets, classes, title)


def image_grid(
    images: NDArray[Any],
    captions: Sequence[str],
    title: str = "",
    *,
    columns: int | None = None,
    size: int = _IMAGE,
) -> go.Figure:
    r"""Draw images in a grid, each under its caption.

    Args:
        images: Images (n, C, H, W) of one or three channels, n ≥ 1; shown from the least value to
            the greatest among them.
        captions: A text for each image; its lines, parted by a newline, make the grid wider where
            they need it.
        title: What to write above.
        columns: Images a row; by default as many as make the grid square.
        size: Height of an image, in pixels.

    Example:
        >>> figure = image_grid(np.eye(8).reshape(1, 1, 8, 8), ["a stroke\nof ink"])
        >>> figure.layout.annotations[0].text
        'a stroke<br>of ink'
    """
    n, channels, height, width = images.shape
    columns = min(columns or math.ceil(math.sqrt(n)), n)
    rows = math.ceil(n / columns)
    scale = size / height
    lines = [caption.split("\n") for caption in captions]
    widest = max(len(line) for each in lines for line in each) * _LETTER
    gap = math.ceil(_GAP / scale)
    cell = max(width, math.ceil(widest / scale)) + gap
    room = math.ceil((_LINE * max(map(len, lines)) + _GAP) / scale)
    low, high = float(images.min()), float(images.max())
    page = np.full((rows * (height + room), columns * cell - gap, channels), np.nan, np.float32)
    figure = go.Figure()
    for i, image in enumerate(images):
        top = i // columns * (height + room) + room
        left = i % columns * cell + (cell - gap - width) // 2
        page[top : top + height, left : left + width] = image.transpose(1, 2, 0)
        figure.add_annotation(
            x=left + (width - 1) / 2,
            y=top - 0.5,
            text="<br>".join(plain(line) for line in lines[i]),
            showarrow=False,
            yanchor="bottom",
        )
    if channels == 1:
        ink = {"colorscale": "gray_r", "zmin": low, "zmax": high, "showscale": False}
        figure.add_heatmap(z=page[:, :, 0], hoverongaps=False, hoverinfo="z", **ink)
    else:
        scaled = 255 * (page - low) / max(high - low, 1e-12)
        figure.add_image(z=np.nan_to_num(scaled, nan=255).astype(np.uint8))
    style(figure, plain(title))
    figure.update_layout(
        width=round(scale * page.shape[1]) + 2 * _MARGIN,
        height=round(scale * page.shape[0]) + (_TITLE if title else 0) + _MARGIN,
        margin={"l": _MARGIN, "r": _MARGIN, "t": _TITLE if title else 0, "b": _MARGIN},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return figure


def _points(
    points: NDArray[Any], targets: NDArray[Any], classes: Sequence[str], title: str
) -> go.Figure:
    figure = go.Figure()
    if classes:
        for label, name in enumerate(classes):
            mine = points[targets == label]
            colour, symbol = look(label)
            options = {"name": plain(name), "marker": {"color": colour, "symbol": symbol}}
            figure.add_scatter(x=mine[:, 0], y=mine[:, 1], mode="markers", **options)
    else:
        marker = {"color": targets, "colorscale": "RdBu", "showscale": True}
        figure.add_scatter(x=points[:, 0], y=points[:, 1], mode="markers", marker=marker)
    style(figure, plain(title))
    figure.update_xaxes(title="x₁")
    figure.update_yaxes(title="x₂", scaleanchor="x")
    return figure


def _name(target: Any, classes: Sequence[str]) -> str:
    return classes[int(target)] if classes else f"{target:g}"
