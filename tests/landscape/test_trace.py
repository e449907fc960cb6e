"""Hutch++: exact where it can be, unbiased elsewhere, and honest about its error."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from thalweg.errors import SpecError
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.trace import trace

from .curved import NETS, dense, draw, samples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def symmetric(P, seed=0):
    A = torch.randn(P, P, generator=generator(seed), dtype=torch.float64)
    return A + A.T


@pytest.mark.parametrize("name", NETS)
def test_hessians(name):
    network, (x, y) = draw(name).eval(), samples()
    exact = dense(network, F.cross_entropy, x, y).trace().item()
    H = Hessian(network, F.cross_entropy, [(x, y)])
    found = trace(H, generator=generator(), products=60, exact=False)
    assert found.products == H.products == 60
    assert abs(found.value - exact) < 5 * found.error
    all_of_it = trace(H, generator=generator(), products=3 * H.shape[0], exact=False)
    assert all_of_it.value == pytest.approx(exact, rel=1e-10)
    assert all_of_it.error == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 999))
def test_enough_products_are_exact(P, more, seed):
    A = symmetric(P, seed)
    found = trace(A, generator=generator(seed), products=max(3 * P, 6) + more)
    assert found.value == pytest.approx(A.trace().item(), rel=1e-9, abs=1e-9)
    assert (found.error, found.captured) == (0, found.value)


def test_few_eigenvalues_need_few_products():
    B = torch.randn(200, 5, generator=generator(), dtype=torch.float64)
    found = trace(B @ B.T, generator=generator(1), products=18)
    assert found.value == pytest.approx(B.square().sum().item(), rel=1e-10)
    assert found.error == pytest.approx(0, abs=1e-8)


def test_estimates_are_unbiased_and_their_errors_true():
    A = symmetric(60)
    A = A @ A / 60
    exact = A.trace().item()
    found = [trace(A, generator=generator(seed), products=30) for seed in range(300)]
    values = [each.value for each in found]
    spread = statistics.stdev(values)
    assert abs(statistics.mean(values) - exact) < 4 * spread / math.sqrt(len(values))
    claimed = math.sqrt(statistics.mean(each.error**2 for each in found))
    assert 0.8 < claimed / spread < 1.25


def test_outliers_cost_less_than_by_signs_alone():
    Q = torch.linalg.qr(symmetric(300))[0]
    values = torch.cat([torch.tensor([50.0, 30, 20, 10]), torch.full((296,), 0.01)]).double()
    A = Q @ torch.diag(values) @ Q.T
    apart = [trace(A, generator=generator(s), products=30).value - values.sum() for s in range(50)]
    signs = torch.randint(2, (50, 300, 30), generator=generator()).double() * 2 - 1
    hutchinson = torch.einsum("spn,pq,sqn->s", signs, A, signs) / 30 - values.sum()
    assert torch.tensor(apart).square().mean() < 1e-3 * hutchinson.square().mean()


def test_estimates_are_repeatable_and_leave_torchs_generator_alone():
    state = torch.get_rng_state()
    first, second = (trace(symmetric(50), generator=generator(3), products=12) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)


def test_too_few_products():
    with pytest.raises(SpecError, match="at least 6"):
        trace(symmetric(5), generator=generator(), products=5)
