"""What may be chosen: ranges, choices, conditions, and what an optimizer's own numbers are."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from thalweg import optim
from thalweg.engine import short_keys
from thalweg.engine.build import build_rule
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study.races.contestants import rules
from thalweg.study.search import Axis, Choice, Range, Space, build_space
from thalweg.study.search.recipe import TuneRecipe
from thalweg.study.search.space import to_domain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4..1", Range(1e-4, 1.0, log=True)),
        ("0.1..1", Range(0.1, 1.0)),
        ("log:0.1..1", Range(0.1, 1.0, log=True)),
        ("linear:1e-4..1", Range(1e-4, 1.0)),
        ("int:8..64", Range(8, 64, whole=True)),
        ("int:log:8..1024", Range(8, 1024, log=True, whole=True)),
        ("-1..1", Range(-1, 1)),
    ],
)
def test_a_range_is_read(text: str, expected: Range) -> None:
    assert Range.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1..0.1", "the lower end first"),
        ("log:0..1", "positive ends"),
        ("int:0.5..2", "whole ends"),
        ("a..b", "two numbers with two dots"),
        ("1", "two numbers with two dots"),
        ("log:linear:1..2", "two numbers with two dots"),
        ("cubic:1..2", "two numbers with two dots"),
        ("1..inf", "the lower end first"),
    ],
)
def test_what_is_no_range_is_refused(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Range.parse(text)


@pytest.mark.parametrize(
    "given",
    [{"low": 1}, {"low": 1, "high": "2"}, {"low": 1, "high": 2, "step": 1}, 3, "adam", True,
     {"choices": "ab"}],
)  # fmt: skip
def test_what_is_no_domain_is_refused(given: Any) -> None:
    with pytest.raises(SpecError, match="a range or choices"):
        to_domain("lr", given)


def test_domains_are_given_in_several_ways() -> None:
    assert to_domain("lr", Range(0.1, 1)) == Range(0.1, 1)
    assert to_domain("lr", {"low": 0.1, "high": 1.0, "log": True, "when": {}}).log  # type: ignore[union-attr]
    assert to_domain("hidden", {"choices": [[8], [16]]}) == Choice(([8], [16]))


def test_conditions_must_make_sense() -> None:
    rule = Axis("rule", "optimizer", Choice(("sgd", "adam")))
    beta = Axis("beta", "beta1", Range(0.1, 0.9), {"rule": ["adam"]})
    with pytest.raises(SpecError, match="a choice before it"):
        Space([beta, rule])
    with pytest.raises(SpecError, match="two ranges called rule"):
        Space([rule, rule])
    with pytest.raises(SpecError, match="one of sgd, adam"):
        Space([rule, Axis("beta", "beta1", Range(0.1, 0.9), {"rule": ["adma"]})])
    with pytest.raises(SpecError, match="nothing to choose"):
        Space([])
    with pytest.raises(SpecError, match="one at least, and each once"):
        Choice((1, 1))


def test_a_space_survives_json() -> None:
    over = {
        "hidden": [[8], (16, 8)],
        "batch_size": {"low": 16, "high": 64, "whole": True},
        "l2": {"low": 1e-6, "high": 1e-2, "log": True, "when": {"batch_size2": "x"}},
    }
    del over["l2"]
    space, base = build_space(Spec(), "sgd,adam@cosine,momentum-decay", over)
    again = Space.from_json(space.to_json())
    assert again.to_json() == space.to_json()
    for values in space.corners():
        assert again.spec(base, values) == space.spec(base, values)
    with pytest.raises(SpecError, match="a space without"):
        Space.from_json([{"name": "lr"}])


def test_everything_in_the_registry_can_be_searched() -> None:
    space, base = build_space(Spec(), "all")
    seen = set()
    for values in space.corners():
        spec = space.spec(base, values)
        build_rule(spec)
        seen.add(values["optimizer"])
    assert seen == set(rules())


def test_every_schedule_can_be_searched_and_suits_the_length_of_the_run() -> None:
    space, base = build_space(Spec(steps=600), "sgd", schedules="cosine,all", updates=600)
    (axis,) = (axis for axis in space.axes if axis.name == "schedule")
    assert isinstance(axis.domain, Choice)
    named = list(axis.domain.labels)
    assert named[0] == "cosine"
    assert len(set(named)) == len(named)
    assert set(named) == optim.schedules().keys() - {"plateau"}
    specs = {name: space.spec(base, {"sgd.lr": 0.1, "schedule": name}) for name in named}
    assert specs["multistep"].schedule.options == {"milestones": (300, 450)}
    assert specs["step"].schedule.options == {"step_size": 200}
    gamma = specs["exponential"].schedule.options["gamma"]
    assert gamma**600 == pytest.approx(0.95**60)
    for name, spec in specs.items():
        course = optim.build_schedule(name, total=600, **spec.schedule.options)
        assert all(course.factor(t) >= 0 for t in range(600))
    with pytest.raises(SpecError, match=r"schedule 'cosin'.*cosine"):
        build_space(Spec(), "sgd", schedules="cosin")


def test_keys_of_ones_own_take_the_place_of_ranges() -> None:
    space, _ = build_space(Spec(), "sgd,adam", {"lr": "0.01..1"})
    assert space.names == ["optimizer", "adam.beta1", "adam.beta2", "lr"]
    space, _ = build_space(Spec(), "sgd,adam", {"optimizer.adam.beta1": "0.8..0.95"})
    (beta,) = (axis for axis in space.axes if axis.name == "adam.beta1")
    assert beta.domain == Range(0.8, 0.95)
    space, _ = build_space(Spec(), None, {"optimizer": ["sgd", "adam"], "l2": [0.0, 0.1]})
    assert space.names[0] == "optimizer"
    space, _ = build_space(Spec(), "adam")
    assert space.names == ["lr", "beta1", "beta2"]
    assert build_space(Spec())[0].names == space.names
    space, _ = build_space(Spec(), "momentum-decay", {"optimizer.momentum-decay.decay": "1..2"})
    assert dict((a.name, a.key) for a in space.axes)["decay"] == "schedule.decay"


def test_conditions_of_ones_own() -> None:
    over = {
        "model": ["mlp", "linear"],
        "hidden": {"choices": [[8], [16]], "when": {"model": "mlp"}},
    }
    space, base = build_space(Spec(), None, over)
    grid = space.grid()
    assert len(grid) == 3
    assert [space.spec(base, values).model.name for values in grid] == ["mlp", "mlp", "linear"]


def test_schedules_are_a_choice() -> None:
    space, base = build_space(Spec(), "sgd", None, "constant,cosine")
    spec = space.spec(base, {"lr": 0.1, "schedule": "cosine"})
    assert (spec.schedule.name, spec.schedule.per) == ("cosine", "step")
    with pytest.raises(SpecError, match="the schedule 'cosin'"):
        build_space(Spec(), "sgd", None, ["cosin"])


def test_who_has_a_schedule_of_its_own_keeps_it() -> None:
    space, base = build_space(Spec(), "momentum-decay,sgd", None, "cosine,step", updates=90)
    (axis,) = (axis for axis in space.axes if axis.name == "schedule")
    assert axis.when == {"optimizer": ["sgd"]}
    own = {"momentum-decay.lr": 0.1, "momentum-decay.momentum": 0.9, "momentum-decay.decay": 0.1}
    assert not axis.is_there({"optimizer": "momentum-decay"})
    assert space.spec(base, {"optimizer": "momentum-decay", **own}).schedule.name == "inverse-time"
    chosen = {"optimizer": "sgd", "sgd.lr": 0.1, "schedule": "cosine"}
    assert space.spec(base, chosen).schedule.name == "cosine"
    with pytest.raises(SpecError, match=r"got schedules for momentum-decay; expected an optimizer"):
        build_space(Spec(), "momentum-decay", None, "cosine")


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"seed": [1, 2]}, "seed among what is chosen"),
        ({"nothing": [1, 2]}, "the unknown key 'nothing'"),
        ({"batch_size": [0, 8]}, "batch_size=0"),
        ({"momentum": "0..2"}, "momentum for optimizer adam"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_trial(over: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        build_space(Spec(), None, over)


def test_optimizers_have_names_of_their_own() -> None:
    with pytest.raises(SpecError, match="two optimizers called 'adam'"):
        build_space(Spec(), ["adam", {"optimizer": "adam", "lr": 0.1}])
    mine = {"name": "mine", "optimizer": "momentum", "momentum": 0.5, "wrap": ["ema"]}
    space, base = build_space(Spec(), [mine, "sgd"])
    spec = space.spec(base, {"optimizer": "mine", "mine.lr": 0.1, "mine.momentum": 0.3})
    assert (spec.optimizer.wrap, spec.optimizer.options["momentum"]) == (("ema",), 0.3)


def test_a_trial_gets_what_there_is_for_it() -> None:
    space, _ = build_space(
        Spec(), "sgd,adam", {"batch_size": {"low": 8, "high": 64, "whole": True}}
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    kinds = set()
    for _ in range(12):
        values = space.suggest(study.ask())
        kinds.add(tuple(values))
        assert isinstance(values["batch_size"], int)
    assert kinds == {
        ("optimizer", "sgd.lr", "batch_size"),
        ("optimizer", "adam.lr", "adam.beta1", "adam.beta2", "batch_size"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials = 'x'", "a whole number"),
        ("sampler = 3", "a word"),
        ("over = 3", "a table"),
        ("lr = 3", "below \\[spec\\]"),
        ("=", "TOML that does not parse"),
    ],
)
def test_what_is_no_search_in_toml_is_refused(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        TuneRecipe.from_toml(text)


def test_short_keys_are_those_of_sweeps() -> None:
    space, base = build_space(Spec(), None, {"hidden": [[8], [16, 8]], "model.init": ["default"]})
    spec = space.spec(base, {"hidden": "[16, 8]", "model.init": "default"})
    assert spec == base.override({"hidden": [16, 8], "init": "default"}, short_keys())
