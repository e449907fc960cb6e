"""Layers that give numbers another shape, and those that hold other layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import or_

import torch
from torch import Tensor, nn

from thalweg.nn.layers import unequal
from thalweg.nn.stacked.layer import Context, Layer


class Flatten(Layer):
    """Flatten the axes from the module's ``start_dim`` on, which counts without the member axis."""

    def __init__(self, context: Context, module: nn.Flatten) -> None:
        super().__init__(context)
        start, end = module.start_dim, module.end_dim
        self.axes = (start + (start >= 0), end + (end >= 0))

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        self.shape = x.shape
        return x.flatten(*self.axes)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        return g.reshape(g.shape[0], *self.shape[1:]) if need_input else None


class Unflatten(Layer):
    """Split an axis, the module's ``dim``, which counts without the member axis."""

    def __init__(self, context: Context, module: nn.Unflatten) -> None:
        super().__init__(context)
        self.axis = module.dim + (module.dim >= 0)
        self.sizes: Sequence[int] = module.unflattened_size

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        self.shape = x.shape
        y: Tensor = x.unflatten(self.axis, tuple(self.sizes))
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        return g.reshape(g.shape[0], *self.shape[1:]) if need_input else None


class Identity(Layer):
    """What comes in."""

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        return x

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        return g if need_input else None


class Chain(Layer):
    """Layers one after the other."""

    def __init__(self, context: Context, layers: Sequence[Layer]) -> None:
        super().__init__(context)
        self.layers = layers
        self.trains = any(layer.trains for layer in layers)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x, train=train)
        return x

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        gradient: Tensor | None = g
        # A layer's input needs a gradient if anything before the layer does.
        needs = list(accumulate((layer.trains for layer in self.layers), or_, initial=need_input))
        for layer, need in zip(reversed(self.layers), reversed(needs[:-1]), strict=True):
            if gradient is None:
                break
            gradient = layer.backward(gradient, need_input=need)
        return gradient

    def release(self) -> None:
        for layer in self.layers:
            layer.release()


class Residual(Layer):
    """x + block(x), or projection(x) + block(x) where the shapes differ (He et al. 2015)."""

    def __init__(self, context: Context, block: Layer, projection: Layer | None) -> None:
        super().__init__(context)
        self.block, self.projection = block, projection
        self.trains = block.trains or (projection is not None and projection.trains)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        shortcut = x if self.projection is None else self.projection.forward(x, train=train)
        through = self.block.forward(x, train=train)
        if shortcut.shape[1:] != through.shape[1:]:
            raise unequal(x.shape[1:], through.shape[1:])
        y = self.buffer_as("y", through, max(len(shortcut), len(through)))
        return torch.add(shortcut, through, out=y)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        through = g.clone()  # both ways may overwrite what they are given
        gx = self.block.backward(through, need_input=need_input)
        side = g if self.projection is None else self.projection.backward(g, need_input=need_input)
        if gx is None or side is None:
            return None
        return torch.add(gx, side, out=self.buffer_as("gx", gx))

    def release(self) -> None:
        super().release()
        self.block.release()
        if self.projection is not None:
            self.projection.release()
