"""Convolutions and the pooling after them as one layer, against autograd and the runs alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.nn.stacked import Stack, pooled
from thalweg.nn.stacked.columns import ColumnConv2d, StripConv2d
from thalweg.nn.stacked.pooled import PooledConv2d


def networks(members, *, first=True, dtype=torch.float32, **options):
    torch.manual_seed(0)
    before = [] if first else [nn.Conv2d(2, 2, 1), nn.Tanh()]
    after = [nn.MaxPool2d(2), nn.ReLU()]
    return [
        nn.Sequential(*before, nn.Conv2d(2, 5, **options), *after).to(dtype) for _ in range(members)
    ]


@pytest.fixture(params=["at once", "row by row"])
def blocks(request, monkeypatch):
    if request.param == "row by row":  # and member by member
        monkeypatch.setattr(pooled, "OUTPUTS", 1)
        monkeypatch.setattr(pooled, "CACHED", 1)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [(9, 8), (12, 7)])
def test_it_has_the_gradients_of_autograd(options, shared, first, size):
    nets = networks(3, first=first, dtype=torch.float64, **options)
    stack = Stack(nets)
    layers = stack._root.layers  # type: ignore[attr-defined]
    assert type(layers[-2]) is PooledConv2d
    for batch in (5, 3):
        x = torch.randn(1 if shared else 3, batch, 2, *size, dtype=torch.float64)
        y = stack.forward(x, train=True)
        g = torch.randn_like(y)
        stack.backward(g.clone())
        for k, net in enumerate(nets):
            expected = net(x[0 if shared else k])
            torch.testing.assert_close(y[k], expected)
            net.zero_grad()
            expected.backward(g[k])
            for name, parameter in net.named_parameters():
                torch.testing.assert_close(stack.view(stack.grad, name)[k], parameter.grad)
        stack.release()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("members", [2, 7, 20])
@pytest.mark.parametrize("size", [28, 30])
def test_members_have_the_bits_of_their_runs_alone(members, shared, size):
    nets = networks(members, kernel_size=5)
    x = torch.randn(1 if shared else members, 33, 2, size, size)
    together = Stack(nets)
    y = together.forward(x, train=True)
    g = torch.randn_like(y[:1])
    together.backward(g.expand_as(y).clone())
    for k in {0, 1, members - 1}:
        alone = Stack([nets[k]])
        own = alone.forward(x if shared else x[k : k + 1], train=True)
        assert torch.equal(y[k], own[0])
        alone.backward(g.clone())
        assert torch.equal(together.grad[k], alone.grad[0])


def test_one_order_for_all_has_the_bits_of_the_same_order_for_each():
    nets, x = networks(2, kernel_size=3), torch.randn(1, 9, 2, 10, 10)
    found = []
    for each in (x, x.repeat(2, 1, 1, 1, 1)):
        stack = Stack(nets)
        y = stack.forward(each, train=True)
        stack.backward(torch.ones_like(y))
        found.append((y.clone(), stack.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_looking_at_other_images_between_the_passes_changes_nothing():
    stack, x = Stack(networks(2, kernel_size=3)), torch.randn(1, 9, 2, 10, 10)
    y = stack.forward(x, train=True)
    stack.backward(torch.ones_like(y))
    once = stack.grad.clone()
    stack.forward(torch.randn(1, 50, 2, 10, 10))
    y = stack.forward(x, train=True)
    stack.backward(torch.ones_like(y))
    assert torch.equal(stack.grad, once)


@pytest.mark.parametrize(
    ("modules", "kind"),
    [
        ([nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)], PooledConv2d),
        ([nn.Conv2d(1, 6, 5), nn.MaxPool2d(3)], ColumnConv2d),
        ([nn.Conv2d(1, 6, 5), nn.MaxPool2d(2, ceil_mode=True)], ColumnConv2d),
        ([nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.MaxPool2d(2)], ColumnConv2d),
        ([nn.Conv2d(6, 6, 5), nn.MaxPool2d(2)], StripConv2d),
    ],
)
def test_what_is_one_layer(modules, kind):
    stack = Stack([nn.Sequential(*modules)])
    assert type(stack._root.layers[0]) is kind  # type: ignore[attr-defined]
    assert stack.merged == ({"0"} if kind is PooledConv2d else set())


def test_a_hook_keeps_it_apart():
    net = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2))
    net[0].register_forward_hook(lambda *_: None)
    assert not Stack([net]).merged
