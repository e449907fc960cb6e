"""Members against their runs alone, bit for bit, and columns against autograd."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from thalweg.nn import kernels
from thalweg.nn.stacked import Stack, columns
from thalweg.nn.stacked.columns import ColumnConv2d, StripConv2d
from thalweg.nn.stacked.convolution import Conv2d

NETS = {
    "wide-input": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 37), nn.ReLU(), nn.Linear(37, 10),
        nn.LogSoftmax(dim=1),
    ),
    "odd": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 37), nn.BatchNorm1d(37), nn.ReLU(), nn.Linear(37, 1)
    ),
    "images": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, bias=False), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 37), nn.Tanh(), nn.Linear(37, 10),
    ),
}  # fmt: skip


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def networks(name, members):
    torch.manual_seed(0)
    return [NETS[name]() for _ in range(members)]


def step(stack, x):
    y = stack.forward(x, train=True).clone()
    stack.backward(torch.linspace(-1, 1, y[0].numel()).view(y[0].shape).expand_as(y).clone())
    return y, stack.grad.clone()


@pytest.mark.no_cover
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    ("members", "library", "shared"),
    [(64, "auto", True), *product((2, 7), ("auto", "mkl", "onednn"), (True, False))],
)
def test_members_have_the_bits_of_their_runs_alone(
    monkeypatch, threads, members, name, library, shared
):
    monkeypatch.setenv("THALWEG_GEMM", library)
    monkeypatch.setattr(kernels, "onednn_wins", kernels.onednn_wins.__wrapped__)
    x = torch.randn(
        1 if shared else members, 70, 1, 28, 28, generator=torch.Generator().manual_seed(1)
    )
    nets = networks(name, members)
    y, grad = step(Stack(nets), x)
    for k in {0, 1, members // 2, members - 1}:
        own = x if shared else x[k : k + 1]
        y_alone, grad_alone = step(Stack([nets[k]]), own)
        assert torch.equal(y[k], y_alone[0])
        assert torch.equal(grad[k], grad_alone[0])


@pytest.mark.parametrize("name", NETS)
def test_without_exactness_members_are_within_rounding(name):
    x = torch.randn(1, 70, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    nets = networks(name, 5)
    exact, loose = step(Stack(nets), x), step(Stack(nets, exact=False), x)
    for ours, theirs in zip(loose, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("out", [3, 9])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [ColumnConv2d, StripConv2d])
def test_patches_have_the_gradients_of_autograd(monkeypatch, kind, options, out, shared, first):
    torch.manual_seed(0)
    nets = [
        nn.Sequential(
            *([] if first else [nn.Conv2d(3, 3, 1), nn.Tanh()]), nn.Conv2d(3, out, **options)
        ).double()
        for _ in range(3)
    ]
    monkeypatch.setattr(columns, "DEEP", 99 if kind is ColumnConv2d else 1)
    stack = Stack(nets)
    assert type(stack._root.layers[-1]) is kind  # type: ignore[attr-defined]
    x = torch.randn(1 if shared else 3, 5, 3, 8, 7, dtype=torch.float64)
    y = stack.forward(x, train=True)
    g = torch.randn_like(y)
    stack.backward(g.clone())
    for k, net in enumerate(nets):
        expected = net(x[0 if shared else k])
        torch.testing.assert_close(y[k], expected)
        expected.backward(g[k])
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(stack.view(stack.grad, name)[k], parameter.grad)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(3, 16, 3), ColumnConv2d),
        (nn.Conv2d(6, 16, 3), StripConv2d),
        (nn.Conv2d(3, 17, 3), Conv2d),
        (nn.Conv2d(3, 4, 3, stride=2), Conv2d),
        (nn.Conv2d(4, 4, 3, groups=2), Conv2d),
    ],
)
def test_convolutions_of_many_channels_are_left_to_the_library(module, kind):
    root = Stack([nn.Sequential(module)])._root
    assert type(root.layers[0]) is kind  # type: ignore[attr-defined]


def test_reduced_precision_is_left_to_the_library():
    stack = Stack([nn.Sequential(nn.Conv2d(1, 2, 3))], precision=torch.bfloat16)
    assert type(stack._root.layers[0]) is Conv2d  # type: ignore[attr-defined]
