"""From a network to its stacked layers: by hand where there is a twin, else by autograd."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

from thalweg.nn.layers import Residual as ResidualModule
from thalweg.nn.stacked.activations import LogSoftmax, Mish, ReLU, sigmoid, tanh
from thalweg.nn.stacked.alike import hooked, layers, set_rates
from thalweg.nn.stacked.convolution import Conv2d
from thalweg.nn.stacked.fallback import Autograd
from thalweg.nn.stacked.layer import Layer
from thalweg.nn.stacked.linear import Linear
from thalweg.nn.stacked.norm import BatchNorm
from thalweg.nn.stacked.pooling import MaxPool2d, MaxPool2x2, max_pool
from thalweg.nn.stacked.shape import Chain, Dropout, Flatten, Residual

if TYPE_CHECKING:
    from thalweg.nn.stacked.stack import Stack

WRITERS = (Linear, Conv2d, BatchNorm, MaxPool2d, MaxPool2x2)
"""Layers that do not look at their own output again, so that a ReLU may work in place on it."""

BY_HAND: frozenset[type[nn.Module]] = frozenset({
    nn.Sequential, ResidualModule, nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d,
    nn.MaxPool2d, nn.Dropout, nn.Flatten, nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSoftmax, nn.ReLU,
})  # fmt: skip


class Builder:
    """Builds the layers of one stack over its tensors.

    Args:
        stack: Whose parameters, gradients, buffers and dropout rates the layers use.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack, self.context = stack, stack.context

    def build(self, module: nn.Module, prefix: str) -> Layer:
        """Return the stacked form of a module, whose parameters' names begin with ``prefix``."""
        if why_not(module):
            return self._autograd(module, prefix)
        stack, context = self.stack, self.context
        names = [name for name, _ in module.named_parameters(recurse=False)]
        parameters = {n: stack.view(stack.theta, prefix + n) for n in names}
        grads = {n: stack.view(stack.grad, prefix + n) for n in names}
        weight, bias = parameters.get("weight"), parameters.get("bias")
        weight_grad, bias_grad = grads.get("weight"), grads.get("bias")
        match module:
            case nn.Sequential():
                return Chain(context, list(self._chain(module, prefix)))
            case ResidualModule():
                projection = module.projection
                return Residual(
                    context,
                    self.build(module.block, f"{prefix}block."),
                    None if projection is None else self.build(projection, f"{prefix}projection."),
                )
            case nn.Linear() if weight is not None and weight_grad is not None:
                return Linear(context, weight, weight_grad, bias, bias_grad)
            case nn.Conv2d() if weight is not None and weight_grad is not None:
                return Conv2d(context, module, weight, weight_grad, bias, bias_grad)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                own = {n: stack.buffers[prefix + n] for n, _ in module.named_buffers(recurse=False)}
                return BatchNorm(context, module, parameters, grads, own)
            case nn.MaxPool2d():
                return max_pool(context, module)
            case nn.Dropout():
                return Dropout(context, stack.rates[prefix.removesuffix(".")])
            case nn.Flatten():
                return Flatten(context, module)
            case nn.Mish():
                return Mish(context)
            case nn.Tanh():
                return tanh(context)
            case nn.Sigmoid():
                return sigmoid(context)
            case nn.LogSoftmax(dim=int(dim)):
                return LogSoftmax(context, dim)
            case nn.ReLU():
                return ReLU(context, inplace=False)
        raise AssertionError(f"{module} is said to have a hand-written form, but has none")

    def _chain(self, sequence: nn.Sequential, prefix: str) -> Iterator[Layer]:
        children = list(sequence._modules.items())  # named_children passes over repetitions
        # Pooling and ReLU commute; pooling first leaves a quarter of the numbers to touch.
        for place in range(len(children) - 1):
            here, there = children[place][1], children[place + 1][1]
            if type(here) is nn.ReLU and type(there) is nn.MaxPool2d and not why_not(here):
                children[place : place + 2] = children[place + 1], children[place]
        before: Layer | None = None
        for name, child in children:
            if child is None:
                continue
            if type(child) is nn.ReLU and not why_not(child) and isinstance(before, WRITERS):
                before = ReLU(self.context, inplace=True)
            else:
                before = self.build(child, f"{prefix}{name}.")
            yield before

    def _autograd(self, module: nn.Module, prefix: str) -> Autograd:
        stack, copies = self.stack, []
        for member in range(stack.members):
            twin = copy.deepcopy(module).to(stack.device)
            for path, child in layers(twin).items():
                here = prefix + (path + "." if path else "")
                for name, parameter in child.named_parameters(recurse=False):
                    if here + name in stack.places:
                        parameter.data = stack.view(stack.theta, here + name)[member]
                        parameter.grad = stack.view(stack.grad, here + name)[member]
                    elif here + name in stack.frozen:
                        parameter.data = stack.frozen[here + name][member]
                for name, _ in child.named_buffers(recurse=False):
                    if here + name in stack.buffers:
                        child._buffers[name] = stack.buffers[here + name][member]
            set_rates(twin, {path: ps[member] for path, ps in stack.rates.items()}, prefix)
            copies.append(twin)
        return Autograd(self.context, copies)


def why_not(module: nn.Module) -> str:
    """Say why a module is left to autograd; empty where a hand-written twin can stand in.

    It can for a module that does what its class says.

    Example:
        >>> why_not(nn.Linear(2, 1)), why_not(nn.RReLU())
        ('', 'no hand-written form of RReLU')
    """
    kind = type(module)
    if kind not in BY_HAND:
        return f"no hand-written form of {kind.__name__}"
    if hooked(module):
        return "it has hooks"
    if not all(p.requires_grad for p in module.parameters(recurse=False)):
        return "it has frozen parameters"
    tensors = [
        id(tensor)
        for child in layers(module).values()
        for tensor in (*child._parameters.values(), *child._buffers.values())
        if tensor is not None
    ]
    if len(set(tensors)) < len(tensors):
        return "layers in it share parameters or buffers"
    match module:
        case nn.LogSoftmax() if module.dim is None:
            return "dim is not given"
        case nn.Conv2d() if module.padding_mode != "zeros" or isinstance(module.padding, str):
            return f"padding={module.padding!r} of {module.padding_mode}"
        case nn.MaxPool2d() if module.return_indices:
            return "it returns indices"
        case ResidualModule() if _changes_its_input(module.block):
            return "its block works in place on the input"
    return ""


_VIEWS = (nn.Flatten, nn.Identity, nn.Unflatten)


def _changes_its_input(module: nn.Module) -> bool:
    """Tell whether the first layer that computes anything does so in place."""
    leaves = (child for child in layers(module).values() if not child._modules)
    first = next((leaf for leaf in leaves if not isinstance(leaf, _VIEWS)), None)
    return bool(getattr(first, "inplace", False))
