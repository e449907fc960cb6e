"""Members that come and go, and what members may differ in."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from thalweg import nn as nn_room
from thalweg.errors import ModelError
from thalweg.nn import Residual, Stack, stack
from thalweg.nn.stacked.alike import difference, outline


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int, p: float = 0.5) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 37), nn.BatchNorm1d(37), nn.Dropout(p), nn.ReLU(), nn.Linear(37, 3)
    )


def step(stack: Stack, x: Tensor) -> Tensor:
    """Train one step; a stand-in for a rule, elementwise and so exact."""
    y = stack.forward(x, train=True).clone()
    stack.backward(y.sin())
    stack.theta.sub_(stack.grad, alpha=0.125)
    return y


def state(stack: Stack, member: int) -> list[Tensor]:
    own = [stack.theta, stack.grad, *stack.buffers.values(), *stack.frozen.values()]
    tensors = [tensor[member].clone() for tensor in own]
    return [*tensors, *(g.get_state() for g in stack.context.generators[member : member + 1])]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


X = torch.randn(1, 11, 5, generator=seeded(0))


def test_networks_that_join_change_no_bit_of_the_others() -> None:
    stack = Stack([network(0), network(1)], generators=[seeded(0), seeded(1)])
    alone = [Stack([network(k)], generators=[seeded(k)]) for k in range(4)]
    for one in (stack, *alone[:2]):
        step(one, X)
    before = [state(stack, k) for k in range(2)]
    stack.join([network(2), network(3)], [seeded(2), seeded(3)])
    assert stack.members == stack.context.members == 4
    assert all(same(state(stack, k), before[k]) for k in range(2))
    assert not stack.grad[2:].any()
    for _ in range(3):
        together = step(stack, X)
        assert all(torch.equal(together[k], step(one, X)[0]) for k, one in enumerate(alone))
    assert all(same(state(stack, k), state(alone[k], 0)) for k in range(4))
    stack.keep([3, 1])
    stack.join([network(0)], [seeded(0)])
    fresh = Stack([network(0)], generators=[seeded(0)])
    for _ in range(2):
        together = step(stack, X)
        for k, one in enumerate([alone[3], alone[1], fresh]):
            assert torch.equal(together[k], step(one, X)[0])
            assert same(state(stack, k), state(one, 0))


def test_each_member_has_its_own_dropout_rate() -> None:
    rates = [0.5, 0.0, 0.9, 1.0, 0.2]
    nets = [network(k, p) for k, p in enumerate(rates)]
    stack = Stack(nets, generators=[seeded(k) for k in range(5)])
    assert stack.rates == {"2": rates}
    alone = [Stack([net], generators=[seeded(k)]) for k, net in enumerate(nets)]
    for _ in range(3):
        together = step(stack, X)
        assert all(torch.equal(together[k], step(one, X)[0]) for k, one in enumerate(alone))
    assert all(same(state(stack, k), state(one, 0)) for k, one in enumerate(alone))
    assert torch.equal(stack.context.generators[1].get_state(), seeded(1).get_state())
    assert [stack.export(k)[2].p for k in range(5)] == rates
    stack.keep([4, 1])
    stack.join([network(9, 0.7)], [seeded(9)])
    assert [stack.export(k)[2].p for k in range(3)] == [0.2, 0.0, 0.7]
    alone = [alone[4], alone[1], Stack([network(9, 0.7)], generators=[seeded(9)])]
    together = step(stack, X)
    assert all(torch.equal(together[k], step(one, X)[0]) for k, one in enumerate(alone))


def test_a_network_brings_its_rate_when_it_is_loaded() -> None:
    stack = Stack([network(0), network(1)], generators=[seeded(0), seeded(1)])
    stack.load(0, network(2, 0.0))
    alone = Stack([network(2, 0.0)], generators=[seeded(0)])
    assert torch.equal(step(stack, X)[0], step(alone, X)[0])
    assert stack.rates == {"2": [0.0, 0.5]}


def test_rates_differ_in_layers_that_are_left_to_autograd_too() -> None:
    def net(p: float) -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 37), nn.Sequential(nn.AlphaDropout(p), nn.ReLU()))

    rates = [0.5, 0.0, 0.2]
    stack = Stack([net(p) for p in rates], generators=[seeded(k) for k in range(3)])
    together = step(stack, X)
    for k, p in enumerate(rates):
        assert torch.equal(together[k], step(Stack([net(p)], generators=[seeded(k)]), X)[0])
        assert stack.export(k)[1][0].p == p


def test_averages_over_batches_count_each_members_own() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, momentum=None))

    torch.manual_seed(0)
    first, second = net(), net()
    stack, alone = Stack([first]), Stack([second])
    step(stack, X)
    stack.join([second])
    for _ in range(2):
        step(stack, X)
        step(alone, X)
    assert stack.buffers["1.num_batches_tracked"].tolist() == [3, 2]
    assert same(state(stack, 1), state(alone, 0))


def test_frozen_numbers_are_each_members_own() -> None:
    nets = [network(seed, 0.0) for seed in range(3)]
    for net in nets:
        net[0].weight.requires_grad_(False)
    stack = Stack(nets[:2], generators=[seeded(0), seeded(1)])
    stack.join(nets[2:], [seeded(2)])
    assert stack.frozen["0.weight"].shape == (3, 37, 5)
    together = step(stack, X)
    for k, net in enumerate(nets):
        assert torch.equal(together[k], step(Stack([net], generators=[seeded(k)]), X)[0])
        assert torch.equal(stack.export(k)[0].weight, net[0].weight)
    stack.keep([2])
    assert torch.equal(stack.frozen["0.weight"][0], nets[2][0].weight)


def test_a_layer_that_is_there_twice_works_twice() -> None:
    act, drop = nn.ReLU(), nn.Dropout(0.5)
    net = nn.Sequential(nn.Linear(5, 9), act, drop, nn.Linear(9, 9), act, drop, nn.Linear(9, 9))
    stack = Stack([net], generators=[seeded(0)])
    torch.testing.assert_close(stack.forward(X)[0], net.eval()(X[0]).detach())
    assert stack.rates == {"2": [0.5], "5": [0.5]}
    layer = nn.Linear(5, 5)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    stack = Stack([net])
    torch.testing.assert_close(stack.forward(X, train=True)[0], net(X[0]).detach())
    stack.backward(torch.ones(1, 11, 5))
    net(X[0]).sum().backward()
    torch.testing.assert_close(stack.view(stack.grad, "0.weight")[0], layer.weight.grad)


def test_a_block_that_changes_its_input_in_place_does_so_stacked() -> None:
    def net(*, inplace: bool) -> nn.Module:
        torch.manual_seed(0)
        block = nn.Sequential(nn.Sequential(nn.Identity(), nn.ReLU(inplace)), nn.Linear(5, 5))
        return nn.Sequential(nn.Linear(5, 5), Residual(block))

    outputs = [Stack([net(inplace=inplace)]).forward(X).clone() for inplace in (True, False)]
    assert not torch.allclose(*outputs)
    for inplace, out in zip((True, False), outputs, strict=True):
        torch.testing.assert_close(out[0], net(inplace=inplace)(X[0]).detach())


class Own(nn.Module):
    """A layer whose options torch does not know."""

    def __init__(self, function: Callable[[Tensor], Tensor], scale: object) -> None:
        super().__init__()
        self.function, self.scale = function, scale
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def tied(*, tie: bool) -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    if tie:
        net[1].weight = net[0].weight
    return net


def frozen(*, freeze: bool) -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].bias.requires_grad_(not freeze)
    return net


def hooked(*, hook: bool) -> nn.Module:
    net = nn.Linear(3, 3)
    if hook:
        net.register_forward_hook(lambda module, args, output: output)
    return net


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (nn.ReLU(), nn.Tanh(), "layer 1 is Tanh instead of ReLU"),
        (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2), "layer 1 has negative_slope=0.2"),
        (nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2), r"layer 1 has stride=\(2, 2\) instead"),
        (nn.MaxPool2d(2), nn.MaxPool2d(2, ceil_mode=True), "ceil_mode=True"),
        (nn.AvgPool2d(2), nn.AvgPool2d(2, count_include_pad=False), "count_include_pad=False"),
        (nn.BatchNorm1d(3), nn.BatchNorm1d(3, momentum=0.2), "momentum=0.2 instead of momentum"),
        (nn.BatchNorm1d(3), nn.BatchNorm1d(3, eps=0.1), "eps=0.1"),
        (nn.Linear(3, 3), nn.Linear(3, 3, bias=False), "bias=nothing"),
        (nn.Linear(3, 3), nn.Linear(3, 3).double(), r"float64\[3, 3\]"),
        (nn.Dropout(0.1), nn.AlphaDropout(0.1), "layer 1 is AlphaDropout"),
        (nn.Dropout(0.1), nn.Dropout(0.1, inplace=True), "inplace=True"),
        (Own(torch.sin, 1), Own(torch.cos, 1), "function=torch.*cos"),
        (Own(torch.sin, [1, 2]), Own(torch.sin, [1, 3]), r"scale=\(1, 3\)"),
        (Own(torch.sin, {"a": 1}), Own(torch.sin, {"a": 2}), "scale="),
        (Own(torch.sin, torch.zeros(2)), Own(torch.sin, torch.ones(2)), "scale="),
        (tied(tie=False), tied(tie=True), "weight=.*, shared with 1.0.weight instead"),
        (frozen(freeze=False), frozen(freeze=True), r"layer 1.1 has bias=.*frozen"),
        (hooked(hook=False), hooked(hook=True), "forward hooks=1"),
        (nn.Sequential(nn.ReLU()), nn.Sequential(), "layer 1.0 is missing"),
        (nn.Sequential(), nn.Sequential(nn.ReLU()), "layer 1.0 is new"),
    ],
)  # fmt: skip
def test_what_differs_is_named(one: nn.Module, other: nn.Module, words: str) -> None:
    stack = Stack([nn.Sequential(nn.Linear(3, 3), one)])
    stranger = nn.Sequential(nn.Linear(3, 3), other)
    with pytest.raises(ModelError, match=words):
        stack.join([stranger])
    with pytest.raises(ModelError, match=words):
        stack.load(0, stranger)
    assert stack.members == 1
    stack.join([nn.Sequential(nn.Linear(3, 3), copy.deepcopy(one))])


def test_what_a_network_is_of_is_named_in_full_where_names_are_the_same() -> None:
    class ReLU(nn.Module):
        pass

    found = difference(outline(nn.ReLU()), outline(ReLU()))
    assert found.endswith(
        "test_members." + ReLU.__qualname__ + " instead of torch.nn.modules.activation.ReLU"
    )
    a = nn.ModuleDict({"one": nn.ReLU(), "two": nn.ReLU()})
    b = nn.ModuleDict({"two": nn.ReLU(), "one": nn.ReLU()})
    assert difference(outline(a), outline(b)) == "its layers come in another order"
    assert difference(outline(a), outline(copy.deepcopy(a))) == ""


def test_generators_are_one_a_member_or_none() -> None:
    with pytest.raises(ModelError, match="2 generators for 1 networks"):
        Stack([network(0)], generators=[seeded(0), seeded(1)])
    stack = Stack([network(0)], generators=[seeded(0)])
    with pytest.raises(ModelError, match="0 generators for 1 networks"):
        stack.join([network(1)])
    stack = Stack([network(0)])
    with pytest.raises(ModelError, match="1 generators for 1 networks"):
        stack.join([network(1)], [seeded(1)])
    with pytest.raises(ModelError, match="0 generators for the masks of 1 members"):
        stack.forward(X, train=True)


@pytest.mark.parametrize("members", [[], [0, 0], [2], [-1]])
def test_members_that_cannot_be_kept_are_refused(members: list[int]) -> None:
    stack = Stack([network(0), network(1)])
    with pytest.raises(ModelError, match=r"some of 0 … 1, each once"):
        stack.keep(members)
    with pytest.raises(ModelError, match="no networks to stack"):
        Stack([])


def test_states_go_in_and_come_out_bit_for_bit() -> None:
    nets = [network(seed, 0.5) for seed in range(4)]
    for net in nets:
        net[1].running_mean.uniform_(-1, 1)
        net[1].num_batches_tracked += 3
        net[4].weight.requires_grad_(False)
        net[0].bias.data[0] = torch.nan
        net[0].bias.data[1] = -0.0
    states = [copy.deepcopy(net.state_dict()) for net in nets]
    before = copy.deepcopy(nets[0].state_dict())
    stacked = stack(nets[0], 4, states=states, generators=[seeded(k) for k in range(4)])
    for _ in range(2):  # they are so again after others have come and gone
        for k, state in enumerate(states):
            out = stacked.export(k).state_dict()
            assert list(out) == list(state)
            for name, value in state.items():
                assert out[name].dtype == value.dtype
                assert out[name].numpy().tobytes() == value.numpy().tobytes()
        stacked.join([copy.deepcopy(nets[3])], [seeded(5)])
        stacked.keep([2, 0, 1, 4])
        states = [states[k] for k in (2, 0, 1, 3)]
    for name, value in nets[0].state_dict().items():
        assert value.numpy().tobytes() == before[name].numpy().tobytes()


def test_states_that_do_not_fit_are_refused() -> None:
    net = nn.Linear(2, 1)
    with pytest.raises(ModelError, match="2 members and 1 states"):
        stack(net, 2, states=[net.state_dict()])
    with pytest.raises(ModelError, match="0 members; expected at least one"):
        stack(net, 0)
    with pytest.raises(ModelError, match=r"a state for member 1 that does not fit: .*weight"):
        stack(net, 2, states=[net.state_dict(), {"weight": torch.ones(3, 3), "bias": net.bias}])
    with pytest.raises(ModelError, match=r"does not fit: .*bias"):
        stack(net, 1, states=[{"weight": net.weight}])


def test_the_public_name_takes_what_a_stack_takes() -> None:
    stacked = stack(network(0), 3, precision=torch.bfloat16, exact=False, device="cpu")
    assert (stacked.context.precision, stacked.context.exact) == (torch.bfloat16, False)
    assert nn_room.stack is stack
    assert nn_room.Stack is Stack
