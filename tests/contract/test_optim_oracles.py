"""Every rule that has a reference package against it, with its options on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lion_pytorch
import madgrad
import pytest
import pytorch_optimizer
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from thalweg import optim

Reference = Callable[[list[Tensor]], torch.optim.Optimizer]
Case = tuple[str, dict[str, Any], Reference]


def of(make: Callable[..., torch.optim.Optimizer], **options: Any) -> Reference:
    return lambda p: make(p, **options)


def alike(name: str, make: Callable[..., torch.optim.Optimizer], **options: Any) -> Case:
    """A rule and a reference whose options have the same names."""
    return name, options, of(make, **options)


LOOSE = {"lr": 0.03, "eps": 1e-3, "weight_decay": 0.1}
OURS = {**LOOSE, "beta1": 0.8, "beta2": 0.95}
THEIRS = {**LOOSE, "betas": (0.8, 0.95)}
HEAVY = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.01}
APART = {"weight_decay": 0.1, "decoupled_weight_decay": True}
SIGNS = {"lr": 0.03, "weight_decay": 0.1}
FROM_0 = {"clip_lambda": lambda t: (t - 1) ** 0.25}  # the package counts from 1, the authors from 0
MIXED = {"alpha": 3.0, "betas": (0.9, 0.999, 0.99), "t_alpha_beta3": 25, "weight_decouple": True}

CASES: list[Case] = [
    alike("sgd", torch.optim.SGD, lr=0.1),
    alike("sgd", torch.optim.SGD, **HEAVY, dampening=0.3),
    alike("sgd", torch.optim.SGD, **HEAVY, nesterov=True),
    alike("adagrad", torch.optim.Adagrad),
    alike("adagrad", torch.optim.Adagrad, **LOOSE, lr_decay=0.1),
    alike("adagrad", torch.optim.Adagrad, initial_accumulator_value=0.5),
    alike("rmsprop", torch.optim.RMSprop),
    alike("rmsprop", torch.optim.RMSprop, **HEAVY, eps=1e-3, centered=True),
    ("rmsprop", {**HEAVY, "beta": 0.8}, of(torch.optim.RMSprop, **HEAVY, alpha=0.8)),
    alike("adadelta", torch.optim.Adadelta),
    ("adadelta", {**LOOSE, "beta": 0.8}, of(torch.optim.Adadelta, **LOOSE, rho=0.8)),
    alike("adam", torch.optim.Adam),
    ("adam", OURS, of(torch.optim.Adam, **THEIRS)),
    ("adam", {"beta1": 0.0, "beta2": 0.0}, of(torch.optim.Adam, betas=(0.0, 0.0))),
    alike("adamw", torch.optim.AdamW),
    ("adamw", OURS, of(torch.optim.AdamW, **THEIRS)),
    ("amsgrad", {}, of(torch.optim.Adam, amsgrad=True)),
    ("amsgrad", OURS, of(torch.optim.Adam, **THEIRS, amsgrad=True)),
    alike("adamax", torch.optim.Adamax),
    ("adamax", OURS, of(torch.optim.Adamax, **THEIRS)),
    alike("radam", torch.optim.RAdam),
    alike("radam", torch.optim.RAdam, **APART),
    ("radam", OURS, of(torch.optim.RAdam, **THEIRS)),
    alike("nadam", torch.optim.NAdam),
    alike("nadam", torch.optim.NAdam, **APART),
    ("nadam", {**OURS, "momentum_decay": 0.1}, of(torch.optim.NAdam, **THEIRS, momentum_decay=0.1)),
    alike("madgrad", madgrad.MADGRAD),
    alike("madgrad", madgrad.MADGRAD, **HEAVY, eps=1e-4),
    alike("madgrad", madgrad.MADGRAD, lr=0.03, momentum=0.0),
    alike("madgrad", madgrad.MADGRAD, lr=0.03, eps=0.0),
    alike("madgrad", madgrad.MADGRAD, lr=0.0),
    alike("lion", lion_pytorch.Lion),
    (
        "lion",
        {**SIGNS, "beta1": 0.8, "beta2": 0.95},
        of(lion_pytorch.Lion, **SIGNS, betas=(0.8, 0.95)),
    ),
    ("adopt", {}, of(pytorch_optimizer.ADOPT, **FROM_0)),
    ("adopt", OURS, of(pytorch_optimizer.ADOPT, **THEIRS, **FROM_0)),
    alike("ademamix", pytorch_optimizer.AdEMAMix),
    (
        "ademamix",
        {**LOOSE, "beta3": 0.99, "mix": 3.0, "warmup": 25},
        of(pytorch_optimizer.AdEMAMix, **LOOSE, **MIXED),
    ),
]

OTHER_FORMS: list[Case] = [
    alike("momentum", torch.optim.SGD, **HEAVY),
    ("nesterov", HEAVY, of(torch.optim.SGD, **HEAVY, nesterov=True)),
    alike("lars", pytorch_optimizer.LARS),
    alike("lars", pytorch_optimizer.LARS, **HEAVY),
]
"""Here a learning rate acts on the gradients of its own time; in the references, on all so far."""

STEPS = 40
DROP = 7
SHAPE = (9, 6)
P = 54


def valley(theta: Tensor, t: int) -> Tensor:
    """The gradient of a quadratic with curvatures over four decades, and some noise."""
    curvature = torch.logspace(-3, 1, P, dtype=theta.dtype).view(SHAPE)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    g = curvature * (theta - 0.5) + 0.1 * noise.to(theta.dtype)
    g[1, 1] = 0.0
    return g


def start(dtype: torch.dtype) -> Tensor:
    return torch.linspace(-2, 2, P, dtype=dtype).view(SHAPE)


@contextmanager
def exact_scalars() -> Iterator[None]:
    """Let torch's NAdam keep its product of μ in float64."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def both(
    name: str, h: dict[str, Any], reference: Reference, scheduled: bool, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield our parameters and the reference's after each step."""
    rule = optim.build(name, **h)
    theta = start(dtype).view(1, P)
    state = rule.init(theta)
    schedule = optim.build_schedule(
        "step" if scheduled else "constant",
        total=STEPS,
        per="step",
        **({"step_size": DROP, "gamma": 0.5} if scheduled else {}),
    )
    p = start(dtype).requires_grad_()
    other = reference([p])
    drops = lr_scheduler.StepLR(other, step_size=DROP, gamma=0.5)
    for t in range(STEPS):
        # Both see the reference's gradient, so that only the rule is compared.
        g = valley(p.detach(), t)
        in_force = optim.in_force(rule, [schedule], epoch=0, step=t)
        optim.apply(rule, theta, g.view(1, P), state, t, in_force, layout=[(0, SHAPE)])
        p.grad = g.clone()
        with exact_scalars():
            other.step()
        if scheduled:
            drops.step()
        yield theta.view(SHAPE), p.detach()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize(
    ("name", "h", "reference", "scheduled"),
    [(*case, True) for case in CASES] + [(*case, False) for case in CASES + OTHER_FORMS],
)
def test_rule_equals_the_reference(
    name: str,
    h: dict[str, Any],
    reference: Reference,
    scheduled: bool,
    dtype: torch.dtype,
    rtol: float,
) -> None:
    for ours, theirs in both(name, h, reference, scheduled, dtype):
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(("name", "h", "reference"), OTHER_FORMS)
def test_another_form_differs_once_the_learning_rate_changes(
    name: str, h: dict[str, Any], reference: Reference
) -> None:
    for t, (ours, theirs) in enumerate(both(name, h, reference, True, torch.float64)):
        assert torch.allclose(ours, theirs, rtol=1e-9) == (t < DROP)


@pytest.mark.parametrize(("name", "h", "reference"), CASES + OTHER_FORMS)
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
        with exact_scalars():
            b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
