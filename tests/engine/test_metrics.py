from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, top_k_accuracy_score

from thalweg.engine import Average, accuracy, build_metrics, top
from thalweg.engine.metrics import check_metrics, mae
from thalweg.errors import SpecError


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k_is_scikit_learns_for_every_member(k):
    generator = torch.Generator().manual_seed(k)
    outputs = torch.randn(3, 200, 10, generator=generator)
    y = torch.randint(10, (200,), generator=generator)
    expected = [top_k_accuracy_score(y, o, k=k, labels=np.arange(10)) for o in outputs.numpy()]
    assert top(k)(outputs, y).tolist() == pytest.approx(expected, abs=1e-12)
    if k == 1:
        assert accuracy(outputs, y).tolist() == pytest.approx(expected, abs=1e-12)


def test_of_level_outputs_the_first_counts_and_what_is_no_number_is_the_largest():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randint(3, (2, 300, 4), generator=generator).float()  # ties abound
    outputs[0, :20, 1] = float("nan")
    y = torch.randint(4, (300,), generator=generator)
    expected = (outputs.max(-1).indices == y).double().mean(-1)
    assert torch.equal(accuracy(outputs, y), expected)
    assert torch.equal(accuracy(outputs.mT.contiguous().mT, y), expected)
    level, zeros = torch.zeros(1, 5, 3), torch.zeros(5, dtype=torch.int64)
    assert accuracy(level, zeros).item() == 1.0  # a dead network says the first class
    assert accuracy(level, zeros + 1).item() == 0.0


def test_more_than_all_classes_are_all_classes():
    assert top(5)(torch.randn(2, 4, 3), torch.tensor([0, 1, 2, 0])).tolist() == [1.0, 1.0]


def test_the_mean_absolute_error_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    outputs, y = torch.randn(2, 50, 3, generator=generator), torch.randn(50, 3, generator=generator)
    expected = [mean_absolute_error(y, o) for o in outputs]
    assert mae(outputs, y).tolist() == pytest.approx(expected, rel=1e-6)


def test_all_sixty_thousand_are_exactly_one():
    average = Average()
    for _ in range(60):
        average.add("accuracy", accuracy(torch.eye(1000).unsqueeze(0), torch.arange(1000)), 1000)
    assert average.result() == {"accuracy": (1.0,)}


@given(st.lists(st.tuples(st.integers(1, 600), st.floats(-1e3, 1e3, width=32)), min_size=1))
@settings(max_examples=50, deadline=None)
def test_an_average_is_that_of_all_samples(batches):
    average = Average()
    for n, value in batches:
        average.add("loss", torch.tensor([value, -value]), n)
    weights, values = zip(*batches, strict=True)
    mean = np.average(values, weights=weights)
    assert average.result()["loss"] == pytest.approx((mean, -mean), rel=1e-9, abs=1e-9)


def test_an_average_does_not_keep_what_it_is_given():
    average, value = Average(), torch.tensor([1.0], dtype=torch.float64)
    average.add("loss", value, 1)
    value.fill_(7.0)
    average.add("loss", torch.tensor([3.0]), 1)
    assert average.result() == {"loss": (2.0,)}


def test_by_default_classes_are_counted_and_values_are_not():
    assert build_metrics(None, "classification") == {"accuracy": accuracy}
    assert build_metrics(None, "regression") == {}
    assert build_metrics([], "classification") == {}
    assert build_metrics(["mae"], "regression") == {"mae": mae}
    own = {"mine": accuracy}
    assert build_metrics(own, "classification") == own


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("acuracy", "classification", "the unknown metric 'acuracy'; .* did you mean accuracy"),
        ("top0", "classification", "the unknown metric 'top0'"),
        ("top²", "classification", "the unknown metric 'top²'"),
        ("mae", "classification", "'mae' for classification; expected accuracy, or top5"),
        ("accuracy", "regression", "'accuracy' for regression; expected mae"),
        ("top5", "regression", "'top5' for regression; expected mae"),
    ],
)
def test_a_metric_that_cannot_be(name, task, sentence):
    with pytest.raises(SpecError, match=sentence):
        build_metrics([name], task)


@pytest.mark.parametrize(
    ("name", "metric", "sentence"),
    [
        ("loss", accuracy, "a metric named 'loss'; expected another name"),
        ("mine", lambda o, y: 0.5, "'mine', which returns a float; expected a floating-point"),
        ("mine", lambda o, y: o.mean(), r"returns a tensor of torch.float32 and shape \(\)"),
        ("mine", lambda o, y: o.mean((1, 2)).long(), r"torch.int64 and shape \(2,\)"),
    ],
)
def test_a_metric_of_ones_own_is_looked_at_first(name, metric, sentence):
    with pytest.raises(SpecError, match=sentence):
        check_metrics({"fine": accuracy, name: metric}, torch.zeros(2, 3, 4), torch.zeros(3).long())


def test_a_good_metric_of_ones_own_passes():
    check_metrics({"fine": accuracy}, torch.zeros(2, 3, 4), torch.zeros(3).long())
