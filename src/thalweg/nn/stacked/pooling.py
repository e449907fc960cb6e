"""Max-pooling of K networks: members are samples of one larger batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer

aten = torch.ops.aten


class MaxPool2d(Layer):
    """The maximum of each window, by torch's own kernels."""

    kept = ("x", "indices")

    def __init__(self, context: Context, module: nn.MaxPool2d) -> None:
        super().__init__(context)
        stride = module.kernel_size if module.stride is None else module.stride
        sizes = (module.kernel_size, stride, module.padding, module.dilation)
        pairs = [[size, size] if isinstance(size, int) else list(size) for size in sizes]
        self.geometry = (*pairs, module.ceil_mode)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        flat = x.contiguous().flatten(0, 1)
        y, indices = aten.max_pool2d_with_indices(flat, *self.geometry)
        if train:
            self.x, self.indices = flat, indices
        members: Tensor = y.unflatten(0, x.shape[:2])
        return members

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        gx = aten.max_pool2d_with_indices_backward(
            g.flatten(0, 1), self.x, *self.geometry, self.indices
        )
        members: Tensor = gx.unflatten(0, g.shape[:2])
        return members


class MaxPool2x2(Layer):
    """The maximum of each 2 x 2 window, through whole-tensor maxima of halves.

    torch's kernel walks contiguous images window by window; this takes the larger of left and
    right columns, then of upper and lower rows, several times as fast. Where numbers tie, the
    gradient goes to the first in reading order, as torch's does. Members are walked a few at a
    time, so that what one pass has written is still in the cache at the next.
    """

    kept = ("right", "lower")

    BLOCK = 1 << 18

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        self.side_by_side = x.stride(1) == 1  # samples, in memory; else pixels are
        x = x.movedim(1, -1) if self.side_by_side else x.unsqueeze(-1)
        self.shape = x.shape
        x, *outer = _windows(x), *x.shape[:-3]
        height, width, inner = x.shape[-3:]
        few = max(1, self.BLOCK // x[0].numel())
        wide = self.buffer("wide", (few, *outer[1:], height, width // 2, inner), x)
        y = self.buffer("y", (*outer, height // 2, width // 2, inner), x)
        if train:  # how much larger the second of two is than the first
            self.right = self.buffer("right", (*outer, *wide.shape[-3:]), x)
            self.lower = self.buffer("lower", y.shape, x)
        left, right = x[..., ::2, :], x[..., 1::2, :]
        for k in range(0, len(x), few):
            some = slice(k, k + few)
            most = torch.maximum(left[some], right[some], out=wide[: len(y[some])])
            upper, lower = most[..., ::2, :, :], most[..., 1::2, :, :]
            torch.maximum(upper, lower, out=y[some])
            if train:
                torch.sub(right[some], left[some], out=self.right[some])
                torch.sub(lower, upper, out=self.lower[some])
        return self._images(y)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        g = g.movedim(1, -1) if self.side_by_side else g.unsqueeze(-1)
        gx = self.buffer("gx", self.shape, g)
        inner = _windows(gx)
        if inner.shape != gx.shape:
            gx.zero_()
        few = max(1, self.BLOCK // inner[0].numel())
        wide = self.buffer("gwide", (few, *self.right.shape[1:]), g)
        left, right = inner[..., ::2, :], inner[..., 1::2, :]
        for k in range(0, len(g), few):
            some = slice(k, k + few)
            rows = wide[: len(g[some])]
            share(g[some], self.lower[some], rows[..., ::2, :, :], rows[..., 1::2, :, :])
            share(rows, self.right[some], left[some], right[some])
        return self._images(gx)

    def _images(self, x: Tensor) -> Tensor:
        return x.movedim(-1, 1) if self.side_by_side else x.squeeze(-1)


def _windows(x: Tensor) -> Tensor:
    """Return the part of (…, height, width, n) that is in windows: no odd last row or column."""
    height, width = x.shape[-3:-1]
    return x[..., : height // 2 * 2, : width // 2 * 2, :]


def share(g: Tensor, excess: Tensor, first: Tensor, second: Tensor) -> None:
    """Give each gradient to the second place where that is in excess, else to the first."""
    aten.threshold_backward.grad_input(g, excess, 0, grad_input=second)
    torch.sub(g, second, out=first)


def max_pool(context: Context, module: nn.MaxPool2d) -> Layer:
    """Return the fastest layer that does what the module does."""
    return MaxPool2x2(context) if halves(module) else MaxPool2d(context, module)


def halves(module: nn.MaxPool2d) -> bool:
    """Tell whether a module takes the maximum of each 2 x 2 window.

    Example:
        >>> halves(nn.MaxPool2d(2)), halves(nn.MaxPool2d(3)), halves(nn.MaxPool2d(2, stride=1))
        (True, False, False)
    """
    sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
    return sizes in ((2, 2, 0, 1), ((2, 2), (2, 2), 0, 1)) and not module.ceil_mode
