"""The stacked layers against autograd, and K members against each of them alone."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thalweg.errors import ModelError
from thalweg.nn.layers import Residual
from thalweg.nn.stacked import Stack, stack
from thalweg.nn.stacked.fallback import Autograd
from thalweg.nn.stacked.pooled import PooledConv2d
from thalweg.nn.stacked.pooling import MaxPool2x2
from thalweg.nn.stacked.shape import Chain


class Odd(nn.Module):
    """Known to no hand-written layer; it has a buffer and draws from the global generator."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
            x = x + 0 * torch.rand_like(x)
        return x.sin() * self.scale


def mlp(*middle: nn.Module, width: int = 7) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), *middle, nn.Linear(width, 3))


NETS = {
    "relu": lambda: mlp(nn.ReLU()),
    "relu-first": lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(12, 3)),
    "relu-twice": lambda: mlp(nn.ReLU(), nn.Linear(7, 7), nn.ReLU(), nn.ReLU()),
    "mish": lambda: mlp(nn.Mish()),
    "tanh": lambda: mlp(nn.Tanh()),
    "sigmoid": lambda: mlp(nn.Sigmoid()),
    "no-bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 3, bias=False)),
    "log-softmax": lambda: nn.Sequential(*mlp(nn.ReLU()), nn.LogSoftmax(dim=1)),
    "log-softmax-over-batch": lambda: nn.Sequential(*mlp(nn.ReLU()), nn.LogSoftmax(dim=0)),
    "batch-norm": lambda: mlp(nn.ReLU(), nn.BatchNorm1d(7)),
    "batch-norm-plain": lambda: mlp(nn.BatchNorm1d(7, affine=False), nn.ReLU()),
    "batch-norm-untracked": lambda: mlp(nn.BatchNorm1d(7, track_running_stats=False)),
    "batch-norm-average": lambda: mlp(nn.BatchNorm1d(7, momentum=None)),
    "layer-norm": lambda: mlp(nn.LayerNorm(7), nn.GELU()),
    "odd": lambda: mlp(Odd(7)),
    "residual": lambda: mlp(Residual(nn.Sequential(nn.ReLU(), nn.Linear(7, 7), nn.ReLU()))),
    "projected": lambda: nn.Sequential(
        nn.Flatten(), Residual(nn.Sequential(nn.Linear(12, 3), nn.ReLU()), nn.Linear(12, 3))
    ),
    "nested": lambda: nn.Sequential(mlp(nn.ReLU(), nn.Sequential(nn.Linear(7, 7), nn.Tanh()))),
    "convolution": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)
    ),
    "convolution-norm": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    ),
    "pooling": lambda: nn.Sequential(  # 5 x 5: the last row and column are in no window
        nn.Conv2d(3, 2, 2, padding=2), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
    ),
    "pooling-by-3": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 2, padding=2), nn.MaxPool2d(3, stride=1), nn.Flatten(), nn.Linear(18, 3)
    ),
    "same-padding": lambda: nn.Sequential(
        nn.Conv2d(3, 2, 3, padding="same"), nn.Flatten(), nn.Linear(8, 3)
    ),
}


def batch(kind: torch.dtype = torch.float64, members: int = 1) -> torch.Tensor:
    return torch.randn(members, 6, 3, 2, 2, dtype=kind, generator=torch.Generator().manual_seed(1))


