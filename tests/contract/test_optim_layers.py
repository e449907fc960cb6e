"""Every layer-wise rule: parameters of any shape in one row, and each as if it stood alone."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
from torch import Tensor

from thalweg import optim

SHAPES = [(12, 7), (7, 12), (13, 2, 3, 3), (5, 4), (11,), (1,), (12, 3)]
ENDS = np.cumsum([0, *map(prod, SHAPES)]).tolist()
LAYOUT = list(zip(ENDS, SHAPES, strict=False))
P, K, STEPS = ENDS[-1], 3, 25

LAYERWISE = [
    name for name in optim.rules() if name not in optim.wrappers() and optim.build(name).layerwise
]


def start() -> Tensor:
    return torch.randn(K, P, generator=torch.Generator().manual_seed(3))


def gradient(t: int) -> Tensor:
    return torch.randn(K, P, generator=torch.Generator().manual_seed(t)) * torch.logspace(-3, 1, P)


def settings(name: str) -> dict[str, Tensor]:
    """Hyperparameters for K members: the defaults, and each of them moved a little."""
    factors = torch.linspace(1.0, 0.8, K, dtype=torch.float64)[:, None]
    floats = [each for each in optim.hyperparameters(name) if each.type is float]
    return {each.name: each.default * factors for each in floats}


def descend(name: str, h: dict[str, Tensor], members: slice) -> tuple[Tensor, optim.State]:
    rule, theta = optim.build(name, **h), start()[members].clone()
    state = optim.initial_state(rule, theta, LAYOUT)
    for t in range(STEPS):
        optim.apply(rule, theta, gradient(t)[members], state, t, layout=LAYOUT)
    return theta, state


@pytest.mark.parametrize("name", LAYERWISE)
def test_member_of_three_has_the_bits_that_it_has_alone(name: str) -> None:
    h = settings(name)
    theta, state = descend(name, h, slice(None))
    for k in range(K):
        own = {key: float(values[k]) for key, values in h.items()}
        alone, slots = descend(name, own, slice(k, k + 1))
        assert torch.equal(alone[0], theta[k])
        assert all(torch.equal(slots[slot][0], state[slot][k]) for slot in state)


@pytest.mark.parametrize("name", LAYERWISE)
def test_a_row_of_parameters_moves_as_each_of_them_alone(name: str) -> None:
    own = {key: float(values[1]) for key, values in settings(name).items()}
    theta, _ = descend(name, own, slice(1, 2))
    for (a, b), shape in zip(pairwise(ENDS), SHAPES, strict=True):
        p = start()[1, a:b].view(shape).clone().requires_grad_()
        face = optim.torch_optimizer(optim.rules()[name])([p], **own)
        for t in range(STEPS):
            p.grad = gradient(t)[1, a:b].view(shape).clone()
            face.step()
        assert torch.equal(p.detach().flatten(), theta[0, a:b])


@pytest.mark.parametrize("name", LAYERWISE)
def test_without_a_layout_a_row_is_a_vector(name: str) -> None:
    rule, theta, twin = optim.build(name), start(), start()
    state, slots = optim.initial_state(rule, theta), optim.initial_state(rule, twin, [(0, (P,))])
    for t in range(3):
        optim.apply(rule, theta, gradient(t), state, t)
        optim.apply(rule, twin, gradient(t), slots, t, layout=[(0, (P,))])
    assert torch.equal(theta, twin)


@pytest.mark.parametrize("name", LAYERWISE)
def test_lookahead_goes_around_it(name: str) -> None:
    rule = optim.build("lookahead", inner=optim.build(name), k=STEPS, alpha=1.0)
    theta = start()
    state = optim.initial_state(rule, theta, LAYOUT)
    for t in range(STEPS):
        optim.apply(rule, theta, gradient(t), state, t, layout=LAYOUT)
    alone, _ = descend(name, {}, slice(None))
    assert torch.equal(theta, alone)
    assert torch.equal(state["slow"], alone)
