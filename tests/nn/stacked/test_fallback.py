"""Layers that are left to autograd: why, one by one or as one, and with the same results."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from thalweg.nn import Residual
from thalweg.nn.stacked import Stack
from thalweg.nn.stacked.build import why_not


class Own(nn.Module):
    """Two linear layers, the first through its numbers only, so that nothing stands in for it."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(F.linear(x, self.first.weight, self.first.bias))
        return self.second(hidden)  # type: ignore[no-any-return]


class Branching(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else 2 * x)


class Noisy(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.01 * torch.rand_like(x) if self.training else x)


class Counting(Own):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Unused(Own):
    """It does without its first layer, and without its input."""

    def forward(self, x: Tensor) -> Tensor:
        return self.second.bias.expand(len(x), 3)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x)[0]  # type: ignore[no-any-return]


class Hidden:
    """Something that holds a parameter, and that no rule knows."""

    def __init__(self, weight: nn.Parameter) -> None:
        self.weight = weight


class Closed(Own):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = Hidden(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.hidden.weight


class Constant(Own):
    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones(len(x), 3)


def networks(make: Callable[[], nn.Module], members: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [make() for _ in range(members)]


def trained(stack: Stack, x: Tensor) -> tuple[Tensor, Tensor]:
    y = stack.forward(x, train=True).clone()
    stack.backward(y.sin())
    return y, stack.grad


def close(one: Stack, other: Stack, x: Tensor) -> None:
    for _ in range(2):
        for a, b in zip(trained(one, x), trained(other, x), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.forward(x), other.forward(x), rtol=1e-5, atol=1e-6)


X = torch.randn(6, 9, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("x", [X[:1], X], ids=["shared", "own"])
def test_members_as_one_are_near_the_hand_written_form(x: Tensor) -> None:
    def by_hand() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))

    nets = networks(by_hand, 6)
    twins = [Own() for _ in nets]
    for net, twin in zip(nets, twins, strict=True):
        twin.load_state_dict(dict(zip(twin.state_dict(), net.state_dict().values(), strict=True)))
    stack, mapped = Stack(nets), Stack(twins, exact=False)
    close(stack, mapped, x)
    (fallback,) = mapped.fallbacks
    assert (fallback.path, fallback.kind, fallback.form) == ("", "Own", "vmap")
    assert str(fallback) == "the network (Own): no hand-written form of Own; members run as one"
    assert stack.fallbacks == ()


@pytest.mark.parametrize(
    ("make", "form", "refusal"),
    [
        (Own, "vmap", ""),
        (Unused, "vmap", ""),
        (Constant, "vmap", ""),
        (Branching, "copies", "vmap: It looks like you're"),
        (Counting, "copies", "it has buffers"),
        (Recurrent, "copies", "where vmap does not see them"),
        (Closed, "copies", "vmap finds other values"),
        (lambda: Own(5000), "copies", "too many to gain"),
        (lambda: nn.Sequential(Own(), nn.Hardtanh(inplace=True)), "vmap", ""),
    ],
)  # fmt: skip
def test_what_cannot_run_as_one_runs_one_by_one(
    make: Callable[[], nn.Module], form: str, refusal: str
) -> None:
    nets = networks(make, 6)
    x = torch.randn(6, 2, 5000) if form == "copies" and "many" in refusal else X
    mapped = Stack(nets, exact=False)
    close(Stack(nets), mapped, x)
    for fallback in mapped.fallbacks:
        assert fallback.form == form
        assert refusal in fallback.refusal
        assert fallback.refusal in str(fallback)
    for buffer in mapped.buffers.values():
        assert (buffer == 3).all()


def test_a_large_evaluation_runs_one_by_one_and_training_as_one() -> None:
    nets = networks(Own, 6)
    mapped, copies = Stack(nets, exact=False), Stack(nets)
    many = torch.randn(1, 4000, 5)
    assert torch.equal(mapped.forward(many), copies.forward(many))
    close(mapped, copies, X)
    assert mapped.fallbacks[0].form == "vmap"
    mapped.forward(many, train=True)
    assert mapped.fallbacks[0].refusal == "20066 numbers a member are too many to gain"


def test_few_members_run_one_by_one() -> None:
    (fallback,) = Stack(networks(Own, 3), exact=False).fallbacks
    assert (fallback.form, fallback.refusal) == ("copies", "fewer than 4 members")


def test_a_layer_in_the_middle_passes_gradients_on() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Linear(5, 5), nn.Softsign(), Own(), Residual(nn.Softsign()), nn.Linear(3, 2)
        )

    nets = networks(make, 5)
    mapped = Stack(nets, exact=False)
    close(Stack(nets), mapped, X[:5])
    assert [f.path for f in mapped.fallbacks] == ["1", "2", "3.block"]
    assert {f.form for f in mapped.fallbacks} == {"vmap"}
    mapped.release()
    close(Stack(nets), mapped, X[:5])


