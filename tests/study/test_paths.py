from __future__ import annotations

import pytest
import torch

from thalweg.errors import SpecError
from thalweg.optim.terrain import TERRAINS, find_terrain
from thalweg.study.paths import GRID, descend_terrain


@pytest.mark.parametrize("name", TERRAINS)
def test_a_terrain_is_lowest_at_its_minimum(name):
    terrain = find_terrain(name)
    bottom = torch.tensor(terrain.minimum, dtype=torch.float64)
    left, right, low, high = terrain.window
    points = torch.cartesian_prod(torch.linspace(left, right, 81), torch.linspace(low, high, 81))
    assert terrain.value(points).min() >= terrain.value(bottom) - 1e-6
    assert terrain.gradient(bottom).abs().max() < 1e-9
    assert terrain.value(bottom).abs() < 1e-9


@pytest.mark.parametrize("name", TERRAINS)
def test_gradients_are_finite_differences(name):
    terrain = find_terrain(name)
    point = torch.tensor(terrain.start, dtype=torch.float64)
    for axis in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = 1e-6
        slope = (terrain.value(point + step) - terrain.value(point - step)) / 2e-6
        assert float(terrain.gradient(point)[axis]) == pytest.approx(float(slope), rel=1e-5)


def test_a_path_is_what_the_rule_does():
    (path,) = descend_terrain("quadratic", ["sgd"], steps=10, lr=0.04)
    terrain = find_terrain("quadratic")
    point = torch.tensor(terrain.start, dtype=torch.float64)
    for n in range(10):
        assert torch.allclose(path.points[n], point, rtol=1e-12)
        point = point - 0.04 * torch.tensor([1.0, 20.0], dtype=torch.float64) * point
    assert torch.equal(path.values, terrain.value(path.points))
    assert path.gradients.tolist() == [*range(11)]


def test_the_best_learning_rate_of_the_grid_is_taken():
    (best,) = descend_terrain("rosenbrock", ["adam"], steps=30)
    ends = [
        float(descend_terrain("rosenbrock", ["adam"], steps=30, lr=lr)[0].values[-1])
        for lr in GRID[::4]
    ]
    assert best.tuned
    assert best.lr in GRID
    assert float(best.values[-1]) <= min(ends) + 1e-12


def test_gradient_evaluations_are_counted():
    sam, svrg = descend_terrain(
        "quadratic", ["sam", "svrg"], steps=4, lr=0.01, options={"rho": 0.1, "snapshot_every": 2}
    )
    assert sam.gradients.tolist() == [0, 2, 4, 6, 8]
    assert svrg.gradients.tolist() == [0, 3, 5, 8, 10]


def test_paths_are_at_the_weights_to_evaluate_with():
    (average,) = descend_terrain("quadratic", ["schedule-free-sgd"], steps=20, lr=0.02)
    assert bool(average.values[-1] < average.values[0])


def test_no_step_is_one_clear_error():
    with pytest.raises(SpecError, match="steps=0"):
        descend_terrain(steps=0)
