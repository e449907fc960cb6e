"""Convolutions of few channels, as matrix products over columns of patches.

Samples lie side by side in memory, so that every patch is a row that the registers run along. A
library's convolution works on blocks of sixteen channels, most of which would be empty here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thalweg.nn import kernels
from thalweg.nn.stacked.convolution import Conv2d
from thalweg.nn.stacked.layer import Context

FEW = 16
"""Channels, of input and output, up to which a library's convolution loses."""


def suits(context: Context, module: nn.Conv2d, weight: Tensor) -> bool:
    """Tell whether a convolution is one for this layer."""
    return (
        max(module.in_channels, module.out_channels) <= FEW
        and module.groups == 1
        and module.stride == (1, 1)
        and weight.device.type == "cpu"
        and weight.dtype == context.precision
    )


class ColumnConv2d(Conv2d):
    """Two-dimensional convolution y = W · columns(x), where W ends in the bias and columns in ones.

    What all members share, as the network's input, is laid out in columns once, and their products
    are one. Of other inputs each member's columns are laid out in turn, in the same memory, which
    stays in the cache.
    """

    kept = ("columns", "x", "images")

    def __init__(
        self,
        context: Context,
        module: nn.Conv2d,
        weight: Tensor,
        weight_grad: Tensor,
        bias: Tensor | None,
        bias_grad: Tensor | None,
    ) -> None:
        super().__init__(context, module, weight, weight_grad, bias, bias_grad)
        assert not isinstance(module.padding, str)
        self.whole = weight, weight_grad, bias, bias_grad
        self.padding, self.dilation = module.padding, module.dilation
        self.patch = weight[0, 0].numel() + (bias is not None)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        weight, _, bias, _ = self.whole
        images = self._images(x)
        height, width = self._size(images)
        samples = images.shape[-1]
        y = self.buffer("y", (len(weight), weight.shape[1], height * width * samples), weight)
        w = self.buffer("w", (*weight.shape[:2], self.patch), weight)
        inner = weight[0, 0].numel()
        w[:, :, :inner].copy_(weight.flatten(2))
        if bias is not None:
            w[:, :, inner].copy_(bias)
        columns = self._columns_place(images)
        if len(images) == 1:
            self._lay_out(images[0], columns)
            kernels.products(y, w, columns.unsqueeze(0), exact=self.context.exact)
        else:
            for image, wk, yk in zip(images, w, y, strict=True):
                self._lay_out(image, columns)
                torch.mm(wk, columns, out=yk)
        if train:
            self.images, self.shape, self.columns = images, x.shape, columns
        return y.view(*weight.shape[:2], height, width, samples).movedim(-1, 1)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        weight, weight_grad, _, bias_grad = self.whole
        g = g.movedim(1, -1)
        rows = g.shape[2]
        parts = g.reshape(*g.shape[:2], rows, -1)  # (K, out, height, width·batch)
        gw = self.buffer("gw", (*weight.shape[:2], self.patch), g)
        columns, images = self.columns.view(self.patch, rows, -1), self.images
        shared = len(images) == 1
        if shared:
            kernels.sums_of_products(gw, parts, columns.unsqueeze(0), exact=self.context.exact)
        gx = None
        if need_input:
            gx = self.buffer("gx", (len(g), *images.shape[1:]), g)
            turned = weight.permute(0, 3, 2, 4, 1).flatten(2, 3).contiguous()
        for k in range(0 if shared and not need_input else len(g)):
            if not shared:
                self._lay_out(images[k], self.columns)
                kernels.sum_of_products(gw[k : k + 1], parts[k : k + 1], columns.unsqueeze(0))
            if gx is not None:
                self._input(parts[k].flatten(1), turned[k], gx[k])
        inner = weight[0, 0].numel()
        weight_grad.copy_(gw[:, :, :inner].view(weight.shape))
        if bias_grad is not None:
            bias_grad.copy_(gw[:, :, inner])
        if gx is None:
            return None
        up, left = self.padding
        *_, height, width = self.shape
        return gx[..., up : up + height, left : left + width, :].movedim(-1, 1)

    def _size(self, images: Tensor) -> tuple[int, int]:
        """Return the output's height and width."""
        kernel = self.whole[0].shape[-2:]
        height, width = (
            size - step * (taps - 1)
            for size, step, taps in zip(images.shape[2:4], self.dilation, kernel, strict=True)
        )
        return height, width

    def _images(self, x: Tensor) -> Tensor:
        """Return the padded inputs, (K or 1, in, height, width, batch), samples side by side."""
        x = x.movedim(1, -1)
        up, left = self.padding
        if not up and not left and x[0].is_contiguous():
            return x
        members, channels, height, width, samples = x.shape
        shape = (members, channels, height + 2 * up, width + 2 * left, samples)
        images = self.buffer("images", shape, x)
        if up or left:
            images.zero_()
        images[:, :, up : up + height, left : left + width].copy_(x)
        return images

    def _columns_place(self, images: Tensor) -> Tensor:
        height, width = self._size(images)
        columns = self.buffer("columns", (self.patch, height * width * images.shape[-1]), images)
        if self.whole[2] is not None:
            columns[-1].fill_(1)
        return columns

    def _lay_out(self, image: Tensor, columns: Tensor) -> None:
        """Write the patches of (in, height, width, batch) to columns."""
        channels, tall, broad = self.whole[0].shape[2:]
        height, width = self._size(image.unsqueeze(0))
        by_channel, by_row, by_column, _ = image.stride()
        down, right = self.dilation
        patches = image.as_strided(
            (channels, tall, broad, height, width, image.shape[-1]),
            (by_channel, down * by_row, right * by_column, by_row, by_column, 1),
        )
        columns[: channels * tall * broad].view(patches.shape).copy_(patches)

    def _input(self, g: Tensor, turned: Tensor, gx: Tensor) -> None:
        """Write the gradient of one member's padded input to ``gx``, (in, height, width, batch).

        Args:
            g: The output's gradient, (out, height·width·batch).
            turned: Weights, (kernel height, in·kernel width, out).
            gx: The place.
        """
        channels, tall, broad = self.whole[0].shape[2:]
        down, right = self.dilation
        (height, width), samples = self._size(gx.unsqueeze(0)), gx.shape[-1]
        side = self.buffer("side", (channels * broad, gx.shape[1] * width * samples), g).zero_()
        for i in range(tall):
            start = i * down * width * samples
            place = side[:, start : start + height * width * samples]
            torch.addmm(place, turned[i], g, out=place)
        gx.zero_()
        parts = side.view(channels, broad, gx.shape[1], width, samples)
        for j in range(broad):
            gx[:, :, j * right : j * right + width].add_(parts[:, j])
