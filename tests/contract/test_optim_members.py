"""Every registered rule: a member of K is moved by the bits that it would be moved by alone."""

from __future__ import annotations

from dataclasses import MISSING

import pytest
import torch
from torch import Tensor

from thalweg import optim

STEPS = 50
SIZES = [(37, STEPS), (70_001, 8)]
"""Parameters and steps. Neither is a multiple of a vector's width; the second is cut into blocks,
and large enough for several threads."""


def settings(name: str, K: int) -> list[dict[str, float]]:
    """Hyperparameters for each of K members: the defaults, and each of them moved a little."""
    members = []
    for k in range(K):
        member = {}
        for each in optim.hyperparameters(name):
            if each.type is float:
                member[each.name] = each.default * (1 - 0.07 * k) + (0.003 if k else 0.0)
        members.append(member)
    return members


def build(name: str, h: dict) -> optim.Rule:
    """Build the rule; a wrapper goes around Adam."""
    needs_inner = any(each.default is MISSING for each in optim.hyperparameters(name))
    inner = {"inner": optim.build("adam", lr=0.01)} if needs_inner else {}
    return optim.build(name, **inner, **h)


def gradient(t: int, K: int, P: int) -> Tensor:
    """Gradients of very different sizes, a few of them 0, and padding at the end."""
    g = torch.randn(K, P, generator=torch.Generator().manual_seed(t))
    g = g * torch.logspace(-12, 2, P)
    g[:, ::11] = 0.0
    g[:, -3:] = 0.0
    return g


def start(K: int, P: int) -> Tensor:
    theta = torch.randn(K, P, generator=torch.Generator().manual_seed(1234))
    theta[:, -3:] = 0.0
    return theta


def descend(
    rule: optim.Rule, theta: Tensor, gradients: list[Tensor], block: int
) -> tuple[Tensor, dict[str, Tensor]]:
    theta = theta.clone()
    state = rule.init(theta)
    for t, g in enumerate(gradients):
        optim.apply(rule, theta, g, state, t, block=block)
    return theta, state


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize(("P", "steps"), SIZES)
@pytest.mark.parametrize("name", optim.rules())
def test_member_of_three_equals_itself_alone(name: str, P: int, steps: int) -> None:
    K = 3
    members = settings(name, K)
    together = {
        key: torch.tensor([[member[key]] for member in members], dtype=torch.float64)
        for key in members[0]
    }
    gradients = [gradient(t, K, P) for t in range(steps)]
    theta, state = descend(build(name, together), start(K, P), gradients, block=4099)
    for k in range(K):
        alone, slots = descend(
            build(name, members[k]),
            start(K, P)[k : k + 1],
            [g[k : k + 1] for g in gradients],
            block=10**9,
        )
        assert same_bits(alone, theta[k : k + 1])
        for slot in slots:
            assert same_bits(slots[slot], state[slot][k : k + 1])


@pytest.mark.parametrize(("P", "steps"), SIZES)
@pytest.mark.parametrize("name", optim.rules())
def test_float_and_tensor_of_one_give_the_same_bits(name: str, P: int, steps: int) -> None:
    (h,) = settings(name, 1)
    as_tensor = {key: torch.tensor([[value]], dtype=torch.float64) for key, value in h.items()}
    gradients = [gradient(t, 1, P) for t in range(steps)]
    a, _ = descend(build(name, h), start(1, P), gradients, block=10**9)
    b, _ = descend(build(name, as_tensor), start(1, P), gradients, block=9973)
    assert same_bits(a, b)
    assert not same_bits(a, start(1, P))


@pytest.mark.parametrize("name", optim.rules())
@pytest.mark.parametrize("eps", [None, 0.0])
def test_padding_stays_zero(name: str, eps: float | None) -> None:
    (h,) = settings(name, 1)
    if eps is not None and "eps" in h:
        h["eps"] = eps
    gradients = [gradient(t, 1, 37) for t in range(STEPS)]
    theta, state = descend(build(name, h), start(1, 37), gradients, block=8)
    assert torch.equal(theta[:, -3:], torch.zeros(1, 3))
    assert all(slot.isfinite().all() for slot in [theta, *state.values()])


@pytest.mark.parametrize("name", optim.rules())
def test_gradient_is_never_changed(name: str) -> None:
    (h,) = settings(name, 1)
    if "weight_decay" in h:
        h["weight_decay"] = 0.1
    g = gradient(0, 1, 37)
    before = g.clone()
    descend(build(name, h), start(1, 37), [g] * 6, block=8)
    assert torch.equal(g, before)


@pytest.mark.parametrize("name", optim.rules())
def test_state_is_slots_of_tensors(name: str) -> None:
    (h,) = settings(name, 1)
    rule, theta = build(name, h), start(1, 37)
    state = rule.init(theta)
    shapes = {theta.shape} if rule.elementwise or rule.layerwise else {theta.shape, (1, 1)}
    assert {slot.shape for slot in state.values()} <= shapes  # one number, or one a parameter
    assert all(slot.data_ptr() != theta.data_ptr() for slot in state.values())
