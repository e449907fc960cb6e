"""Every rule against its naive twin, with its options and a schedule on."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from thalweg import optim

from .twins import TWINS

MOMENTS = {"lr": 0.03, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}
HEAVY = {"lr": 0.03, "momentum": 0.8, "weight_decay": 0.1}

APART = ("prodigy", "schedule-free-sgd", "soap")
"""Rules that need settings, or gradients, of their own."""

CASES: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in TWINS if name not in APART],
    ("sgd", {**HEAVY, "dampening": 0.3}),
    ("sgd", {**HEAVY, "nesterov": True}),
    ("momentum", HEAVY),
    ("momentum", {"momentum": 0.0}),
    ("nesterov", HEAVY),
    ("nesterov", {"momentum": 0.0}),
    ("adagrad", {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-3, "weight_decay": 0.1}),
    ("adagrad", {"initial_accumulator_value": 0.5}),
    ("rmsprop", {**HEAVY, "beta": 0.8, "eps": 1e-3}),
    ("rmsprop", {**HEAVY, "centered": True}),
    ("rmsprop-tf", {**HEAVY, "beta": 0.8, "eps": 1e-3}),
    ("rmsprop-tf", {**HEAVY, "centered": True}),
    ("rmsprop-text", {"beta": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    ("adadelta", {"lr": 3.0, "beta": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    *[(name, MOMENTS) for name in ("adam", "adamw", "adamax", "amsgrad", "radam", "nadam")],
    ("adam", {"beta1": 0.0, "beta2": 0.0}),
    ("radam", {**MOMENTS, "decoupled_weight_decay": True}),
    ("radam", {"beta2": 0.5}),  # never adapts
    ("nadam", {**MOMENTS, "decoupled_weight_decay": True, "momentum_decay": 0.5}),
    ("adopt", MOMENTS),
    ("adopt", {**MOMENTS, "decoupled_weight_decay": True}),
    ("ademamix", {**MOMENTS, "beta3": 0.99, "mix": 3.0}),
    ("ademamix", {**MOMENTS, "warmup": 20}),
    ("lion", {"lr": 0.03, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.1}),
    ("madgrad", {**HEAVY, "eps": 1e-3}),
    ("madgrad", {"momentum": 0.0}),
    ("lars", {**HEAVY, "trust": 0.2}),
    ("schedule-free-sgd", {"lr": 0.03, "beta": 0.8, "weight_decay": 0.1, "warmup": 5}),
    ("schedule-free-adamw", {**MOMENTS, "warmup": 5}),
    ("prodigy", {"weight_decay": 0.1, "d0": 1e-3, "growth": 2.0, "eps": 1e-3}),
    ("swats", {"lr": 0.03, "beta2": 0.9, "switch_at": 12}),
    ("swats", {"lr": 0.03, "beta2": 0.9, "tolerance": 1e-3}),
    ("muon", {**HEAVY, "adam_share": 0.3, "beta1": 0.8}),
    ("muon", {"nesterov": False, "least": 4, "iterations": 3}),
]

SHAPES: list[tuple[int, ...]] = [(13, 5), (5, 13), (12, 2, 3), (4, 3), (7,), (1,), (11, 3)]
SIZES = [prod(shape) for shape in SHAPES]
LAYOUT = list(zip(np.cumsum([0, *SIZES]).tolist(), SHAPES, strict=False))
STEPS = 30

SLACK = {"prodigy": 20.0}
"""Its estimate is of x₀ − x, a small difference of large numbers."""


def start(dtype: torch.dtype) -> Tensor:
    """Weights, (1, P); those of the last layer are all 0."""
    theta = torch.randn(1, sum(SIZES), generator=torch.Generator().manual_seed(0))
    theta[:, LAYOUT[-1][0] :] = 0.0
    return theta.to(dtype)


def gradients(dtype: torch.dtype) -> list[Tensor]:
    """Gradients over three decades; some are 0 at times, one for ever."""
    generator = torch.Generator().manual_seed(1)
    sizes = torch.logspace(-2, 1, sum(SIZES))[torch.randperm(sum(SIZES), generator=generator)]
    drawn = []
    for t in range(STEPS):
        g = torch.randn(1, sum(SIZES), generator=generator) * sizes
        g[:, t % 5 :: 5] = 0.0
        g[:, 0] = 0.0
        drawn.append(g.to(dtype))
    return drawn


def split(row: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([0, *SIZES])
    return [row[a:b].reshape(s) for (a, b), s in zip(pairwise(ends), SHAPES, strict=True)]


def twin_path(name: str, settings: list[dict[str, Any]]) -> np.ndarray:
    """The parameters after each step, (STEPS, P)."""
    rule = optim.build(name)
    # Parameter by parameter, unless a rule wants to see the whole network.
    cut = split if rule.elementwise or rule.layerwise else lambda row: [row]
    rows = [cut(g[0].double().numpy()) for g in gradients(torch.float32)]
    steps = [SimpleNamespace(**each) for each in settings]
    paths = []
    for number, x in enumerate(cut(start(torch.float32)[0].double().numpy())):
        own = [(row[number], h) for row, h in zip(rows, steps, strict=True)]
        paths.append(np.stack([after.ravel() for after in TWINS[name](x, own)]))
    return np.concatenate(paths, axis=1)


def our_path(rule: optim.Rule, schedules: list[optim.Schedule], dtype: torch.dtype) -> np.ndarray:
    theta = start(dtype)
    state = optim.initial_state(rule, theta, LAYOUT)
    path = []
    for t, g in enumerate(gradients(dtype)):
        h = optim.in_force(rule, schedules, epoch=0, step=t)
        optim.apply(rule, theta, g, state, t, h, layout=LAYOUT)
        path.append(theta[0].double().numpy().copy())
    return np.stack(path)


def test_every_rule_has_a_twin() -> None:
    assert set(TWINS) == set(optim.rules()) - set(optim.wrappers())


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(("name", "h"), CASES)
def test_rule_equals_its_twin(
    name: str, h: dict[str, Any], scheduled: bool, dtype: torch.dtype, rtol: float
) -> None:
    rule = optim.build(name, **h)
    schedules = []
    if scheduled:
        drop = {"total": STEPS, "per": "step", "step_size": 7, "gamma": 0.5}
        schedules = [optim.build_schedule("step", target="lr", **drop)]
        if "momentum" in rule.hyper():
            schedules += [optim.build_schedule("step", target="momentum", **drop)]
    given = {each.name: getattr(rule, each.name) for each in optim.hyperparameters(name)}
    settings = [{**given, **optim.in_force(rule, schedules, epoch=0, step=t)} for t in range(STEPS)]
    ours, twin = our_path(rule, schedules, dtype), twin_path(name, settings)
    rtol *= SLACK.get(name, 1.0)
    np.testing.assert_allclose(ours, twin, rtol=rtol, atol=rtol)
    assert not np.array_equal(ours[-1], start(dtype)[0].double().numpy())


@pytest.mark.parametrize(("scheduled", "shape", "largest"), [
    (False, (5, 5), 100), (True, (5, 5), 100), (False, (9, 3, 3), 100), (True, (3, 20), 6),
    (False, (20, 3), 6), (False, (7,), 100), (False, (1,), 100), (True, (4, 5), 1),
])  # fmt: skip
@pytest.mark.parametrize(
    "h", [{}, {"lr": 0.02, "eps": 1e-4, "weight_decay": 0.1, "beta3": 0.8, "frequency": 3}]
)
def test_soap_equals_its_twin(
    h: dict[str, Any], scheduled: bool, shape: tuple[int, ...], largest: int
) -> None:
    """On sides of which the first gradient already has full rank.

    Where it has not, the eigenvectors of the rest are any ones, and no two programs agree on them.
    """
    rule = optim.build("soap", **h, largest=largest)
    generator, layout = torch.Generator().manual_seed(3), [(0, shape)]
    theta = torch.randn(1, prod(shape), generator=generator, dtype=torch.float64)
    gs = [torch.randn(theta.shape, generator=generator, dtype=torch.float64) for _ in range(STEPS)]
    own = {each.name: getattr(rule, each.name) for each in optim.hyperparameters("soap")}
    lrs = [own["lr"] * (0.5 ** (t // 7) if scheduled else 1.0) for t in range(STEPS)]
    steps = [
        (g.view(shape).numpy(), SimpleNamespace(**{**own, "lr": lr}))
        for g, lr in zip(gs, lrs, strict=True)
    ]
    twin = TWINS["soap"](theta.view(shape).numpy().copy(), steps)
    state, first = optim.initial_state(rule, theta, layout), theta.clone()
    for t, (g, lr, expected) in enumerate(zip(gs, lrs, twin, strict=True)):
        optim.apply(rule, theta, g, state, t, {**rule.hyper(), "lr": lr}, layout=layout)
        np.testing.assert_allclose(theta.view(shape).numpy(), expected, rtol=1e-9, atol=1e-11)
    assert not torch.equal(theta, first)
