"""Sharpness in a box and in a ball: closed forms, bounds, and what it does not depend on."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from thalweg.errors import ModelError, SpecError
from thalweg.landscape.objective import Objective
from thalweg.landscape.sharpness import ball_sharpness, box_sharpness

from .curved import ONE, Bowl, draw, mean, samples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def positive(P, seed=0):
    A = torch.randn(P, P, generator=generator(seed), dtype=torch.float64)
    return A @ A.T / P


def bowl(P=4, *, at=0.0, seed=0):
    A = positive(P, seed)
    w = at * torch.randn(P, generator=generator(seed + 1), dtype=torch.float64)
    return A, w, Objective(Bowl(A, w), mean, ONE)


def network_objective(name="tanh", seed=0):
    return Objective(draw(name, seed), F.cross_entropy, [samples()])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1e-3, 0.1, 1.0]))
def test_box_of_a_separable_bowl_is_highest_in_a_corner(seed, epsilon):
    d = torch.rand(5, generator=generator(seed), dtype=torch.float64) + 0.1
    w = torch.randn(5, generator=generator(seed + 1), dtype=torch.float64)
    found = box_sharpness(Objective(Bowl(torch.diag(d), w), mean, ONE), epsilon, steps=50)
    side = epsilon * (w.abs() + 1)
    base, highest = (d * w**2).sum() / 2, (d * (w.abs() + side) ** 2).sum() / 2
    assert found.base == pytest.approx(base.item())
    assert found.highest == pytest.approx(highest.item())
    assert found.value == pytest.approx(100 * (highest - base).item() / (1 + base.item()))
    torch.testing.assert_close(found.perturbation, side * w.sign())


@pytest.mark.parametrize("seed", range(5))
def test_box_of_any_bowl_is_no_higher_than_its_corners(seed):
    A, w, objective = bowl(5, at=1.0, seed=seed)
    side = 0.3 * (w.abs() + 1)
    corners = [
        torch.tensor(signs).double() * side for signs in itertools.product((-1, 1), repeat=5)
    ]
    highest = max(((w + y) @ A @ (w + y) / 2).item() for y in corners)
    starts = [box_sharpness(objective, 0.3, generator=generator(s)).highest for s in range(8)]
    assert max(starts) == pytest.approx(highest, rel=1e-9)
    assert all(start <= highest * (1 + 1e-12) for start in starts)


def test_box_at_a_minimum_needs_a_start_elsewhere():
    _, _, objective = bowl()
    assert box_sharpness(objective, 0.1).value == 0
    found = box_sharpness(objective, 0.1, generator=generator())
    assert found.value > 0
    assert found.perturbation.abs().max() <= 0.1


@pytest.mark.parametrize("name", ["tanh", "relu", "convolution", "batch-norm"])
def test_what_is_found_is_there(name):
    objective = network_objective(name)
    inside = objective.theta.abs() + 1
    for found in (
        box_sharpness(objective, 0.01),
        box_sharpness(objective, 0.01, generator=generator()),
        ball_sharpness(objective),
        ball_sharpness(objective, 0.5, steps=5),
        ball_sharpness(objective, 0.5, steps=3, relative=True),
    ):
        assert found.base == objective.value()
        assert found.highest > found.base
        assert objective.value(objective.theta + found.perturbation) == pytest.approx(found.highest)
    assert (box_sharpness(objective, 0.01).perturbation.abs() <= 0.01 * inside).all()
    assert ball_sharpness(objective, 0.5, steps=5).perturbation.norm() <= 0.5 + 1e-12
    relative = ball_sharpness(objective, 0.5, steps=3, relative=True).perturbation
    scale = objective.theta.abs()
    assert (relative[scale > 0] / scale[scale > 0]).norm() <= 0.5 + 1e-9
    assert not relative[scale == 0].any()


def test_box_is_larger_than_random_points_of_it():
    objective = network_objective()
    found = box_sharpness(objective, 0.02)
    side = 0.02 * (objective.theta.abs() + 1)
    draws = 2 * torch.rand(200, len(side), generator=generator(), dtype=torch.float64) - 1
    assert found.highest > max(objective.value(objective.theta + side * y) for y in draws)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0.01, 2))
def test_ball_of_a_plane(seed, rho):
    g = torch.randn(6, generator=generator(seed), dtype=torch.float64)
    network = nn.Linear(6, 1, bias=False, dtype=torch.float64)
    objective = Objective(network, mean, [(g[None], torch.zeros(1))])
    for steps in (1, 3):
        found = ball_sharpness(objective, rho, steps=steps)
        assert found.value == pytest.approx(rho * g.norm().item())
    w = network.weight.detach()[0]
    found = ball_sharpness(objective, rho, relative=True)
    assert found.value == pytest.approx(rho * (w.abs() * g).norm().item())


@pytest.mark.parametrize("rho", [0.05, 1.0])
def test_ball_at_the_bottom_of_a_bowl_tends_to_its_curvature(rho):
    A, _, objective = bowl()
    found = ball_sharpness(objective, rho, steps=200, generator=generator())
    expected = rho**2 * torch.linalg.eigvalsh(A)[-1].item() / 2
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.evaluations == 201


def test_ball_at_a_minimum_needs_a_direction():
    _, _, objective = bowl()
    with pytest.raises(ModelError, match=r"a gradient of 0.*generator="):
        ball_sharpness(objective)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99))
def test_ball_of_a_bowl_rises_with_every_step_and_with_its_radius(seed):
    _, _, objective = bowl(6, at=1.0, seed=seed)
    values = [ball_sharpness(objective, 0.5, steps=n).value for n in (1, 2, 4, 8)]
    assert values == sorted(values)
    radii = [ball_sharpness(objective, rho, steps=4).value for rho in (0.1, 0.2, 0.4, 0.8)]
    assert radii == sorted(radii)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 5), st.integers(1, 4), st.integers(0, 99))
def test_relative_ball_does_not_see_how_relu_layers_share_their_scale(alpha, steps, seed):
    network = draw("relu", seed)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[1].weight.mul_(alpha)
        other[1].bias.mul_(alpha)
        other[3].weight.div_(alpha)
    batches = [samples()]
    one, two = (Objective(each, F.cross_entropy, batches) for each in (network, other))
    assert two.value() == pytest.approx(one.value())
    values = [ball_sharpness(each, 0.5, steps=steps, relative=True).value for each in (one, two)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    if abs(alpha - 1) > 0.1:
        plain = [ball_sharpness(each, 0.5).value for each in (one, two)]
        assert plain[1] != pytest.approx(plain[0], rel=1e-4)


class _Well(nn.Module):
    """A loss −log(1 − w), which ends at w = 1."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))

    def forward(self, x):
        return -torch.log(1 - self.w)


