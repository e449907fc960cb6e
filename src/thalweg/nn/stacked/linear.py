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

    Of small layers the members' products are one call. Where that is quicker, samples then lie side
    by side in memory: the registers run over the batch, however few the features are. Of others,
    each member's product is a call of its own.

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
        self.whole = weight, weight_grad, bias, bias_grad
        self.batched = weight[0].numel() <= BATCHED and context.precision == weight.dtype
        self.weight, self.weight_grad = list(weight.unbind(0)), list(weight_grad.unbind(0))
        nothing: list[Tensor | None] = [None] * context.members
        self.bias = nothing if bias is None else list(bias.unbind(0))
        self.bias_grad = nothing if bias_grad is None else list(bias_grad.unbind(0))

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        if self.batched and x.dim() == 3:
            return self._forward_batched(x, train=train)
        members, precision = self.context.members, self.context.precision
        y = self.buffer("y", (members, x.shape[1], self.out), self.weight[0])
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

    def _forward_batched(self, x: Tensor, *, train: bool) -> Tensor:
        w, _, b, _ = self.whole
        exact, (members, out, _), samples = self.context.exact, w.shape, x.shape[1]
        if train:
            self.x, self.w = x, ()
        if kernels.by_sample(w, x):
            y = self.buffer("y", (members, samples, out), w)
            kernels.product(y, x, w.mT, None if b is None else b.unsqueeze(1), exact=exact)
            return y
        y = self.buffer("by feature", (members, out, samples), w)
        kernels.outputs(y, w, x.mT, exact=exact)
        return y.mT if b is None else y.add_(b.unsqueeze(2)).mT

    def _backward_batched(self, g: Tensor, x: Tensor, *, need_input: bool) -> Tensor | None:
        w, weight_grad, _, bias_grad = self.whole
        exact = self.context.exact
        if weight_grad.is_contiguous():
            kernels.grad_weights(weight_grad, g.mT, x.mT, exact=exact)
        else:  # products into strided places are slow
            gw = self.buffer("gw", weight_grad.shape, g)
            kernels.grad_weights(gw, g.mT, x.mT, exact=exact)
            weight_grad.copy_(gw)
        if bias_grad is not None:
            kernels.sums_over_batch(bias_grad, g, exact=exact)
        if not need_input:
            return None
        members, samples, features = g.shape[0], g.shape[1], x.shape[2]
        if x.stride(2) == 1:  # as x lies in memory
            gx = self.buffer("gx", (members, samples, features), g)
            kernels.product(gx, g, w, exact=exact)
            return gx
        gx = self.buffer("gx by feature", (members, features, samples), g)
        kernels.product(gx, w.mT, g.mT, exact=exact)
        return gx.mT


def _gather(buffer: Tensor, places: Sequence[Tensor], results: list[Tensor]) -> Tensor:
    """Return the members' results as one tensor, wherever the kernels have put them."""
    if len(results) == 1:
        return buffer if results[0] is places[0] else results[0].unsqueeze(0)
    for place, result in zip(places, results, strict=True):
        if place is not result:
            place.copy_(result)
    return buffer
