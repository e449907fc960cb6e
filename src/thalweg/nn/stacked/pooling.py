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
        flat = x.flatten(0, 1)
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
    gradient goes to the first in reading order, as torch's does.
    """

    kept = ("right", "lower")

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        *outer, height, width = x.shape
        if height % 2 or width % 2:  # the last row or column belongs to no window
            x = x[..., : height // 2 * 2, : width // 2 * 2]
        self.shape = (*outer, height, width)
        wide = self.buffer("wide", (*outer, height // 2 * 2, width // 2), x)
        y = self.buffer("y", (*outer, height // 2, width // 2), x)
        torch.maximum(x[..., ::2], x[..., 1::2], out=wide)
        torch.maximum(wide[..., ::2, :], wide[..., 1::2, :], out=y)
        if train:  # 1 where the second of the two was larger, else 0
            self.right, self.lower = (
                self.buffer(f"from {part.shape}", part.shape, x) for part in (wide, y)
            )
            torch.sub(wide, x[..., ::2], out=self.right).sign_()
            torch.sub(y, wide[..., ::2, :], out=self.lower).sign_()
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        *_, height, width = self.shape
        gx = self.buffer("gx", self.shape, g)
        if height % 2 or width % 2:
            gx.zero_()
        inner = gx[..., : height // 2 * 2, : width // 2 * 2]
        wide = self.buffer("gwide", self.right.shape, g)
        _share(g, self.lower, wide[..., ::2, :], wide[..., 1::2, :])
        _share(wide, self.right, inner[..., ::2], inner[..., 1::2])
        return gx


def _share(g: Tensor, to_second: Tensor, first: Tensor, second: Tensor) -> None:
    """Give each gradient to the second place where marked, else to the first."""
    torch.mul(g, to_second, out=second)
    torch.sub(g, second, out=first)


def max_pool(context: Context, module: nn.MaxPool2d) -> Layer:
    """Return the fastest layer that does what the module does."""
    sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
    if sizes in ((2, 2, 0, 1), ((2, 2), (2, 2), 0, 1)) and not module.ceil_mode:
        return MaxPool2x2(context)
    return MaxPool2d(context, module)
