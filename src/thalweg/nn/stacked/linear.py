"""K linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thalweg.nn import kernels
from thalweg.nn.stacked.layer import Context, Layer, each_member

BATCHED = 32_768
"""Weights up to which the members' products are one call: below, calls cost more than products."""


class Linear(Layer):
    """y = x Wᵀ + b, as the member alone would compute it.

    Of small layers the members' products are one batched call, which gives each of them the same
    bits for any K; of others, one call a member.

    Args:
        context: What the stack shares.
        weight: (K, out, in), and its gradient's place.
        bias: (K, out) or None, and its gradient's place.
    """

    trains = True
    kept = ("x", "w")
    x: Tensor | Sequence[Tensor]
    w: Sequence[Tensor]

    def __init__(
        self,
        context: Context,
        weight: Tensor,
        weight_grad: Tensor,
        bias: Tensor | None,
        bias_grad: Tensor | None,
    ) -> None:
        super().__init__(context)
        self.out = weight.shape[1]
        self.whole = weight.transpose(1, 2), weight_grad, bias, bias_grad
        self.batched = weight[0].numel() <= BATCHED and context.precision == weight.dtype
        self.weight, self.weight_grad = list(weight.unbind(0)), list(weight_grad.unbind(0))
        nothing: list[Tensor | None] = [None] * context.members
        self.bias = nothing if bias is None else list(bias.unbind(0))
        self.bias_grad = nothing if bias_grad is None else list(bias_grad.unbind(0))

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        members, precision = self.context.members, self.context.precision
        y = self.buffer("y", (members, x.shape[1], self.out), self.weight[0])
        if self.batched and x.dim() == 3:
            w, _, b, _ = self.whole
            x = x.expand(members, -1, -1)
            if train:
                self.x, self.w = x, ()
            if b is None:
                return torch.bmm(x, w, out=y)
            return torch.baddbmm(b.unsqueeze(1), x, w, out=y)
        ys = y.unbind(0)
        xs = each_member(x if x.dtype == precision else x.to(precision), members)
        ws = [w.to(precision) for w in self.weight] if precision != y.dtype else self.weight
        results = [
            kernels.linear(*operands) for operands in zip(xs, ws, self.bias, ys, strict=True)
        ]
        if train:
            self.x, self.w = xs, ws
        return _gather(y, ys, results)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if isinstance(self.x, Tensor):
            return self._backward_batched(g, self.x, need_input=need_input)
        gs = g.unbind(0)
        for gk, bias_grad in zip(gs, self.bias_grad, strict=True):
            if bias_grad is not None:
                torch.sum(gk, 0, out=bias_grad)
        if g.dtype != self.context.precision:
            gs = g.to(self.context.precision).unbind(0)
        for gk, x, weight_grad in zip(gs, self.x, self.weight_grad, strict=True):
            kernels.grad_weight(gk, x, weight_grad)
        if not need_input:
            return None
        gx = self.buffer("gx", (len(gs), *self.x[0].shape), g)
        gxs = gx.unbind(0)
        return _gather(gx, gxs, [kernels.grad_input(*o) for o in zip(gs, self.w, gxs, strict=True)])

    def _backward_batched(self, g: Tensor, x: Tensor, *, need_input: bool) -> Tensor | None:
        w, weight_grad, _, bias_grad = self.whole
        if bias_grad is not None:  # a sum over the batch, as a product: its bits do not know K
            ones = g.new_ones(1, 1, g.shape[1]).expand(len(g), -1, -1)
            bias_grad.copy_(torch.bmm(ones, g).squeeze(1))
        weight_grad.copy_(
            torch.bmm(g.transpose(1, 2), x, out=self.buffer("gw", weight_grad.shape, g))
        )
        if not need_input:
            return None
        return torch.bmm(g, w.transpose(1, 2), out=self.buffer("gx", x.shape, g))


def _gather(buffer: Tensor, places: Sequence[Tensor], results: list[Tensor]) -> Tensor:
    """Return the members' results as one tensor, wherever the kernels have put them."""
    if len(results) == 1:
        return buffer if results[0] is places[0] else results[0].unsqueeze(0)
    for place, result in zip(places, results, strict=True):
        if place is not result:
            place.copy_(result)
    return buffer
