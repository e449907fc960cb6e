from __future__ import annotations

import pytest
import torch

from thalweg import optim
from thalweg.data import load_data
from thalweg.engine import Run, short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study import train


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", subset=256)


def spec(**settings) -> Spec:
    return Spec().override({"hidden": (16,), "batch_size": 64, **settings}, short_keys())


def trained(digits, optimizer: str, **options) -> torch.Tensor:
    settings = {f"optimizer.{name}": value for name, value in options.items()}
    run = train(
        data=digits,
        spec=spec(optimizer=optimizer, epochs=3, evaluate="test"),
        out=False,
        **settings,
    )
    return run.cohort.stack.theta


def test_a_class_of_torch_moves_as_our_rule_does(digits):
    ours = trained(digits, "adam", lr=0.01, beta1=0.8)
    theirs = trained(digits, "torch.optim.Adam", lr=0.01, betas=[0.8, 0.999])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["torch.optim.Rprop", "pytorch_optimizer.AdaBelief", "schedulefree.AdamWScheduleFree"]
)
def test_classes_of_other_packages_join_by_name(digits, name):
    run = train(data=digits, spec=spec(optimizer=name, lr=0.01, epochs=8), out=False)
    assert run.metrics["test_accuracy"] > 0.75


def test_evaluation_is_at_the_weights_of_its_evaluation_mode(digits):
    name = "schedulefree.SGDScheduleFree"
    run = train(data=digits, spec=spec(optimizer=name, lr=0.5, epochs=2), out=False)
    there = run.cohort.slow_weights()
    assert not torch.equal(there, run.cohort.stack.theta)
    again = run.cohort.slow_weights()
    torch.testing.assert_close(again, there)  # asking leaves it as it was


def test_members_are_moved_by_themselves():
    lr = torch.tensor([[0.1], [0.2]], dtype=torch.float64)
    rule = optim.build("torch.optim.SGD", lr=0.1)
    theta, layout = torch.zeros(2, 4), [(0, (2, 2))]
    optim.apply(rule, theta, torch.ones(2, 4), {}, 0, {"lr": lr}, layout=layout)
    assert theta.tolist() == [pytest.approx([-0.1] * 4), pytest.approx([-0.2] * 4)]


@pytest.mark.parametrize("taken", [3, 7])
def test_it_goes_on_from_a_snapshot_to_the_same_bits(digits, taken):
    told = spec(optimizer="torch.optim.RMSprop", **{"optimizer.momentum": 0.9}, steps=10)
    whole, snapshot = Run(told, data=digits), None
    for event in whole.events():
        if event.clock.step == taken and snapshot is None:
            snapshot = whole.snapshot()
    other = Run(told, data=digits)
    other.restore(snapshot)
    for _ in other.events():
        pass
    assert torch.equal(whole.cohort.stack.theta, other.cohort.stack.theta)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torch.optim.Adem", {}, "a class that can be imported"),
        ("no.such.Thing", {}, "a class that can be imported"),
        ("torch.nn.Linear", {}, "a subclass of torch.optim.Optimizer"),
        ("torch.optim.Adam", {"momentum": 0.9}, "options that it takes"),
        ("torch.optim.Adam", {"lr": -1.0}, "options that it takes"),
    ],
)
def test_what_is_no_optimizer_is_one_clear_error(name, options, message):
    with pytest.raises(SpecError, match=message):
        optim.build(name, **options)


def test_one_that_needs_a_closure_says_so(digits):
    with pytest.raises(SpecError, match="LBFGS, whose step failed"):
        train(data=digits, spec=spec(optimizer="torch.optim.LBFGS", steps=1), out=False)
