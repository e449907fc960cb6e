"""Images as PNG files in memory."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_png(images: NDArray[Any]) -> list[bytes]:
    r"""Return images as PNG, from the least value among them to the greatest.

    A single channel is ink on white: what is greatest is black.

    Args:
        images: Images (n, C, H, W) of one or three channels.

    Example:
        >>> to_png(np.zeros((1, 1, 8, 8)))[0][:4]
        b'\x89PNG'
    """
    if not len(images):
        return []
    low, high = float(images.min()), float(images.max())
    scaled = (images.astype(np.float64) - low) / max(high - low, 1e-12)
    if images.shape[1] == 1:
        scaled = 1 - scaled
    pixels = (255 * np.nan_to_num(scaled)).round().astype(np.uint8).transpose(0, 2, 3, 1)
    files = []
    for each in pixels:
        stream = io.BytesIO()
        Image.fromarray(each[:, :, 0] if each.shape[2] == 1 else each).save(stream, "PNG")
        files.append(stream.getvalue())
    return files
