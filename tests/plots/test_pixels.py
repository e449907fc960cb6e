from __future__ import annotations

import io

import numpy as np
from PIL import Image

from thalweg.plots.pixels import to_png


def read(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def test_ink_is_black_on_white() -> None:
    images = np.array([[[[0.0, 8.0]]], [[[2.0, 4.0]]]])  # (2, 1, 1, 2)
    first, second = map(read, to_png(images))
    assert first.tolist() == [[255, 0]]
    assert second.tolist() == [[191, 128]]


def test_colours_stay_colours() -> None:
    image = np.zeros((1, 3, 2, 2), np.uint8)
    image[0, 0] = 10
    (png,) = to_png(image)
    assert read(png)[0, 0].tolist() == [255, 0, 0]


def test_one_value_or_none() -> None:
    assert read(to_png(np.full((1, 1, 2, 2), 3.0))[0]).tolist() == [[255, 255], [255, 255]]
    assert to_png(np.zeros((0, 1, 2, 2))) == []
