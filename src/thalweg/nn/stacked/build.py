"""From a network to its stacked layers: by hand where there is a twin, else by autograd."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from thalweg.nn.layers import DropBlock2d
from thalweg.nn.layers import Residual as ResidualModule
from thalweg.nn.stacked import row
from thalweg.nn.stacked.activations import (
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Softmax,
    elu,
    gelu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from thalweg.nn.stacked.alike import hooked, layers, set_rates
from thalweg.nn.stacked.averaging import AdaptiveAvgPool2d, AvgPool2d
from thalweg.nn.stacked.columns import convolution
from thalweg.nn.stacked.convolution import Conv2d
from thalweg.nn.stacked.dropout import ChannelDropout, DropBlock, Dropout
from thalweg.nn.stacked.embedding import Embedding
from thalweg.nn.stacked.fallback import Autograd, Fallback
from thalweg.nn.stacked.layer import Layer
from thalweg.nn.stacked.layer_norm import GroupNorm, LayerNorm
from thalweg.nn.stacked.linear import Linear
from thalweg.nn.stacked.norm import BatchNorm
from thalweg.nn.stacked.pooled import PooledConv2d, pooled
from thalweg.nn.stacked.pooling import MaxPool2d, MaxPool2x2, max_pool
from thalweg.nn.stacked.shape import Chain, Flatten, Identity, Residual, Unflatten
from thalweg.nn.stacked.vmapped import Vmapped
from thalweg.nn.stacked.wide import Convolution, WideConvolutions, after, suits

if TYPE_CHECKING:
    from thalweg.nn.stacked.stack import Stack

WRITERS = (
    Linear, Conv2d, WideConvolutions, row.OneRow, Embedding, BatchNorm, LayerNorm, GroupNorm,
    MaxPool2d, MaxPool2x2, AvgPool2d, AdaptiveAvgPool2d,
)  # fmt: skip
"""Layers that do not look at their own output again, so that a ReLU may work in place on it."""

BY_HAND: frozenset[type[nn.Module]] = frozenset({
    nn.Sequential, ResidualModule, nn.Identity, nn.Flatten, nn.Unflatten,
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm,
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, DropBlock2d,
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Tanh, nn.Sigmoid,
    nn.Softmax, nn.LogSoftmax,
})  # fmt: skip


class Builder:
    """Builds the layers of one stack over its tensors.

    Args:
        stack: Whose parameters, gradients, buffers and dropout rates the layers use.

    Attributes:
        merged: Paths of modules whose outputs are never there as a whole.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack, self.context = stack, stack.context
        self._left: list[tuple[str, str, str, Autograd | Vmapped]] = []
        self.merged: set[str] = set()

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The layers that are left to autograd, in the network's order."""
        found = []
        for path, kind, reason, layer in self._left:
            refusal = layer.refusal if isinstance(layer, Vmapped) else "exact=True"
            form = "copies" if refusal else "vmap"
            found.append(Fallback(path, kind, reason, form, refusal))
        return tuple(found)

    def build(self, module: nn.Module, prefix: str) -> Layer:
        """Return the stacked form of a module, whose parameters' names begin with ``prefix``."""
        if reason := why_not(module):
            return self._autograd(module, prefix, reason)
        stack, context, path = self.stack, self.context, prefix.removesuffix(".")
        parameters, grads = self._tensors(module, prefix)
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
                return row.AnyLinear(context, weight, weight_grad, bias, bias_grad)
            case nn.Conv2d() if weight is not None and weight_grad is not None:
                return convolution(context, module, weight, weight_grad, bias, bias_grad)
            case nn.Conv1d() if weight is not None and weight_grad is not None:
                lines = weight.unsqueeze(-2), weight_grad.unsqueeze(-2)
                image = Conv2d(context, row.conv2d(module), *lines, bias, bias_grad)
                return row.OneRow(context, image)
            case nn.Embedding() if weight is not None and weight_grad is not None:
                return Embedding(context, module, weight, weight_grad)
            case nn.LayerNorm():
                return LayerNorm(context, module, parameters, grads)
            case nn.GroupNorm():
                return GroupNorm(context, module, parameters, grads)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                own = {n: stack.buffers[prefix + n] for n, _ in module.named_buffers(recurse=False)}
                return BatchNorm(context, module, parameters, grads, own)
            case nn.MaxPool1d():
                return row.OneRow(context, MaxPool2d(context, row.max_pool2d(module)))
            case nn.MaxPool2d():
                return max_pool(context, module)
            case nn.AvgPool1d():
                return row.OneRow(context, AvgPool2d(context, row.avg_pool2d(module)))
            case nn.AvgPool2d():
                return AvgPool2d(context, module)
            case nn.AdaptiveAvgPool1d():
                size = row.only(module.output_size)
                return row.OneRow(context, AdaptiveAvgPool2d(context, (1, size)))
            case nn.AdaptiveAvgPool2d():
                return AdaptiveAvgPool2d(context, module.output_size)
            case nn.Dropout():
                return Dropout(context, stack.rates[path])
            case nn.Dropout1d() | nn.Dropout2d():
                rows = isinstance(module, nn.Dropout1d)
                return ChannelDropout(context, stack.rates[path], rows=rows)
            case DropBlock2d():
                return DropBlock(context, stack.rates[path], module.block_size)
            case nn.Identity():
                return Identity(context)
            case nn.Flatten():
                return Flatten(context, module)
            case nn.Unflatten():
                return Unflatten(context, module)
            case nn.LeakyReLU():
                return LeakyReLU(context, module)
            case nn.ELU():
                return elu(context, module)
            case nn.GELU():
                return gelu(context, module)
            case nn.SiLU():
                return silu(context)
            case nn.Softplus():
                return softplus(context, module)
            case nn.Softmax(dim=int(dim)):
                return Softmax(context, dim)
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
            pools = isinstance(there, nn.MaxPool1d | nn.MaxPool2d) and not why_not(there)
            if pools and type(here) is nn.ReLU and not why_not(here):
                children[place : place + 2] = children[place + 1], children[place]
        before: Layer | None = None
        done = 0
        for place, (name, child) in enumerate(children):
            if child is None or place < done:
                continue
            wide, count = self._wide(children[place:], prefix)
            if wide is not None:
                before, done = wide, place + count
            elif (both := self._pooled(children[place : place + 2], prefix)) is not None:
                before, done = both, place + 2
            elif type(child) is nn.ReLU and not why_not(child) and isinstance(before, WRITERS):
                before = ReLU(self.context, inplace=True)
            else:
                before = self.build(child, f"{prefix}{name}.")
            yield before

    def _wide(
        self, children: Sequence[tuple[str, nn.Module | None]], prefix: str
    ) -> tuple[Layer | None, int]:
        """Return the convolutions that a chain begins with as one layer, and how many modules.

        That is in stacks that do not train. Pooling and ReLU between them are part of it.
        """
        known = list[nn.Module]()
        for _, child in children:
            if child is None or why_not(child):
                break
            known.append(child)
        chain, operands, done = list[Convolution](), list[Tensor](), 0
        while done < len(known):
            module, name = known[done], f"{prefix}{children[done][0]}"
            if not suits(module, self.stack.theta, self.context):
                break
            pools, rectifies = after(known[done + 1 : done + 3])
            chain.append(Convolution.of(module, pools=pools, rectifies=rectifies))
            operands += [
                self.stack.view(self.stack.theta, f"{name}.{own}")
                for own, _ in module.named_parameters()
            ]
            paths = [f"{prefix}{each}" for each, _ in children[: done + 1 + pools + rectifies]]
            self.merged.update(paths)
            last = paths[done + pools]
            done = len(paths)
        if chain:
            self.merged.discard(last)
        return (WideConvolutions(self.context, chain, operands) if chain else None), done

    def _tensors(self, module: nn.Module, prefix: str) -> tuple[dict[str, Tensor], ...]:
        """Return a module's own parameters by name, and their gradients, (K, …) each."""
        names = [name for name, _ in module.named_parameters(recurse=False)]
        flats = self.stack.theta, self.stack.grad
        parameters, grads = ({n: self.stack.view(t, prefix + n) for n in names} for t in flats)
        return parameters, grads

    def _pooled(
        self, children: Sequence[tuple[str, nn.Module | None]], prefix: str
    ) -> Layer | None:
        """Return a convolution and the pooling after it as one layer, if that is quicker."""
        if len(children) < 2 or any(child is None or why_not(child) for _, child in children):
            return None
        (name, conv), (_, pool) = children
        if not pooled(conv, pool, self.stack.theta, self.context):
            return None
        self.merged.add(f"{prefix}{name}")
        own, grads = self._tensors(conv, f"{prefix}{name}.")
        biases = own.get("bias"), grads.get("bias")
        return PooledConv2d(self.context, conv, own["weight"], grads["weight"], *biases)

    def _autograd(self, module: nn.Module, prefix: str, reason: str) -> Layer:
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
        loop = Autograd(self.context, copies)
        layer: Autograd | Vmapped = loop
        if not self.context.exact:
            names = [name for name, _ in module.named_parameters()]
            trained = [name for name in names if prefix + name in stack.places]
            layer = Vmapped(
                self.context,
                loop,
                {name: stack.view(stack.theta, prefix + name) for name in trained},
                {name: stack.view(stack.grad, prefix + name) for name in trained},
                {name: stack.frozen[prefix + name] for name in names if name not in trained},
            )
        self._left.append((prefix.removesuffix("."), type(module).__name__, reason, layer))
        return layer


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
        case nn.Softmax() | nn.LogSoftmax() if module.dim is None:
            return "dim is not given"
        case nn.Conv1d() | nn.Conv2d() if isinstance(module.padding, str):
            return f"padding={module.padding!r}"
        case nn.Conv1d() | nn.Conv2d() if module.padding_mode != "zeros":
            return f"padding_mode={module.padding_mode!r}"
        case nn.Embedding() if module.max_norm is not None or module.sparse:
            return "it has max_norm or sparse gradients"
        case nn.MaxPool1d() | nn.MaxPool2d() if module.return_indices:
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
