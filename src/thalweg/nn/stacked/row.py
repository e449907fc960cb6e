"""Layers for inputs of other shapes than their kernels take: lines, and several axes of rows."""

from __future__ import annotations

from torch import Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer
from thalweg.nn.stacked.linear import Linear


class AnyLinear(Linear):
    """A linear layer over the last axis of inputs (K, batch, …, in): rows of one larger batch."""

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        self.axes = x.shape[1:-1]
        if len(self.axes) == 1:
            return super().forward(x, train=train)
        y = super().forward(x.flatten(1, -2), train=train)
        return y.reshape(*y.shape[:1], *self.axes, -1)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if len(self.axes) == 1:
            return super().backward(g, need_input=need_input)
        gx = super().backward(g.flatten(1, -2), need_input=need_input)
        return None if gx is None else gx.reshape(*gx.shape[:1], *self.axes, -1)


class OneRow(Layer):
    """A layer over one axis, as the layer over two that it is, of images one row high.

    Args:
        context: What the stack shares.
        layer: Takes images (K, batch, channels, 1, length).
    """

    def __init__(self, context: Context, layer: Layer) -> None:
        super().__init__(context)
        self.layer, self.trains = layer, layer.trains

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        return self.layer.forward(x.unsqueeze(-2), train=train).squeeze(-2)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        gx = self.layer.backward(g.unsqueeze(-2), need_input=need_input)
        return None if gx is None else gx.squeeze(-2)

    def release(self) -> None:
        self.layer.release()


def conv2d(module: nn.Conv1d) -> nn.Conv2d:
    """Return a convolution's form for images of one row; it has no numbers.

    Example:
        >>> conv2d(nn.Conv1d(3, 2, 5, stride=2, padding=1))
        Conv2d(3, 2, kernel_size=(1, 5), stride=(1, 2), padding=(0, 1))
    """
    assert not isinstance(module.padding, str)  # such layers are left to autograd
    return nn.Conv2d(
        module.in_channels,
        module.out_channels,
        (1, module.kernel_size[0]),
        stride=(1, module.stride[0]),
        padding=(0, module.padding[0]),
        dilation=(1, module.dilation[0]),
        groups=module.groups,
        device="meta",
    )


def max_pool2d(module: nn.MaxPool1d) -> nn.MaxPool2d:
    """Return max-pooling's form for images of one row."""
    return nn.MaxPool2d(
        (1, only(module.kernel_size)),
        stride=(1, only(module.stride)),
        padding=(0, only(module.padding)),
        dilation=(1, only(module.dilation)),
        ceil_mode=module.ceil_mode,
    )


def avg_pool2d(module: nn.AvgPool1d) -> nn.AvgPool2d:
    """Return average-pooling's form for images of one row."""
    return nn.AvgPool2d(
        (1, only(module.kernel_size)),
        stride=(1, only(module.stride)),
        padding=(0, only(module.padding)),
        ceil_mode=module.ceil_mode,
        count_include_pad=module.count_include_pad,
    )


def only(size: int | tuple[int, ...]) -> int:
    """Return a size that may be given as a tuple of one."""
    return size if isinstance(size, int) else size[0]
