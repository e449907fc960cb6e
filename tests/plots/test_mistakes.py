from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.errors import DataError
from thalweg.plots import mistake_grid
from thalweg.plots.mistakes import captions_of, surely


def test_each_picture_is_under_its_caption() -> None:
    images = np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32)
    figure = mistake_grid(images, [9, 1, 2, 3, 4], [4, 2, 3, 4, 5], [0.98, 1, 0.5, 0.5, 0.5])
    notes = figure.layout.annotations
    assert notes[0].text == "9 → 4, 98 %"
    page = np.asarray(figure.data[0].z)
    for image, note in zip(images[:, 0], notes, strict=True):
        top, left = int(note.y + 0.5), int(note.x - 3.5)
        np.testing.assert_array_equal(page[top : top + 8, left : left + 8], image)
    assert np.isfinite(page).sum() == 5 * 64


def test_long_names_make_room_and_lines() -> None:
    images = np.zeros((4, 1, 8, 8), np.uint8)
    columns = ([0] * 4, [1] * 4, [0.9] * 4)
    short = mistake_grid(images, *columns, ["a", "b"])
    long = mistake_grid(images, *columns, ["a rather long name", "<b>"])
    assert long.layout.annotations[0].text == "a rather long name<br>→ &lt;b&gt;<br>90 %"
    assert long.layout.width > short.layout.width
    apart = [note.x for note in long.layout.annotations[:2]]
    pixels = (apart[1] - apart[0]) * 96 / 8
    assert pixels >= 7 * len("a rather long name")


def test_colours() -> None:
    images = np.zeros((1, 3, 4, 4), np.uint8)
    images[0, 1] = 200
    page = np.asarray(mistake_grid(images, [0], [1], [0.5]).data[0].z)
    assert page[-1, page.shape[1] // 2].tolist() == [0, 255, 0]


def test_if_one_caption_is_long_all_have_lines() -> None:
    names = ["a", "a name that is long"]
    assert captions_of([0, 0], [0, 1], [0.5, 0.5], names)[0] == "a\n→ a\n50 %"
    assert captions_of([], [], []) == []


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.984, "98 %"), (0.99, "99.0 %"), (0.9951, "99.5 %"), (0.99991, "> 99.99 %"), (1, "100 %")],
)
def test_never_surer_than_it_was(probability: float, text: str) -> None:
    assert surely(probability) == text


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 2, 8, 8), (2, 8, 8)])
def test_what_has_no_picture(shape: tuple[int, ...]) -> None:
    n = shape[0]
    with pytest.raises(DataError, match=r"expected \(n, C, H, W\)"):
        mistake_grid(np.zeros(shape), [0] * n, [0] * n, [0.5] * n)


@pytest.mark.parametrize("true", [[0], [[0], [1]]])
def test_columns_that_do_not_fit(true: Any) -> None:
    with pytest.raises(DataError, match=r"expected \(2,\) each"):
        mistake_grid(np.zeros((2, 1, 8, 8)), true, [0, 0], [0.5, 0.5])
