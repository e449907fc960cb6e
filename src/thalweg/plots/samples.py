"""A look at the data: a grid of images, or points in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from thalweg.errors import DataError

_ROW, _MARGIN, _TITLE = 96, 20, 60
"""In pixels: an image with the name above it, the margins, and the title's."""


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
        figure = _images(samples, targets, classes, columns)
    else:
        figure = _points(samples, targets, classes)
    figure.update_layout(title=title or None, template="plotly_white")
    return figure


def _images(
    images: NDArray[Any], targets: NDArray[Any], classes: Sequence[str], columns: int
) -> go.Figure:
    """Paste the images into one, with room for a name above each."""
    n, channels, height, width = images.shape
    columns = min(columns, n)
    gap, room = max(1, width // 8), max(3, height // 2)
    rows = math.ceil(n / columns)
    low, high = float(images.min()), float(images.max())
    page = np.full(
        (rows * (height + room), columns * (width + gap) - gap, channels), np.nan, np.float32
    )
    figure = go.Figure()
    for i, image in enumerate(images):
        top = i // columns * (height + room) + room
        left = i % columns * (width + gap)
        page[top : top + height, left : left + width] = image.transpose(1, 2, 0)
        figure.add_annotation(
            x=left + (width - 1) / 2,
            y=top - 0.5,
            text=_name(targets[i], classes),
            showarrow=False,
            yanchor="bottom",
        )
    if channels == 1:
        ink = {"colorscale": "gray_r", "zmin": low, "zmax": high, "showscale": False}
        figure.add_heatmap(z=page[:, :, 0], hoverongaps=False, **ink)
    else:
        scaled = 255 * (page - low) / max(high - low, 1e-12)
        figure.add_image(z=np.nan_to_num(scaled, nan=255).astype(np.uint8))
    scale = _ROW / (height + room)
    figure.update_layout(
        width=round(scale * page.shape[1]) + 2 * _MARGIN,
        height=round(scale * page.shape[0]) + _TITLE + _MARGIN,
        margin={"l": _MARGIN, "r": _MARGIN, "t": _TITLE, "b": _MARGIN},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return figure


def _points(points: NDArray[Any], targets: NDArray[Any], classes: Sequence[str]) -> go.Figure:
    figure = go.Figure()
    if classes:
        for label, name in enumerate(classes):
            mine = points[targets == label]
            figure.add_scatter(x=mine[:, 0], y=mine[:, 1], mode="markers", name=name)
    else:
        marker = {"color": targets, "colorscale": "RdBu", "showscale": True}
        figure.add_scatter(x=points[:, 0], y=points[:, 1], mode="markers", marker=marker)
    figure.update_xaxes(title="x₁")
    figure.update_yaxes(title="x₂", scaleanchor="x")
    return figure


def _name(target: Any, classes: Sequence[str]) -> str:
    return classes[int(target)] if classes else f"{target:g}"
