from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as reference

from thalweg.errors import DataError
from thalweg.plots import confusion_matrix
from thalweg.plots.confusion import READABLE, confusion
from thalweg.plots.theme import EMPTY, RIGHT, WRONG


def test_counts_are_those_of_scikit_learn() -> None:
    g = np.random.default_rng(0)
    true, predicted = g.integers(0, 7, 500), g.integers(0, 7, 500)
    expected = reference(true, predicted, labels=range(9))
    np.testing.assert_array_equal(confusion(true, predicted, 9), expected)
    figure = confusion_matrix(true, predicted, list("abcdefghi"))
    texts = [[f"{n}" if n else "" for n in row] for row in expected]
    assert figure.data[0].text.tolist() == texts
    np.testing.assert_array_equal(figure.data[0].customdata[..., 0], expected)


def test_few_mistakes_among_many_samples_are_seen() -> None:
    true = np.repeat([0, 1], 10_000)
    predicted = true.copy()
    predicted[0] = 1
    z = confusion_matrix(true, predicted).data[0].z
    assert z[0, 1] <= -0.15
    assert z[1, 0] == 0
    assert z[0, 0] == pytest.approx(0.9999)


def test_more_mistakes_are_darker() -> None:
    true = np.zeros(1000, int)
    predicted = np.repeat([0, 1, 2, 3], [589, 400, 10, 1])
    right, *wrong = confusion_matrix(true, predicted).data[0].z[0]
    assert right == pytest.approx(0.589)
    assert wrong == sorted(wrong)
    assert max(wrong) < 0


def test_right_and_wrong_have_their_colours() -> None:
    scale = confusion_matrix([0], [0]).data[0].colorscale
    assert scale == ((0, WRONG), (0.5, EMPTY), (1, RIGHT))


def test_true_classes_go_down_and_predicted_ones_across() -> None:
    figure = confusion_matrix([0], [1], ["cat", "dog"], "pets")
    assert figure.data[0].text.tolist() == [["", "1"], ["", ""]]
    assert figure.layout.yaxis.autorange == "reversed"
    assert (figure.layout.yaxis.title.text, figure.layout.xaxis.title.text) == (
        "true class",
        "predicted class",
    )
    assert (figure.layout.xaxis.type, figure.layout.xaxis.dtick) == ("category", 1)
    assert figure.layout.title.text == "pets"


def test_names_are_shown_as_they_are_and_stay_apart() -> None:
    names = ["<b>cat</b>", "x" * 30, "x" * 31, "same", "same (2)", "same"]
    shown = confusion_matrix([0], [0], names).data[0].x.tolist()
    assert shown[0] == "&lt;b&gt;cat&lt;/b&gt;"
    assert shown[1:3] == ["x" * 17 + "…", "x" * 17 + "… (2)"]
    assert len(set(shown)) == len(names)


@pytest.mark.parametrize("C", [2, READABLE])
def test_up_to_26_classes_have_room_for_their_numbers(C: int) -> None:
    figure = confusion_matrix(np.arange(C), np.arange(C))
    assert figure.data[0].texttemplate == "%{text}"
    assert figure.layout.width / C >= 24
    assert figure.layout.xaxis.dtick == 1


def test_more_classes_have_none() -> None:
    figure = confusion_matrix(np.arange(100), np.arange(100))
    assert figure.data[0].text is None
    assert figure.data[0].texttemplate is None
    assert figure.layout.xaxis.dtick == 4
    assert figure.layout.height < 900


def test_a_class_without_samples_is_empty() -> None:
    figure = confusion_matrix([0], [0], ["a", "b"])
    assert figure.data[0].z.tolist() == [[1, 0], [0, 0]]


def test_no_samples_and_no_classes() -> None:
    assert len(confusion_matrix([], []).data[0].z) == 0


@pytest.mark.parametrize(
    ("true", "predicted", "classes", "got"),
    [
        ([0, 1], [0], (), r"shapes \(2,\) and \(1,\)"),
        ([[0]], [[0]], (), "shapes"),
        ([0.5], [0], (), "float64"),
        ([0], [2], ("a", "b"), "from 0 to 2"),
        ([-1], [0], (), "from -1 to 0"),
    ],
)
def test_what_cannot_be_counted(
    true: Any, predicted: Any, classes: Sequence[str], got: str
) -> None:
    with pytest.raises(DataError, match=got):
        confusion_matrix(true, predicted, classes)