@pytest.mark.parametrize("how", ["box", "ball"])
def test_a_loss_that_ends_is_infinitely_sharp(how):
    objective = Objective(_Well(), mean, ONE)
    found = (
        box_sharpness(objective, 2.0) if how == "box" else ball_sharpness(objective, 0.7, steps=3)
    )
    assert math.isinf(found.value)
    assert math.isinf(found.highest)
    assert objective.theta + found.perturbation >= 1


def test_networks_stay_as_they_are():
    network = draw("batch-norm")
    before = copy.deepcopy(network.state_dict())
    objective = Objective(network, F.cross_entropy, [samples()])
    box_sharpness(objective)
    ball_sharpness(objective, steps=2)
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())
    assert network.training


def test_float32():
    x, y = samples()
    objective = Objective(draw("tanh").float(), F.cross_entropy, [(x.float(), y)])
    exact = network_objective()
    for measure in (box_sharpness, ball_sharpness):
        assert measure(objective).value == pytest.approx(measure(exact).value, rel=1e-2)


@pytest.mark.parametrize("options", [{"epsilon": 0.0}, {"epsilon": math.nan}, {"steps": 0}])
def test_boxes_out_of_range(options):
    with pytest.raises(SpecError):
        box_sharpness(bowl()[2], **options)


@pytest.mark.parametrize("options", [{"rho": 0.0}, {"rho": -1.0}, {"steps": 0}])
def test_balls_out_of_range(options):
    with pytest.raises(SpecError):
        ball_sharpness(bowl()[2], **options)


def test_networks_that_diverged_have_none():
    x, y = samples()
    objective = Objective(draw("tanh"), F.cross_entropy, [(x * math.nan, y)])
    for measure in (box_sharpness, ball_sharpness):
        with pytest.raises(ModelError, match="a loss of nan"):
            measure(objective)
