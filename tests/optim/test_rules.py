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


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "rmsprop-tf"])
def test_momentum_switched_on_later_is_one_clear_error(name: str) -> None:
    rule = optim.build(name)
    h = {**rule.hyper(), "momentum": 0.9}
    with pytest.raises(SpecError, match="momentum > 0 from the start"):
        optim.apply(rule, START.clone(), START, rule.init(START), 5, h)


WITH_EPS = [
    name
    for name in optim.rules()
    if name not in (*optim.wrappers(), "adadelta", "prodigy", "soap", "swats")
    and "eps" in optim.build(name).hyper()
]


@pytest.mark.parametrize("name", WITH_EPS)
def test_with_eps_0_a_weight_without_gradient_stays(name: str) -> None:
    g = START.clone()
    g[0, 3] = 0.0
    theta, _ = moved(optim.build(name, lr=0.1, eps=0.0, weight_decay=0.0), [g] * 5, START)
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


def test_with_eps_0_adadelta_never_moves() -> None:
    theta, _ = moved(optim.build("adadelta", eps=0.0), noise(5), START)
    assert torch.equal(theta, START)


def test_weights_of_nesterov_to_evaluate_with_are_those_without_the_look_ahead() -> None:
    rule = optim.build("nesterov", lr=0.1, momentum=0.8)
    x, v, ahead = START.clone(), torch.zeros_like(START), START.clone()
    theta, state = START.clone(), rule.init(START)
    for t in range(20):
        optim.apply(rule, theta, torch.cos(theta), state, t)
        v = 0.8 * v - 0.1 * torch.cos(ahead)
        x = x + v
        ahead = x + 0.8 * v
        torch.testing.assert_close(theta, ahead, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(rule.evaluation_weights(theta, state), x, rtol=1e-12, atol=1e-14)


def test_nesterov_goes_on_from_where_it_is_set() -> None:
    """As Lookahead sets its inner rule back, and clipping of weights any."""
    rule = optim.build("nesterov", lr=0.1, momentum=0.8)
    a, b = START.clone(), START + 1.0
    state, slots = rule.init(a), rule.init(b)
    for t, g in enumerate(noise(6)):
        optim.apply(rule, a, g, state, t)
        optim.apply(rule, b, g, slots, t)
        if t == 3:
            b.add_(0.5)
    torch.testing.assert_close(b - a, torch.full_like(a, 1.5), rtol=1e-12, atol=1e-12)


def test_radam_adapts_from_the_sixth_update_on() -> None:
    rule = optim.build("radam")
    adapts = [bool(rule.coefficients(t, rule.hyper())["adapts"]) for t in range(40)]
    assert adapts == [False] * 5 + [True] * 35


def test_centred_rmsprop_has_no_root_of_a_negative_number() -> None:
    g = torch.logspace(-3, 3, 200)[None]  # constant gradients: rounding decides on v − a²
    theta, _ = moved(optim.build("rmsprop", centered=True, beta=0.5), [g] * 60, torch.zeros(1, 200))
    assert theta.isfinite().all()


def test_tensorflows_rmsprop_starts_with_small_steps() -> None:
    first = [moved(optim.build(name), [START], START)[0] for name in ("rmsprop-tf", "rmsprop")]
    assert (first[0] - START).abs().max() < 0.01 < (first[1] - START).abs().max()


def test_rmsprop_as_printed_depends_on_the_scale_of_the_loss() -> None:
    for name, depends in (("rmsprop", False), ("rmsprop-text", True)):
        small, large = (
            moved(optim.build(name, eps=0.0), [scale * g for g in noise(5)], START)[0]
            for scale in (1e-3, 1e3)
        )
        assert torch.allclose(small, large) != depends


def test_adopt_only_looks_at_the_first_gradient() -> None:
    rule = optim.build("adopt", lr=0.1, weight_decay=0.5, decoupled_weight_decay=True)
    theta, state = moved(rule, noise(1), START)
    assert torch.equal(theta, START)
    assert torch.equal(state["v"], noise(1)[0] ** 2)
    theta, _ = moved(rule, noise(2), START)
    assert not torch.equal(theta, START)


def test_adamax_forgets_its_largest_gradient_slowly() -> None:
    gradients = [100 * START, *[START] * 3]
    _, state = moved(optim.build("adamax", beta2=0.5, eps=0.0), gradients, START)
    torch.testing.assert_close(state["u"], 12.5 * START.abs(), rtol=1e-12, atol=0)


def test_half_lives_of_ademamix_rise_in_a_straight_line() -> None:
    rule = optim.build("ademamix", beta1=0.5, beta3=0.5**0.1, warmup=9)  # from 1 step to 10
    h = rule.hyper()
    shares = [1.0 - rule.coefficients(t, h)["1-beta3"] for t in (0, 3, 8, 20)]
    assert shares == pytest.approx([0.5 ** (1 / steps) for steps in (2, 5, 10, 10)])
    no_fast_mean = optim.build("ademamix", beta1=0.0, warmup=9)
    assert no_fast_mean.coefficients(0, no_fast_mean.hyper())["1-beta3"] < 1.0


def test_lars_moves_layers_by_a_share_of_their_size() -> None:
    p, q, bias = (torch.full(shape, 3.0, requires_grad=True) for shape in [(4, 2), (4, 2), (4,)])
    p.grad, q.grad, bias.grad = torch.ones(4, 2), 1e6 * torch.ones(4, 2), torch.ones(4)
    optim.LARS([p, q, bias], lr=0.1, trust=0.5, momentum=0.0, weight_decay=0.0).step()
    torch.testing.assert_close(p, torch.full((4, 2), 3.0 * 0.95))
    torch.testing.assert_close(q, p)
    torch.testing.assert_close(bias, torch.full((4,), 3.0 - 0.1))
