"""What becomes of momentum when Lookahead sets the weights back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import Tensor

from thalweg import optim
from thalweg.cli import main
from thalweg.errors import SpecError

HOWS = ("keep", "pull-back", "reset")
THEIRS = {"keep": "none", "pull-back": "pullback", "reset": "reset"}
K, ALPHA, MU, LR = 3, 0.7, 0.9, 0.05

WITH_MOMENTUM = {
    name: {"momentum": 0.9} if "momentum" in {o.name for o in optim.hyperparameters(name)} else {}
    for name, rule in optim.rules().items()
    if name not in optim.wrappers() and rule.velocities
}


def start() -> Tensor:
    return torch.linspace(-1, 1, 12, dtype=torch.float64)


def gradient(x: Tensor, t: int) -> Tensor:
    return torch.cos(3 * x + t)


def naive(how: str, steps: int) -> Iterator[Tensor]:
    """Lookahead around heavy-ball SGD, as plainly as can be."""
    fast, slow, m, slow_m = start(), start(), 0.0, 0.0
    for t in range(steps):
        m = MU * m + gradient(fast, t)
        fast = fast - LR * m
        if t % K == K - 1:
            slow = slow + ALPHA * (fast - slow)
            fast = slow
            if how == "reset":
                m = 0.0
            elif how == "pull-back":
                slow_m = slow_m + ALPHA * (m - slow_m)
                m = slow_m
        yield fast


def rule_path(rule: optim.Rule, steps: int) -> Iterator[Tensor]:
    theta = start()[None].clone()
    state = optim.initial_state(rule, theta, [(0, (12,))])
    for t in range(steps):
        optim.apply(rule, theta, gradient(theta, t), state, t, layout=[(0, (12,))])
        yield theta[0].clone()


def face_path(make: Any, steps: int) -> Iterator[Tensor]:
    p = start().requires_grad_()
    optimizer = make(p)
    for t in range(steps):
        p.grad = gradient(p.detach(), t)
        optimizer.step()
        yield p.detach().clone()


def rule(how: str, name: str = "sgd", **h: Any) -> optim.Rule:
    inner = optim.build(name, **h)
    return optim.build("lookahead", inner=inner, k=K, alpha=ALPHA, pullback_momentum=how)


def face(how: str, inner: torch.optim.Optimizer) -> optim.Lookahead:
    return optim.Lookahead(inner, k=K, alpha=ALPHA, pullback_momentum=how)


@pytest.mark.parametrize("how", HOWS)
def test_all_agree(how: str) -> None:
    """The rule, both kinds of optimizer in the torch face, the package, and the twin."""
    ours, torchs = {"lr": LR, "momentum": MU}, torch.optim.SGD
    paths = [
        rule_path(rule(how, **ours), 25),
        face_path(lambda p: face(how, optim.SGD([p], **ours)), 25),
        face_path(lambda p: face(how, torchs([p], **ours)), 25),
        face_path(
            lambda p: pytorch_optimizer.Lookahead(
                torchs([p], **ours), k=K, alpha=ALPHA, pullback_momentum=THEIRS[how]
            ),
            25,
        ),
    ]
    for expected, *found in zip(naive(how, 25), *paths, strict=True):
        for each in found:
            torch.testing.assert_close(each, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("how", HOWS[1:])
@pytest.mark.parametrize("name", WITH_MOMENTUM)
def test_around_every_rule_with_momentum(name: str, how: str) -> None:
    """The face walks as the rule does, other than with momentum kept, and the slots say why."""
    h = WITH_MOMENTUM[name]
    around = rule(how, name, **h)
    make = optim.torch_optimizer(optim.rules()[name])
    ours = torch.stack(list(rule_path(around, 4 * K)))
    by_face = torch.stack(list(face_path(lambda p: face(how, make([p], **h)), 4 * K)))
    torch.testing.assert_close(ours, by_face, rtol=1e-12, atol=1e-12)
    kept = torch.stack(list(rule_path(rule("keep", name, **h), 4 * K)))
    assert torch.equal(ours[:K], kept[:K])
    assert not torch.equal(ours, kept)


@pytest.mark.parametrize("name", WITH_MOMENTUM)
def test_reset_is_zero_and_pull_back_is_the_slow_copy(name: str) -> None:
    for how in ("reset", "pull-back"):
        around = rule(how, name, **WITH_MOMENTUM[name])
        theta = start()[None].clone()
        state = optim.initial_state(around, theta, [(0, (12,))])
        for t in range(2 * K):
            optim.apply(around, theta, gradient(theta, t), state, t, layout=[(0, (12,))])
        for slot in around.inner.velocities:
            if how == "reset":
                assert not state[slot].any()
                assert f"slow {slot}" not in state
            else:
                assert state[slot].any()
                assert torch.equal(state[slot], state[f"slow {slot}"])
                assert state[slot].data_ptr() != state[f"slow {slot}"].data_ptr()


@pytest.mark.parametrize("how", HOWS)
def test_members_are_alone(how: str) -> None:
    lr = torch.tensor([[0.01], [0.05], [0.002]], dtype=torch.float64)
    around = rule(how, "adam", lr=lr)
    theta = torch.randn(3, 70_001, generator=torch.Generator().manual_seed(0))
    begin, state = theta.clone(), around.init(theta)
    for t in range(7):
        optim.apply(around, theta, gradient(theta, t), state, t)
    for k in range(3):
        one, alone = rule(how, "adam", lr=float(lr[k])), begin[k : k + 1].clone()
        slots = one.init(alone)
        for t in range(7):
            optim.apply(one, alone, gradient(alone, t), slots, t)
        assert torch.equal(alone, theta[k : k + 1])
        assert all(torch.equal(slots[name], state[name][k : k + 1]) for name in slots)


@pytest.mark.parametrize("make", [optim.SGD, torch.optim.SGD])
@pytest.mark.parametrize("how", HOWS)
def test_state_goes_on_in_mid_cycle(how: str, make: Any) -> None:
    def optimizer(p: Tensor) -> optim.Lookahead:
        return face(how, make([p], lr=LR, momentum=MU))

    path = list(face_path(optimizer, 17))
    p = start().requires_grad_()
    first = optimizer(p)
    for t in range(7):
        p.grad = gradient(p.detach(), t)
        first.step()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    q = p.detach().clone().requires_grad_()
    second = optimizer(q)
    second.load_state_dict(torch.load(file, weights_only=True))
    for t in range(7, 17):
        q.grad = gradient(q.detach(), t)
        second.step()
    assert torch.equal(q.detach(), path[-1])


def test_momentum_that_is_0_needs_nothing() -> None:
    for make in (optim.SGD, torch.optim.SGD):
        plain = list(face_path(lambda p, make=make: face("keep", make([p], lr=LR)), 9))
        reset = list(face_path(lambda p, make=make: face("reset", make([p], lr=LR)), 9))
        assert torch.equal(plain[-1], reset[-1])


def test_a_parameter_without_gradients_yet_has_no_momentum() -> None:
    p, q = (start().requires_grad_() for _ in range(2))
    optimizer = face("pull-back", torch.optim.SGD([p, q], lr=LR, momentum=MU))
    for t in range(2 * K):
        p.grad = gradient(p.detach(), t)
        optimizer.step()
    assert "slow momentum_buffer" in optimizer.state[p]
    assert "slow momentum_buffer" not in optimizer.state[q]


def test_a_rule_without_momentum_is_one_clear_error() -> None:
    with pytest.raises(SpecError, match="around madgrad; expected keep"):
        rule("reset", "madgrad")
    with pytest.raises(SpecError, match="around MADGRAD; expected keep"):
        face("pull-back", optim.MADGRAD([start().requires_grad_()]))
    with pytest.raises(SpecError, match="pullback_momentum='none' for Lookahead"):
        face("none", optim.SGD([start().requires_grad_()]))


def test_wrappers_between_do_not_hide_momentum() -> None:
    inner = optim.build("ema", inner=optim.build("sgd", lr=LR, momentum=MU))
    around = optim.build("lookahead", inner=inner, k=K, alpha=ALPHA, pullback_momentum="reset")
    ours = list(rule_path(around, 10))
    assert torch.equal(ours[-1], list(rule_path(rule("reset", lr=LR, momentum=MU), 10))[-1])


def test_option_is_declared_and_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {each.name: each for each in optim.hyperparameters("lookahead")}
    assert listed["pullback_momentum"].default == "keep"
    assert main(["optimizers", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (options,) = [row["options"] for row in rows if row["name"] == "lookahead"]
    assert options[-1]["range"] == "{keep, pull-back, reset}"
    words = ["train", "--lookahead.pullback-momentum", "reset", "--print-spec"]
    assert main(words) == 0
    assert 'pullback_momentum = "reset"' in capsys.readouterr().out
