"""What is particular to one rule; what all have in common is in tests/contract."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from thalweg import optim
from thalweg.errors import SpecError


def moved(rule: optim.Rule, gradients: list[Tensor], theta: Tensor) -> tuple[Tensor, optim.State]:
    theta = theta.clone()
    state = rule.init(theta)
    for t, g in enumerate(gradients):
        optim.apply(rule, theta, g, state, t)
    return theta, state


def noise(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(1, 9, generator=generator, dtype=torch.float64) for _ in range(n)]


START = torch.linspace(-1, 1, 9, dtype=torch.float64)[None]


def test_sgd_without_momentum_stores_nothing() -> None:
    rule = optim.build("sgd")
    assert rule.init(START) == {}
    mixed = torch.tensor([[0.0], [0.9]], dtype=torch.float64)
    assert optim.build("sgd", momentum=mixed).init(torch.zeros(2, 3)).keys() == {"b"}


def test_sgd_with_momentum_switched_on_later_is_one_clear_error() -> None:
    rule = optim.build("sgd")
    with pytest.raises(SpecError, match="momentum > 0 from the start"):
        optim.apply(rule, START.clone(), START, {}, 5, {**rule.hyper(), "momentum": 0.9})


@pytest.mark.parametrize("name", ["adam", "adamw", "madgrad"])
def test_with_eps_0_a_weight_without_gradient_stays(name: str) -> None:
    decay = {} if name == "adam" else {"weight_decay": 0.0}
    g = START.clone()
    g[0, 3] = 0.0
    theta, _ = moved(optim.build(name, lr=0.1, eps=0.0, **decay), [g] * 5, START)
    assert theta.isfinite().all()
    assert theta[0, 3] == START[0, 3]
    assert (theta != START).sum() == 7  # the middle one has a gradient of 0 too


def test_madgrad_with_lr_0_stays() -> None:
    theta, state = moved(optim.build("madgrad", lr=0.0), noise(5), START)
    assert torch.equal(theta, START)
    assert not state["nu"].any()


def test_lookahead_is_its_definition() -> None:
    gradients, k, alpha = noise(11), 4, 0.8
    inner = optim.build("madgrad", lr=0.03)
    theta, state = moved(optim.build("lookahead", inner=inner, k=k, alpha=alpha), gradients, START)
    fast, slow = START.clone(), START.clone()
    slots = inner.init(fast)
    for t, g in enumerate(gradients):
        optim.apply(inner, fast, g, slots, t)
        if t % k == k - 1:
            slow = slow + alpha * (fast - slow)
            fast = slow.clone()
    torch.testing.assert_close(theta, fast, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(state["slow"], slow, rtol=1e-12, atol=1e-14)


def test_lookahead_starts_at_the_initial_weights() -> None:
    rule = optim.build("lookahead", inner=optim.build("sgd", lr=0.1), k=1, alpha=0.0)
    theta, _ = moved(rule, noise(3), START)
    assert torch.equal(theta, START)


def test_slow_weights_are_those_to_evaluate_with() -> None:
    rule = optim.build("lookahead", inner=optim.build("sgd", lr=0.1), k=5)
    theta, state = moved(rule, noise(4), START)
    slow = rule.evaluation_weights(theta, state)
    assert slow is not None
    assert torch.equal(slow, START)
    assert not torch.equal(theta, START)
    assert rule.inner.evaluation_weights(theta, state) is None


def test_hyperparameters_of_the_inner_rule_are_those_of_lookahead_too() -> None:
    rule = optim.build("lookahead", inner=optim.build("sgd", lr=0.1))
    assert rule.hyper() == {
        "lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "alpha": 0.5
    }  # fmt: skip
