from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.plots import Mark, Profile, slices
from thalweg.plots.theme import look

NAN, INF = float("nan"), float("inf")
X = np.array([-1.0, 0.0, 1.0, 2.0])


def drawn(y: Any, errors: Any = (0.1,) * 4, **options: Any) -> Any:
    profile = Profile("<a>", X, np.array(y, float), np.array(errors, float))
    return slices([profile], **({"metric": "loss", "along": "step"} | options))


def test_bands_are_one_error_to_either_side() -> None:
    figure = drawn([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])
    around, line = figure.data
    np.testing.assert_allclose(around.y[:4], [0.9, 1.8, 2.7, 3.6])
    np.testing.assert_allclose(around.y[4:8], [4.4, 3.3, 2.2, 1.1])
    assert line.y.tolist() == [1, 2, 3, 4]
    assert (line.line.color, around.fillcolor) == (look(0)[0],) * 2
    assert line.text[0] == "1.0000 ± 0.1"
    assert figure.layout.meta["caption"] == "Bands: one standard error to either side."
    assert line.name == "&lt;a&gt;"


def test_what_is_not_finite_is_a_gap() -> None:
    around, line = drawn([1, NAN, INF, 4], [0.1, 0.1, 0.1, NAN]).data
    np.testing.assert_array_equal(line.y, [1, NAN, NAN, 4])
    assert np.isfinite(around.y).sum() == 2
    assert line.text[3] == "4.0000"
    around, _ = drawn([1, NAN, 3, 4]).data
    np.testing.assert_array_equal(np.isfinite(around.y), [1, 1, 0, 1, 1, 1, 1, 0])


def test_a_loss_over_decades_is_logarithmic_and_its_bands_stay_above_zero() -> None:
    figure = drawn([1, 0.01, 1, 10], [0.1, 1, 0.1, 1])
    assert figure.layout.yaxis.type == "log"
    assert (figure.data[0].y[:-1] > 0).all()
    assert drawn([0.1, 0.9, 0.5, 0.2], metric="accuracy").layout.yaxis.type == "linear"


def test_marks_stand_upright_with_their_names() -> None:
    figure = drawn([1, 2, 3, 4], marks=[Mark("a < b", 0.5)], title="slice")
    (line,) = figure.layout.shapes
    assert (line.x0, line.x1) == (0.5, 0.5)
    assert [note.text for note in figure.layout.annotations] == ["a &lt; b"]
    assert figure.layout.margin.t > drawn([1, 2, 3, 4], title="slice").layout.margin.t


def test_several_profiles_and_none() -> None:
    one = Profile("a", X, X**2, np.full(4, NAN))
    figure = slices([one, one], metric="val_loss", along="along")
    assert figure.layout.showlegend
    assert [t.line.color for t in figure.data[1::2]] == [look(0)[0], look(1)[0]]
    assert figure.layout.meta["caption"] == ""
    assert len(slices([], metric="loss", along="x").data) == 0
