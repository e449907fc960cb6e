"""Normalisation of each sample by itself: layer norm and group norm of K networks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer, State, as_one, each_member

aten = torch.ops.aten


class _SampleNorm(Layer):
    """What both have in common: weights and biases a member, or neither.

    Args:
        context: What the stack shares.
        module: The layer that is stacked.
        parameters: ``weight`` and ``bias``, (K, …) each, as far as the layer has them.
        grads: Their gradients' places, by the same names.
    """

    trains = True
    kept = ("x", "statistics")

    def __init__(
        self,
        context: Context,
        module: nn.LayerNorm | nn.GroupNorm,
        parameters: State,
        grads: State,
    ) -> None:
        super().__init__(context)
        self.eps = module.eps
        self.trains = bool(parameters)
        nothing: list[Tensor | None] = [None] * context.members

        def members(tensors: State, name: str) -> list[Tensor | None]:
            return list(tensors[name].unbind(0)) if name in tensors else nothing

        self.weight, self.bias = members(parameters, "weight"), members(parameters, "bias")
        self.weight_grad, self.bias_grad = members(grads, "weight"), members(grads, "bias")

    def write(self, member: int, weight: Tensor, bias: Tensor) -> None:
        """Put a member's gradients where they belong, as far as it has such parameters."""
        for grad, new in ((self.weight_grad[member], weight), (self.bias_grad[member], bias)):
            if grad is not None:
                grad.copy_(new)

    def wanted(self, member: int, *, need_input: bool) -> list[bool]:
        """Return which gradients are needed: of the input, the weight and the bias."""
        return [need_input, self.weight[member] is not None, self.bias[member] is not None]


class LayerNorm(_SampleNorm):
    """Each sample is normalised over its last axes (Ba et al. 2016, arXiv:1607.06450)."""

    def __init__(
        self, context: Context, module: nn.LayerNorm, parameters: State, grads: State
    ) -> None:
        super().__init__(context, module, parameters, grads)
        self.shape = list(module.normalized_shape)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        xs = each_member(x, self.context.members)
        results = [
            torch.native_layer_norm(part, self.shape, weight, bias, self.eps)
            for part, weight, bias in zip(xs, self.weight, self.bias, strict=True)
        ]
        if train:
            self.x, self.statistics = xs, [(mean, rstd) for _, mean, rstd in results]
        return as_one([y for y, _, _ in results])

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        gxs = []
        for k, (gk, xk, (mean, rstd)) in enumerate(
            zip(g.unbind(0), self.x, self.statistics, strict=True)
        ):
            gx, gw, gb = aten.native_layer_norm_backward(
                gk, xk, self.shape, mean, rstd, self.weight[k], self.bias[k],
                self.wanted(k, need_input=need_input),
            )  # fmt: skip
            self.write(k, gw, gb)
            gxs.append(gx)
        return as_one(gxs) if need_input else None


class GroupNorm(_SampleNorm):
    """Each sample is normalised over groups of channels (Wu & He 2018, arXiv:1803.08494)."""

    def __init__(
        self, context: Context, module: nn.GroupNorm, parameters: State, grads: State
    ) -> None:
        super().__init__(context, module, parameters, grads)
        self.groups = module.num_groups

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        xs = [part.contiguous() for part in each_member(x, self.context.members)]
        sizes = x.shape[1], x.shape[2], prod(x.shape[3:])  # batch, channels, positions
        results = [
            torch.native_group_norm(part, weight, bias, *sizes, self.groups, self.eps)
            for part, weight, bias in zip(xs, self.weight, self.bias, strict=True)
        ]
        if train:
            self.x, self.statistics = xs, [(mean, rstd) for _, mean, rstd in results]
        return as_one([y for y, _, _ in results])

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        gxs = []
        sizes = g.shape[1], g.shape[2], prod(g.shape[3:])
        for k, (gk, xk, (mean, rstd)) in enumerate(
            zip(g.unbind(0), self.x, self.statistics, strict=True)
        ):
            gx, gw, gb = aten.native_group_norm_backward(
                gk.contiguous(), xk, mean, rstd, self.weight[k], *sizes, self.groups,
                self.wanted(k, need_input=need_input),
            )  # fmt: skip
            self.write(k, gw, gb)
            gxs.append(gx)
        return as_one(gxs) if need_input else None
