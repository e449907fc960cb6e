"""Convolutions of networks that are only evaluated: the networks' own numbers, alone or not."""

import copy

import pytest
import torch
from torch import nn

from thalweg.nn import Stack
from thalweg.nn.stacked.wide import WideConvolutions

CHAINS = {
    "two that pool": [
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 5, 2), nn.MaxPool2d(2),
    ],
    "pooled, then rectified": [nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.ReLU()],
    "neither": [nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 3)],
    "rectified": [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()],
    "an odd image": [nn.Conv2d(1, 4, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2)],
    "more channels": [nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3)],
    "strides": [nn.Conv2d(1, 3, 3, stride=(2, 1), padding=(1, 2)), nn.Conv2d(3, 3, 2, stride=2)],
    "dilation": [nn.Conv2d(2, 3, 3, dilation=(2, 1)), nn.Conv2d(3, 3, 2, dilation=2)],
    "no bias": [nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), nn.Conv2d(3, 3, 2, bias=False)],
    "something between": [nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 3, 2), nn.ReLU()],
    "another pooling": [nn.Conv2d(1, 3, 3), nn.MaxPool2d(3), nn.ReLU()],
}  # fmt: skip


def networks(chain: str, members: int) -> list[nn.Module]:
    torch.manual_seed(0)
    nets = [copy.deepcopy(nn.Sequential(nn.Identity(), *CHAINS[chain])) for _ in range(members)]
    for net in nets:
        for parameter in net.parameters():
            nn.init.normal_(parameter)
    return nets


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("shared", [True, False])
@torch.no_grad()
def test_members_have_the_numbers_of_their_networks_and_the_bits_they_have_alone(chain, shared):
    nets = networks(chain, 5)
    channels = nets[0][1].in_channels
    x = torch.randn(1 if shared else 5, 37, channels, 12, 11)
    five = Stack(nets, trains=False)
    assert isinstance(five._root.layers[1], WideConvolutions)
    y = five.forward(x)
    for k, net in enumerate(nets):
        own = x[0 if shared else k]
        assert torch.allclose(y[k], net(own), rtol=1e-4, atol=1e-4)
        alone = Stack([net], trains=False).forward(own.unsqueeze(0))
        assert torch.equal(y[k], alone[0])


def test_what_is_in_between_is_never_there_as_a_whole():
    (net,) = networks("two that pool", 1)
    assert Stack([net], trains=False).merged == {"1", "2", "3", "4"}
    assert Stack([net]).merged == {"1", "4"}  # each with the pooling after it
    assert Stack([net.double()], trains=False).merged == {"1", "4"}


def test_there_is_no_way_back():
    stack = Stack(networks("neither", 2), trains=False)
    y = stack.forward(torch.ones(1, 3, 2, 8, 8), train=True)
    with pytest.raises(AssertionError, match="no backward pass"):
        stack.backward(y)


def test_nothing_else_is_merged():
    many = nn.Sequential(nn.Conv2d(1, 17, 3), nn.ReLU())
    grouped = nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.ReLU())
    same = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.ReLU())
    frozen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    frozen[0].requires_grad_(False)
    for net in (many, grouped, same):
        assert not Stack([net], trains=False).merged
    kinds = [type(layer) for layer in Stack([frozen], trains=False)._root.layers]
    assert [kind is WideConvolutions for kind in kinds] == [False, True]
