"""The gradient noise scale against its definition, with exact means over all samples."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from thalweg.errors import DataError, ModelError
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.noise import gradient_noise
from thalweg.landscape.objective import Objective

from .curved import dense, draw, mean, samples


def batches(x, y, size):
    return list(zip(x.split(size), y.split(size), strict=True))


def regression(n, seed, noise=1.0):
    """Samples (n, 3) of a linear function and noise, and a network that is somewhere else."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=g, dtype=torch.float64)
    w = torch.tensor([[1.0, -0.5, 0.3]], dtype=torch.float64)
    network = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(network.weight)
    return network, x, x @ w.T + noise * torch.randn(n, 1, generator=g, dtype=torch.float64), w


def test_parts_are_sample_moments():
    network, x, y, _ = regression(30, 0)
    L = Objective(network, nn.MSELoss(), batches(x, y, 1))
    g = torch.stack([gradient for _, gradient in L.each()])
    found = gradient_noise(L)
    assert found.variance == pytest.approx(g.var(0).sum().item())
    squared = g.mean(0).square().sum().item() - found.variance / 30
    assert found.squared == pytest.approx(squared)
    assert found.simple == pytest.approx(found.variance / squared)
    assert found.full is None


def test_linear_regression_has_the_noise_of_its_closed_form():
    # The gradient −2 x (w·x + ε) has the mean −2 w and E|.|² = 4 (E|x|²(w·x)² + E|x|² ε²)
    # = 4 ((d + 2)|w|² + d σ²) for x of d standard normal numbers.
    values, d, sigma = [], 3, 1.0
    for seed in range(40):
        network, x, y, w = regression(600, seed, sigma)
        values.append(gradient_noise(Objective(network, nn.MSELoss(), batches(x, y, 10))))
    size = w.square().sum().item()
    variance = 4 * ((d + 2) * size + d * sigma**2) - 4 * size
    for found, exact in (
        ([v.squared for v in values], 4 * size),
        ([v.variance for v in values], variance),
    ):
        apart = statistics.mean(found) - exact
        assert abs(apart) < 4 * statistics.stdev(found) / math.sqrt(len(found))
    ratio = variance / (4 * size)
    scales = [v.simple for v in values]
    assert statistics.mean(scales) == pytest.approx(ratio, rel=0.1)
    claimed = math.sqrt(statistics.mean(v.error**2 for v in values))
    assert 0.7 < claimed / statistics.stdev(scales) < 1.4


def test_size_of_the_batches_does_not_matter_on_average():
    network, x, y, _ = regression(6000, 0)
    one, ten = (
        gradient_noise(Objective(network, nn.MSELoss(), batches(x, y, size))) for size in (1, 20)
    )
    assert abs(one.simple - ten.simple) < 4 * math.hypot(one.error, ten.error)
    assert one.error < 0.1 * one.simple


def test_error_is_that_of_the_jackknife():
    network, x, y, _ = regression(12, 0)
    whole = batches(x, y, 2)
    left_out = [
        gradient_noise(Objective(network, nn.MSELoss(), whole[:i] + whole[i + 1 :]))
        for i in range(6)
    ]
    ratios = torch.tensor([v.variance / v.squared for v in left_out], dtype=torch.float64)
    error = (5 / 6 * (ratios - ratios.mean()).square().sum()).sqrt().item()
    found = gradient_noise(Objective(network, nn.MSELoss(), whole))
    assert found.error == pytest.approx(error, rel=1e-8)


def test_full_scale_weighs_with_the_hessian():
    network, (x, y) = draw("tanh"), samples(200)
    H = Hessian(network, F.cross_entropy, [(x, y)])
    L = Objective(network, F.cross_entropy, batches(x, y, 1))
    g = torch.stack([gradient for _, gradient in L.each()])
    D = dense(network.eval(), F.cross_entropy, x, y)
    above = (torch.cov(g.T) * D).sum().item()
    below = (g.mean(0) @ D @ g.mean(0)).item() - above / 200
    found = gradient_noise(L, H)
    assert found.full == pytest.approx(above / below)
    assert H.products == 201


def test_multiples_of_the_identity_make_both_scales_one():
    network, x, y, _ = regression(60, 0)
    L = Objective(network, nn.MSELoss(), batches(x, y, 2))
    found = gradient_noise(L, 3 * torch.eye(3, dtype=torch.float64))
    assert found.full == pytest.approx(found.simple)


def test_no_gradient_left_is_all_noise():
    network = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    data = [(torch.tensor([[c, 0.0]]).double(), torch.zeros(1)) for c in (-1.0, 1.0, -2.0, 2.0)]
    H = torch.eye(2, dtype=torch.float64)
    found = gradient_noise(Objective(network, mean, data), H)
    assert found.squared < 0
    assert math.isinf(found.simple)
    assert math.isinf(found.full)


@pytest.mark.parametrize("sizes", [[4], [4, 4], [4, 4, 3]])
def test_batches_that_tell_nothing(sizes):
    network, (x, y) = draw("tanh"), samples(sum(sizes))
    L = Objective(network, F.cross_entropy, list(zip(x.split(sizes), y.split(sizes), strict=True)))
    with pytest.raises(DataError, match="three or more batches of one size"):
        gradient_noise(L)


def test_networks_that_diverged_have_none():
    network, (x, y) = draw("tanh"), samples(9)
    with pytest.raises(ModelError, match="a loss of nan"):
        gradient_noise(Objective(network, F.cross_entropy, batches(x * math.nan, y, 3)))
