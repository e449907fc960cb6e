"""Convolutions of few channels for networks that are only evaluated: one call for all members.

Channels of all members lie side by side in memory, pixel by pixel, so that the registers run along
them, however few each member has. A convolution of that order needs no patches to be laid out.
Samples are walked a few at a time, through all the convolutions and what pools and rectifies
between them, so that what one has written is still in the cache at the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.nn.stacked.columns import FEW
from thalweg.nn.stacked.layer import Context, Layer
from thalweg.nn.stacked.pooling import halves
from thalweg.nn.together import one_by_one, together

BLOCK = 1 << 18
"""Outputs to compute at a time: as many as stay in the cache."""

MEMBERS = 16
"""Members that blocks are measured for: they must not depend on how many there are."""

THIN = 3
"""Channels of the first images up to which a product of their patches is the quicker way."""

Step = Callable[[Tensor, Tensor], None]
"""Writes what follows from some samples to a place, (samples, height, width, K·channels)."""

Windows = tuple[Tensor, Tensor, Tensor, Tensor]
"""Upper and lower rows; left and right columns of the upper rows."""


@dataclass(frozen=True)
class Convolution:
    """A convolution, and what is done with its outputs.

    Args:
        stride: Down and to the right.
        padding: Above and below, left and right.
        dilation: Down and to the right.
        biased: Whether it has a bias.
        pools: Whether the largest number of each 2 x 2 window is taken.
        rectifies: Whether ReLU follows, at last.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    biased: bool
    pools: bool
    rectifies: bool

    @classmethod
    def of(cls, module: nn.Conv2d, *, pools: bool, rectifies: bool) -> Convolution:
        """Return what a module does, and what follows it."""
        assert not isinstance(module.padding, str)
        stride, padding, dilation = map(_pair, (module.stride, module.padding, module.dilation))
        return cls(stride, padding, dilation, module.bias is not None, pools, rectifies)

    def size(self, image: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Return the height and the width of what comes out, before it is pooled."""
        options = zip(image, kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in options)
        return height, width

    def pooled(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and the width at last."""
        return (size[0] // 2, size[1] // 2) if self.pools else size

    def finish(self, y: Tensor, place: Tensor) -> None:
        """Write outputs (samples, height, width, K·out) to their place, pooled and rectified."""
        if self.pools:
            halve(windows(y), place)
        if self.rectifies:
            torch.clamp_min(place if self.pools else y, 0, out=place)
        elif not self.pools:
            place.copy_(y)

    def by_onednn(self, w: Tensor, bias: Tensor | None, groups: int) -> Step:
        """Return the step by a library's convolution, of K groups, or one if all share images."""
        kernels = w.permute(0, 1, 3, 4, 2).flatten(0, 1).permute(0, 3, 1, 2)
        kernels = kernels.contiguous(memory_format=torch.channels_last)
        b = None if bias is None else bias.flatten()

        def step(x: Tensor, place: Tensor) -> None:
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            y = F.conv2d(x, kernels, b, self.stride, self.padding, self.dilation, groups)
            self.finish(y.permute(0, 2, 3, 1), place)

        return step

    def by_patches(self, size: tuple[int, int], w: Tensor, bias: Tensor | None) -> Step:
        """Return the step for images that all members share: their patches times all weights."""
        (height, width), kernel = size, w.shape[2:]
        inner, outer = kernel.numel(), w.shape[0] * w.shape[1]
        few = max(1, BLOCK // (max(MEMBERS * w.shape[1], inner) * height * width))
        weights = w.permute(2, 3, 4, 0, 1).reshape(1, inner, outer)
        if bias is not None:  # the weights of a row of ones
            weights = torch.cat([weights, bias.reshape(1, 1, outer)], 1)
        columns = w.new_ones(few, weights.shape[1], height * width)
        y = w.new_empty(few, height, width, outer)
        (up, left), (down, right), (below, beside) = self.padding, self.dilation, self.stride

        @cache
        def views(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Windows]:
            own, filled = columns[:n], y[:n]
            patches = own[:, :inner].view(n, *kernel, height, width)
            return patches, own.mT, weights.expand(n, -1, -1), filled.flatten(1, 2), windows(filled)

        def step(x: Tensor, place: Tensor) -> None:
            x = F.pad(x.permute(0, 3, 1, 2), (left, left, up, up)).contiguous()
            by_sample, by_channel, by_row, by_column = x.stride()
            patches = x.as_strided(
                (len(x), *kernel, height, width),
                (by_sample, by_channel, down * by_row, right * by_column,
                 below * by_row, beside * by_column),
            )  # fmt: skip
            for part, own in zip(patches.split(few), place.split(few), strict=True):
                laid_out, rows, columns, product, parts = views(len(part))
                laid_out.copy_(part)
                torch.bmm(rows, columns, out=product)
                if self.pools:
                    halve(parts, own)
                else:
                    own.copy_(product.view(own.shape))
            if self.rectifies:
                place.clamp_min_(0)

        return step


def windows(y: Tensor) -> Windows:
    """Return views of (samples, height, width, n): upper and lower rows; of upper rows, columns."""
    height, width = (n // 2 * 2 for n in y.shape[1:3])
    upper, lower = y[:, :height:2, :width], y[:, 1:height:2, :width]
    return upper, lower, upper[:, :, ::2], upper[:, :, 1::2]


def halve(parts: Windows, place: Tensor) -> None:
    """Write the largest number of each 2 x 2 window; the upper rows are overwritten."""
    upper, lower, left, right = parts
    torch.maximum(upper, lower, out=upper)
    torch.maximum(left, right, out=place)


@dataclass(frozen=True)
class Form:
    """Convolutions one after the other: equal ones make equal forms."""

    chain: tuple[Convolution, ...]

    def __call__(self, out: Tensor, x: Tensor, *operands: Tensor) -> None:
        """Write the outputs of all members.

        Args:
            out: (K, n, out, height, width).
            x: (K or 1, n, in, height, width).
            *operands: Each convolution's weight, (K, out, in, height, width), and its bias,
                (K, out), if it has one.
        """
        thin = x.shape[2] <= THIN
        if thin and len(x) > 1:
            one_by_one(self, out, x, *operands)
            return
        left, image, widest = iter(operands), (x.shape[3], x.shape[4]), 1
        steps: list[Step] = []
        shapes: list[tuple[int, int, int]] = []
        for each in self.chain:
            w = next(left)
            bias = next(left) if each.biased else None
            size = each.size(image, w.shape[-2:])
            pooled = each.pooled(size)
            if thin and not steps:
                steps.append(each.by_patches(size, w, bias))
                widest = w.shape[1] * pooled[0] * pooled[1]
            else:
                groups = len(w) if steps else len(x)
                steps.append(each.by_onednn(w, bias, groups))
                widest = max(widest, w.shape[1] * size[0] * size[1])
            shapes.append((*pooled, w.shape[0] * w.shape[1]))
            image = pooled
        few = max(1, BLOCK // (MEMBERS * widest))
        rooms = [out.new_empty(few, *shape) for shape in shapes]
        for part, place in zip(_pixels(x).split(few), out.split(few, 1), strict=True):
            for step, room in zip(steps, rooms, strict=True):
                to = room[: len(part)]
                step(part, to)
                part = to
            place.copy_(part.unflatten(3, (len(out), -1)).permute(3, 0, 4, 1, 2))


class WideConvolutions(Layer):
    """Convolutions of all members with poolings and ReLUs between them; there is no backward pass.

    Args:
        context: What the stack shares.
        chain: What is done.
        operands: Each convolution's weight, (K, out, in, height, width), and its bias, (K, out), if
            it has one.
    """

    def __init__(
        self, context: Context, chain: Sequence[Convolution], operands: Sequence[Tensor]
    ) -> None:
        super().__init__(context)
        self.form, self.operands = Form(tuple(chain)), operands

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        image, weights = (x.shape[3], x.shape[4]), [w for w in self.operands if w.dim() > 2]
        for each, w in zip(self.form.chain, weights, strict=True):
            image = each.pooled(each.size(image, w.shape[-2:]))
        members, channels = weights[-1].shape[:2]
        y = self.buffer("y", (members, x.shape[1], channels, *image), x)
        together((self.form,), self.form, y, x, *self.operands, exact=self.context.exact)
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        raise AssertionError("a stack that does not train has no backward pass")


def suits(module: nn.Module, like: Tensor, context: Context) -> TypeGuard[nn.Conv2d]:
    """Tell whether members' convolutions are quicker as one, where there is no backward pass."""
    return (
        not context.trains
        and isinstance(module, nn.Conv2d)
        and max(module.in_channels, module.out_channels) <= FEW
        and module.groups == 1
        and like.device.type == "cpu"
        and like.dtype == context.precision == torch.float32
        and torch.backends.mkldnn.is_available()
    )


def after(modules: Sequence[nn.Module]) -> tuple[bool, bool]:
    """Tell whether a convolution may pool and then rectify its outputs, given what follows it.

    Example:
        >>> after([nn.MaxPool2d(2), nn.ReLU()]), after([nn.ReLU(), nn.MaxPool2d(2)])
        ((True, True), (False, True))
    """
    pools = bool(modules) and isinstance(modules[0], nn.MaxPool2d) and halves(modules[0])
    return pools, any(type(each) is nn.ReLU for each in modules[pools : pools + 1])


def _pixels(x: Tensor) -> Tensor:
    """Return (K, n, channels, height, width) pixel by pixel, (n, height, width, K·channels)."""
    return x.permute(1, 3, 4, 0, 2).flatten(3)


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    first, second = (size, size) if isinstance(size, int) else size
    return first, second
