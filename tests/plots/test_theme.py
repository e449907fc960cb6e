from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import pytest
from numpy.typing import NDArray

from thalweg.plots import theme

# Machado, Oliveira and Fernandes 2009, severity 1: what is left to those who lack a kind of cone.
VISION = {
    "all": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
LEAST = {"all": 15, "no red": 10, "no green": 10, "no blue": 7}
LIGHT = theme.SERIES
DARK = tuple(theme.DARK[colour] for colour in theme.SERIES)


def linear(colour: str) -> NDArray[np.float64]:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson 2020, times 100: 2 is a difference that is just seen."""
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return 100 * to_lab @ np.cbrt(to_cones @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize(
    ("colours", "page"), [(LIGHT, theme.PAPER), (DARK, theme.DARK[theme.PAPER])]
)
def test_curves_stand_out_from_the_page(colours: tuple[str, ...], page: str) -> None:
    assert min(contrast(colour, page) for colour in colours) >= 3


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_curves_stand_apart_to_everyone(colours: tuple[str, ...], vision: str) -> None:
    seen = [oklab(VISION[vision] @ linear(colour)) for colour in colours]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) >= LEAST[vision]


def test_the_curves_of_the_splits_differ_in_grey_print_or_in_dash() -> None:
    assert len(set(theme.SPLIT_DASHES.values())) == len(theme.SPLIT_DASHES)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(dark: bool) -> None:
    ink, page, muted, *cells = (
        theme.DARK[colour] if dark else colour
        for colour in (theme.INK, theme.PAPER, theme.MUTED, theme.EMPTY, theme.RIGHT, theme.WRONG)
    )
    assert contrast(muted, page) >= 4.5
    assert min(contrast(ink, cell) for cell in (page, *cells)) >= 4.5


def test_dark_colours_can_be_turned_back() -> None:
    assert len(set(theme.DARK.values())) == len(theme.DARK)
    assert not set(theme.DARK) & set(theme.DARK.values())
    assert set(theme.SERIES) < set(theme.DARK)


def test_many_runs_look_different() -> None:
    n = len(theme.SERIES)
    assert len({theme.look(place) for place in range(n * n)}) == n * n


def test_a_styled_figure_is_transparent_and_keeps_its_data() -> None:
    figure = theme.style(go.Figure(go.Scatter(y=[1, 2])), "title")
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.xaxis.automargin is True
    assert figure.layout.yaxis.automargin is True
    assert figure.layout.legend.yanchor == "bottom"
    assert figure.data[0].y == (1, 2)
    assert theme.style(go.Figure()).layout.margin.t < figure.layout.margin.t
