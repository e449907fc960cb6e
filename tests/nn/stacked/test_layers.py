"""Every hand-written layer against autograd, and each member against itself alone."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn

from thalweg.errors import ModelError
from thalweg.nn import DropBlock2d, Residual
from thalweg.nn.stacked import Stack
from thalweg.nn.stacked.activations import calls
from thalweg.nn.stacked.build import BY_HAND
from thalweg.nn.stacked.fallback import Autograd
from thalweg.nn.stacked.layer import as_one
from thalweg.nn.stacked.shape import Chain

FLAT, LINE, IMAGE = (37,), (6, 37), (4, 9, 7)
"""Shapes of one sample; no count of numbers is a multiple of a register's."""

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "identity": (nn.Identity, FLAT),
    "identity-with-options": (lambda: nn.Identity(3, some=4), FLAT),
    "leaky-relu": (lambda: nn.LeakyReLU(0.3), FLAT),
    "elu": (lambda: nn.ELU(0.7), FLAT),
    "gelu": (nn.GELU, FLAT),
    "gelu-tanh": (lambda: nn.GELU("tanh"), FLAT),
    "silu": (nn.SiLU, FLAT),
    "softplus": (lambda: nn.Softplus(2.0, 3.0), FLAT),
    "linear": (lambda: nn.Linear(37, 5), LINE),
    "linear-without-bias": (lambda: nn.Linear(7, 3, bias=False), IMAGE),
    "linear-wide": (lambda: nn.Linear(37, 999), LINE),
    "relu": (nn.ReLU, FLAT),
    "mish": (nn.Mish, FLAT),
    "tanh": (nn.Tanh, FLAT),
    "sigmoid": (nn.Sigmoid, FLAT),
    "softmax": (lambda: nn.Softmax(-1), FLAT),
    "softmax-of-channels": (lambda: nn.Softmax(1), LINE),
    "softmax-over-batch": (lambda: nn.Softmax(0), FLAT),
    "log-softmax": (lambda: nn.LogSoftmax(1), FLAT),
    "log-softmax-of-channels": (lambda: nn.LogSoftmax(1), IMAGE),
    "layer-norm": (lambda: nn.LayerNorm(37, eps=1e-3), FLAT),
    "layer-norm-of-two-axes": (lambda: nn.LayerNorm([6, 37]), LINE),
    "layer-norm-without-bias": (lambda: nn.LayerNorm(37, bias=False), FLAT),
    "layer-norm-plain": (lambda: nn.LayerNorm(37, elementwise_affine=False), FLAT),
    "group-norm": (lambda: nn.GroupNorm(2, 4, eps=1e-3), IMAGE),
    "group-norm-of-lines": (lambda: nn.GroupNorm(3, 6), LINE),
    "group-norm-of-vectors": (lambda: nn.GroupNorm(1, 37), FLAT),
    "group-norm-plain": (lambda: nn.GroupNorm(2, 4, affine=False), IMAGE),
    "batch-norm": (lambda: nn.BatchNorm2d(4), IMAGE),
    "convolution": (lambda: nn.Conv1d(6, 5, 4, stride=2, padding=3, dilation=2), LINE),
    "convolution-in-groups": (lambda: nn.Conv1d(6, 4, 3, groups=2, bias=False), LINE),
    "convolution-2d": (lambda: nn.Conv2d(4, 3, (3, 2), padding=1), IMAGE),
    "max-pool-1d": (lambda: nn.MaxPool1d(3), LINE),
    "max-pool-1d-options": (lambda: nn.MaxPool1d((3,), 2, padding=1, dilation=2), LINE),
    "max-pool-1d-up": (lambda: nn.MaxPool1d(2, 3, ceil_mode=True), LINE),
    "max-pool": (lambda: nn.MaxPool2d(3, 2, 1), IMAGE),
    "average-pool-1d": (lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True), LINE),
    "average-pool": (lambda: nn.AvgPool2d(3), IMAGE),
    "average-pool-options": (
        lambda: nn.AvgPool2d((3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False), IMAGE,
    ),
    "average-pool-divisor": (lambda: nn.AvgPool2d(2, divisor_override=3), IMAGE),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    "adaptive-one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive-own": (lambda: nn.AdaptiveAvgPool2d((None, 2)), IMAGE),
    "adaptive-1d": (lambda: nn.AdaptiveAvgPool1d(5), LINE),
    "adaptive-1d-tuple": (lambda: nn.AdaptiveAvgPool1d((5,)), LINE),
    "unflatten": (lambda: nn.Unflatten(1, (2, 3)), LINE),
    "unflatten-from-the-end": (lambda: nn.Unflatten(-1, (37, 1)), LINE),
    "flatten": (lambda: nn.Flatten(2), IMAGE),
}  # fmt: skip

