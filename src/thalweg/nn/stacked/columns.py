"""Convolutions of few channels, as matrix products over patches.

Samples lie side by side in memory, so that every patch is a row that the registers run along. A
library's convolution works on blocks of sixteen channels, most of which would be empty here.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Size, Tensor, nn

from thalweg.nn import kernels
from thalweg.nn.stacked.convolution import Conv2d
from thalweg.nn.stacked.layer import Context

FEW = 16
"""Channels, of input and output, up to which a library's convolution loses."""

DEEP = 16
"""Numbers in a row of a patch from which a product for each row is worth its call."""


def convolution(
    context: Context,
    module: nn.Conv2d,
    weight: Tensor,
    weight_grad: Tensor,
    bias: Tensor | None,
    bias_grad: Tensor | None,
) -> Conv2d:
    """Return the fastest layer that does what the module does; arguments as of ``Conv2d``."""
    kind = Conv2d
    if by_patches(module, weight, context):
        kind = ColumnConv2d if by_columns(module, weight, context) else StripConv2d
    return kind(context, module, weight, weight_grad, bias, bias_grad)


def by_patches(module: nn.Conv2d, weight: Tensor, context: Context) -> bool:
    """Tell whether a convolution is quicker as a product, given parameters of the stack."""
    return (
        max(module.in_channels, module.out_channels) <= FEW
        and module.groups == 1
        and module.stride == (1, 1)
        and weight.device.type == "cpu"
        and weight.dtype == context.precision
    )


def by_columns(module: nn.Conv2d, weight: Tensor, context: Context) -> bool:
    """Tell whether that is one product of whole patches."""
    small = module.in_channels * module.kernel_size[1] < DEEP
    return small and by_patches(module, weight, context)


