"""A convolution of one to three channels and the pooling that follows it, as one layer.

What comes out of the convolution is four times what pooling leaves of it. A few rows of a few
members are computed at a time, which stay in the cache, and are never there as a whole. The pixels
that come first in their windows lie side by side in memory, then those that come second, and so on:
the maxima run along whole rows of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Size, Tensor, nn

from thalweg.nn import kernels
from thalweg.nn.stacked.columns import SideBySide, by_columns
from thalweg.nn.stacked.layer import Context
from thalweg.nn.stacked.pooling import halves, share

OUTPUTS = 1 << 16
"""Outputs of a member to compute at a time, before they are pooled; a row of windows at least."""

CACHED = 1 << 18
"""Outputs of several members to compute at a time."""


@dataclass(frozen=True)
class Block:
    """Some rows of some members' outputs: views of what a layer has in memory.

    Args:
        place: Which members, all channels, which rows.
        members: Which.
        weights: (M, out, inner): the bias, if there is one, is the last.
        columns: Patches, (inner, 4n): of n windows what makes their first outputs, their second, …
        outputs: Before pooling, (M, out, 4n).
        left: Of the outputs, (M, out, 2, n): upper and lower.
        right: The same.
        most: The larger of left and right, (M, out, 2, n).
        upper: Of the larger, (M, out, n).
        lower: The same.
        y: The largest of each window, (M, out, n).
        rightward: How much larger the right ones are, (M, out, 2, n).
        downward: How much larger the lower ones are, (M, out, n).
    """

    place: tuple[slice, slice, int]
    members: range
    weights: Tensor
    columns: Tensor
    outputs: Tensor
    left: Tensor
    right: Tensor
    most: Tensor
    upper: Tensor
    lower: Tensor
    y: Tensor
    rightward: Tensor
    downward: Tensor


@dataclass(frozen=True)
class Way:
    """How images of one shape go through a layer.

    Args:
        rows: Rows of windows in a block.
        weights: Of all members, (K, out, inner).
        columns: All patches, (blocks, inner, 4n), or (1, inner, 4n) if members have their own.
        y: What comes out, (K, out, blocks, n).
        blocks: What is computed after one another.
    """

    rows: int
    weights: Tensor
    columns: Tensor
    y: Tensor
    blocks: list[Block]


class PooledConv2d(SideBySide):
    """y = the maximum of each 2 x 2 window of W · columns(x).

    Where numbers tie, the gradient goes to the first in reading order, as torch's does.
    """

    kept: tuple[str, ...] = (*SideBySide.kept, "_ways")
    _ways: dict[Size, Way]

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        weight, _, bias, _ = self.whole
        images = self._images(x)
        way, shared = self._way(images), len(images) == 1
        way.weights[:, :, : weight[0, 0].numel()].copy_(weight.flatten(2))
        if bias is not None:
            way.weights[:, :, -1].copy_(bias)
        for block in way.blocks:
            if shared:
                if block.members.start == 0:
                    self._lay_out(images[0], block, way)
                operands = block.outputs, block.weights, block.columns.unsqueeze(0)
                kernels.products(*operands, exact=self.context.exact)
            else:
                for k, w, place in zip(block.members, block.weights, block.outputs, strict=True):
                    self._lay_out(images[k], block, way)
                    torch.mm(w, block.columns, out=place)
            torch.maximum(block.left, block.right, out=block.most)
            torch.maximum(block.upper, block.lower, out=block.y)
            if train:
                torch.sub(block.right, block.left, out=block.rightward)
                torch.sub(block.lower, block.upper, out=block.downward)
        if train:
            self.images, self.shape = images, x.shape
        height, width = self._pooled(images)
        return way.y.view(*weight.shape[:2], height, width, -1).movedim(-1, 1)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        weight, weight_grad, _, bias_grad = self.whole
        way, shared = self._way(self.images), len(self.images) == 1
        g = g.movedim(1, -1).reshape(way.y.shape)
        gw = self.buffer("gw", way.weights.shape, g).zero_()
        whole, parts = self._whole(g, way) if need_input else (None, None)
        for block in way.blocks:
            share(g[block.place], block.downward, block.upper, block.lower)
            share(block.most, block.rightward, block.left, block.right)
            for k, gk in zip(block.members, block.outputs, strict=True):
                if not shared:
                    self._lay_out(self.images[k], block, way)
                torch.addmm(gw[k], gk, block.columns.t(), out=gw[k])
            if parts is not None:
                place = parts[block.place]  # (M, out, rows, 2, width, 2, batch)
                rows, _, width, _, samples = place.shape[2:]
                pixels = block.outputs.unflatten(2, (2, 2, rows, width, samples))
                place.copy_(pixels.permute(0, 1, 4, 2, 5, 3, 6))
        weight_grad.copy_(gw[:, :, : weight[0, 0].numel()].view(weight.shape))
        if bias_grad is not None:
            bias_grad.copy_(gw[:, :, -1])
        return None if whole is None else self._inputs(whole.flatten(2))

    def _way(self, images: Tensor) -> Way:
        """Return how images go through, from memory if such ones have gone before."""
        ways = vars(self).setdefault("_ways", {})
        if images.shape not in ways:
            ways[images.shape] = self._find_way(images)
        way: Way = ways[images.shape]
        return way

    def _find_way(self, images: Tensor) -> Way:
        weight = self.whole[0]
        (members, channels), inner = weight.shape[:2], weight[0, 0].numel() + self.has_bias
        height, width = self._pooled(images)
        line = width * images.shape[-1]
        fitting = [n for n in range(1, height + 1) if height % n == 0]
        rows = max((n for n in fitting if 4 * channels * n * line <= OUTPUTS), default=1)
        count, n = height // rows, rows * line
        few = min(members, max(1, CACHED // (4 * channels * n)))
        w = self.buffer("w", (members, channels, inner), weight)
        columns = self.buffer("columns", (count if len(images) == 1 else 1, inner, 4 * n), w)
        if self.has_bias:
            columns[:, -1].fill_(1)
        room = self.buffer("room", (few, channels, 4 * n), w)
        most = self.buffer("most", (few, channels, 2, n), w)
        y = self.buffer("y", (members, channels, count, n), w)
        rightward = self.buffer("rightward", (members, channels, count, 2, n), w)
        downward = self.buffer("downward", y.shape, w)
        blocks = []
        for row in range(count):
            for first in range(0, members, few):
                some = range(members)[first : first + few]
                place = slice(first, first + few), slice(None), row
                outputs, larger = room[: len(some)], most[: len(some)]
                left, right = outputs.unflatten(2, (2, 2, n)).unbind(3)
                upper, lower = larger.unbind(2)
                blocks.append(
                    Block(
                        place, some, w[place[0]], columns[row % len(columns)], outputs, left, right,
                        larger, upper, lower, y[place], rightward[place], downward[place],
                    )
                )  # fmt: skip
        return Way(rows, w, columns, y, blocks)

    def _pooled(self, images: Tensor) -> tuple[int, int]:
        """Return the height and the width of what comes out."""
        height, width = self._size(images)
        return height // 2, width // 2

    def _lay_out(self, image: Tensor, block: Block, way: Way) -> None:
        """Write the patches of (in, height, width, batch) that a block needs to its columns."""
        channels, tall, broad = self.whole[0].shape[2:]
        by_channel, by_row, by_column, _ = image.stride()
        down, right = self.dilation
        patches = image[:, 2 * way.rows * block.place[2] :].as_strided(
            (channels, tall, broad, 2, 2, way.rows, self._pooled(image)[1], image.shape[-1]),
            (by_channel, down * by_row, right * by_column, by_row, by_column,
             2 * by_row, 2 * by_column, 1),
        )  # fmt: skip
        block.columns[: channels * tall * broad].view(patches.shape).copy_(patches)

    def _whole(self, g: Tensor, way: Way) -> tuple[Tensor, Tensor]:
        """Return a place for the gradient of all outputs before pooling, and a view by blocks.

        Returns:
            (K, out, height, width, batch), and (K, out, blocks, rows, 2, width // 2, 2, batch).
        """
        (high, wide), (height, width) = self._size(self.images), self._pooled(self.images)
        whole = self.buffer("whole", (*g.shape[:2], high, wide, self.images.shape[-1]), g)
        if high % 2 or wide % 2:
            whole.zero_()
        windows = whole[:, :, : 2 * height, : 2 * width].unflatten(2, (-1, way.rows, 2))
        return whole, windows.unflatten(5, (width, 2))


def pooled(
    module: nn.Module | None, pool: nn.Module | None, weight: Tensor, context: Context
) -> TypeGuard[nn.Conv2d]:
    """Tell whether a convolution and what follows it are quicker as one layer.

    Args:
        module: What may be a convolution.
        pool: What follows it.
        weight: A stack's parameters.
        context: What the stack shares.
    """
    return (
        isinstance(module, nn.Conv2d)
        and isinstance(pool, nn.MaxPool2d)
        and halves(pool)
        and by_columns(module, weight, context)
    )
