"""The digits are scikit-learn's, whoever reads them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from thalweg.data import digits


@pytest.mark.parametrize("file", ["datasets/data/digits.csv.gz", "not/where/it/was.csv.gz"])
def test_they_are_scikit_learns(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "_FILE", digits.Path(file))
    images, labels = digits.read_digits()
    reference = load_digits()
    np.testing.assert_array_equal(images, reference.images)
    np.testing.assert_array_equal(labels, reference.target)
    assert (images.dtype, labels.dtype) == (reference.images.dtype, reference.target.dtype)


def test_scikit_learn_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("sklearn.datasets.load_digits")
    digits.read_digits()
    monkeypatch.setattr(digits, "_FILE", digits.Path("not there"))
    with pytest.raises(ImportError):
        digits.read_digits()
