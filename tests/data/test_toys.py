from __future__ import annotations

import math

import pytest
import torch

from thalweg.data import toys


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ALL = [toys.circle, toys.xor, toys.gauss, toys.spiral, toys.plane, toys.hills]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_shapes_types_and_repetition(make, noise: float) -> None:
    (x, y), again = make(noise, _generator()), make(noise, _generator())
    regression = make in (toys.plane, toys.hills)
    n = 1200 if regression else 500
    assert (x.shape, x.dtype) == ((n, 2), torch.float32)
    assert (y.shape, y.dtype) == (((n, 1), torch.float32) if regression else ((n,), torch.int64))
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    if not regression:
        assert set(y.tolist()) == {0, 1}


def test_circle_without_noise() -> None:
    x, y = toys.circle(0.0, _generator())
    radius = x.norm(dim=1)
    assert int(y.sum()) == 250
    assert radius[y == 1].max() < 2.5
    assert radius[y == 0].min() > 3.5 - 1e-5
    assert radius.max() < 5 + 1e-5
    assert radius[y == 1].mean().item() == pytest.approx(1.25, abs=0.15)  # uniform in the radius


def test_noise_of_circle_and_xor_flips_labels_but_moves_no_point() -> None:
    for make, flips in ((toys.circle, 0.1), (toys.xor, 0.1)):
        clean, noisy = make(0.0, _generator()), make(0.5, _generator())
        assert torch.equal(clean[0], noisy[0])
        assert (clean[1] != noisy[1]).float().mean() > flips


def test_xor_without_noise() -> None:
    x, y = toys.xor(0.0, _generator())
    assert torch.equal(y == 1, x[:, 0] * x[:, 1] > 0)
    assert x.abs().min() >= 0.3
    assert x.abs().max() <= 5.3


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_gauss_has_the_means_and_variances_it_says(noise: float) -> None:
    x, y = toys.gauss(noise, _generator())
    variance = 0.5 + 7 * noise
    for label, centre in ((1, 2.0), (0, -2.0)):
        cloud = x[y == label]
        assert len(cloud) == 250
        error = 5 * math.sqrt(variance / 250)
        assert cloud.mean(dim=0).tolist() == pytest.approx([centre] * 2, abs=error)
        assert cloud.var(dim=0).tolist() == pytest.approx([variance] * 2, rel=0.45)


def test_spiral_without_noise_is_the_formula() -> None:
    x, y = toys.spiral(0.0, _generator())
    for label, turn in ((1, 0.0), (0, math.pi)):
        points = x[y == label]
        for i in (0, 1, 100, 249):
            r, t = 5 * i / 250, 3.5 * math.pi * i / 250 + turn
            assert points[i].tolist() == pytest.approx([r * math.sin(t), r * math.cos(t)], abs=1e-5)


def test_noise_of_the_spiral_moves_points_by_at_most_itself() -> None:
    moved = toys.spiral(0.2, _generator())[0] - toys.spiral(0.0, _generator())[0]
    assert 0.19 < moved.abs().max() <= 0.2 + 1e-6


def test_plane_without_noise() -> None:
    x, y = toys.plane(0.0, _generator())
    torch.testing.assert_close(y[:, 0], (x[:, 0] + x[:, 1]) / 10)
    assert 5.9 < x.abs().max() <= 6


def _hill(a: float, b: float) -> float:
    """The definition, one point and one cone at a time."""
    best = 0.0
    cones = [(-4, 2.5, 1), (0, 2.5, -1), (4, 2.5, 1), (-4, -2.5, -1), (0, -2.5, 1), (4, -2.5, -1)]
    for cx, cy, sign in cones:
        height = sign * min(max(1 - math.hypot(a - cx, b - cy) / 2, 0), 1)
        best = height if abs(height) > abs(best) else best
    return best


def test_hills_without_noise() -> None:
    x, y = toys.hills(0.0, _generator())
    assert y[:, 0].tolist() == pytest.approx([_hill(*p) for p in x.tolist()], abs=1e-5)
    assert y.min() < -0.8
    assert y.max() > 0.8


@pytest.mark.parametrize("make", [toys.plane, toys.hills])
def test_noise_of_regression_moves_targets_but_no_point(make) -> None:
    clean, noisy = make(0.0, _generator()), make(0.2, _generator())
    assert torch.equal(clean[0], noisy[0])
    assert (clean[1] - noisy[1]).abs().mean() > 0.03
