"""Batch normalisation of K networks (Ioffe & Szegedy 2015, arXiv:1502.03167)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from thalweg.errors import ModelError
from thalweg.nn.stacked.layer import Context, Layer, Shard, State, each_member, gather


class BatchNorm(Layer):
    """Each member is normalised by its own batch and keeps its own running statistics.

    Where processes share a batch, it is normalised as a whole: means, variances and the two sums of
    the backward pass are added up over the processes, in double precision.

    Args:
        context: What the stack shares.
        module: The layer that is stacked: its momentum, eps and whether it is affine and tracks.
        parameters: ``weight`` and ``bias``, (K, channels) each; empty when not affine.
        grads: Their gradients' places, by the same names.
        buffers: ``running_mean`` and ``running_var``, (K, channels), ``num_batches_tracked``, (K,);
            empty when the layer does not track.
    """

    trains = True
    kept = ("x", "statistics")
    statistics: list[tuple[Tensor, Tensor]]

    def __init__(
        self,
        context: Context,
        module: nn.BatchNorm1d | nn.BatchNorm2d,
        parameters: State,
        grads: State,
        buffers: State,
    ) -> None:
        super().__init__(context)
        self.momentum, self.eps = module.momentum, module.eps
        nothing: list[Tensor | None] = [None] * context.members

        def members(tensors: State, name: str) -> list[Tensor | None]:
            return list(tensors[name].unbind(0)) if name in tensors else nothing

        self.weight, self.bias = members(parameters, "weight"), members(parameters, "bias")
        self.weight_grad, self.bias_grad = members(grads, "weight"), members(grads, "bias")
        self.mean, self.var = members(buffers, "running_mean"), members(buffers, "running_var")
        self.tracked = buffers.get("num_batches_tracked")

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        by_batch = train or self.tracked is None
        xs = each_member(x, self.context.members)
        shard = self.context.shard if train else None
        if train and shard is None and xs[0].numel() == xs[0].shape[1]:
            raise ModelError(
                "a batch of one sample in batch normalisation",
                "two or more, whose spread can be measured",
                "choose another batch_size, or drop_last=true",
            )
        counts = self._count() if train and self.tracked is not None else [0.0] * len(xs)
        if train:
            self.x, self.statistics = xs, []
        if shard is not None:
            return gather(self._shared_outputs(xs, counts, shard), len(xs))
        return gather(self._outputs(xs, counts, by_batch=by_batch, train=train), len(xs))

    def _outputs(
        self, xs: Sequence[Tensor], counts: Sequence[float], *, by_batch: bool, train: bool
    ) -> Iterator[Tensor]:
        """Yield the members' outputs, (batch, channels, …)."""
        own = zip(xs, self.weight, self.bias, self.mean, self.var, strict=True)
        for operands, count in zip(own, counts, strict=True):
            y, mean, invstd = torch.native_batch_norm(*operands, by_batch, count, self.eps)
            if train:
                self.statistics.append((mean, invstd))
            yield y

    def _count(self) -> list[float]:
        """Count the batch; without a momentum the running statistics are plain averages."""
        assert self.tracked is not None
        self.tracked.add_(1)
        if self.context.share is not None:
            return [self.context.share] * self.context.members
        if self.momentum is not None:
            return [self.momentum] * self.context.members
        return [1.0 / batches for batches in self.tracked.tolist()]  # a member may have come later

    def _shared_outputs(
        self, xs: Sequence[Tensor], counts: Sequence[float], shard: Shard
    ) -> Iterator[Tensor]:
        """Yield the members' outputs for the rows that are here of a batch."""
        own = zip(xs, self.weight, self.bias, self.mean, self.var, strict=True)
        for (x, weight, bias, running_mean, running_var), count in zip(own, counts, strict=True):
            n = x.numel() // x.shape[1] * shard.of // len(x)  # numbers a channel, of all processes
            share = len(x) / shard.of
            var, mean = torch.var_mean(x.double(), _all_but_channels(x), correction=0)
            moments = torch.stack([mean, var + mean.square()]) * share
            shard.add(moments)
            mean, var = moments[0], (moments[1] - moments[0].square()).clamp_(min=0.0)
            if running_mean is not None and running_var is not None:
                running_mean.lerp_(mean.to(running_mean), count)
                running_var.lerp_((var * (n / max(1, n - 1))).to(running_var), count)
            self.statistics.append((mean.to(x), (var + self.eps).rsqrt().to(x)))
            y, _, _ = torch.native_batch_norm(
                x, weight, bias, mean.to(x), var.to(x), False, 0.0, self.eps
            )
            yield y

    def _shared_backward(self, g: Tensor, shard: Shard, *, need_input: bool) -> Iterator[Tensor]:
        """Write the members' gradients from the rows that are here, and yield their inputs'."""
        for k, (gk, xk, (mean, invstd)) in enumerate(
            zip(g.unbind(0), self.x, self.statistics, strict=True)
        ):
            per_channel = [-1 if axis == 1 else 1 for axis in range(xk.dim())]
            normal = (xk - mean.view(per_channel)) * invstd.view(per_channel)
            axes = _all_but_channels(xk)
            sums = torch.stack([(gk * normal).double().sum(axes), gk.double().sum(axes)])
            for grad, new in ((self.weight_grad[k], sums[0]), (self.bias_grad[k], sums[1])):
                if grad is not None:
                    grad.copy_(new)  # of these rows; the others' are added to the whole gradient
            if not need_input:
                continue
            shard.add(sums)
            n = xk.numel() // xk.shape[1] * shard.of // len(xk)
            scaled, plain = (sums / n).to(xk).view(2, *per_channel).unbind(0)
            weight = self.weight[k]
            scale = invstd if weight is None else invstd * weight
            yield (gk - plain - normal * scaled).mul_(scale.view(per_channel))

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        shard = self.context.shard
        if shard is not None:
            gxs = self._shared_backward(g, shard, need_input=need_input)
        else:
            gxs = self._backward(g, need_input=need_input)
        if need_input:
            return gather(gxs, g.shape[0])
        for _ in gxs:
            pass
        return None

    def _backward(self, g: Tensor, *, need_input: bool) -> Iterator[Tensor]:
        """Write the members' gradients, and yield those of their inputs."""
        gs = g.unbind(0)
        for k, (gk, xk, (mean, invstd)) in enumerate(zip(gs, self.x, self.statistics, strict=True)):
            affine = self.weight[k] is not None
            gx, gw, gb = torch.ops.aten.native_batch_norm_backward(
                gk, xk, self.weight[k], self.mean[k], self.var[k], mean, invstd,
                True, self.eps, [need_input, affine, affine],
            )  # fmt: skip
            for grad, new in ((self.weight_grad[k], gw), (self.bias_grad[k], gb)):
                if grad is not None:
                    grad.copy_(new)
            yield gx


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]