def test_what_draws_runs_one_by_one_from_its_members_generators() -> None:
    nets = networks(Noisy, 5)
    stacks = [
        Stack(nets, exact=exact, generators=[Generator().manual_seed(k) for k in range(5)])
        for exact in (True, False)
    ]
    ours, mapped = (trained(stack, X[:5]) for stack in stacks)
    assert all(torch.equal(a, b) for a, b in zip(ours, mapped, strict=True))
    assert "random" in stacks[1].fallbacks[0].refusal
    assert stacks[0].fallbacks[0].refusal == "exact=True"


def test_rates_that_differ_rule_running_as_one_out() -> None:
    nets = [nn.Sequential(nn.Linear(5, 3), nn.AlphaDropout(p / 10)) for p in range(5)]
    (fallback,) = Stack(nets, exact=False).fallbacks
    assert (fallback.path, fallback.refusal) == ("1", "its dropout rates differ")


def test_frozen_numbers_are_each_members_own_as_one_too() -> None:
    nets = networks(Own, 5)
    for net in nets:
        net.first.requires_grad_(False)
    mapped = Stack(nets, exact=False)
    close(Stack(nets), mapped, X[:5])
    assert mapped.fallbacks[0].form == "vmap"


def test_indices_may_come_in_as_one() -> None:
    class Table(nn.Embedding):
        pass

    nets = networks(lambda: Table(4, 3), 5)
    mapped = Stack(nets, exact=False)
    close(Stack(nets), mapped, torch.arange(4).expand(5, 2, 4))
    assert mapped.fallbacks[0].form == "vmap"


def test_reduced_precision_reaches_what_runs_as_one() -> None:
    nets = networks(Own, 5)
    mapped, copies = (Stack(nets, exact=exact, precision=torch.bfloat16) for exact in (False, True))
    for a, b in zip(trained(mapped, X[:5]), trained(copies, X[:5]), strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)
    assert mapped.fallbacks[0].form == "vmap"
    assert mapped.forward(X[:5]).dtype == torch.float32


def test_members_that_come_and_go_stay_within_rounding() -> None:
    nets = networks(Own, 6)
    mapped, copies = Stack(nets[:4], exact=False), Stack(nets[:4])
    for stack in (mapped, copies):
        stack.join(nets[4:])
        stack.keep([5, 1, 0, 3, 4])
    close(mapped, copies, X[:5])
    assert mapped.fallbacks[0].form == "vmap"


def test_a_layer_that_works_in_place_may_be_left_to_autograd() -> None:
    net = nn.Sequential(nn.Linear(5, 3), nn.Hardtanh(inplace=True), nn.Linear(3, 2))
    stack, twin = Stack([net]), copy.deepcopy(net)
    y, _ = trained(stack, X[:1])
    expected = twin(X[0])
    expected.backward(y[0].sin())
    torch.testing.assert_close(y[0], expected.detach())
    for key, parameter in twin.named_parameters():
        torch.testing.assert_close(stack.view(stack.grad, key)[0], parameter.grad)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.MaxPool1d(2, return_indices=True), "it returns indices"),
        (nn.Softmax(), "dim is not given"),
        (nn.Conv1d(1, 1, 3, padding="same"), "padding='same'"),
        (nn.Conv2d(1, 1, 3, padding_mode="reflect"), "padding_mode='reflect'"),
        (nn.Embedding(2, 2, max_norm=1.0), "max_norm"),
        (nn.Linear(1, 1).requires_grad_(False), "frozen"),
        (Residual(nn.ReLU(inplace=True)), "works in place"),
    ],
)
def test_reasons_are_given(module: nn.Module, reason: str) -> None:
    assert reason in why_not(module)


def test_shared_parameters_and_hooks_are_reasons() -> None:
    layer = nn.Linear(2, 2)
    assert "share" in why_not(nn.Sequential(layer, layer))
    layer.register_forward_hook(lambda module, args, output: output)
    assert why_not(layer) == "it has hooks"
