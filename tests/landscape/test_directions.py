"""Directions: what they are made from, what they explain, and how points lie to them."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.data import Split
from thalweg.errors import ModelError, SpecError
from thalweg.landscape.between import barrier, between, interpolate
from thalweg.landscape.directions import Directions, own
from thalweg.landscape.grid import survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.principal import principal_components, walk_null
from thalweg.landscape.random import random_directions
from thalweg.landscape.steps import gradient_direction, step_direction, step_plane
from thalweg.landscape.trail import trail

from .nets import NETS, draw, samples


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def ground_of(name: str) -> Ground:
    return Ground(draw(name), samples())


# ── random ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NETS)
def test_filters_are_as_long_as_their_weights_and_vectors_stay(name):
    ground = ground_of(name)
    weights = ground.named(ground.theta)
    for vector in random_directions(ground, 2).vectors:
        for key, part in ground.named(vector).items():
            if part.dim() == 1:
                assert not part.any()
            else:
                mine, wanted = (t.flatten(1).norm(dim=1) for t in (part, weights[key]))
                assert torch.allclose(mine, wanted, rtol=1e-12)


def test_layers_are_as_long_as_theirs():
    ground = ground_of("convolutions")
    weights = ground.named(ground.theta)
    vector = random_directions(ground, 1, normalise="layer").vectors[0]
    for key, part in ground.named(vector).items():
        assert abs(part.norm() - (weights[key].norm() if part.dim() > 1 else 0)) < 1e-12


def test_a_transposed_convolution_has_its_outputs_on_the_second_axis():
    net = nn.Sequential(nn.Unflatten(1, (3, 2)), nn.ConvTranspose1d(3, 2, 2), nn.Flatten())
    x = normal(4, 6).float()
    ground = Ground(net, Split(x, x, x))
    vector = random_directions(ground, 1).vectors[0]
    mine = ground.named(vector)["1.weight"].transpose(0, 1).flatten(1).norm(dim=1)
    assert torch.allclose(mine, net[1].weight.transpose(0, 1).flatten(1).norm(dim=1))


def test_a_filter_of_zeros_stays():
    net = draw("mlp")
    with torch.no_grad():
        net[1].weight[3] = 0
    ground = Ground(net, samples())
    assert not ground.named(random_directions(ground).vectors[0])["1.weight"][3].any()


def test_a_seed_is_a_plane_in_any_arithmetic():
    net = draw("mlp", torch.float32)
    planes = [
        random_directions(Ground(net, samples(), dtype=dtype), seed=5).vectors.double()
        for dtype in (torch.float32, torch.float64)
    ]
    assert torch.allclose(*planes, rtol=1e-6, atol=1e-8)
    other = random_directions(Ground(net, samples()), seed=6).vectors.double()
    assert not torch.allclose(planes[0], other, atol=1e-2)


def test_nothing_leads_through_a_buffer():
    ground = ground_of("deep-bn")
    assert sum(part.numel() for part in ground.named(ground.theta).values()) == sum(
        parameter.numel() for parameter in ground.network.parameters()
    )
    vector = random_directions(ground, 1, normalise="none").vectors[0]
    kept = torch.zeros_like(vector)
    for key, part in ground.named(vector).items():
        ground.named(kept)[key].copy_(part)
    assert torch.equal(kept, vector)  # zeros between the parameters


# ── principal components ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reference", [-1, 0, 7])
def test_components_are_the_singular_vectors_about_the_reference(reference):
    states = normal(12, 40).cumsum(0)
    plane = principal_components([states], 3, reference=reference)
    _, s, Vt = np.linalg.svd((states - states[reference]).numpy(), full_matrices=False)
    assert torch.equal(plane.origin, states[reference])
    assert torch.allclose(plane.cosines, torch.eye(3).double(), atol=1e-10)
    assert np.allclose(np.abs((plane.vectors.numpy() * Vt[:3]).sum(1)), 1, atol=1e-10)
    assert np.allclose(plane.explained, (s**2 / (s**2).sum())[:3])


def test_several_runs_share_their_plane():
    runs = [normal(9, 30, seed=seed).cumsum(0) for seed in (1, 2)]
    plane = principal_components(runs)
    together = torch.cat(runs) - runs[1][-1]
    _, s, Vt = np.linalg.svd(together.numpy(), full_matrices=False)
    assert np.allclose(np.abs((plane.vectors.numpy() * Vt[:2]).sum(1)), 1, atol=1e-10)
    assert np.allclose(plane.explained, (s**2 / (s**2).sum())[:2])
    for run in runs:  # what is not seen is at right angles to the plane
        seen = plane.project(run)
        rest = run - plane.at(seen.coordinates)
        assert (rest @ plane.vectors.T).abs().max() < 1e-9


def test_states_are_chosen_evenly_from_where_one_likes():
    states = normal(50, 20).cumsum(0)
    assert principal_components([states], n_states=10).chosen == (
        (0, 5, 11, 16, 22, 27, 33, 38, 44, 49),
    )
    late = principal_components([states], n_states=4, start_from=40)
    assert late.chosen == ((40, 43, 46, 49),)
    twin = principal_components([states[[40, 43, 46, 49]]])
    assert torch.allclose(late.vectors, twin.vectors)
    assert np.allclose(late.null, twin.null)


def test_states_may_come_in_any_form():
    states = normal(5, 32)
    forms = [[states], states, list(states), [s.unsqueeze(0) for s in states], states.unsqueeze(0)]
    planes = [principal_components(form) for form in forms]
    assert all(torch.equal(plane.vectors, planes[0].vectors) for plane in planes)


def test_any_point_may_be_the_reference():
    states, point = normal(6, 20), normal(20, seed=3)
    plane = principal_components([states], reference=point)
    assert torch.equal(plane.origin, point)
    assert plane.null == ()  # a walk about another point is no walk


def test_the_window_holds_the_path_and_the_reference():
    states = normal(12, 40).cumsum(0)
    plane = principal_components([states], reference=0)
    seen = plane.project(states).coordinates
    for (low, high), c in zip(plane.extent, seen.T, strict=True):
        assert low < min(0, c.min()) <= max(0, c.max()) < high


@pytest.mark.parametrize("reference", [-1, 10])
@pytest.mark.parametrize("runs", [1, 2])
def test_random_walks_explain_what_the_null_says(runs, reference):
    walks = [normal(60, 20_000, seed=seed).cumsum(0) for seed in range(runs)]
    walks = [torch.cat([torch.zeros(1, 20_000).double(), walk]) for walk in walks]
    plane = principal_components(walks, reference=reference)
    assert np.allclose(plane.explained, plane.null, atol=0.01)
    away = [walk + 10 * normal(20_000, seed=100 + k) for k, walk in enumerate(walks)]
    plane = principal_components(away, reference=reference)
    assert np.allclose(plane.explained, plane.null, atol=0.01)


def test_the_null_is_that_of_the_paper():
    t = torch.arange(4000).double()
    about_mean, about_end = walk_null([t], count=3), walk_null([t], (0, 3999.0), count=3)
    assert np.allclose(about_mean, [6 / math.pi**2 / k**2 for k in (1, 2, 3)], atol=1e-3)
    assert np.allclose(about_end, [8 / math.pi**2 / k**2 for k in (1, 3, 5)], atol=1e-3)


@pytest.mark.parametrize(
    ("states", "options", "error", "words"),
    [
        ([], {}, SpecError, "no states"),
        ([torch.zeros(3, 5)], {}, ModelError, "fewer than 2 dimensions"),
        ([torch.eye(2, 5)], {}, ModelError, "fewer than 2 dimensions"),
        ([torch.eye(4)], {"n_states": 5}, SpecError, "2 to 4"),
        ([torch.eye(4)], {"start_from": 4}, SpecError, "one of 4 states"),
        ([torch.eye(4)], {"reference": 4}, SpecError, "one of 4 states"),
    ],
)
def test_states_that_span_no_plane_say_so(states, options, error, words):
    with pytest.raises(error, match=words):
        principal_components(states, **options)


# ── points on the plane ──────────────────────────────────────────────────────────────────────────


def test_oblique_directions_are_projected_on_by_least_squares():
    vectors, points, origin = normal(2, 30), normal(5, 30, seed=1), normal(30, seed=2)
    seen = own(origin, vectors).project(points)
    exact = np.linalg.lstsq(vectors.T.numpy(), (points - origin).T.numpy(), rcond=None)[0].T
    assert np.allclose(seen.coordinates, exact)
    rest = (points - origin) - seen.coordinates @ vectors
    assert torch.allclose(seen.residuals, rest.norm(dim=1) / (points - origin).norm(dim=1))


def test_coordinates_count_in_lengths_of_the_directions():
    vectors, states = normal(2, 30), normal(6, 30, seed=1)
    short, long = own(states[0], vectors), own(states[0], 10 * vectors)
    assert torch.allclose(short.project(states).coordinates, 10 * long.project(states).coordinates)
    assert torch.allclose(short.at(torch.ones(1, 2)), long.at(torch.full((1, 2), 0.1)))


def test_a_path_has_its_own_heights_and_not_those_of_the_plane():
    ground = ground_of("mlp")
    states = ground.theta + 0.3 * normal(4, len(ground.theta)).cumsum(0) * (ground.theta != 0)
    plane = principal_components([states], n_states=3)
    way = trail(ground, plane, states, [0, 10, 20, 30])
    for k, theta in enumerate(states):
        alone = ground.evaluate(theta.unsqueeze(0))
        assert abs(way.values["loss"][k] - alone["loss"][0]) < 1e-12
    below = ground.evaluate(plane.at(way.coordinates))["loss"]
    assert abs(below - way.values["loss"])[1] > 1e-3
    assert way.residuals[-1] == 0
    assert way.steps == (0, 10, 20, 30)
    with pytest.raises(SpecError, match="4 states and 2 steps"):
        trail(ground, plane, states, [0, 1])


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (torch.zeros(1, 4), "length zero"),
        (torch.ones(2, 4), "fewer dimensions"),
        (torch.ones(2, 3), "of shape"),
        (torch.full((1, 4), math.nan), "not finite"),
        (torch.zeros(0, 4), "of shape"),
    ],
)
def test_vectors_that_are_no_directions_are_refused(vectors, words):
    with pytest.raises(ModelError, match=words):
        Directions(torch.zeros(4), vectors, "own")


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────


def test_a_triangle_has_the_checkpoints_at_its_corners():
    nets = [draw("deep-bn", seed=seed) for seed in range(3)]
    ground = Ground(nets[0], samples())
    plane = between(ground, *nets)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).double()
    *_, surface = survey(ground, plane, (5, 3), [(0, 1), (0, 1)], statistics="interpolated")
    for net, point, value in zip(
        nets, plane.at(corners), surface.values["loss"][[0, -1, 0], [0, 0, -1]], strict=True
    ):
        alone = Ground(net, samples())
        assert torch.allclose(point, alone.theta, atol=1e-15)
        assert abs(value - alone.reference().values()["loss"][0]) < 1e-12


def test_interpolated_statistics_lie_between_and_stay_positive():
    a, b = draw("deep-bn", seed=0), draw("deep-bn", seed=1)
    ground = Ground(a, samples())
    line = interpolate(ground, a.state_dict(), b, 5, statistics="interpolated")
    half = copy.deepcopy(a).eval()
    with torch.no_grad():
        mine, theirs = half.state_dict(), b.state_dict()
        for name, tensor in mine.items():
            if tensor.is_floating_point():
                tensor.copy_((tensor + theirs[name]) / 2)
    middle = Ground(half, samples()).reference().values()["loss"][0]
    assert abs(line.values["loss"][2] - middle) < 1e-12
    far = between(ground, a, b).buffers_at(torch.tensor([[-50.0], [50.0]]))
    assert all((far[name] > 0).all() for name in far if name.endswith("running_var"))


def test_flat_checkpoints_have_no_statistics_to_interpolate():
    ground = ground_of("deep-bn")
    line = between(ground, ground.theta, 2 * ground.theta)
    with pytest.raises(SpecError, match="between checkpoints"):
        next(survey(ground, line, 3, statistics="interpolated"))


def test_the_barrier_is_what_the_way_rises_above_its_ends():
    x = torch.ones(1, 1)
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    ground = Ground(net, Split(x, x, x))  # (uv − 1)²
    a, b = ({"0.weight": s * x, "1.weight": s * x} for s in (1.0, -1.0))
    found = barrier(interpolate(ground, a, b, 11))
    assert (found.height, found.at, found.ends) == (1.0, 0.5, (0.0, 0.0))
    c = {"0.weight": 2 * x, "1.weight": 2 * x}  # 9
    rising = barrier(interpolate(ground, a, c, 11))
    assert (rising.height, rising.at, rising.ends) == (4.5, 1.0, (0.0, 9.0))


def test_a_line_that_is_no_line_between_has_no_barrier():
    ground = ground_of("mlp")
    line = between(ground, ground.theta, 2 * ground.theta)
    first = next(survey(Ground(draw("mlp"), samples(), tile=2), line, 5, (0, 1)))
    *_, elsewhere = survey(ground, line, 3, (0, 0.5))
    *_, plane = survey(ground, random_directions(ground), 3)
    for surface, words in [(first, "to its end"), (plane, "a line"), (elsewhere, "0 and 1")]:
        with pytest.raises(SpecError, match=words):
            barrier(surface)


@pytest.mark.parametrize("count", [1, 4])
def test_a_line_has_two_checkpoints_and_a_plane_three(count):
    ground = ground_of("mlp")
    with pytest.raises(SpecError, match="two, or three"):
        between(ground, *[ground.theta] * count)


# ── steps ────────────────────────────────────────────────────────────────────────────────────────


def test_down_the_gradient_a_coordinate_is_a_learning_rate():
    net = draw("mlp")
    ground = Ground(net, samples())
    *_, line = survey(ground, gradient_direction(ground), 5, (0, 0.4))
    optimizer = torch.optim.SGD(net.parameters(), lr=line.axes[0][1].item())
    loss = nn.functional.cross_entropy(net(samples().x.double()), samples().y)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        after = nn.functional.cross_entropy(net(samples().x.double()), samples().y)
    assert abs(line.values["loss"][0] - loss.item()) < 1e-12
    assert abs(line.values["loss"][1] - after) < 1e-12


def test_an_update_lies_between_zero_and_one_and_the_gradient_beside_it():
    ground = ground_of("residual")
    before = ground.theta - 0.1 * random_directions(ground, 1).vectors[0]
    line = step_direction(ground, before)
    assert torch.allclose(line.at(torch.ones(1, 1))[0], ground.theta, atol=1e-15)
    plane = step_plane(ground, before)
    assert torch.equal(plane.vectors[0], line.vectors[0])
    assert torch.allclose(plane.lengths[0], plane.lengths[1])
    g = ground.gradient(before)[1]
    assert torch.nn.functional.cosine_similarity(plane.vectors[1], -g, dim=0) > 1 - 1e-12
    with pytest.raises(ModelError, match="length zero"):
        step_direction(ground, ground.theta)
