"""Average-pooling of K networks, one call a member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer, as_one

aten = torch.ops.aten


class AvgPool2d(Layer):
    """The mean of each window."""

    kept = ("x",)

    def __init__(self, context: Context, module: nn.AvgPool2d) -> None:
        super().__init__(context)
        sizes = (module.kernel_size, module.stride, module.padding)
        pairs = [[size, size] if isinstance(size, int) else list(size) for size in sizes]
        divisor = module.divisor_override
        self.geometry = (*pairs, module.ceil_mode, module.count_include_pad, divisor)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        parts = x.unbind(0)
        if train:
            self.x = parts
        return as_one([aten.avg_pool2d(part, *self.geometry) for part in parts])

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        pairs = zip(g.unbind(0), self.x, strict=True)
        return as_one([aten.avg_pool2d_backward(gk, xk, *self.geometry) for gk, xk in pairs])


class AdaptiveAvgPool2d(Layer):
    """The means of so many windows as the module asks for.

    Args:
        context: What the stack shares.
        size: Windows high and wide; None is the input's own size.
    """

    kept = ("x",)

    def __init__(self, context: Context, size: int | Sequence[int | None] | None) -> None:
        super().__init__(context)
        self.size = (size, size) if size is None or isinstance(size, int) else tuple(size)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        size = [n if m is None else m for m, n in zip(self.size, x.shape[-2:], strict=True)]
        parts = x.unbind(0)
        if train:
            self.x = parts
        return as_one([aten.adaptive_avg_pool2d(part, size) for part in parts])

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        pairs = zip(g.unbind(0), self.x, strict=True)
        return as_one([aten._adaptive_avg_pool2d_backward(gk, xk) for gk, xk in pairs])
