from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from thalweg import optim
from thalweg.optim.muon import newton_schulz


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


@settings(deadline=None)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20), seed=st.integers(0, 99))
def test_newton_schulz_keeps_singular_vectors_and_makes_values_alike(
    rows: int, columns: int, seed: int
) -> None:
    U, _, V = torch.linalg.svd(matrix(rows, columns, seed), full_matrices=False)
    values = torch.logspace(0, -1.5, len(V), dtype=torch.float64)
    O = newton_schulz(3.0 * U * values @ V, 5)  # noqa: E741
    found = U.T @ O @ V.T
    assert O.shape == (rows, columns)
    torch.testing.assert_close(found, torch.diag(found.diag()), rtol=0, atol=1e-9)
    assert (found.diag() - 1).abs().max() < 0.4


def test_a_matrix_of_zeros_stays_zero() -> None:
    assert torch.equal(newton_schulz(torch.zeros(4, 3), 5), torch.zeros(4, 3))


def path(make: Any, start: Tensor, shape: tuple[int, ...], steps: int = 25) -> Tensor:
    """The parameter after each step."""
    p = start.clone().view(shape).requires_grad_()
    optimizer = make([p])
    places = []
    for t in range(steps):
        p.grad = 1e3 * matrix(*start.shape, seed=t).to(p.dtype).view(shape)
        optimizer.step()
        places.append(p.detach().reshape(start.shape).clone())
    return torch.stack(places)


def ours(**h: Any) -> Any:
    return lambda params: optim.Muon(params, **h)


def theirs(**h: Any) -> Any:
    return lambda params: torch.optim.Muon(params, **h)


SETTINGS = [
    {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.0},
    {"lr": 0.1, "momentum": 0.7, "weight_decay": 0.5, "nesterov": False},
]


@pytest.mark.parametrize("h", SETTINGS)
@pytest.mark.parametrize(("rows", "columns"), [(12, 7), (11, 30), (20, 20)])
def test_equals_torch_in_float64(
    rows: int, columns: int, h: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)  # theirs orthogonalises in bfloat16
    expected = path(theirs(**h), matrix(rows, columns), (rows, columns))
    found = path(ours(**h), matrix(rows, columns), (rows, columns))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)  # ε has another place


@pytest.mark.parametrize("h", SETTINGS)
def test_is_near_torch_in_bfloat16(h: dict[str, Any]) -> None:
    expected = path(theirs(**h), matrix(12, 7), (12, 7), steps=10)
    found = path(ours(**h), matrix(12, 7), (12, 7), steps=10)
    assert (found - expected).abs().max() < 0.03 * 10 * h["lr"]


def test_a_kernel_moves_as_the_matrix_that_it_is() -> None:
    kernel = path(ours(), matrix(13, 18), (13, 2, 3, 3))
    assert torch.equal(kernel, path(ours(), matrix(13, 18), (13, 18)))


@pytest.mark.parametrize("shape", [(40,), (10, 4), (10, 2, 2, 1), (1, 40)])
def test_vectors_and_matrices_of_few_rows_are_moved_by_adamw(shape: tuple[int, ...]) -> None:
    start = matrix(1, 40)
    found = path(ours(lr=0.5, adam_share=0.1, weight_decay=0.2), start, shape)
    adamw = path(lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.2), start, shape)
    torch.testing.assert_close(found, adamw, rtol=1e-12, atol=1e-12)


def test_from_how_many_rows_on_is_a_setting() -> None:
    few = path(ours(least=10), matrix(10, 4), (10, 4))
    assert not torch.allclose(few, path(ours(), matrix(10, 4), (10, 4)))
    # Without momentum, a step has the size of the largest singular value.
    step = path(ours(lr=1.0, momentum=0.0, least=4), matrix(4, 9), (4, 9), steps=1)[0]
    assert (torch.linalg.svdvals(step - matrix(4, 9)) - 1).abs().max() < 0.4


def test_tall_matrices_move_further() -> None:
    tall = path(ours(lr=1.0), matrix(36, 9), (36, 9), steps=1)[0] - matrix(36, 9)
    wide = path(ours(lr=1.0), matrix(12, 36), (12, 36), steps=1)[0] - matrix(12, 36)
    assert torch.linalg.matrix_norm(tall, 2) > 1.5 * torch.linalg.matrix_norm(wide, 2)
