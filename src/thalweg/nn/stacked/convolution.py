"""Convolutions of K networks."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer, as_one, each_member

aten = torch.ops.aten


class Conv2d(Layer):
    """Two-dimensional convolution, one call a member.

    Args:
        context: What the stack shares.
        module: The layer that is stacked: its stride, padding, dilation and groups.
        weight: (K, out, in/groups, height, width), and its gradient's place.
        bias: (K, out) or None, and its gradient's place.
    """

    trains = True
    kept: tuple[str, ...] = ("x", "w")

    def __init__(
        self,
        context: Context,
        module: nn.Conv2d,
        weight: Tensor,
        weight_grad: Tensor,
        bias: Tensor | None,
        bias_grad: Tensor | None,
    ) -> None:
        super().__init__(context)
        padding = module.padding
        assert not isinstance(padding, str)  # such layers are left to autograd
        self.convolve = partial(
            torch.convolution,
            stride=module.stride,
            padding=padding,
            dilation=module.dilation,
            transposed=False,
            output_padding=(0, 0),
            groups=module.groups,
        )
        self.geometry = (module.stride, padding, module.dilation, False, (0, 0), module.groups)
        self.weight, self.weight_grad = list(weight.unbind(0)), list(weight_grad.unbind(0))
        nothing: list[Tensor | None] = [None] * context.members
        self.bias = nothing if bias is None else list(bias.unbind(0))
        self.bias_grad = nothing if bias_grad is None else list(bias_grad.unbind(0))

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        precision = self.context.precision
        xs = [part.to(precision) for part in each_member(x, self.context.members)]
        ws = [w.to(precision) for w in self.weight]
        bs = [b if b is None else b.to(precision) for b in self.bias]
        ys = [self.convolve(*operands).to(x.dtype) for operands in zip(xs, ws, bs, strict=True)]
        if train:
            self.x, self.w = xs, ws
        return as_one(ys)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        gxs = []
        for k, (gk, x, w) in enumerate(zip(g.unbind(0), self.x, self.w, strict=True)):
            bias_grad = self.bias_grad[k]
            has_bias = bias_grad is not None
            gx, gw, gb = aten.convolution_backward(
                gk.to(x.dtype), x, w, [w.shape[0]] if has_bias else None, *self.geometry,
                [need_input, True, has_bias],
            )  # fmt: skip
            self.weight_grad[k].copy_(gw)
            if bias_grad is not None:
                bias_grad.copy_(gb)
            if need_input:
                gxs.append(gx.to(g.dtype))
        return as_one(gxs) if need_input else None
