"""The cube root, fast and the same for an element wherever it stands in a tensor."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import torch
from torch import Tensor


def cbrt(v: Tensor) -> Tensor:
    """Return the cube root of non-negative numbers, in a new tensor.

    ``torch.pow(v, 1/3)`` is slow, has a relative error of 9e-7 in float32, and rounds the last
    elements of a row otherwise than the others, so that a result depends on how a tensor is cut.

    On CPUs with AVX-512, NumPy's vectorised root serves float32, with a relative error of 1.6e-7;
    else :func:`cbrt_newton`.

    Args:
        v: Non-negative numbers, any shape.

    Example:
        >>> cbrt(torch.tensor([2.0, 2e-30]))
        tensor([1.2599e+00, 1.2599e-10])
    """
    if v.device.type == "cpu" and v.dtype == torch.float32 and _numpy_is_fast():
        return torch.from_numpy(np.cbrt(v.numpy(), out=torch.empty_like(v).numpy()))
    return cbrt_newton(v)


def cbrt_newton(v: Tensor) -> Tensor:
    """Return exp(log(v)/3) after one Newton step; the relative error is 8e-8 in float32.

    A subnormal number gives a number between 0 and the root of the smallest normal one.

    Example:
        >>> cbrt_newton(torch.tensor([0.0, 8.0, 27.0]))
        tensor([0., 2., 3.])
    """
    tiny, huge = torch.finfo(v.dtype).tiny, torch.finfo(v.dtype).max
    # Finite logarithms only: exp of an infinite one is hundreds of times slower.
    y = v.clamp(tiny, huge).log_().div_(3).exp_()
    y.lerp_(v / (y * y), 1 / 3)  # Newton: y - (y - v/y^2)/3
    # Here v = 0 has become 2/3 of the root of tiny; no normal number has a root as small as 0.67.
    return torch.hardshrink(y, 0.67 * tiny ** (1 / 3))


@cache
def _numpy_is_fast() -> bool:
    """Say whether NumPy's cube root is vectorised here: Intel's SVML, in builds for Linux."""
    return sys.platform == "linux" and torch.backends.cpu.get_cpu_capability() == "AVX512"
