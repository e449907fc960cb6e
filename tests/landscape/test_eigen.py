"""The outermost eigenvalues: those of the dense matrix, from any end, of any multiplicity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from thalweg.errors import ModelError, SpecError
from thalweg.landscape.eigen import eigenpairs
from thalweg.landscape.hessian import Hessian

from .curved import NETS, dense, draw, samples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def symmetric(P, seed=0):
    A = torch.randn(P, P, generator=generator(seed), dtype=torch.float64)
    return A + A.T


def wanted(A, which):
    values = torch.linalg.eigvalsh(A)
    key = {"algebraic": -values, "magnitude": -values.abs(), "smallest": values}[which]
    return values[key.argsort()]


def rotated(values, seed=0):
    """A matrix with these eigenvalues."""
    Q = torch.linalg.qr(symmetric(len(values), seed))[0]
    return Q @ torch.diag(values) @ Q.T


@pytest.mark.parametrize("which", ["algebraic", "magnitude", "smallest"])
@pytest.mark.parametrize(("P", "k", "block"), [
    (1, 1, 1), (2, 2, 1), (5, 5, 3), (40, 1, 1), (40, 6, 4), (150, 1, 2), (150, 5, 1),
])  # fmt: skip
def test_values_are_those_of_the_matrix(which, P, k, block):
    A = symmetric(P, seed=P)
    found = eigenpairs(
        A, k, generator=generator(), which=which, tolerance=1e-10, block=block, basis=k + 20
    )
    assert found.converged
    torch.testing.assert_close(found.values, wanted(A, which)[:k])
    V = found.vectors
    torch.testing.assert_close(V.T @ V, torch.eye(k, dtype=torch.float64))
    residuals = (A @ V - V * found.values).norm(dim=0)
    torch.testing.assert_close(found.residuals, residuals)
    assert (residuals <= 1e-9 * A.norm()).all()


@pytest.mark.parametrize("name", NETS)
def test_values_are_those_of_the_dense_hessian(name):
    network, (x, y) = draw(name).eval(), samples()
    H = Hessian(network, F.cross_entropy, [(x, y)])
    expected = wanted(dense(network, F.cross_entropy, x, y), "algebraic")[:3]
    found = eigenpairs(H, 3, generator=generator(), tolerance=1e-10)
    torch.testing.assert_close(found.values, expected)
    assert found.products == H.products


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4), st.integers(0, 999))
def test_each_value_is_within_its_residual_of_an_eigenvalue(P, k, block, seed):
    A = symmetric(P, seed)
    k = min(k, P)
    found = eigenpairs(A, k, generator=generator(seed), tolerance=0.05, block=block)
    apart = (found.values[:, None] - torch.linalg.eigvalsh(A)).abs().min(1).values
    assert (apart <= found.residuals + 1e-12 * A.norm()).all()
    assert found.converged


@settings(max_examples=15, deadline=None)
@given(st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99))
def test_shifting_and_scaling_move_the_values_along(shift, scale, seed):
    A = symmetric(12, seed)
    both = [
        eigenpairs(each, 2, generator=generator(), tolerance=1e-12).values
        for each in (A, scale * A + shift * torch.eye(12, dtype=torch.float64))
    ]
    torch.testing.assert_close(both[1], scale * both[0] + shift, rtol=1e-9, atol=1e-9)


def test_values_that_are_equal_are_found_by_a_block():
    A = rotated(torch.tensor([7.0] * 3 + [2.0] * 10 + [1.0] * 20, dtype=torch.float64))
    found = eigenpairs(A, 4, generator=generator(), block=3, tolerance=1e-9)
    torch.testing.assert_close(found.values, torch.tensor([7.0, 7, 7, 2], dtype=torch.float64))


@pytest.mark.parametrize("c", [0.0, 3.0])
def test_multiples_of_the_identity(c):
    found = eigenpairs(c * torch.eye(30, dtype=torch.float64), 4, generator=generator())
    torch.testing.assert_close(found.values, torch.full((4,), c, dtype=torch.float64))
    assert found.converged


def test_a_search_that_starts_at_the_eigenvectors_is_short():
    A = symmetric(120)
    cold = eigenpairs(A, 2, generator=generator(), tolerance=1e-6)
    nearby = A + 1e-6 * symmetric(120, seed=1)
    warm = eigenpairs(nearby, 2, generator=generator(), tolerance=1e-4, start=cold.vectors, block=2)
    assert warm.products == 4  # one block, and its residuals
    assert cold.products > 20
    single = eigenpairs(nearby, 1, generator=generator(), tolerance=1e-4, start=cold.vectors[:, 0])
    assert single.products == 2


def test_a_search_without_end_says_so():
    found = eigenpairs(symmetric(100), 3, generator=generator(), tolerance=1e-12, most=10)
    assert not found.converged
    assert found.products == 10 + 3
    assert (found.residuals > 0).all()
    fewer = eigenpairs(symmetric(100), 3, generator=generator(), most=2)
    assert not fewer.converged
    assert len(fewer.values) == 2


def test_a_search_is_repeatable_and_leaves_torchs_generator_alone():
    A = symmetric(50)
    state = torch.get_rng_state()
    first, second = (eigenpairs(A, 2, generator=generator(3)) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)
    assert torch.equal(torch.get_rng_state(), state)


def test_float32_reaches_its_own_accuracy():
    network, (x, y) = draw("tanh"), samples()
    expected = wanted(dense(network, F.cross_entropy, x, y), "algebraic")[:2]
    H = Hessian(network.float(), F.cross_entropy, [(x.float(), y)])
    found = eigenpairs(H, 2, generator=generator(), tolerance=1e-5)
    assert found.converged
    torch.testing.assert_close(found.values, expected, rtol=1e-5, atol=1e-6)
    beyond = eigenpairs(H, 2, generator=generator(), tolerance=1e-12, most=200)
    assert not beyond.converged


@pytest.mark.parametrize("options", [
    {"k": 0}, {"k": 6}, {"which": "largest"}, {"tolerance": -1.0}, {"tolerance": float("nan")},
    {"most": 0}, {"block": 0},
])  # fmt: skip
def test_options_out_of_range(options):
    with pytest.raises(SpecError):
        eigenpairs(symmetric(5), **{"k": 1, **options}, generator=generator())


def test_what_cannot_be():
    with pytest.raises(ModelError, match="a start of length 4"):
        eigenpairs(symmetric(5), generator=generator(), start=torch.ones(4))
    with pytest.raises(ModelError, match="not finite"):
        eigenpairs(symmetric(5) * torch.nan, generator=generator())