DROPPED: dict[str, tuple[Callable[[float], nn.Module], tuple[int, ...], int]] = {
    "dropout": (nn.Dropout, FLAT, 2),
    "dropout-1d": (nn.Dropout1d, LINE, 2),
    "dropout-1d-of-one-sample": (nn.Dropout1d, FLAT, 1),
    "dropout-2d": (nn.Dropout2d, IMAGE, 2),
    "dropout-2d-of-lines": (nn.Dropout2d, LINE, 2),
    "drop-block": (lambda p: DropBlock2d(p, 3, generator=seeded(99)), IMAGE, 0),
}
"""Layers that draw, for a rate; a sample's shape; how many axes a mask has (0: they are blocks)."""


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


class Before(nn.Module):
    """Trainable numbers in front, without which there would be nothing to train."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(shape) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def network(layer: nn.Module, shape: tuple[int, ...]) -> nn.Sequential:
    net = nn.Sequential(Before(shape), layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    return net


def inputs(shape: tuple[int, ...], members: int = 1, kind: torch.dtype = torch.float64) -> Tensor:
    return 2 * torch.randn(members, 5, *shape, dtype=kind, generator=seeded(1))


def by_hand(stack: Stack) -> bool:
    assert isinstance(stack._root, Chain)
    return not isinstance(stack._root.layers[1], Autograd)


@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients_are_those_of_autograd(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    net = network(make(), shape).double()
    twin, stack = copy.deepcopy(net), Stack([net])
    assert by_hand(stack)
    for _ in range(2):
        x = inputs(shape)
        leaf = x[0].clone().requires_grad_()
        y = stack.forward(x, train=True)
        expected = twin(leaf)
        torch.testing.assert_close(y[0], expected.detach(), rtol=1e-12, atol=1e-12)
        g = torch.cos(expected.detach())
        gx = stack._root.backward(g[None].clone(), need_input=True)
        twin.zero_grad()
        expected.backward(g)
        torch.testing.assert_close(gx[0], leaf.grad, rtol=1e-10, atol=1e-12)
        for key, parameter in twin.named_parameters():
            grad = stack.view(stack.grad, key)[0]
            torch.testing.assert_close(grad, parameter.grad, rtol=1e-10, atol=1e-12)
    y = stack.forward(inputs(shape))
    torch.testing.assert_close(y[0], twin.eval()(inputs(shape)[0]).detach())


@pytest.mark.parametrize("size", [64, 640, 6400])
@pytest.mark.parametrize(
    "name", ["elu", "gelu", "gelu-tanh", "silu", "softplus", "tanh", "sigmoid"]
)
def test_members_that_share_a_call_have_the_bits_of_their_runs_alone(name: str, size: int) -> None:
    layer = Stack([nn.Sequential(nn.Linear(1, 1), LAYERS[name][0]())])._root.layers[1]  # type: ignore[attr-defined]
    x, g = (4 * torch.randn(33, 1, size, generator=seeded(k)) for k in (0, 1))
    assert len(list(calls(x, g))) == {64: 1, 640: 1, 6400: 7}[size]
    assert len(list(calls(x.mT, g))) == 33
    y = layer.forward(x, train=True).clone()
    gx = layer.backward(g.clone(), need_input=True)
    for k in range(33):
        assert torch.equal(layer.forward(x[k : k + 1], train=True)[0], y[k])
        assert torch.equal(layer.backward(g[k : k + 1].clone(), need_input=True)[0], gx[k])


@pytest.mark.no_cover
@pytest.mark.parametrize("members", [2, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_each_member_has_the_bits_of_its_run_alone(name: str, members: int) -> None:
    make, shape = LAYERS[name]
    nets = []
    for seed in range(members):
        torch.manual_seed(seed)
        nets.append(network(make(), shape))
    x = inputs(shape, members, torch.float32)
    stack = Stack(nets)
    evaluated, trained = stack.forward(x).clone(), stack.forward(x, train=True).clone()
    gx = stack._root.backward(trained.sin(), need_input=True)
    for k, net in enumerate(nets):
        alone = Stack([net])
        assert torch.equal(alone.forward(x[k : k + 1])[0], evaluated[k])
        own = alone.forward(x[k : k + 1], train=True).clone()
        assert torch.equal(own[0], trained[k])
        assert torch.equal(alone._root.backward(own.sin(), need_input=True)[0], gx[k])
        assert torch.equal(alone.grad[0], stack.grad[k])
        for key, buffer in alone.buffers.items():
            assert torch.equal(buffer[0], stack.buffers[key][k])


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_dropped_is_each_members_own(name: str) -> None:
    make, shape, axes = DROPPED[name]
    rates = [0.5, 0.0, 0.2]
    nets = [nn.Sequential(Before(shape), make(p)) for p in rates]
    for net in nets:
        net[0].scale.data.fill_(1)
    x = inputs(shape, 3, torch.float32)
    generators = [seeded(k) for k in range(3)]
    stack = Stack(nets, generators=generators)
    assert by_hand(stack)
    for _ in range(2):
        y = stack.forward(x, train=True).clone()
        gx = stack._root.backward(torch.ones_like(y), need_input=True)
    assert torch.equal(y[1], x[1])
    assert torch.equal(generators[1].get_state(), seeded(1).get_state())
    for k, net in enumerate(nets):
        alone = Stack([net], generators=[seeded(k)])
        for _ in range(2):
            own = alone.forward(x[k : k + 1], train=True)
        assert torch.equal(own[0], y[k])
        assert torch.equal(alone._root.backward(torch.ones_like(own), need_input=True)[0], gx[k])
        assert torch.equal(alone.grad[0], stack.grad[k])
        torch.testing.assert_close(y[k], x[k] * gx[k])  # what was dropped has no gradient
    if axes:  # a mask is the same over all other axes, and keeps the mean
        rows = gx[0].flatten(axes) if gx[0].ndim > axes else gx[0][..., None]
        assert (rows == rows[..., :1]).all()
        assert set(gx[0].unique().tolist()) == {0.0, 2.0}
    assert torch.equal(stack.forward(x), x)  # in evaluation, all as it comes


def test_blocks_are_those_of_the_module_and_drawn_by_the_member() -> None:
    net = nn.Sequential(nn.Conv2d(4, 2, 1), DropBlock2d(0.3, 3, generator=seeded(7)))
    x = inputs(IMAGE, kind=torch.float32)
    y = Stack([net], generators=[seeded(7)]).forward(x, train=True)
    torch.testing.assert_close(y[0], net(x[0]).detach())
    state = net[1].generator.get_state()
    Stack([net], generators=[seeded(7)]).forward(x, train=True)
    assert torch.equal(net[1].generator.get_state(), state)
    with pytest.raises(ModelError, match="one that holds a block of 3x3"):
        Stack([net], generators=[seeded(7)]).forward(x[..., :2], train=True)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}])
@pytest.mark.parametrize("shared", [True, False])
def test_embeddings_look_up_and_learn_as_in_autograd(options: dict, shared: bool) -> None:
    torch.manual_seed(0)
    nets = [
        nn.Sequential(nn.Embedding(11, 37, **options), nn.ReLU(), nn.Flatten(), nn.Linear(111, 2))
        for _ in range(3)
    ]
    x = torch.randint(0, 11, (1 if shared else 3, 9, 3), generator=seeded(0))
    stack = Stack(nets)
    y = stack.forward(x, train=True)
    stack.backward(torch.ones_like(y))
    for k, net in enumerate(nets):
        own = x if shared else x[k : k + 1]
        alone = Stack([net])
        assert torch.equal(alone.forward(own, train=True)[0], y[k])
        alone.backward(torch.ones(1, 9, 2))
        assert torch.equal(alone.grad[0], stack.grad[k])
        expected = net(own[0])
        torch.testing.assert_close(y[k], expected.detach())
        expected.sum().backward()
        for key, parameter in net.named_parameters():
            torch.testing.assert_close(stack.view(stack.grad, key)[k], parameter.grad)


@pytest.mark.parametrize("wrong", [11, -1])
def test_an_index_without_a_vector_is_refused(wrong: int) -> None:
    stack = Stack([nn.Embedding(11, 2)])
    with pytest.raises(ModelError, match=f"an index of {wrong}; expected 0 … 10"):
        stack.forward(torch.tensor([[[3, wrong]]]))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(6, 2, 3, padding="same"),
        nn.Conv1d(6, 2, 3, padding=1, padding_mode="circular"),
        nn.Softplus,
        nn.ReLU6(),
        nn.AlphaDropout(0.0),
    ],
)
def test_rare_options_are_left_to_autograd(layer: object) -> None:
    if layer is nn.Softplus:  # a subclass may do anything
        layer = type("Own", (nn.Softplus,), {})()
    assert isinstance(layer, nn.Module)
    net = network(layer, LINE)
    stack = Stack([net])
    assert not by_hand(stack)
    x = inputs(LINE, kind=torch.float32)
    torch.testing.assert_close(stack.forward(x, train=True)[0], net(x[0]).detach())


def test_rare_embeddings_are_left_to_autograd() -> None:
    for options in ({"max_norm": 1.0}, {"sparse": True}):
        net = nn.Sequential(nn.Embedding(4, 3, **options), nn.Linear(3, 2))
        stack = Stack([net])
        x = torch.arange(4)[None, None]
        stack.forward(x, train=True)
        stack.backward(torch.ones(1, 1, 4, 2))
        net(x[0]).sum().backward()
        grad = net[0].weight.grad
        grad = grad.to_dense() if grad.is_sparse else grad
        torch.testing.assert_close(stack.view(stack.grad, "0.weight")[0], grad)


def test_a_relu_may_work_in_place_after_every_layer_that_writes() -> None:
    layers = [
        nn.Conv1d(6, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.ReLU(), nn.GroupNorm(2, 6), nn.ReLU(),
        nn.AvgPool1d(2), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.ReLU(), nn.LayerNorm(4), nn.ReLU(),
        nn.GELU(), nn.ReLU(), nn.Identity(), nn.ReLU(),
    ]  # fmt: skip
    torch.manual_seed(0)
    net = nn.Sequential(*layers).double()
    stack, x = Stack([net]), inputs(LINE)
    y = stack.forward(x, train=True)
    expected = net(x[0])
    torch.testing.assert_close(y[0], expected.detach())
    stack.backward(torch.ones_like(y))
    expected.sum().backward()
    for key, parameter in net.named_parameters():
        torch.testing.assert_close(stack.view(stack.grad, key)[0], parameter.grad)


def test_layers_give_their_memory_back() -> None:
    net = nn.Sequential(nn.Conv1d(6, 6, 3), nn.MaxPool1d(2), nn.GELU(), nn.LayerNorm(17))
    stack, x = Stack([net]), inputs(LINE, kind=torch.float32)
    stack.forward(x, train=True)
    stack.release()
    assert isinstance(stack._root, Chain)
    conv, pool, act, norm = stack._root.layers
    assert not any(hasattr(layer, "x") for layer in (conv.layer, pool.layer, act, norm))
    assert not act._buffers


def test_each_kind_of_hand_written_layer_is_tested_here_or_beside() -> None:
    here = {type(make()) for make, _ in LAYERS.values()}
    here |= {type(make(0.5)) for make, *_ in DROPPED.values()}
    beside = {"Sequential", "Residual", "BatchNorm1d", "Embedding"}
    assert {kind.__name__ for kind in BY_HAND - here} == beside


@pytest.mark.parametrize("strides", [(1, 15, 3), (1, 3, 15), (20, 4, 1), (0, 5, 1)])
def test_members_lie_in_memory_as_they_would_alone(strides: tuple[int, ...]) -> None:
    x = torch.arange(100.0).as_strided((3, 5, 4)[: len(strides)], strides)
    layer = Stack([nn.Linear(1, 1)])._root
    alone, one = layer.buffer_as("a", x[None]), as_one([x.clone()])
    for members in (2, 7):
        assert layer.buffer_as("a", x[None], members)[1].stride() == alone[0].stride()
        assert as_one([x.clone()] * members)[1].stride() == one[0].stride()
    assert layer.buffer_as("a", x[None]) is alone


@pytest.mark.parametrize("name", ["silu", "sigmoid", "mish", "gelu", "elu"])
def test_activations_keep_samples_side_by_side(name: str) -> None:
    make, _ = LAYERS[name]
    layer = Stack([nn.Sequential(nn.Linear(1, 1), make())])._root.layers[1]  # type: ignore[attr-defined]
    x = torch.randn(1, 9, 37).mT
    y = layer.forward(x, train=True).clone()
    assert y.stride() == x.stride()
    torch.testing.assert_close(y, make()(x))
    gapped = torch.randn(1, 37, 18)[..., ::2]
    torch.testing.assert_close(layer.forward(gapped, train=True), make()(gapped))


def test_a_residual_block_of_another_shape_is_refused() -> None:
    stack = Stack([nn.Sequential(Residual(nn.Linear(3, 1)))])
    with pytest.raises(ModelError, match=r"turns \(4, 3\) into \(4, 1\)"):
        stack.forward(torch.ones(1, 4, 3))