class SideBySide(Conv2d):
    """What such convolutions share: how x and its gradient lie in memory."""

    kept: tuple[str, ...] = ("images", "shape")
    images: Tensor
    shape: Size

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
        self.has_bias = int(bias is not None)

    def _size(self, images: Tensor) -> tuple[int, int]:
        """Return the output's height and width."""
        kernel = self.whole[0].shape[-2:]
        height, width = (
            size - step * (taps - 1)
            for size, step, taps in zip(images.shape[-3:-1], self.dilation, kernel, strict=True)
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

    def _inputs(self, g: Tensor) -> Tensor:
        """Return the gradient of x, given the outputs', (K, out, height·width·batch)."""
        gx = self.buffer("gx", (len(g), *self.images.shape[1:]), g)
        # (K, kernel height, in · kernel width, out)
        turned = self.whole[0].permute(0, 3, 2, 4, 1).flatten(2, 3).contiguous()
        for gk, w, place in zip(g, turned, gx, strict=True):
            self._input(gk, w, place)
        up, left = self.padding
        *_, height, width = self.shape
        return gx[..., up : up + height, left : left + width, :].movedim(-1, 1)

    def _input(self, g: Tensor, turned: Tensor, gx: Tensor) -> None:
        """Write the gradient of one member's padded input.

        Args:
            g: The output's gradient, (out, height·width·batch).
            turned: Weights, (kernel height, in·kernel width, out).
            gx: The place, (in, height, width, batch).
        """
        channels, tall, broad = self.whole[0].shape[2:]
        (_, width), (rows, columns, samples) = self._size(gx), gx.shape[1:]
        side = self.buffer("side", (channels * broad, rows * width * samples), g)
        step, numbers = self.dilation[0] * width * samples, g.shape[1]
        torch.mm(turned[0], g, out=side[:, :numbers])
        side[:, numbers:].zero_()
        for i in range(1, tall):
            place = side[:, i * step : i * step + numbers]
            torch.addmm(place, turned[i], g, out=place)
        parts = side.view(channels, broad, rows, width, samples)
        gx[:, :, :width].copy_(parts[:, 0])
        if width < columns:
            gx[:, :, width:].zero_()
        for j in range(1, broad):
            gx.narrow(2, j * self.dilation[1], width).add_(parts[:, j])


class PatchConv2d(SideBySide):
    """What such convolutions share that compute all their outputs at once.

    Patches end in a row of ones, and weights in the bias.
    """

    kept: tuple[str, ...] = (*SideBySide.kept, "patches")
    patches: Tensor

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        weight = self.whole[0]
        images = self._images(x)
        height, width = self._size(images)
        y = self.buffer("y", (*weight.shape[:2], height * width * images.shape[-1]), weight)
        patches = self.multiply(images, y)
        if train:
            self.images, self.shape, self.patches = images, x.shape, patches
        return y.view(*weight.shape[:2], height, width, -1).movedim(-1, 1)

    @abstractmethod
    def multiply(self, images: Tensor, y: Tensor) -> Tensor:
        """Write the outputs, (K, out, height·width·batch), and return patches for ``correlate``."""

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        g = g.movedim(1, -1)
        g = g.reshape(*g.shape[:3], -1)
        self.correlate(g)
        return self._inputs(g.flatten(2)) if need_input else None

    @abstractmethod
    def correlate(self, g: Tensor) -> None:
        """Write the parameters' gradients, given the outputs', (K, out, height, width·batch)."""


class ColumnConv2d(PatchConv2d):
    """y = W · columns(x): all numbers of a patch below one another, for one to three channels.

    What all members share, as the network's input, is laid out in columns once, and their products
    are one. Of other inputs each member's columns are laid out in turn, in the same memory, which
    stays in the cache.
    """

    def multiply(self, images: Tensor, y: Tensor) -> Tensor:
        weight, _, bias, _ = self.whole
        inner = weight[0, 0].numel()
        w = self.buffer("w", (*weight.shape[:2], inner + self.has_bias), weight)
        w[:, :, :inner].copy_(weight.flatten(2))
        if bias is not None:
            w[:, :, inner].copy_(bias)
        columns = self.buffer("columns", (w.shape[2], y.shape[2]), y)
        if len(images) == 1:
            self._lay_out(images[0], columns)
            kernels.products(y, w, columns.unsqueeze(0), exact=self.context.exact)
        else:
            for image, wk, yk in zip(images, w, y, strict=True):
                self._lay_out(image, columns)
                torch.mm(wk, columns, out=yk)
        return columns

    def correlate(self, g: Tensor) -> None:
        weight, weight_grad, _, bias_grad = self.whole
        columns, images = self.patches, self.images
        gw = self.buffer("gw", (*weight.shape[:2], len(columns)), g)
        parts = columns.view(1, len(columns), *g.shape[2:])
        if len(images) == 1:
            kernels.sums_of_products(gw, g, parts, exact=self.context.exact)
        else:
            for k, image in enumerate(images):
                self._lay_out(image, columns)
                kernels.sum_of_products(gw[k : k + 1], g[k : k + 1], parts)
        inner = weight[0, 0].numel()
        weight_grad.copy_(gw[:, :, :inner].view(weight.shape))
        if bias_grad is not None:
            bias_grad.copy_(gw[:, :, inner])

    def _lay_out(self, image: Tensor, columns: Tensor) -> None:
        """Write the patches of (in, height, width, batch) to columns."""
        channels, tall, broad = self.whole[0].shape[2:]
        height, width = self._size(image)
        by_channel, by_row, by_column, _ = image.stride()
        down, right = self.dilation
        patches = image.as_strided(
            (channels, tall, broad, height, width, image.shape[-1]),
            (by_channel, down * by_row, right * by_column, by_row, by_column, 1),
        )
        columns[: channels * tall * broad].view(patches.shape).copy_(patches)
        if self.has_bias:
            columns[-1].fill_(1)


class StripConv2d(PatchConv2d):
    """y = Σ Wᵢ · strips(x) from row i on: the rows of a patch below one another, for more channels.

    Strips are a kernel's height smaller than columns, since rows of patches overlap: the strips
    from row i on are a view. There is one product for each row of the kernel.
    """

    def multiply(self, images: Tensor, y: Tensor) -> Tensor:
        weight, _, bias, _ = self.whole
        channels, tall, broad = weight.shape[2:]
        inner = channels * broad
        w = self.buffer("w", (*weight.shape[:2], tall, inner + self.has_bias), weight)
        w[..., :inner].unflatten(3, (channels, broad)).copy_(weight.transpose(2, 3))
        if bias is not None:
            w[..., 1:, inner].zero_()
            w[:, :, 0, inner].copy_(bias)
        strips = self._lay_out(images)
        for k, (yk, wk) in enumerate(zip(y, w.transpose(1, 2), strict=True)):
            own = strips[k if len(strips) > 1 else 0]
            torch.mm(wk[0], own[0], out=yk)
            for i in range(1, tall):
                torch.addmm(yk, wk[i], own[i], out=yk)
        return strips

    def correlate(self, g: Tensor) -> None:
        weight, weight_grad, _, bias_grad = self.whole
        channels, tall, broad = weight.shape[2:]
        strips = self.patches
        gw = self.buffer("gw", (len(g), tall, strips.shape[2], g.shape[1]), g)
        for k, gk in enumerate(g.flatten(2).mT):
            own = strips[k if len(strips) > 1 else 0]
            torch.bmm(own, gk.expand(tall, -1, -1), out=gw[k])
        inner = channels * broad
        # (K, kernel height, in · kernel width, out) → (K, out, in, kernel height, kernel width)
        grads = gw[:, :, :inner].unflatten(2, (channels, broad)).permute(0, 4, 2, 1, 3)
        weight_grad.copy_(grads)
        if bias_grad is not None:
            bias_grad.copy_(gw[:, 0, inner])

    def _lay_out(self, images: Tensor) -> Tensor:
        """Return (K or 1, kernel height, in · kernel width + 1, height·width·batch), overlapping.

        One row of the kernel begins a row of the image later than the one before.
        """
        channels, tall, broad = self.whole[0].shape[2:]
        height, width = self._size(images)
        members, _, rows, _, samples = images.shape
        inner = channels * broad
        shape = (members, inner + self.has_bias, rows * width * samples)
        strips = self.buffer("strips", shape, images)
        by_member, by_channel, by_row, by_column, _ = images.stride()
        strips[:, :inner].view(members, channels, broad, rows, width, samples).copy_(
            images.as_strided(
                (members, channels, broad, rows, width, samples),
                (by_member, by_channel, self.dilation[1] * by_column, by_row, by_column, 1),
            )
        )
        if self.has_bias:
            strips[:, inner].fill_(1)
        return strips.as_strided(
            (members, tall, shape[1], height * width * samples),
            (strips.stride(0), self.dilation[0] * width * samples, shape[2], 1),
        )
