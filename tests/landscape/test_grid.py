"""Grids: each node has the number that it would have alone, in its place, however it came there."""

from __future__ import annotations

import copy

import pytest
import torch
from .nets import NETS, draw, samples
from torch import nn
from torch.nn import functional as F

from thalweg.data import Split
from thalweg.errors import ModelError, SpecError
from thalweg.landscape.directions import own
from thalweg.landscape.grid import survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.random import random_directions


def point_by_point(ground, net, surface, split):
    """Return losses and accuracies as a plain loop finds them, which writes each point to a net."""
    twin = copy.deepcopy(net).double().eval()
    x, y = split.x.double(), split.y
    losses, rights = torch.empty(surface.shape).double(), torch.empty(surface.shape).double()
    for i, a in enumerate(surface.axes[0].tolist()):
        for j, b in enumerate(surface.axes[1].tolist()):
            theta = ground.theta + a * surface.directions.vectors[0]
            theta = theta + b * surface.directions.vectors[1]
            with torch.no_grad():
                for name, parameter in twin.named_parameters():
                    parameter.copy_(ground.named(theta)[name])
                outputs = twin(x)
                losses[i, j] = F.cross_entropy(outputs, y)
                rights[i, j] = (outputs.argmax(1) == y).double().mean()
    return losses, rights


@pytest.mark.parametrize("name", NETS)
def test_a_non_square_grid_equals_a_loop_over_its_points(name):
    net, split = draw(name), samples()
    ground = Ground(net, split, tile=4, chunk=20)
    *_, surface = survey(ground, random_directions(ground), (5, 8), [(-1, 1), (-0.5, 2)])
    losses, rights = point_by_point(ground, net, surface, split)
    assert torch.allclose(surface.values["loss"], losses, rtol=0, atol=1e-10)
    assert torch.allclose(surface.values["accuracy"], rights, rtol=0, atol=1e-10)
    assert surface.shape == (5, 8)
    assert surface.whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETS)
def test_the_node_at_the_reference_has_its_loss_to_the_bit(name, dtype):
    net, split = draw(name, dtype), samples()
    ground = Ground(net, split, tile=4)
    *_, surface = survey(ground, random_directions(ground), (4, 3))
    at = tuple(int(axis.abs().argmin()) for axis in surface.axes)
    assert [axis[i].item() for axis, i in zip(surface.axes, at, strict=True)] == [0, 0]
    direct = ground.evaluate(ground.theta.unsqueeze(0))
    assert surface.values["loss"][at] == direct["loss"][0] == surface.reference["loss"]
    assert surface.errors["loss"][at] == 0
    with torch.no_grad():
        outputs = copy.deepcopy(net).eval()(split.x.to(dtype))
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert abs(direct["loss"][0] - F.cross_entropy(outputs, split.y)) < tolerance
