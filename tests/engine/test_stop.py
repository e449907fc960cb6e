from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.engine import Condition, Patience
from thalweg.engine.stop import Judge
from thalweg.errors import SpecError
from thalweg.spec import Spec

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@given(st.sampled_from(sorted(COMPARISONS)), NUMBER, NUMBER, st.sampled_from(["", " "]))
def test_a_condition_compares_as_it_is_written(sign, bound, value, space):
    condition = Condition.parse(f"{space}val_loss{space}{sign}{space}{bound!r}{space}")
    assert condition == Condition("val_loss", sign, bound)
    assert condition.holds({"val_loss": value}) == COMPARISONS[sign](value, bound)
    assert not condition.holds({"train_loss": value})
    assert not condition.holds({"val_loss": float("nan")})


@pytest.mark.parametrize(
    "text", ["", "val_loss", "val_loss=1", "val_loss>=", ">=1", "a b>=1", "val_loss>=1e", "a>=b"]
)
def test_what_is_no_condition(text):
    with pytest.raises(SpecError) as caught:
        Condition.parse(text)
    assert str(caught.value) == (
        f"got until={text!r}; expected METRIC>=NUMBER. "
        "Hint: as in train_accuracy>=1.0, or with <=, > or <"
    )


@pytest.mark.parametrize(
    ("metric", "values", "waits"),
    [
        ("val_loss", [3, 2, 2, 1, 5], [0, 0, 1, 0, 1]),
        ("val_mae", [3, 4, 2], [0, 1, 0]),
        ("val_accuracy", [0.1, 0.2, 0.2, 0.1, 0.3], [0, 0, 1, 2, 0]),
        ("val_loss", [3, float("nan"), 4, 2], [0, 1, 2, 0]),  # NaN is never the best
        ("val_loss", [float("nan"), 4], [1, 0]),
    ],
)
def test_patience_counts_what_is_no_improvement(metric, values, waits):
    patience = Patience(metric, limit=2)
    for value, waited in zip(values, waits, strict=True):
        assert patience.exhausted({metric: value}) == (waited >= 2)
        assert patience.waited == waited


def test_a_judge_asks_for_the_splits_that_it_judges_by():
    judge = Judge(Spec(evaluate=["test"], until="train_accuracy>=1", patience=3))
    assert judge.splits == {"test", "train", "val"}
    assert judge.watched == ("train_accuracy", "val_loss")
    assert Judge(Spec()).splits == {"val", "test"}
    assert Judge(Spec()).watched == ()


def test_the_condition_goes_before_patience():
    judge = Judge(Spec(until="val_loss<1", patience=1, max_seconds=5))
    assert judge.verdict({"val_loss": 2.0}) is None
    assert judge.verdict({"val_loss": 2.0}) == "patience"
    assert judge.verdict({"val_loss": 0.5}) == "until"
    assert not judge.out_of_time(4.9)
    assert judge.out_of_time(5.0)
    assert not Judge(Spec()).out_of_time(1e9)