def seeded(name: str, seed: int, kind: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(seed)
    return NETS[name]().to(kind)


@pytest.mark.parametrize("name", NETS)
def test_forward_and_gradients_are_those_of_autograd(name: str) -> None:
    net = seeded(name, 0)
    twin, x = copy.deepcopy(net), batch()
    stacked = Stack([net])
    for _ in range(3):  # buffers are reused, running statistics move on
        outputs = stacked.forward(x, train=True)
        g = torch.cos(outputs)
        stacked.backward(g.clone())
        twin.zero_grad()
        expected = twin(x[0])
        expected.backward(torch.cos(expected.detach()))
        torch.testing.assert_close(outputs[0], expected.detach(), rtol=1e-12, atol=1e-12)
        for key, parameter in twin.named_parameters():
            grad = stacked.view(stacked.grad, key)[0]
            torch.testing.assert_close(grad, parameter.grad, rtol=1e-10, atol=1e-12)
    for key, buffer in twin.named_buffers():
        torch.testing.assert_close(stacked.buffers[key][0], buffer, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        stacked.forward(x)[0], twin.eval()(x[0]).detach(), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("shared", [True, False])
def test_each_member_is_bit_for_bit_the_network_alone(name: str, shared: bool) -> None:
    nets = [seeded(name, seed, torch.float32) for seed in range(3)]
    x = batch(torch.float32, 1 if shared else 3)
    together = Stack(nets)
    outputs = together.forward(x, train=True).clone()
    together.backward(outputs.sin())
    for k, net in enumerate(nets):
        alone = Stack([net])
        own = alone.forward(x if shared else x[k : k + 1], train=True)
        assert torch.equal(own[0], outputs[k])
        alone.backward(own.sin())
        assert torch.equal(alone.grad[0], together.grad[k])
        for key, buffer in alone.buffers.items():
            assert torch.equal(buffer[0], together.buffers[key][k])


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    kinds=st.lists(
        st.sampled_from([nn.ReLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.SiLU]), min_size=4, max_size=4
    ),
    samples=st.integers(2, 5),
)
def test_any_perceptron_has_the_gradients_of_autograd(
    widths: list[int], kinds: list[type[nn.Module]], samples: int
) -> None:
    torch.manual_seed(len(widths))
    sizes = [4, *widths]
    layers: list[nn.Module] = []
    for before, after, kind in zip(sizes, sizes[1:], kinds, strict=False):
        layers += [nn.Linear(before, after), kind()]
    net = nn.Sequential(*layers).double()
    x = torch.randn(1, samples, 4, dtype=torch.float64)
    stacked = Stack([net])
    stacked.forward(x, train=True)
    stacked.backward(torch.ones(1, samples, widths[-1], dtype=torch.float64))
    net(x[0]).sum().backward()
    for key, parameter in net.named_parameters():
        torch.testing.assert_close(stacked.view(stacked.grad, key)[0], parameter.grad)


@pytest.mark.parametrize("between", [[nn.Identity()], []])
def test_pooling_gives_the_gradient_of_a_tie_to_the_first(between: list[nn.Module]) -> None:
    pooling = nn.MaxPool2d(2), nn.Flatten()
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), *between, *pooling)
    net[0].weight.data.fill_(1.0)  # what goes back through it is as it was
    stacked = Stack([net])
    x = torch.randint(0, 3, (1, 50, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    stacked.forward(x, train=True)
    pool, inner = stacked._root.layers[-2], x[0].clone().requires_grad_()
    assert type(pool) is (MaxPool2x2 if between else PooledConv2d)
    g = torch.rand(50, 1, 2, 2)
    ours = pool.backward(g[None].clone(), need_input=True)
    torch.max_pool2d(inner, 2).backward(g)
    assert torch.equal(ours[0], inner.grad)


def test_networks_go_in_and_come_out_unchanged() -> None:
    nets = [seeded("convolution-norm", seed, torch.float32) for seed in range(2)]
    before = copy.deepcopy(nets)
    stacked = Stack(nets)
    stacked.forward(batch(torch.float32), train=True)
    for k, (net, untouched) in enumerate(zip(nets, before, strict=True)):
        out = stacked.export(k)
        assert not out.training
        for key, value in net.state_dict().items():
            assert torch.equal(value, untouched.state_dict()[key])
            if "running" not in key and "tracked" not in key:
                assert torch.equal(out.state_dict()[key], value)
        stacked.load(k, out)
    assert torch.equal(stacked.export(1)[0].weight, nets[1][0].weight)


def test_padding_stays_zero_and_parameters_are_aligned() -> None:
    stacked = Stack([seeded("relu", 0, torch.float32)] * 2)
    stacked.forward(batch(torch.float32), train=True)
    stacked.backward(torch.ones(2, 6, 3))
    used = stacked.mask(stacked.places)[0].bool()
    assert not stacked.theta[:, ~used].any()
    assert not stacked.grad[:, ~used].any()
    assert all(place.start % 16 == 0 for place in stacked.places.values())
    assert int(used.sum()) == sum(p.numel() for p in seeded("relu", 0).parameters())


def test_frozen_and_shared_parameters_are_left_to_autograd() -> None:
    net = mlp(nn.ReLU())
    net[1].weight.requires_grad_(False)
    stacked = Stack([net])
    assert "1.weight" not in stacked.places
    x = batch(torch.float32)
    out = stacked.forward(x, train=True)
    torch.testing.assert_close(out[0], net(x[0]).detach())
    stacked.backward(torch.ones_like(out))
    net(x[0]).sum().backward()
    torch.testing.assert_close(stacked.view(stacked.grad, "1.bias")[0], net[1].bias.grad)

    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    stacked = Stack([tied])
    x = torch.randn(1, 5, 4)
    stacked.forward(x, train=True)
    stacked.backward(torch.ones(1, 5, 4))
    tied(x[0]).sum().backward()
    torch.testing.assert_close(stacked.view(stacked.grad, "0.weight")[0], tied[0].weight.grad)
    assert isinstance(stacked._root, Autograd)


def test_hooks_and_subclasses_keep_their_meaning() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    net = nn.Sequential(Doubled(4, 3), nn.ReLU())
    net[1].register_forward_hook(lambda module, args, output: output + 1)
    x = torch.randn(1, 5, 4)
    torch.testing.assert_close(stack(net, 1).forward(x)[0], net(x[0]).detach())


def test_dropout_draws_from_each_members_generator() -> None:
    net = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.4))

    def masks(seeds: list[int]) -> torch.Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        stacked = Stack([net] * len(seeds), generators=generators)
        return stacked.forward(torch.ones(1, 40, 4), train=True).clone()

    together, alone = masks([3, 5]), masks([5])
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert abs((together == 0).double().mean().item() - 0.4) < 0.03  # 4,000 draws, 4 σ
    stacked = Stack([net], generators=[torch.Generator().manual_seed(0)])
    assert torch.equal(stacked.forward(torch.ones(1, 2, 4))[0], net.eval()(torch.ones(2, 4)))
    x = torch.ones(1, 40, 4)
    out = stacked.forward(x, train=True).clone()
    stacked.backward(torch.ones_like(out))
    kept = (out[0] != 0).sum(0) / 0.6
    torch.testing.assert_close(stacked.view(stacked.grad, "0.bias")[0], kept.float())


