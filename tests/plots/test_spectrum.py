from __future__ import annotations

import numpy as np
import pytest

from thalweg.plots import spectrum
from thalweg.plots.spectrum import bulk

NAN = float("nan")
X = np.linspace(-2, 50, 5201)
Y = np.exp(-(X**2) / 0.02) + 1e-5 * np.exp(-((X - 48) ** 2) / 0.02)


def test_the_bulk_has_room_beside_an_eigenvalue_far_away() -> None:
    figure = spectrum(X, Y, eigenvalues=[48.0])
    (low, high), curve = figure.layout.xaxis.range, figure.data[0]
    inner = curve.x[np.abs(X) < 2 * bulk(X, Y)]
    assert np.ptp(inner) > 0.25 * (high - low)
    assert (np.diff(curve.x) > 0).all()
    np.testing.assert_array_equal(curve.customdata, X)
    assert "logarithmic" in figure.layout.xaxis.title.text


def test_ticks_say_true_eigenvalues() -> None:
    axis = spectrum(X, Y).layout.xaxis
    said = np.array([float(text.replace("−", "-")) for text in axis.ticktext])
    assert 0 in said
    assert said.min() < 0
    np.testing.assert_allclose(np.sinh(axis.tickvals) * bulk(X, Y), said, atol=1e-12)


def test_a_spectrum_without_far_eigenvalues_has_a_linear_axis() -> None:
    x = np.linspace(0, 1, 50)
    figure = spectrum(x, np.ones(50))
    np.testing.assert_array_equal(figure.data[0].x, x)
    assert figure.layout.xaxis.tickvals is None


def test_the_density_is_logarithmic_with_an_end() -> None:
    axis = spectrum(X, Y).layout.yaxis
    assert axis.type == "log"
    assert axis.range[0] == pytest.approx(-8)
    assert axis.range[1] > 0
    high = spectrum(X, Y + 1e-3).layout.yaxis
    assert high.range[0] == pytest.approx(-3)


def test_the_largest_eigenvalues_are_ticks_of_which_some_are_written() -> None:
    top = [48.0, 47.9, 30.0, 9.0, 3.0, 1.0, 0.5, NAN]
    figure = spectrum(X, Y, eigenvalues=top[::-1], trace=123.456)
    ticks = figure.data[1]
    np.testing.assert_array_equal(ticks.customdata, top[:-1])
    assert ticks.text[:3] == ("48", "", "30")
    assert sum(map(bool, ticks.text)) <= 5
    assert figure.layout.meta["caption"] == (
        "The 7 largest eigenvalues (ticks): 0.5 to 48. Trace: 123.5."
    )
    one = spectrum(X, Y, eigenvalues=[48.0], title="H")
    assert one.layout.meta["caption"] == "Largest eigenvalue (tick): 48."
    assert one.layout.title.text.startswith("H<br>")


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1.0], [2.0]), ([0.0, 1.0], [0.0, 0.0]), ([0.0, 1.0], [NAN, NAN])]
)
def test_next_to_nothing(x: list[float], y: list[float]) -> None:
    layout = spectrum(np.array(x), np.array(y)).layout
    for axis in (layout.xaxis, layout.yaxis):
        assert np.isfinite(axis.range).all()
        assert axis.range[0] < axis.range[1]
