from __future__ import annotations

from typing import Any

import pytest

from thalweg import optim
from thalweg.engine import short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study.races.contestants import NAMED, contestant, everyone, rules


@pytest.mark.parametrize("name", [*rules(), *NAMED, "torch.optim.Adagrad"])
def test_every_rule_can_take_part(name: str) -> None:
    found = contestant(name, Spec())
    assert found.name == name
    assert found.lr > 0
    assert found.spec(Spec(), seed=3).seed == 3


def test_what_goes_around_a_rule() -> None:
    spec = contestant("momentum+lookahead+sam@one-cycle", Spec()).spec(Spec())
    assert (spec.optimizer.name, spec.optimizer.wrap) == ("momentum", ("sam",))
    assert spec.optimizer.lookahead is not None
    assert (spec.schedule.name, spec.schedule.per) == ("one-cycle", "step")


def test_those_with_a_name_of_their_own() -> None:
    slow = contestant("momentum-decay", Spec()).spec(Spec())
    assert (slow.optimizer.name, slow.schedule.name) == ("momentum", "inverse-time")
    full = contestant("gd+decay", Spec()).spec(Spec())
    assert (full.optimizer.name, full.batch_size) == ("sgd", "full")
    assert full.optimizer.wrap == ("decay",)


@pytest.mark.parametrize(
    ("given", "name", "lr"),
    [
        ({"optimizer": "adam", "lr": 0.5}, "adam", 0.5),
        ({"optimizer": "adam", "optimizer.lr": 0.5, "name": "x"}, "x", 0.5),
        ({"optimizer": {"name": "adam", "lr": 0.5}}, "adam", 0.5),
        ({"optimizer": "momentum+ema", "momentum": 0.5}, "momentum+ema", 0.01),
        ({"optimizer": "adam", "batch_size": 8, "clip_norm": 1.0, "epochs": 2}, "adam", 1e-3),
    ],
)
def test_settings_of_ones_own(given: dict[str, Any], name: str, lr: float) -> None:
    found = contestant(given, Spec())
    assert (found.name, found.lr) == (name, lr)
    tuned = found.spec(Spec(), **{"optimizer.lr": 0.25})
    assert tuned.optimizer.lr == 0.25
    own = {key: value for key, value in given.items() if key in {"batch_size", "clip_norm"}}
    assert {key: getattr(tuned, key) for key in own} == own


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("adma", "got the contestant 'adma'; expected an optimizer. Hint: did you mean adam"),
        ("sam", "Hint: it goes around a rule, as in sgd+sam"),
        ("adam+sma", "expected what goes around a rule. Hint: did you mean s"),
        ("adam@cosin", "expected a schedule. Hint: did you mean cosine"),
        ("torch.optim.Nothing", "the contestant 'torch.optim.Nothing', optimizer"),
        ({"optimizer": "adam", "btea": 1}, "the contestant 'adam', the unknown key 'btea'"),
        ({"optimizer": "adam", "lr": -1}, "the contestant 'adam', "),
        ({"name": "x"}, "expected a name, and an optimizer"),
        ({"name": 3, "optimizer": "adam"}, "expected a name, and an optimizer"),
        ({"optimizer": "adam", "seed": 1}, "with its own seed; expected what all of them share"),
        ({"optimizer": "adam", "hidden": [3]}, "with its own model"),
        ({"optimizer": "adam", "subset": 100}, "with its own data"),
    ],
)
def test_what_cannot_take_part(given: Any, complaint: str) -> None:
    with pytest.raises(SpecError) as raised:
        contestant(given, Spec())
    assert complaint in str(raised.value)


def test_a_list_of_them() -> None:
    assert everyone("sgd,adam+ema@cosine , gd") == ["sgd", "adam+ema@cosine", "gd"]
    assert everyone([{"optimizer": "adam", "betas": (0.5, 0.9)}]) == [
        {"optimizer": "adam", "betas": [0.5, 0.9]}
    ]
    every = everyone("gd,adam,all")
    assert len(every) == len(set(every)) == len(rules()) + 1
    assert not set(rules()) & set(optim.wrappers())


@pytest.mark.parametrize(
    "given", ["", [], [3], [{"optimizer": "adam", "f": print}], [{"a": 1e999}]]
)
def test_what_is_no_list_of_them(given: Any) -> None:
    with pytest.raises(SpecError):
        everyone(given)


def test_the_rest_of_the_base_stays() -> None:
    base = Spec().override({"batch_size": 7, "schedule": "cosine"}, short_keys())
    spec = contestant("muon", base).spec(base)
    assert (spec.batch_size, spec.schedule.name) == (7, "cosine")
