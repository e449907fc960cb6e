from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from thalweg.errors import ModelError
from thalweg.nn import build_loss


@pytest.mark.parametrize("function", [nn.CrossEntropyLoss(), F.cross_entropy])
@pytest.mark.parametrize("shared", [True, False])
def test_a_callable_is_a_loss(function, shared):
    g = torch.Generator().manual_seed(0)
    loss, named = build_loss(function), build_loss("cross-entropy")
    outputs = torch.randn(3, 6, 5, generator=g)
    y = torch.randint(5, (6,) if shared else (3, 6), generator=g)
    losses, grad = loss.value_and_grad(outputs, y)
    expected, expected_grad = named.value_and_grad(outputs, y)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("shared", [True, False])
def test_a_callable_takes_values_too(shared):
    g = torch.Generator().manual_seed(0)
    loss, named = build_loss(nn.MSELoss()), build_loss("mse")
    outputs = torch.randn(6, 6, 2, generator=g)  # as many members as samples
    y = torch.randn((6, 2) if shared else (6, 6, 2), generator=g)
    torch.testing.assert_close(loss(outputs, y), named(outputs, y))


def test_a_callable_may_return_one_number_in_any_shape():
    loss = build_loss(lambda o, y: (o.mean() - y.float().mean())[None])
    assert loss(torch.ones(4, 2), torch.zeros(4)).shape == ()


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda o, y: o.mean(-1), r"a loss of shape \(4,\)"),
        (lambda o, y: 1.0, "a loss of type float"),
    ],
)
def test_a_callable_must_return_one_number(function, got):
    with pytest.raises(ModelError, match=got):
        build_loss(function)(torch.ones(4, 2), torch.zeros(4))