def test_a_module_that_draws_uses_the_members_generator_and_no_other() -> None:
    net = nn.Sequential(nn.Linear(4, 50), nn.Dropout1d(0.5))
    before = torch.get_rng_state()
    outs = [
        Stack([net], generators=[torch.Generator().manual_seed(7)]).forward(
            torch.ones(1, 9, 4), train=True
        )
        for _ in range(2)
    ]
    assert torch.equal(outs[0], outs[1])
    assert (outs[0] == 0).any()
    assert torch.equal(before, torch.get_rng_state())


def test_weights_are_swapped_for_a_while() -> None:
    stacked = Stack([seeded("relu", 0, torch.float32)])
    kept, x = stacked.theta.clone(), batch(torch.float32)
    with stacked.weights(torch.zeros_like(kept)):
        assert not stacked.forward(x).any()
    assert torch.equal(stacked.theta, kept)
    with stacked.weights(None):
        assert torch.equal(stacked.theta, kept)


def test_bfloat16_is_near_float32_and_gradients_stay_float32() -> None:
    net = NETS["convolution"]()
    x = batch(torch.float32)
    exact, reduced = Stack([net]), Stack([net], precision=torch.bfloat16)
    a, b = exact.forward(x, train=True).clone(), reduced.forward(x, train=True).clone()
    torch.testing.assert_close(a, b, rtol=0.03, atol=0.03)
    assert b.dtype == torch.float32
    exact.backward(torch.ones_like(a))
    reduced.backward(torch.ones_like(b))
    error = (exact.grad - reduced.grad).norm() / exact.grad.norm()
    assert 0 < error < 0.03


def test_release_gives_memory_back_and_training_goes_on() -> None:
    stacked = Stack([seeded("batch-norm", 0, torch.float32)])
    x = batch(torch.float32)
    stacked.forward(x, train=True)
    stacked.release()
    assert isinstance(stacked._root, Chain)
    assert not any(layer._buffers for layer in stacked._root.layers)
    assert not any(hasattr(layer, "x") for layer in stacked._root.layers)
    stacked.forward(x, train=True)
    stacked.backward(torch.ones(1, 6, 3))


def test_states_make_members() -> None:
    net = nn.Linear(2, 1)
    states = [{"weight": torch.full((1, 2), float(k)), "bias": torch.zeros(1)} for k in range(3)]
    stacked = stack(net, 3, states=states)
    assert stacked.forward(torch.ones(1, 1, 2)).flatten().tolist() == [0.0, 2.0, 4.0]


def test_what_cannot_be_stacked_is_refused_clearly() -> None:
    with pytest.raises(ModelError, match="no trainable parameter"):
        Stack([nn.ReLU()])
    with pytest.raises(ModelError, match="another architecture"):
        Stack([nn.Linear(2, 1), nn.Linear(3, 1)])
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1).double())
    with pytest.raises(ModelError, match="one type"):
        Stack([mixed])
    net = Stack([mlp(nn.BatchNorm1d(7))])
    with pytest.raises(ModelError, match="one sample in batch normalisation"):
        net.forward(batch(torch.float32)[:, :1], train=True)
