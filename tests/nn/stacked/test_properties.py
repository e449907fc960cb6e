"""Whatever the architecture, and whoever comes and goes: no bit of the others changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from thalweg.nn import DropBlock2d, Residual
from thalweg.nn.stacked import Stack

Shape = tuple[int, ...]

ACTIVATIONS = [
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Tanh, nn.Sigmoid,
    nn.Identity, nn.Softsign,
]  # fmt: skip


@dataclass
class Plan:
    """An architecture: layers as functions of the dropout rate, and the shape of an input."""

    layers: list[object]
    shape: Shape

    def build(self, seed: int, p: float) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(*(make(p) for make in self.layers))  # type: ignore[operator]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw architectures that end in a linear layer."""
    size = st.sampled_from([5, 8, 9])
    start: Shape = draw(
        st.one_of(
            st.tuples(st.sampled_from([3, 16, 37, 65])),
            st.tuples(st.sampled_from([2, 4]), st.sampled_from([9, 37])),
            st.tuples(st.sampled_from([1, 4]), size, size),
        )
    )
    shape, layers = start, []
    for _ in range(draw(st.integers(1, 4))):
        added, shape = draw(blocks(shape))
        layers += added
    n = torch.Size(shape).numel()
    layers += [lambda p: nn.Flatten(), lambda p: nn.Linear(n, 3)]
    return Plan(layers, start)


@st.composite
def blocks(draw: st.DrawFn, shape: Shape) -> tuple[list[object], Shape]:
    """Draw a layer that learns or pools, one that normalises or drops, and an activation."""
    axes, first, last = len(shape), shape[0], shape[-1]
    wide, act = draw(st.sampled_from([1, 4, 16, 37])), draw(st.sampled_from(ACTIVATIONS))
    between: list[object] = [nn.Dropout]
    if axes == 1:
        layers: list[object] = [lambda p: nn.Linear(first, wide)]
        shape = (wide,)
        layers += draw(
            st.sampled_from([
                [], [lambda p: nn.BatchNorm1d(wide)], [lambda p: nn.LayerNorm(wide)],
                [lambda p: Residual(nn.Sequential(nn.Linear(wide, wide), act()))],
                [lambda p: nn.Unflatten(1, (1, wide))],
            ])
        )  # fmt: skip
        if len(layers) == 2 and isinstance(layers[1](0.0), nn.Unflatten):  # type: ignore[operator]
            shape = (1, wide)
    elif axes == 2:
        between += [nn.Dropout1d, lambda p: nn.GroupNorm(1, shape[0])]
        between += [lambda p: nn.BatchNorm1d(shape[0]), lambda p: nn.LayerNorm(shape[1:])]
        half = max(last // 2, 1)
        layers, shape = draw(
            st.sampled_from([
                ([lambda p: nn.Conv1d(first, 4, 3, padding=1)], (4, last)),
                ([lambda p: nn.Linear(last, wide)], (first, wide)),
                ([lambda p: nn.AdaptiveAvgPool1d(half)], (first, half)),
                *([([lambda p: nn.MaxPool1d(2)], (first, half))] if last > 1 else []),
            ])
        )  # fmt: skip
    else:
        between += [nn.Dropout2d, lambda p: nn.GroupNorm(1, shape[0])]
        between += [lambda p: nn.BatchNorm2d(shape[0])]
        between += [lambda p: DropBlock2d(p, 1, generator=Generator())]
        half = max(last // 2, 1)
        layers, shape = draw(
            st.sampled_from([
                ([lambda p: nn.Conv2d(first, 5, 3, padding=1)], (5, *shape[1:])),
                ([lambda p: nn.Conv2d(first, 20, 1, stride=2)],
                 (20, *(-(-n // 2) for n in shape[1:]))),
                ([lambda p: nn.AdaptiveAvgPool2d(half)], (first, half, half)),
                *([([lambda p: nn.MaxPool2d(2)], (first, *(n // 2 for n in shape[1:]))),
                   ([lambda p: nn.AvgPool2d(2)], (first, *(n // 2 for n in shape[1:])))]
                  if min(shape[1:]) > 1 else []),
            ])
        )  # fmt: skip
    rest = draw(st.permutations([draw(st.sampled_from(between)), lambda p: act()]))
    return [*layers, *rest], shape


def step(stack: Stack, x: Tensor) -> Tensor:
    y = stack.forward(x, train=True).clone()
    stack.backward(y.sin())
    stack.theta.sub_(stack.grad, alpha=0.125)
    return y


def tensors(stack: Stack, member: int) -> list[Tensor]:
    own = [stack.theta, stack.grad, *stack.buffers.values()]
    return [t[member] for t in own] + [stack.context.generators[member].get_state()]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On several threads MKL's products follow alignment, unless MKL_CBWR was set before torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


RATES = [0.0, 0.25, 0.5]


@pytest.mark.no_cover
@settings(max_examples=25, deadline=None, derandomize=True)
@given(plan=plans(), data=st.data())
def test_members_that_come_and_go_have_the_bits_of_their_runs_alone(
    plan: Plan, data: st.DataObject
) -> None:
    shared = data.draw(st.booleans(), label="shared inputs")
    batch = data.draw(st.sampled_from([3, 16, 37]), label="batch")
    seeds = iter(range(1000))

    def enter(count: int) -> tuple[list[nn.Module], list[Stack], list[Generator]]:
        nets, alone, generators = [], [], []
        for seed in (next(seeds) for _ in range(count)):
            net = plan.build(seed, RATES[seed % 3])
            generators.append(Generator().manual_seed(seed))
            alone.append(Stack([net], generators=[Generator().manual_seed(seed)]))
            nets.append(net)
        return nets, alone, generators

    nets, alone, generators = enter(data.draw(st.integers(1, 3), label="members"))
    stack = Stack(nets, generators=generators)
    for turn in range(3):
        x = torch.randn(
            1 if shared else len(alone), batch, *plan.shape,
            generator=Generator().manual_seed(turn),
        )  # fmt: skip
        together = step(stack, x)
        for k, one in enumerate(alone):
            assert torch.equal(together[k], step(one, x if shared else x[k : k + 1])[0])
        evaluated = stack.forward(x)
        for k, one in enumerate(alone):
            assert torch.equal(evaluated[k], one.forward(x if shared else x[k : k + 1])[0])
        if data.draw(st.booleans(), label="join"):
            nets, more, generators = enter(data.draw(st.integers(1, 3), label="more"))
            stack.join(nets, generators)
            alone += more
        if data.draw(st.booleans(), label="keep"):
            order = data.draw(st.permutations(range(len(alone))), label="order")
            order = order[: data.draw(st.integers(1, len(order)), label="kept")]
            stack.keep(order)
            alone = [alone[k] for k in order]
        for k, one in enumerate(alone):
            for ours, own in zip(tensors(stack, k), tensors(one, 0), strict=True):
                assert torch.equal(ours, own)
