"""Matrix products of a linear layer: the fastest library that this processor offers.

MKL keeps to AVX2 on processors of other makes than Intel's; oneDNN's AVX-512 product is then about
twice as fast in true float32. Which one runs is a function of processor and shape, never of a
timing, so that the same run gives the same bits.
"""

from __future__ import annotations

import os
from functools import cache

import torch
from torch import Tensor

from thalweg.runtime import mkl_is_narrow

WIDE = 64
"""oneDNN's calls cost more than they save where the batch or a side of the layer is below this."""


@cache
def onednn_wins() -> bool:
    """Tell whether oneDNN's float32 product is the better one here; ``THALWEG_GEMM`` overrules."""
    choice = os.environ.get("THALWEG_GEMM", "auto").lower()
    there = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()
    return there and (choice == "onednn" or (choice == "auto" and mkl_is_narrow()))


def _onednn(a: Tensor, b: Tensor) -> bool:
    return (
        a.device.type == "cpu"
        and a.dtype == torch.float32
        and min(a.shape + b.shape) >= WIDE
        and onednn_wins()
    )


def linear(x: Tensor, w: Tensor, b: Tensor | None, out: Tensor) -> Tensor:
    """Return x Wᵀ + b, in ``out`` or in a new tensor.

    Args:
        x: Inputs, (batch, in).
        w: Weight, (out, in).
        b: Bias, (out,), or None.
        out: Where the result may go, (batch, out).
    """
    if x.dtype != out.dtype:  # reduced precision: multiply there, come back for the rest
        product = torch.nn.functional.linear(x, w, None if b is None else b.to(x.dtype))
        return out.copy_(product)
    if _onednn(x, w):
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")
        return y
    if b is None:
        return torch.mm(x, w.t(), out=out)
    return torch.addmm(b, x, w.t(), out=out)


def grad_weight(g: Tensor, x: Tensor, out: Tensor) -> None:
    """Write gᵀ x, the gradient of the weight, to ``out``: (batch, out), (batch, in) → (out, in)."""
    if x.dtype != out.dtype:
        out.copy_(g.t() @ x)
    elif _onednn(g, x):
        out.copy_(torch.ops.mkldnn._linear_pointwise(g.t(), x.t(), None, "none", [], ""))
    else:
        torch.mm(g.t(), x, out=out)


def grad_input(g: Tensor, w: Tensor, out: Tensor) -> Tensor:
    """Return g W, the gradient of the input, in ``out`` or in a new tensor: (batch, in)."""
    if g.dtype != out.dtype:
        return out.copy_(g @ w)
    if _onednn(g, w):
        gx: Tensor = torch.ops.mkldnn._linear_pointwise(g, w.t(), None, "none", [], "")
        return gx
    return torch.mm(g, w, out=out)
