"""Every rule against the reference package, with its options on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import madgrad
import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from thalweg import optim

Reference = Callable[[list[Tensor]], torch.optim.Optimizer]

CASES: list[tuple[str, dict[str, Any], Reference]] = [
    ("sgd", {"lr": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
    (
        "sgd",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.02},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.02),
    ),
    (
        "sgd",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    ("adam", {}, torch.optim.Adam),
    (
        "adam",
        {"lr": 0.03, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    ),
    (
        "adam",
        {"lr": 0.03, "beta1": 0.0, "beta2": 0.0},
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.0, 0.0)),
    ),
    ("adamw", {}, torch.optim.AdamW),
    (
        "adamw",
        {"lr": 0.03, "beta1": 0.7, "weight_decay": 0.3},
        lambda p: torch.optim.AdamW(p, lr=0.03, betas=(0.7, 0.999), weight_decay=0.3),
    ),
    ("madgrad", {}, madgrad.MADGRAD),
    (
        "madgrad",
        {"lr": 0.03, "momentum": 0.7, "eps": 1e-4, "weight_decay": 0.1},
        lambda p: madgrad.MADGRAD(p, lr=0.03, momentum=0.7, eps=1e-4, weight_decay=0.1),
    ),
    ("madgrad", {"lr": 0.03, "momentum": 0.0}, lambda p: madgrad.MADGRAD(p, 0.03, momentum=0.0)),
    ("madgrad", {"lr": 0.03, "eps": 0.0}, lambda p: madgrad.MADGRAD(p, lr=0.03, eps=0.0)),
    ("madgrad", {"lr": 0.0}, lambda p: madgrad.MADGRAD(p, lr=0.0)),
]

STEPS = 40
P = 53


def valley(theta: Tensor, t: int) -> Tensor:
    """The gradient of a quadratic with curvatures over four decades, and some noise."""
    curvature = torch.logspace(-3, 1, P, dtype=theta.dtype)
    noise = torch.randn(P, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    g = curvature * (theta - 0.5) + 0.1 * noise.to(theta.dtype)
    g[..., 7] = 0.0
    return g


def start(dtype: torch.dtype) -> Tensor:
    return torch.linspace(-2, 2, P, dtype=dtype)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(("name", "h", "reference"), CASES)
def test_rule_equals_the_reference(
    name: str,
    h: dict[str, Any],
    reference: Reference,
    scheduled: bool,
    dtype: torch.dtype,
    rtol: float,
) -> None:
    rule = optim.build(name, **h)
    theta = start(dtype)[None]
    state = rule.init(theta)
    schedule = optim.build_schedule(
        "step" if scheduled else "constant",
        total=STEPS,
        per="step",
        **({"step_size": 7, "gamma": 0.5} if scheduled else {}),
    )

    p = start(dtype).requires_grad_()
    other = reference([p])
    drops = lr_scheduler.StepLR(other, step_size=7, gamma=0.5)

    for t in range(STEPS):
        # Both see the reference's gradient, so that only the rule is compared.
        g = valley(p.detach(), t)
        optim.apply(
            rule, theta, g[None], state, t, optim.in_force(rule, [schedule], epoch=0, step=t)
        )
        p.grad = g.clone()
        other.step()
        if scheduled:
            drops.step()
        torch.testing.assert_close(theta[0], p.detach(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("name", "h", "reference"), CASES)
def test_torch_face_equals_the_reference(
    name: str, h: dict[str, Any], reference: Reference
) -> None:
    face = optim.torch_optimizer(optim.rules()[name])
    ours = start(torch.float64).requires_grad_()
    theirs = start(torch.float64).requires_grad_()
    a, b = face([ours], **h), reference([theirs])
    for t in range(STEPS):
        ours.grad, theirs.grad = valley(ours.detach(), t), valley(theirs.detach(), t)
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def rosenbrock(xy: Tensor) -> Tensor:
    return (1 - xy[0]) ** 2 + 100 * (xy[1] - xy[0] ** 2) ** 2


@pytest.mark.parametrize(
    ("name", "h", "steps"),
    [
        ("sgd", {"lr": 1e-3, "momentum": 0.9, "nesterov": True}, 3000),
        ("adam", {"lr": 0.05}, 3000),
        ("adamw", {"lr": 0.05, "weight_decay": 0.0}, 3000),
        ("madgrad", {"lr": 0.02, "momentum": 0.99}, 3000),
    ],
)
def test_reaches_the_minimum_of_rosenbrock(name: str, h: dict[str, Any], steps: int) -> None:
    rule = optim.build(name, **h)
    theta = torch.tensor([[-1.5, 2.0]], dtype=torch.float64)
    state = rule.init(theta)
    for t in range(steps):
        x, y = theta[0].tolist()
        g = torch.tensor(
            [[-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]], dtype=torch.float64
        )
        optim.apply(rule, theta, g, state, t)
    assert rosenbrock(theta[0]) < 1e-3
