"""Convolutions whose second derivatives are as quick as their first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_convolution = torch.ops.aten.convolution
_backward = torch.ops.aten.convolution_backward

_CONVOLUTIONS = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


class Bilinear(TorchFunctionMode):
    r"""A context in which convolutions are differentiated by convolutions only.

    ⟨g, x ∗ w⟩ is linear in each of g, x and w. Its three gradients (the convolution, its transpose
    and the gradient of the weights) are again the gradients of one another, so that the quick
    kernels of a first derivative serve all derivatives. torch differentiates its own gradient by
    general convolutions with kernels as large as the image, which takes 1.7 times as long for a
    product with the Hessian of garment.

    Example:
        >>> x = torch.arange(3.0).reshape(1, 1, 3)
        >>> w = torch.ones(1, 1, 2, requires_grad=True)
        >>> with Bilinear():
        ...     y = torch.nn.functional.conv1d(x, w)
        >>> y.tolist()
        [[[1.0, 3.0]]]
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _CONVOLUTIONS:
            return func(*args, **kwargs)
        return _convolve(_CONVOLUTIONS[func], func, *args, **kwargs)


def _convolve(
    axes: int,
    func: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str) or input.dim() != axes + 2:
        return func(input, weight, bias, stride, padding, dilation, groups)
    sizes = [_sizes(option, axes) for option in (stride, padding, dilation)]
    y: Tensor = _apply(_Forward, input, weight, (*sizes, False, [0] * axes, groups))
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def _apply(function: Any, *arguments: Any) -> Any:
    return function.apply(*arguments)


def _sizes(option: Any, axes: int) -> list[int]:
    sizes = [option] if isinstance(option, int) else list(option)
    return sizes * axes if len(sizes) == 1 else sizes


class _Forward(torch.autograd.Function):
    """x, w → x ∗ w."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, w: Tensor, options: Any) -> Tensor:
        y: Tensor = _convolution(x, w, None, *options)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])
        ctx.options = inputs[2]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        first, second, _ = ctx.needs_input_grad
        return (
            _apply(_Input, g, w, x, ctx.options) if first else None,
            _apply(_Weight, x, g, w, ctx.options) if second else None,
            None,
        )


class _Input(torch.autograd.Function):
    """g, w → the gradient of ⟨g, x ∗ w⟩ at x, of which only the shape matters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, w: Tensor, x: Tensor, options: Any) -> Tensor:
        found: Tensor = _backward(g, x, w, None, *options, [True, False, False])[0]
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.options = inputs[3]

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, w, _ = ctx.saved_tensors
        first, second, *_ = ctx.needs_input_grad
        return (
            _apply(_Forward, h, w, ctx.options) if first else None,
            _apply(_Weight, h, g, w, ctx.options) if second else None,
            None,
            None,
        )


class _Weight(torch.autograd.Function):
    """x, g → the gradient of ⟨g, x ∗ w⟩ at w, of which only the shape matters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, g: Tensor, w: Tensor, options: Any) -> Tensor:
        found: Tensor = _backward(g, x, w, None, *options, [False, True, False])[1]
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:3])
        ctx.options = inputs[3]

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        x, g, _ = ctx.saved_tensors
        first, second, *_ = ctx.needs_input_grad
        return (
            _apply(_Input, g, h, x, ctx.options) if first else None,
            _apply(_Forward, x, h, ctx.options) if second else None,
            None,
            None,
        )
