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

from thalweg.nn.together import together
from thalweg.runtime import mkl_is_narrow

WIDE = 64
"""oneDNN's calls cost more than they save where the batch or a side of the layer is below this."""


@cache
def onednn_wins() -> bool:
    """Tell whether oneDNN's float32 product is the better one here; ``THALWEG_GEMM`` overrules."""
    choice = os.environ.get("THALWEG_GEMM", "auto").lower()
    there = hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available()
    return there and (choice == "onednn" or (choice == "auto" and mkl_is_narrow()))


def _onednn(*operands: Tensor) -> bool:
    return onednn_wins() and all(
        each.device.type == "cpu" and each.dtype == torch.float32 and min(each.shape[-2:]) >= WIDE
        for each in operands
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


DEEP = 64
"""Inputs from which on the summation, not the laying out, takes the time of a small product."""

REGISTER = 16
"""Numbers in a register: outputs in multiples of it fill registers sample by sample."""


def batched(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Write the products a b to ``out``: (K or 1, m, k), (K or 1, k, n) → (K, m, n)."""
    members = out.shape[0]
    if a.shape[0] < members:
        a = a.expand(members, -1, -1)
    elif b.shape[0] < members:
        b = b.expand(members, -1, -1)
    torch.bmm(a, b, out=out)


def biased(out: Tensor, a: Tensor, b: Tensor, bias: Tensor) -> None:
    """Do the same and add a bias, (K, 1, n)."""
    torch.baddbmm(bias, a.expand(out.shape[0], -1, -1), b, out=out)


def wide(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Write the members' products to ``out``, as one, with a b that all share: (1, k, n)."""
    torch.mm(a.reshape(-1, a.shape[-1]), b[0], out=out.view(-1, out.shape[-1]))


def wide_onednn(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Do the same by oneDNN, whose products have the same bits at any width."""
    rows = a.reshape(-1, a.shape[-1])
    product = torch.ops.mkldnn._linear_pointwise(rows, b[0].t(), None, "none", [], "")
    out.copy_(product.view(out.shape))


def tall_onednn(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Do the same by the product's transpose, bᵀ aᵀ: quicker where a has few rows."""
    product = torch.ops.mkldnn._linear_pointwise(b[0].t(), a[0], None, "none", [], "")
    out[0].copy_(product.t())


def outputs(out: Tensor, w: Tensor, x: Tensor, *, exact: bool = True) -> None:
    """Write W x of all members to ``out``, features before samples.

    Args:
        out: (K, out, batch).
        w: Weights, (K, out, in).
        x: Inputs, (K or 1, in, batch).
        exact: Whether each member is to have the bits of its product alone.
    """
    if w.shape[2] >= DEEP and _onednn(x):
        form = wide_onednn if x.shape[0] == 1 else batched
        together((form,), tall_onednn, out, w, x, exact=exact)
    else:
        product(out, w, x, exact=exact)


def grad_weights(out: Tensor, g: Tensor, x: Tensor, *, exact: bool = True) -> None:
    """Write g xᵀ of all members, the gradients of their weights, to ``out``.

    Args:
        out: (K, out, in).
        g: Gradients of the outputs, (K, out, batch).
        x: Inputs, (K or 1, in, batch).
        exact: Whether each member is to have the bits of its product alone.
    """
    if out.shape[2] >= DEEP and _onednn(x):
        form = wide_onednn if x.shape[0] == 1 else batched
        together((form,), wide_onednn, out, g, x.mT, exact=exact)
    else:
        product(out, g, x.mT, exact=exact)


def products(out: Tensor, a: Tensor, b: Tensor, *, exact: bool = True) -> None:
    """Write the members' products a b to ``out``, with a b that all share.

    Args:
        out: (K, m, n).
        a: (K, m, k).
        b: (1, k, n).
        exact: Whether each member is to have the bits of its product alone.
    """
    together((wide, batched), wide, out, a, b, exact=exact)


def sums_of_products(out: Tensor, a: Tensor, b: Tensor, *, exact: bool = True) -> None:
    """Write Σ a bᵀ over parts to ``out``, with a b that all share.

    A sum over very many numbers, taken in parts, is quicker and does not depend on the threads.

    Args:
        out: (K, m, n).
        a: (K, m, parts, k).
        b: (1, n, parts, k).
        exact: Whether each member is to have the bits of its product alone.
    """
    together((sum_of_products,), sum_of_products, out, a, b, exact=exact)


def sum_of_products(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Do the same in one product a part."""
    rows = a.flatten(0, 1)
    if a.shape[1] < 8:  # of the two ways round, the one that fills the registers
        parts = torch.bmm(rows.transpose(0, 1), b[0].permute(1, 2, 0))
    else:
        parts = torch.bmm(b[0].transpose(0, 1), rows.permute(1, 2, 0)).mT
    torch.sum(parts, 0, out=out.view(parts.shape[1:]))


def sums_over_batch(out: Tensor, g: Tensor, *, exact: bool = True) -> None:
    """Write the sums over samples to ``out``: (K, batch, features) → (K, features)."""
    together((_sums,), _sums, out, g, exact=exact)


def _sums(out: Tensor, g: Tensor) -> None:
    if g.stride(1) == 1:
        torch.sum(g, 1, out=out)
    else:  # a product is the quicker way down columns
        ones = g.new_ones(1, 1, g.shape[1]).expand(g.shape[0], -1, -1)
        out.copy_(torch.bmm(ones, g).squeeze(1))


def by_sample(w: Tensor, x: Tensor) -> bool:
    """Tell whether a product is quicker with samples before features, as x lies in memory.

    Args:
        w: Weights, (K, out, in).
        x: Inputs, (K or 1, batch, in).
    """
    return x.stride(2) == 1 and w.shape[2] >= DEEP and w.shape[1] % REGISTER == 0 and not _onednn(x)


def product(
    out: Tensor, a: Tensor, b: Tensor, bias: Tensor | None = None, *, exact: bool = True
) -> None:
    """Write a b + bias of all members to ``out``.

    Args:
        out: (K, m, n).
        a: (K or 1, m, k).
        b: (K or 1, k, n).
        bias: (K, 1, n), or None.
        exact: Whether each member is to have the bits of its product alone.
    """
    if bias is None:
        together((batched,), batched, out, a, b, exact=exact)
    else:
        together((biased,), biased, out, a, b, bias, exact=exact)
