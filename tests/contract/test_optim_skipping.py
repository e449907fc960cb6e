"""Every optimizer leaves a step with a gradient that is not finite out as a whole, if asked to."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg import optim

Maker = Callable[..., Any]


def around(inner: Maker) -> Maker:
    def make(params: Any, skip_nonfinite: bool = False) -> optim.Lookahead:
        return optim.Lookahead(inner(params, lr=1e-2), k=2, skip_nonfinite=skip_nonfinite)

    return make


OPTIMIZERS: dict[str, Maker] = {
    name: optim.torch_optimizer(rule)
    for name, rule in optim.rules().items()
    if name not in optim.wrappers()
}
OPTIMIZERS |= {"lookahead": around(optim.Adam), "lookahead of torch's": around(torch.optim.Adam)}


@pytest.fixture(params=OPTIMIZERS)
def make(request: pytest.FixtureRequest) -> Maker:
    return OPTIMIZERS[request.param]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


def groups(model: nn.Sequential) -> list[dict[str, Any]]:
    return [{"params": model[0].parameters()}, {"params": model[2].parameters()}]


X = torch.linspace(-1, 1, 12).view(3, 4)


def backward(model: nn.Module, t: int) -> None:
    model.zero_grad()
    model(X * (1 + t)).pow(2).sum().backward()


def everything(model: nn.Module, optimizer: Any) -> list[Any]:
    """Return copies of all that a step may move."""
    found: list[Any] = [p.detach().clone() for p in model.parameters()]

    def walk(x: Any) -> None:
        if isinstance(x, dict):
            for key, value in x.items():
                if key != "skipped_steps":
                    found.append(key)
                    walk(value)
        elif isinstance(x, list):
            list(map(walk, x))
        else:
            found.append(x.clone() if isinstance(x, Tensor) else x)

    walk(optimizer.state_dict())
    return found


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("when", [0, 3])
def test_nothing_moves(make: Maker, when: int, bad: float) -> None:
    model = net()
    optimizer = make(groups(model), skip_nonfinite=True)
    for t in range(5):
        backward(model, t)
        if t == when:
            model[2].bias.grad[1] = bad  # the last parameter of the last group
            before = everything(model, optimizer)
        optimizer.step()
        if t == when:
            assert same(before, everything(model, optimizer))
    assert optimizer.skipped_steps == 1


def test_the_others_are_as_if_it_had_not_been(make: Maker) -> None:
    model, twin = net(), net()
    a, b = make(groups(model), skip_nonfinite=True), make(groups(twin))
    for t in range(7):
        backward(model, t)
        if t in (2, 3):
            model[0].weight.grad[0, 0] = math.nan
        else:
            backward(twin, t)
            b.step()
        a.step()
    assert a.skipped_steps == 2
    assert b.skipped_steps == 0
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True)
    )


def test_not_asked_for_it_is_done(make: Maker) -> None:
    model = net()
    optimizer = make(groups(model))
    before = everything(model, optimizer)
    for t in range(3):
        backward(model, t)
        model[0].weight.grad[0, 0] = math.nan
        optimizer.step()
    assert not same(before, everything(model, optimizer))
    assert optimizer.skipped_steps == 0


def test_the_count_is_kept(make: Maker) -> None:
    model = net()
    optimizer = make(groups(model), skip_nonfinite=True)
    for t in range(3):
        backward(model, t)
        model[0].weight.grad[0, 0] = math.nan if t else 0.0
        optimizer.step()
    assert optimizer.state_dict()["skipped_steps"] == 2
    fresh = make(groups(net()))
    fresh.load_state_dict(optimizer.state_dict())
    assert fresh.skipped_steps == 2
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert (twin.skipped_steps, twin.skip_nonfinite) == (2, True)


def test_a_closure_is_called_once_and_its_loss_returned(make: Maker) -> None:
    model = net()
    optimizer = make(groups(model), skip_nonfinite=True)
    called = []

    def closure() -> Tensor:
        called.append(len(called))
        optimizer.zero_grad()
        loss = model(X).pow(2).sum() * (math.nan if len(called) == 2 else 1.0)
        loss.backward()
        return loss

    for t in range(3):
        assert optimizer.step(closure).isnan() == (t == 1)
    assert (called, optimizer.skipped_steps) == ([0, 1, 2], 1)


def test_the_inner_optimizer_of_lookahead_may_be_the_one_asked() -> None:
    model = net()
    inner = optim.Adam(groups(model), skip_nonfinite=True)
    optimizer = optim.Lookahead(inner, k=2)
    for t in range(4):
        backward(model, t)
        model[0].weight.grad[0, 0] = math.nan if t == 1 else 0.0
        optimizer.step()
    assert (optimizer.steps, optimizer.skipped_steps, inner.skipped_steps) == (3, 1, 1)


def test_sparse_gradients_are_looked_at_too() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = optim.Lookahead(torch.optim.SparseAdam(table.parameters()), skip_nonfinite=True)
    before = table.weight.detach().clone()
    (table(torch.tensor([1, 3])).sum() * math.nan).backward()
    optimizer.step()
    assert torch.equal(table.weight, before)
    assert optimizer.skipped_steps == 1


def test_large_is_finite() -> None:
    p = torch.ones(4, requires_grad=True)
    optimizer = optim.SGD([p], lr=1e-38, skip_nonfinite=True)
    p.grad = torch.full((4,), 3e38)  # neither its sum nor its square is
    optimizer.step()
    assert optimizer.skipped_steps == 0
