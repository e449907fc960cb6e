"""Softmax over the last axis, laid out so that few classes are no slower than many."""

from __future__ import annotations

import torch
from torch import Tensor

# A row shorter than a vector register is exponentiated number by number: on a CPU ten classes
# then take five times as long as thirty-two. Laid out class by class, the registers run over the
# batch instead. Measured with AVX-512, whose registers hold 16 floats.
FEW = 16


def log_softmax(x: Tensor) -> Tensor:
    """Return the logarithm of softmax over the last axis of ``x`` (…, batch, classes).

    The values lie in memory in whichever order was quick to make.

    Example:
        >>> print(log_softmax(torch.zeros(1, 2)))
        tensor([[-0.6931, -0.6931]])
    """
    return torch.log_softmax(x.mT, -2).mT if x.shape[-1] < FEW else torch.log_softmax(x, -1)


def softmax(x: Tensor) -> Tensor:
    """Return softmax over the last axis of ``x`` (…, batch, classes), as :func:`log_softmax`.

    torch.softmax over columns rounds a column by where it lies in memory; this way each member
    of a cohort has the bits that it would have alone.

    Example:
        >>> print(softmax(torch.zeros(1, 2)))
        tensor([[0.5000, 0.5000]])
    """
    return log_softmax(x).exp()
