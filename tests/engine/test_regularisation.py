"""Penalties and clipping, member by member."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from thalweg.engine import Regularisation
from thalweg.engine.regularisation import Regularisations

NONE = Regularisation()
DIFFERENT = [
    NONE,
    Regularisation(l1=0.1),
    Regularisation(l2=0.3),
    Regularisation(l1=0.2, l2=0.1, clip_value=0.5),
    Regularisation(clip_norm=0.7),
    Regularisation(clip_value=0.01, clip_norm=1e-3),
]
P = 48


@pytest.fixture
def weights() -> Tensor:
    """The last third of the parameters are biases."""
    mask = torch.ones(1, P)
    mask[:, 32:] = 0
    return mask


def numbers(seed: int, K: int) -> Tensor:
    return torch.randn(K, P, generator=torch.Generator().manual_seed(seed))


def applied(own: list[Regularisation], weights: Tensor, theta: Tensor, grad: Tensor) -> Tensor:
    them, g = Regularisations(own, weights), grad.clone()
    them.penalise(theta, g)
    them.clip(g)
    return g


@pytest.mark.parametrize("order", [range(6), (3, 0, 5), (1, 2), (4, 4), (0,), (2, 2)])
def test_each_member_has_what_it_has_alone(weights, order):
    theta, grad = numbers(0, 6), numbers(1, 6)
    rows = list(order)
    own = [DIFFERENT[row] for row in rows]
    found = applied(own, weights, theta[rows], grad[rows])
    for k, row in enumerate(rows):
        alone = applied([DIFFERENT[row]], weights, theta[row : row + 1], grad[row : row + 1])
        assert torch.equal(found[k : k + 1], alone)


@pytest.mark.parametrize("own", DIFFERENT)
def test_what_it_does_is_what_the_formulas_say(weights, own):
    theta, grad = numbers(0, 1), numbers(1, 1)
    expected = grad + weights * (own.l1 * theta.sign() + own.l2 * theta)
    if own.clip_value is not None:
        expected = expected.clamp(-own.clip_value, own.clip_value)
    if own.clip_norm is not None:
        expected = expected * min(1.0, own.clip_norm / float(expected.norm()))
    torch.testing.assert_close(applied([own], weights, theta, grad), expected)


def test_where_nothing_is_to_be_done_nothing_is(weights):
    theta, grad = numbers(0, 2), numbers(1, 2)
    assert torch.equal(applied([NONE, NONE], weights, theta, grad), grad)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_numbers_beyond_number_stay_with_their_member(weights, bad):
    theta, grad = numbers(0, 2), numbers(1, 2)
    own = [Regularisation(l1=0.1, l2=0.2, clip_value=0.4, clip_norm=0.3), NONE]
    good = applied(own, weights, theta, grad)
    theta[1, 3], grad[1, 5] = bad, bad
    found = applied(own, weights, theta, grad)
    assert torch.equal(found[0], good[0])
    torch.testing.assert_close(found[1], grad[1], rtol=0, atol=0, equal_nan=True)
    assert not found[1, 5].isfinite()


def test_some_rows_are_clipped_by_their_own_bounds(weights):
    grad = numbers(1, 6)
    them, whole = Regularisations(DIFFERENT, weights), grad.clone()
    them.clip(whole)
    pieces = grad.clone()
    for start, stop in ((0, 2), (2, 5), (5, 6)):
        them.clip(pieces[start:stop], slice(start, stop))
    assert torch.equal(pieces, whole)
