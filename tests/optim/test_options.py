from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg import optim
from thalweg.errors import SpecError
from thalweg.optim.options import BELOW_ONE, POSITIVE, Interval


@given(st.floats(), st.sampled_from(["[]", "[)", "(]", "()"]))
def test_interval_is_what_it_says(x: float, ends: str) -> None:
    inside = 0 < x < 2 or (x == 0 and ends[0] == "[") or (x == 2 and ends[1] == "]")
    assert (x in Interval(0.0, 2.0, ends)) == inside


def test_an_infinite_end_does_not_belong() -> None:
    assert math.inf not in POSITIVE
    assert str(BELOW_ONE) == "[0, 1)"


@pytest.mark.parametrize(
    ("name", "h", "says"),
    [
        ("adam", {"lr": -1.0}, "lr=-1.0 for optimizer adam; expected a number in [0, inf)"),
        ("adam", {"lr": math.nan}, "lr=nan"),
        ("adam", {"lr": math.inf}, "lr=inf"),
        ("adam", {"lr": "0.1"}, "lr='0.1' for optimizer adam; expected a number"),
        ("adam", {"lr": True}, "lr=True"),
        ("adam", {"beta1": 1.0}, "beta1=1.0 for optimizer adam; expected a number in [0, 1)"),
        ("adam", {"eps": -1e-9}, "eps=-1e-09"),
        ("adamw", {"weight_decay": -0.1}, "weight_decay=-0.1"),
        ("adam", {"beta_1": 0.9}, "did you mean beta1? known: beta1, beta2, eps, lr"),
        ("sgd", {"nesterov": 1}, "nesterov=1 for optimizer sgd; expected true or false"),
        ("sgd", {"nesterov": True}, "nesterov with momentum > 0"),
        ("sgd", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening = 0"),
        ("adan", {}, "optimizer 'adan'; expected an optimizer by name. Hint: did you mean adam?"),
        ("lookahead", {}, "no inner for optimizer lookahead"),
        (
            "lookahead",
            {"inner": optim.build("adam"), "pullback_momentum": "drop"},
            "expected a word in {keep, pull-back, reset}",
        ),
        ("lookahead", {"inner": "adam"}, "inner='adam' for optimizer lookahead; expected a Rule"),
        ("madgrad", {"lr": torch.tensor([[0.1]])}, "a float64 tensor of shape (K, 1)"),
        ("madgrad", {"lr": torch.ones(3, dtype=torch.float64)}, "shape (3,)"),
        (
            "madgrad",
            {"momentum": torch.tensor([[0.5], [1.0]], dtype=torch.float64)},
            "momentum=1.0 for a member of optimizer madgrad; expected a number in [0, 1)",
        ),
    ],
)
def test_wrong_hyperparameters_are_one_clear_error(name: str, h: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        optim.build(name, **h)
    assert says in str(caught.value)


@pytest.mark.parametrize("k", [0, -1, 1.0, True])
def test_wrong_counts_are_one_clear_error(k: object) -> None:
    with pytest.raises(SpecError, match=r"expected an integer in \[1, inf\)"):
        optim.build("lookahead", inner=optim.build("adam"), k=k)


def test_numbers_become_floats() -> None:
    lr = optim.build("sgd", lr=1).hyper()["lr"]
    assert lr == 1.0
    assert isinstance(lr, float)


def test_hyperparameters_are_listed_for_people() -> None:
    listed = {each.name: each for each in optim.hyperparameters("sgd")}
    assert list(listed) == ["lr", "momentum", "dampening", "weight_decay", "nesterov"]
    assert listed["lr"].type is float
    assert listed["nesterov"].type is bool
    assert listed["nesterov"].range is None
    assert listed["momentum"].default == 0.0
    assert all(each.help for each in listed.values())


@pytest.mark.parametrize("name", optim.rules())
def test_every_rule_says_where_it_is_from_and_documents_its_options(name: str) -> None:
    rule = optim.rules()[name]
    assert rule.paper
    assert rule.__doc__ is not None
    assert all(each.help for each in optim.hyperparameters(name))


def test_a_name_is_given_once() -> None:
    @dataclass(frozen=True)
    class Impostor(optim.AdamRule):
        name: ClassVar[str] = "adam"

    with pytest.raises(SpecError, match=r"a second optimizer named adam.*thalweg\.optim\.adam"):
        optim.register(Impostor)
    assert optim.rules()["adam"] is optim.AdamRule
    assert optim.register(optim.AdamRule) is optim.AdamRule
