"""Layers that drop numbers, channels or blocks: masks and rates a member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from thalweg.nn.layers import block_mask
from thalweg.nn.stacked.layer import Context, Layer


class Dropout(Layer):
    """Zero each number with probability p, scale the others by 1/(1 − p); masks a member.

    Srivastava et al. 2014. Every member draws from its own generator, as it would alone, and has
    its own p; at p = 0 it draws nothing.

    Args:
        context: What the stack shares.
        rates: p, one a member.
    """

    kept = ("mask",)

    def __init__(self, context: Context, rates: Sequence[float]) -> None:
        super().__init__(context)
        self.rates = rates

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        if not train or not any(self.rates):
            self.mask = None
            return x
        members, shard = self.context.members, self.context.shard
        batch = x.shape[1] if shard is None else shard.of
        whole = self.buffer("mask", (members, *self.noise((batch, *x.shape[2:]))), x)
        for mask, p, generator in zip(
            whole.unbind(0), self.rates, self.context.drawn_from(), strict=True
        ):
            if p == 0:
                mask.fill_(1)
            else:
                self.draw(mask, p, generator)
        self.mask = whole if shard is None else whole[:, shard.rows]
        return torch.mul(x, self.mask, out=self.buffer_as("y", x, members))

    def noise(self, shape: Sequence[int]) -> Sequence[int]:
        """Return the shape of the mask for one member's inputs."""
        return shape

    def draw(self, mask: Tensor, p: float, generator: Generator) -> None:
        """Fill one member's mask."""
        mask.bernoulli_(1 - p, generator=generator).mul_(1 / (1 - p) if p < 1 else 0)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        return g if self.mask is None else g.mul_(self.mask)


class ChannelDropout(Dropout):
    """Dropout of whole channels (Tompson et al. 2015, arXiv:1411.4280).

    Args:
        context: What the stack shares.
        rates: p, one a member.
        rows: Whether inputs (batch, length) are one sample of many channels, as Dropout1d has it.
    """

    def __init__(self, context: Context, rates: Sequence[float], *, rows: bool) -> None:
        super().__init__(context, rates)
        self.rows = rows

    def noise(self, shape: Sequence[int]) -> Sequence[int]:
        channels = 1 if self.rows and len(shape) == 2 else 2
        return (*shape[:channels], *(1 for _ in shape[channels:]))


class DropBlock(Dropout):
    """Dropout of square blocks, see :class:`thalweg.nn.DropBlock2d`.

    Args:
        context: What the stack shares; its generators draw, not the modules' own.
        rates: p, one a member.
        block_size: The side of a block, in positions.
    """

    def __init__(self, context: Context, rates: Sequence[float], block_size: int) -> None:
        super().__init__(context, rates)
        self.block_size = block_size

    def draw(self, mask: Tensor, p: float, generator: Generator) -> None:
        mask.copy_(block_mask(mask, p, self.block_size, generator))
