"""Activations of K networks: elementwise, so the member axis is one axis more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from thalweg.nn.softmax import log_softmax
from thalweg.nn.stacked.layer import Context, Layer, as_one

aten = torch.ops.aten


class ReLU(Layer):
    """max(x, 0), in place where nobody needs x again."""

    kept = ("y",)

    def __init__(self, context: Context, *, inplace: bool) -> None:
        super().__init__(context)
        self.inplace = inplace

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        y = x if self.inplace else self.buffer_as("y", x)
        torch.clamp_min(x, 0, out=y)
        if train:
            self.y = y
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        gx: Tensor = aten.threshold_backward.grad_input(g, self.y, 0, grad_input=g)
        return gx


BLOCK = 64
"""No register of any processor, nor four of them, holds more numbers than this."""

SERIAL = 1 << 15
"""Calls on fewer numbers than this are never split among threads."""


def calls(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Split tensors of K members among as few elementwise calls as give each its own bits.

    The last few numbers of a call, those that fill no register, are not rounded as the others are.
    So members share a call only where they lie alike in all tensors, each fills whole registers,
    and no thread is to begin in the midst of one.
    """
    first, size = tensors[0], tensors[0][0].numel()
    alike = all(t.stride() == first.stride() for t in tensors) and first.stride(0) == size
    together = max((SERIAL - 1) // max(size, 1), 1) if alike and size % BLOCK == 0 else 1
    return zip(*(t.split(together) for t in tensors), strict=True)


class FromOutput(Layer):
    """An activation whose derivative follows from its output: tanh and the sigmoid."""

    kept = ("y",)

    def __init__(
        self, context: Context, function: Callable[..., Tensor], derivative: Callable[..., Tensor]
    ) -> None:
        super().__init__(context)
        self.function, self.derivative = function, derivative

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        y = self.buffer_as("y", x)
        for part, place in calls(x, y):
            self.function(part, out=place)
        if train:
            self.y = y
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        return self.derivative(g, self.y, grad_input=g) if need_input else None


tanh = partial(FromOutput, function=torch.tanh, derivative=aten.tanh_backward.grad_input)
sigmoid = partial(FromOutput, function=torch.sigmoid, derivative=aten.sigmoid_backward.grad_input)


class FromInput(Layer):
    """An activation whose derivative follows from its input.

    Args:
        context: What the stack shares.
        function: Writes its values to ``out``.
        derivative: Of the output's gradient and the input; writes to ``grad_input``.
    """

    kept = ("x",)

    def __init__(
        self, context: Context, function: Callable[..., Tensor], derivative: Callable[..., Tensor]
    ) -> None:
        super().__init__(context)
        self.function, self.derivative = function, derivative

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        y = self.buffer_as("y", x)
        for part, place in calls(x, y):
            self.function(part, out=place)
        if train:
            self.x = x
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        for gk, xk in calls(g, self.x):
            self.derivative(gk, xk, grad_input=gk)
        return g


class LeakyReLU(Layer):
    """x, or a small multiple of it where it is negative (Maas et al. 2013).

    A single product, which is rounded in the same way wherever it stands.
    """

    kept = ("x",)

    def __init__(self, context: Context, module: nn.LeakyReLU) -> None:
        super().__init__(context)
        self.slope = module.negative_slope

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        if train:
            self.x = x
        y: Tensor = aten.leaky_relu.out(x, self.slope, out=self.buffer_as("y", x))
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        gx: Tensor = aten.leaky_relu_backward.grad_input(g, self.x, self.slope, False, grad_input=g)
        return gx


def elu(context: Context, module: nn.ELU) -> FromInput:
    """Return x, or α(exp x − 1) where it is negative (Clevert et al. 2015, arXiv:1511.07289)."""
    alpha = module.alpha
    return FromInput(
        context,
        lambda x, out: aten.elu.out(x, alpha, out=out),
        lambda g, x, grad_input: aten.elu_backward.grad_input(
            g, alpha, 1, 1, False, x, grad_input=grad_input
        ),
    )


def gelu(context: Context, module: nn.GELU) -> FromInput:
    """Return x Φ(x), Φ the normal distribution (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    form = module.approximate
    return FromInput(
        context,
        partial(aten.gelu.out, approximate=form),
        partial(aten.gelu_backward.grad_input, approximate=form),
    )


def softplus(context: Context, module: nn.Softplus) -> FromInput:
    """Return log(1 + exp βx)/β, and x itself where βx is above the threshold."""
    options = module.beta, module.threshold
    return FromInput(
        context,
        lambda x, out: aten.softplus.out(x, *options, out=out),
        lambda g, x, grad_input: aten.softplus_backward.grad_input(
            g, x, *options, grad_input=grad_input
        ),
    )


# x σ(x) (Elfwing et al. 2017, arXiv:1702.03118)
silu = partial(FromInput, function=aten.silu.out, derivative=aten.silu_backward.grad_input)


class Mish(Layer):
    """x·tanh(softplus x) (Misra 2019, arXiv:1908.08681), through one exponential.

    With e = exp x and n = e² + 2e: tanh(softplus x) = n/(n + 2), and the derivative is
    (n(n + 2) + 4x e(1 + e))/(n + 2)². x is capped at 20 inside the exponential, where both are 1
    to float32's last bit. Walks blocks that stay in the cache; in double precision the cap is 40.
    """

    kept = ("d",)

    BLOCK = 3 << 15

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        y = self.buffer_as("y", x)
        d = self.buffer_as("d", x) if train else None
        cap = 20.0 if x.dtype == torch.float32 else 40.0
        if x.stride() != y.stride():
            x = self.buffer_as("x", x).copy_(x)
        x_flat, y_flat = _as_it_lies(x), _as_it_lies(y)
        d_flat = None if d is None else _as_it_lies(d)
        for start in range(0, x_flat.numel(), self.BLOCK):
            part = slice(start, start + self.BLOCK)
            xb, yb = x_flat[part], y_flat[part]
            e, n = (self.buffer(tag, xb.shape, xb) for tag in ("e", "n"))
            torch.clamp_max(xb, cap, out=e).exp_()
            torch.addcmul(e, e, e, out=n).add_(e)  # n = e² + 2e
            if d_flat is not None:
                q = self.buffer("q", xb.shape, xb)
                db = torch.addcmul(e, e, e, out=d_flat[part]).mul_(xb)  # x e(1 + e)
                torch.add(n, 2, out=q).reciprocal_()
                torch.mul(n, q, out=n)  # tanh(softplus x)
                torch.mul(xb, n, out=yb)
                db.mul_(q).mul_(q)
                torch.add(n, db, alpha=4, out=db)
            else:
                torch.add(n, 2, out=e)
                torch.div(n, e, out=n)
                torch.mul(xb, n, out=yb)
        if d is not None:
            self.d = d
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        return g.mul_(self.d) if need_input else None


def _as_it_lies(x: Tensor) -> Tensor:
    """Return all numbers of a tensor without gaps, in the order that they have in memory."""
    return x.as_strided((x.numel(),), (1,))


class LogSoftmax(Layer):
    """Logarithms of probabilities over the module's ``dim``, which counts without the members."""

    kept = ("y",)

    def __init__(self, context: Context, dim: int) -> None:
        super().__init__(context)
        self.axis = dim + (dim >= 0)

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        last = self.axis in (-1, x.ndim - 1)
        y = log_softmax(x) if last else torch.log_softmax(x, self.axis)
        if train:
            self.y = y
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        # y may lie class by class in memory, as log_softmax leaves it: that way is then quicker.
        by_class = self.axis in (-1, g.ndim - 1) and not self.y.is_contiguous()
        if by_class:
            gx: Tensor = aten._log_softmax_backward_data(g.mT, self.y.mT, -2, g.dtype).mT
        else:
            gx = aten._log_softmax_backward_data(g, self.y, self.axis, g.dtype)
        return gx


class Softmax(Layer):
    """Probabilities over the module's ``dim``, which counts without the members."""

    kept = ("y",)

    def __init__(self, context: Context, dim: int) -> None:
        super().__init__(context)
        self.dim = dim

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        ys = [torch.softmax(part, self.dim) for part in x.unbind(0)]
        if train:
            self.y = ys
        return as_one(ys)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not need_input:
            return None
        pairs = zip(g.unbind(0), self.y, strict=True)
        return as_one([aten._softmax_backward_data(gk, y, self.dim, g.dtype) for gk, y in pairs])
