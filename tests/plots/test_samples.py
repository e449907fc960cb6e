from __future__ import annotations

import numpy as np
import pytest
import torch

from thalweg.data import load_data
from thalweg.errors import DataError
from thalweg.plots import sample_grid


def test_every_image_is_in_the_grid_under_its_name() -> None:
    data = load_data("digits")
    x, y = data.raw(data.train.x[:7]), data.train.y[:7]
    figure = sample_grid(x, y, data.classes, "digits")
    (heatmap,) = figure.data
    page = np.asarray(heatmap.z)
    assert [a.text for a in figure.layout.annotations] == [data.classes[i] for i in y]
    for image, note in zip(x[:, 0].numpy(), figure.layout.annotations, strict=True):
        top, left = int(note.y + 0.5), int(note.x - 3.5)
        np.testing.assert_array_equal(page[top : top + 8, left : left + 8], image)
    assert np.isfinite(page).sum() == 7 * 64
    assert (heatmap.zmin, heatmap.zmax) == (x.min(), x.max())
    assert len({note.y for note in figure.layout.annotations}) == 3  # 3 by 3


def test_colours() -> None:
    x = np.zeros((2, 3, 4, 4), np.float32)
    x[1, 0] = 2.0
    figure = sample_grid(x, [0, 1], ("black", "red"), columns=1)
    page = np.asarray(figure.data[0].z)
    assert page.dtype == np.uint8
    for note, colour in zip(figure.layout.annotations, ([0, 0, 0], [255, 0, 0]), strict=True):
        assert page[int(note.y + 0.5), 0].tolist() == colour
    assert page[0, 0].tolist() == [255, 255, 255]


def test_images_of_one_value() -> None:
    figure = sample_grid(torch.full((1, 3, 4, 4), 5.0), [2])
    assert figure.layout.annotations[0].text == "2"
    assert np.asarray(figure.data[0].z)[-1, 0].tolist() == [0, 0, 0]


def test_points_by_class() -> None:
    data = load_data("spiral")
    figure = sample_grid(data.train.x, data.train.y, data.classes)
    assert [trace.name for trace in figure.data] == list(data.classes)
    assert [len(trace.x) for trace in figure.data] == data.train.y.bincount().tolist()


def test_points_by_value() -> None:
    data = load_data("reg-plane")
    (trace,) = sample_grid(data.train.x, data.train.y).data
    np.testing.assert_array_equal(trace.marker.color, data.train.y[:, 0].numpy())
    np.testing.assert_array_equal(trace.y, data.train.x[:, 1].numpy())


@pytest.mark.parametrize("shape", [(5, 100), (0, 1, 4, 4), (2, 2, 4, 4), (3,), (0, 2)])
def test_what_has_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"images .* or points"):
        sample_grid(np.zeros(shape), np.zeros(shape[0]))
