"""Normalisation: what is subtracted, and what is divided by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thalweg.errors import SpecError, nearest

Normalization = str | Sequence[float]
"""``"default"``, ``"computed"``, ``"half"``, ``"none"``, or a mean and a standard deviation."""

NORMALIZATIONS = ("default", "computed", "half", "none")


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the samples.

    Args:
        x: Inputs ``(N, *input_shape)``.

    Returns:
        Two tensors that broadcast against a sample: ``(C, 1, 1)`` for images ``(N, C, H, W)``,
        ``(F,)`` for features ``(N, F)``, and ``()`` for anything else. A feature that never
        varies has the standard deviation 1, so that dividing by it is safe.

    Example:
        >>> mean, std = moments(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        >>> mean.tolist(), std.tolist()
        ([1.0, 5.0], [1.0, 1.0])
    """
    axes = {2: [0], 4: [0, 2, 3]}.get(x.ndim)
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=axes is not None)
    if axes is not None:
        variance, mean = variance[0], mean[0]
    return mean, torch.where(variance > 0, variance, 1.0).sqrt()


def constants(how: Normalization, customary: Normalization, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation that a normalisation uses.

    Args:
        how: The normalisation; ``"half"`` is (x − 0.5) / 0.5.
        customary: What ``"default"`` means for these data.
        x: Training inputs ``(N, *input_shape)``, not normalised; only ``"computed"`` reads them.

    Returns:
        Two float32 tensors that broadcast against a sample.

    Raises:
        SpecError: An unknown name, or a standard deviation that is not positive.

    Example:
        >>> [float(c) for c in constants("half", "none", torch.zeros(1, 1))]
        [0.5, 0.5]
    """
    if how == "default":
        how = customary
    if how == "computed":
        return moments(x)
    if isinstance(how, str):
        fixed = {"half": (0.5, 0.5), "none": (0.0, 1.0)}
        if how not in fixed:
            hint = nearest(how, NORMALIZATIONS)
            raise SpecError(f"normalize={how!r}", "a normalisation, or [mean, std]", hint)
        how = fixed[how]
    if len(how) != 2 or not all(math.isfinite(c) for c in how) or how[1] <= 0:
        raise SpecError(
            f"normalize={list(how)}", "[mean, std] with std > 0", "as in [0.1307, 0.3081]"
        )
    mean, std = (torch.tensor(c, dtype=torch.float32, device=x.device) for c in how)
    return mean, std
