from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from thalweg.optim import cbrt as module
from thalweg.optim.cbrt import cbrt, cbrt_newton

TINY = torch.finfo(torch.float32).tiny


@pytest.fixture(params=["numpy", "newton", "here"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """The cube root as it is taken on CPUs with AVX-512, on others, and on this one."""
    if request.param != "here":
        monkeypatch.setattr(module, "_numpy_is_fast", lambda: request.param == "numpy")
    return cbrt


def numbers() -> Tensor:
    """Numbers over all of float32, from subnormal to the largest."""
    spread = torch.logspace(-45, 38.5, 200_001, dtype=torch.float64).float()
    return torch.cat([spread, torch.tensor([TINY, torch.finfo(torch.float32).max])])


def test_error_in_float32(root: Callable) -> None:
    v = numbers()
    exact = np.cbrt(v.double().numpy())
    error = (root(v).double() - torch.from_numpy(exact)).abs()
    normal = v >= TINY
    assert (error[normal] / torch.from_numpy(exact)[normal]).max() < 2.5e-7
    assert error[~normal].max() < 1.2e-13


def test_error_of_newton_in_float32() -> None:
    v = numbers()
    v = v[v >= TINY]
    exact = torch.from_numpy(np.cbrt(v.double().numpy()))
    assert ((cbrt_newton(v).double() - exact).abs() / exact).max() < 8.5e-8


def test_error_in_float64() -> None:
    v = torch.logspace(-307, 308, 100_001, dtype=torch.float64)
    exact = torch.from_numpy(np.cbrt(v.numpy()))
    assert ((cbrt(v) - exact).abs() / exact).max() < 3e-16


def test_ends(root: Callable) -> None:
    ends = root(torch.tensor([0.0, torch.inf, torch.nan]))
    assert ends[0] == 0.0
    assert ends[1] == torch.inf
    assert ends[2].isnan()


def test_argument_is_kept(root: Callable) -> None:
    v = torch.tensor([8.0, 27.0])
    root(v)
    assert v.tolist() == [8.0, 27.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_does_not_depend_on_the_cut(root: Callable, dtype: torch.dtype) -> None:
    v = torch.rand(3, 10_007, generator=torch.Generator().manual_seed(0), dtype=dtype) ** 9
    whole = root(v)
    for width in (1, 37, 4096):
        for left in range(0, 400 if width == 1 else 10_007, width):
            part = slice(left, left + width)
            assert torch.equal(root(v[:, part]), whole[:, part])
            assert torch.equal(root(v[1, part].clone()), whole[1, part])


def test_half_precision() -> None:
    v = torch.tensor([0.0, 8.0, 1000.0], dtype=torch.bfloat16)
    assert cbrt(v).dtype == torch.bfloat16
    torch.testing.assert_close(cbrt(v).float(), torch.tensor([0.0, 2.0, 10.0]), rtol=0.02, atol=0)
