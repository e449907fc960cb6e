"""What must not matter to a surface, for whatever hypothesis comes up with."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.landscape.directions import Directions, own
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.lattice import axis, coordinates, order, strides
from thalweg.landscape.random import random_directions

from .nets import draw, samples

few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 10**6)
sides = st.integers(3, 6)


def last(ground: Ground, directions: Directions, *options) -> Surface:
    *_, surface = survey(ground, directions, *options)
    return surface


@few
@given(seed=seeds, shape=st.tuples(sides, sides), tile=st.integers(1, 40))
def test_how_the_work_is_divided(seed, shape, tile):
    net = draw("mlp", torch.float32, seed)
    one, other = (Ground(net, samples(20), tile=n) for n in (tile, 64))
    plane = random_directions(one, seed=seed)
    found = [last(ground, plane, shape).values["loss"] for ground in (one, other)]
    assert torch.equal(*found)


@few
@given(seed=seeds, power=st.integers(-8, 8), shape=st.tuples(sides, sides))
def test_the_length_of_the_directions_where_the_extent_makes_up_for_it(seed, power, shape):
    ground = Ground(draw("residual", seed=seed), samples(20))
    plane, scale = random_directions(ground, seed=seed), 2.0**power
    longer = own(plane.origin, plane.vectors * scale)
    one = last(ground, plane, shape, (-2, 1))
    other = last(ground, longer, shape, (-2 / scale, 1 / scale))
    assert torch.equal(one.values["loss"], other.values["loss"])


@few
@given(seed=seeds, shape=st.tuples(sides, sides))
def test_which_direction_comes_first(seed, shape):
    ground = Ground(draw("deep-bn", seed=seed), samples(20))
    plane = random_directions(ground, seed=seed)
    swapped = own(plane.origin, plane.vectors.flip(0))
    one = last(ground, plane, shape, [(-1, 1), (-3, 1)]).values["loss"]
    other = last(ground, swapped, shape[::-1], [(-3, 1), (-1, 1)]).values["loss"]
    assert torch.allclose(one, other.T, rtol=0, atol=1e-11)


@few
@given(seed=seeds)
def test_in_which_order_the_hidden_units_are(seed):
    net = draw("mlp", seed=seed)
    turn = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    one = Ground(net, samples(20))
    plane = random_directions(one, seed=seed)

    def permuted(flat: torch.Tensor) -> torch.Tensor:
        moved = flat.clone()
        mine, theirs = one.named(moved), one.named(flat)
        mine["1.weight"].copy_(theirs["1.weight"][turn])
        mine["1.bias"].copy_(theirs["1.bias"][turn])
        mine["3.weight"].copy_(theirs["3.weight"][:, turn])
        return moved

    turned = own(permuted(plane.origin), [permuted(vector) for vector in plane.vectors])
    losses = [last(one, each, 4).values["loss"] for each in (plane, turned)]
    assert torch.allclose(*losses, rtol=0, atol=1e-12)


@few
@given(seed=seeds, power=st.floats(-3, 3))
def test_how_a_relu_network_shares_its_scale_among_its_layers(seed, power):
    net = draw("mlp", seed=seed)
    twin, scale = copy.deepcopy(net), 2.0**power
    with torch.no_grad():
        twin[1].weight.mul_(scale)
        twin[1].bias.mul_(scale)
        twin[3].weight.div_(scale)
    losses = []
    for each in (net, twin):
        ground = Ground(each, samples(20))
        losses.append(last(ground, random_directions(ground, seed=seed), 4).values["loss"])
    assert torch.allclose(*losses, rtol=0, atol=1e-10)


@few
@given(seed=seeds, shift=st.floats(-5, 5))
def test_where_the_origin_is_said_to_be_on_the_plane(seed, shift):
    ground = Ground(draw("mlp", seed=seed), samples(20))
    plane = random_directions(ground, seed=seed)
    origin = plane.at(torch.tensor([[shift, -shift]]).double())[0]
    seen = own(origin, plane.vectors).project(plane.at(torch.tensor([[1.0, 2.0]]).double()))
    wanted = torch.tensor([[1 - shift, 2 + shift]]).double()
    assert torch.allclose(seen.coordinates, wanted, atol=1e-9)
    assert seen.residuals.item() < 1e-9


@settings(max_examples=200)
@given(low=st.floats(-100, 0), high=st.floats(0, 100), n=st.integers(3, 60), one=st.booleans())
def test_an_axis_holds_what_was_asked_for_and_zero(low, high, n, one):
    low, high = (round(low, 3), round(high, 3)) if one else (low, high)
    if high - low < 1e-3:
        return
    nodes = axis(low, high, n)
    steps = nodes.diff()
    assert len(nodes) == n
    assert 0 in nodes
    assert nodes[0] <= low + 1e-9
    assert nodes[-1] >= high - 1e-9
    assert torch.allclose(steps, steps[:1].expand_as(steps), rtol=1e-9, atol=1e-12)
    assert nodes[-1] - nodes[0] <= 2.01 * (high - low)


def test_an_axis_away_from_zero_is_as_asked_for():
    assert axis(1.0, 2.0, 3).tolist() == [1.0, 1.5, 2.0]
    assert axis(-2.0, -1.0, 3).tolist() == [-2.0, -1.5, -1.0]
    assert axis(0.0, 1.0, 2).tolist() == [0.0, 1.0]


@few
@given(shape=st.lists(st.integers(3, 14), min_size=1, max_size=3))
def test_the_order_of_the_nodes_is_from_coarse_to_fine_and_leaves_none_out(shape):
    axes = [axis(-1.0, 2.0, n) for n in shape]
    nodes = order(axes)
    stride = strides(axes).flatten()[nodes]
    assert torch.equal(nodes.sort().values, torch.arange(len(nodes)))
    assert (stride.diff() <= 0).all()
    zero = coordinates(axes, nodes).eq(0).all(1)
    assert stride[zero].item() == stride.max()
    assert set(stride.tolist()) <= {2**j for j in range(5)}


def test_turned_directions_give_a_turned_surface():
    ground = Ground(draw("residual"), samples(20))
    plane = random_directions(ground)
    turned = own(plane.origin, -plane.vectors)
    one, other = (last(ground, each, 5).values["loss"] for each in (plane, turned))
    assert torch.equal(one, other.flip(0, 1))
