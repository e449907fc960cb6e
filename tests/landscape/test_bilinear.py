"""Convolutions in this form have the derivatives of torch's own, to the second order."""

from __future__ import annotations

import pytest
import torch
from torch.func import vmap
from torch.nn import functional as F

from thalweg.landscape.bilinear import Bilinear

CASES = [
    (F.conv1d, (2, 4, 7), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (F.conv2d, (2, 2, 5, 6), (3, 2, 2, 3), {}),
    (F.conv2d, (2, 2, 6, 6), (3, 2, 3, 3), {"stride": (2,), "padding": (1, 2), "dilation": 2}),
    (F.conv3d, (1, 2, 3, 4, 3), (2, 2, 2, 2, 2), {"stride": (1, 2, 1)}),
    (F.conv2d, (2, 2, 5, 5), (3, 2, 3, 3), {"padding": "same"}),
    (F.conv2d, (2, 5, 5), (3, 2, 2, 2), {}),
]


def numbers(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


@pytest.mark.parametrize(("convolve", "x", "w", "options"), CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_derivatives_are_torchs(convolve, x, w, options, bias):
    leaves = [numbers(*x), numbers(*w, seed=1), numbers(w[0], seed=2)][: 3 if bias else 2]

    def products(bilinear):
        own = [leaf.clone().requires_grad_() for leaf in leaves]
        if bilinear:
            with Bilinear():
                y = convolve(*own, **options)
        else:
            y = convolve(*own, **options)
        first = torch.autograd.grad(y.tanh().sum(), own, create_graph=True)
        vectors = [numbers(*leaf.shape, seed=3) for leaf in leaves]
        second = torch.autograd.grad(first, own, vectors, retain_graph=True)

        def backward(*vectors):
            return torch.autograd.grad(first, own, vectors, retain_graph=True)

        mapped = vmap(backward)(*[torch.stack([v, 2 * v]) for v in vectors])
        for one, two in zip(second, mapped, strict=True):
            torch.testing.assert_close(two, torch.stack([one, 2 * one]))
        return y, *first, *second

    for found, expected in zip(products(True), products(False), strict=True):
        torch.testing.assert_close(found, expected)


def test_third_derivatives_exist_too():
    x, w = numbers(2, 2, 3, 3).requires_grad_(), numbers(1, 2, 2, 2, seed=1).requires_grad_()

    def gradient(x, w):
        with Bilinear():
            y = F.conv2d(x, w)
        return torch.autograd.grad((y**3).sum(), (x, w), create_graph=True)

    assert torch.autograd.gradgradcheck(gradient, (x, w))


def test_other_functions_pass_through():
    with Bilinear():
        assert torch.equal(F.relu(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))
