"""Stochastic Lanczos quadrature: the spectrum of the dense matrix, as atoms and smoothed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from thalweg.errors import SpecError
from thalweg.landscape.density import density
from thalweg.landscape.hessian import Hessian

from .curved import NETS, dense, draw, samples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def symmetric(P, seed=0):
    A = torch.randn(P, P, generator=generator(seed), dtype=torch.float64)
    return A + A.T


def bells(values, x, width):
    """The density of eigenvalues that are known, each as a Gaussian."""
    z = (x[:, None] - values) / width
    return torch.exp(-z.square() / 2).mean(1) / (width * math.sqrt(2 * math.pi))


def spiked():
    """Spikes at about 6, 5 and 4 beside the bulk of Z Zᵀ / 2000, Z of 500 × 2000."""
    Z = torch.randn(500, 2000, generator=generator(), dtype=torch.float64)
    A = Z @ Z.T / 2000
    A[range(3), range(3)] += torch.tensor([5.0, 4.0, 3.0], dtype=torch.float64)
    return A


def test_spikes_beside_a_bulk():
    A = spiked()
    values = torch.linalg.eigvalsh(A)
    found = density(A, generator=generator(1), probes=10, steps=60)
    assert (found.size, found.products) == (500, 600)
    torch.testing.assert_close(found.nodes[:, -3:], values[-3:].expand(10, 3))  # the spikes
    x = torch.linspace(-1, 7, 801, dtype=torch.float64)
    apart = (found.smooth(x, 0.1) - bells(values, x, 0.1)).abs().sum() * 0.01
    assert apart < 0.06  # of an area of 1; the noise of 10 random vectors in 500 dimensions
    assert found.smooth(x, 0.1).sum() * 0.01 == pytest.approx(1, abs=1e-6)


def test_means_are_within_their_errors():
    A = spiked()
    values = torch.linalg.eigvalsh(A)
    found = density(A, generator=generator(1), probes=16, steps=40)
    for f in (lambda t: t, torch.square, torch.exp, lambda t: torch.log(t + 1)):
        value, error = found.mean(f)
        exact = f(values).mean().item()
        assert 0 < error < 0.1 * exact
        assert abs(value - exact) < 4 * error


@pytest.mark.parametrize("name", NETS)
def test_hessians(name):
    network, (x, y) = draw(name).eval(), samples()
    values = torch.linalg.eigvalsh(dense(network, F.cross_entropy, x, y))
    H = Hessian(network, F.cross_entropy, [(x, y)])
    found = density(H, generator=generator(), probes=40, steps=30)
    assert H.products == found.products
    for f in (lambda t: t, torch.square):
        value, error = found.mean(f)
        assert abs(value - f(values).mean().item()) < 4 * error
    grid = torch.linspace(values[0] - 1, values[-1] + 1, 400, dtype=torch.float64)
    width = (values[-1] - values[0]).item() / 10
    exact = bells(values, grid, width)
    assert (found.smooth(grid, width) - exact).abs().sum() < 0.15 * exact.sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10), st.integers(0, 999))
def test_as_many_steps_as_eigenvalues_are_exact(P, seed):
    A = symmetric(P, seed)
    found = density(A, generator=generator(seed), probes=2, steps=P + 3)
    assert found.nodes.shape == (2, P)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(found.nodes, torch.linalg.eigvalsh(A).expand(2, P))


@settings(max_examples=15, deadline=None)
@given(st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99))
def test_shifting_and_scaling_move_the_atoms_along(shift, scale, seed):
    A = symmetric(20, seed)
    one, other = (
        density(each, generator=generator(), probes=3, steps=6)
        for each in (A, scale * A + shift * torch.eye(20, dtype=torch.float64))
    )
    torch.testing.assert_close(other.nodes, scale * one.nodes + shift, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(other.weights, one.weights, rtol=1e-6, atol=1e-8)


def test_exhausted_krylov_spaces_end_in_atoms_without_weight():
    values = torch.tensor([0.0] * 20 + [1.0] * 8 + [4.0] * 2, dtype=torch.float64)
    found = density(torch.diag(values), generator=generator(), probes=5, steps=9)
    held = found.weights > 1e-12
    assert held.sum(1).tolist() == [3] * 5
    expected = torch.tensor([0.0, 1, 4], dtype=torch.float64).expand(5, 3)
    torch.testing.assert_close(found.nodes[held].reshape(5, 3), expected)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(5, dtype=torch.float64))


def test_memory_changes_nothing():
    A = symmetric(40)
    whole, one_by_one = (
        density(A, generator=generator(), probes=5, steps=8, memory=m) for m in (1 << 30, 1)
    )
    torch.testing.assert_close(whole.nodes, one_by_one.nodes)
    torch.testing.assert_close(whole.weights, one_by_one.weights)


def test_float32():
    A = spiked()
    found, exact = (
        density(each, generator=generator(), probes=2, steps=20) for each in (A.float(), A)
    )
    torch.testing.assert_close(found.nodes, exact.nodes, rtol=1e-3, atol=1e-4)
    assert found.nodes.dtype == torch.float64


def test_one_width_for_all():
    found = density(symmetric(30), generator=generator(), probes=2, steps=10)
    x = torch.linspace(-30, 30, 6001, dtype=torch.float64)
    assert found.smooth(x).sum() * 0.01 == pytest.approx(1, abs=1e-3)
    identity = density(torch.eye(9, dtype=torch.float64), generator=generator())
    with pytest.raises(SpecError, match="width="):
        identity.smooth(x)
    assert identity.smooth(torch.ones(1), 0.5).item() == pytest.approx(2 / math.sqrt(2 * math.pi))


def test_one_vector_knows_no_error():
    value, error = density(symmetric(9), generator=generator(), probes=1).mean(torch.square)
    assert value > 0
    assert math.isnan(error)


@pytest.mark.parametrize("options", [{"probes": 0}, {"steps": 0}])
def test_options_out_of_range(options):
    with pytest.raises(SpecError):
        density(symmetric(5), generator=generator(), **options)
