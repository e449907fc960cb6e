from __future__ import annotations

import pytest
import torch
from torch import Tensor

from thalweg import optim
from thalweg.errors import SpecError


def start() -> Tensor:
    return torch.linspace(-1, 1, 9, dtype=torch.float64).requires_grad_()


def steps(p: Tensor, optimizer: torch.optim.Optimizer, n: int) -> None:
    for _ in range(n):
        p.grad = torch.cos(3 * p.detach())
        optimizer.step()


def test_is_the_rule() -> None:
    p = start()
    optimizer = optim.Lookahead(optim.MADGRAD([p], lr=0.02), k=4, alpha=0.8)
    rule = optim.build("lookahead", inner=optim.build("madgrad", lr=0.02), k=4, alpha=0.8)
    theta = start().detach()[None]
    state = rule.init(theta)
    for t in range(11):
        steps(p, optimizer, 1)
        optim.apply(rule, theta, torch.cos(3 * theta), state, t)
        assert torch.equal(p.detach(), theta[0])
    with optimizer.slow_weights():
        assert torch.equal(p.detach(), state["slow"][0])


def test_weights_are_slow_for_a_while_only() -> None:
    p = start()
    optimizer = optim.Lookahead(torch.optim.SGD([p], lr=0.1), k=5)
    steps(p, optimizer, 3)
    fast = p.detach().clone()
    with optimizer.slow_weights():
        assert torch.equal(p.detach(), start().detach())
    assert torch.equal(p.detach(), fast)
    with pytest.raises(RuntimeError, match="evaluation"), optimizer.slow_weights():
        raise RuntimeError("in the middle of an evaluation")
    assert torch.equal(p.detach(), fast)


def test_loaded_state_is_a_copy() -> None:
    p, q = start(), start()
    source = optim.Lookahead(optim.SGD([p], lr=0.1), k=2)
    target = optim.Lookahead(optim.SGD([q], lr=0.1), k=2)
    steps(p, source, 3)
    target.load_state_dict(source.state_dict())
    slow = source.state[p]["slow"].clone()
    steps(q, target, 4)
    assert torch.equal(source.state[p]["slow"], slow)


def test_settings_stay_shared_with_the_inner_optimizer_after_loading() -> None:
    p = start()
    optimizer = optim.Lookahead(optim.SGD([p], lr=0.1), k=2)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[0]["lr"] = 0.0
    steps(p, optimizer, 3)
    assert torch.equal(p, start())


def test_state_of_another_optimizer_is_one_clear_error() -> None:
    p = start()
    optimizer = optim.Lookahead(optim.SGD([p], lr=0.1))
    with pytest.raises(SpecError, match=r"the state of a Lookahead"):
        optimizer.load_state_dict(optim.SGD([p]).state_dict())


@pytest.mark.parametrize(("k", "alpha"), [(0, 0.5), (2.5, 0.5), (5, 1.5), (5, float("nan"))])
def test_wrong_settings_are_one_clear_error(k: int, alpha: float) -> None:
    with pytest.raises(SpecError, match="for Lookahead"):
        optim.Lookahead(optim.SGD([start()]), k, alpha)
