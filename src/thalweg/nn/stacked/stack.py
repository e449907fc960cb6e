"""The stacking of K networks of one architecture into one program."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from thalweg.errors import ModelError
from thalweg.nn.layers import Residual as ResidualModule
from thalweg.nn.stacked.activations import LogSoftmax, Mish, ReLU, sigmoid, tanh
from thalweg.nn.stacked.convolution import Conv2d
from thalweg.nn.stacked.fallback import Autograd
from thalweg.nn.stacked.layer import Context, Layer, State
from thalweg.nn.stacked.linear import Linear
from thalweg.nn.stacked.norm import BatchNorm
from thalweg.nn.stacked.pooling import MaxPool2d, MaxPool2x2, max_pool
from thalweg.nn.stacked.shape import Chain, Dropout, Flatten, Residual

ALIGN = 16
"""Every parameter starts at a multiple of so many numbers: a cache line, in every member alike."""


@dataclass(frozen=True)
class Place:
    """Where a parameter lies in the flat vector."""

    start: int
    shape: torch.Size

    @property
    def stop(self) -> int:
        """One past its last number."""
        return self.start + self.shape.numel()


class Stack:
    """K networks as one program over one flat parameter tensor.

    Args:
        modules: The K networks, alike but for their numbers. They are read, never changed.
        device: Where to train; the first network's device by default.
        precision: Arithmetic of linear layers and convolutions; the parameters' type by default, in
            which all the rest is done.
        generators: One a member, for dropout masks; on the device.

    Attributes:
        theta: Trainable parameters, (K, P); a member's parameters lie one after the other, each
            aligned. Padding between them is zero and has a gradient of zero.
        grad: Their gradients, (K, P).
        buffers: The networks' buffers by name, (K, …).

    Raises:
        ModelError: The networks differ in more than their numbers, or have nothing to train.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> two = Stack([net, net])
        >>> x = torch.randn(1, 5, 3)  # one batch of 5, shared by both
        >>> torch.allclose(two.forward(x)[1], net(x[0]))
        True
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        *,
        device: torch.device | str | None = None,
        precision: torch.dtype | None = None,
        generators: Sequence[Generator] = (),
    ) -> None:
        first = modules[0]
        named = {name: p for name, p in first.named_parameters() if p.requires_grad}
        if not named:
            raise ModelError(
                "a model with no trainable parameter", "at least one", "set requires_grad=True"
            )
        kinds = {p.dtype for p in named.values()}
        if len(kinds) > 1:
            raise ModelError(
                f"parameters of {kinds}", "parameters of one type", "use model.float()"
            )
        self.dtype = kinds.pop()
        self.device = (
            torch.device(device) if device is not None else next(iter(named.values())).device
        )
        self.members = len(modules)
        self.places: dict[str, Place] = {}
        end = 0
        for name, parameter in named.items():
            self.places[name] = Place(end, parameter.shape)
            end += -(-parameter.numel() // ALIGN) * ALIGN
        self.theta = torch.zeros(self.members, end, dtype=self.dtype, device=self.device)
        self.grad = torch.zeros_like(self.theta)
        self.buffers: State = {
            name: torch.stack([buffer.detach().to(self.device)] * self.members)
            for name, buffer in first.named_buffers()
        }
        self._template = copy.deepcopy(first)
        self.context = Context(self.members, precision or self.dtype, list(generators))
        for member, module in enumerate(modules):
            self.load(member, module)
        self._root = self._build(first, "")

    # ── running ──────────────────────────────────────────────────────────────────────────────

    def forward(self, x: Tensor, *, train: bool = False) -> Tensor:
        """Return the outputs, (K, batch, …), of inputs (K or 1, batch, …).

        With ``train`` the layers are in training mode and keep what ``backward`` needs. The result
        is a buffer that the next call overwrites.
        """
        return self._root.forward(x, train=train)

    def backward(self, g: Tensor) -> None:
        """Write to ``grad`` the gradient that follows from the outputs' gradient ``g``."""
        self._root.backward(g, need_input=False)

    def release(self) -> None:
        """Give back the memory that the layers keep between calls."""
        self._root.release()

    # ── parameters in and out ────────────────────────────────────────────────────────────────

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one parameter's part of a flat tensor: (K, P) → (K, *shape)."""
        place = self.places[name]
        return flat[:, place.start : place.stop].view(len(flat), *place.shape)

    def load(self, member: int, module: nn.Module) -> None:
        """Copy a network's parameters and buffers into a member.

        Raises:
            ModelError: Its parameters or buffers are not those of this stack.
        """
        theirs = {name: p.shape for name, p in module.named_parameters() if p.requires_grad}
        if theirs != {name: place.shape for name, place in self.places.items()}:
            raise ModelError(
                "a network of another architecture", "K networks that differ in numbers"
            )
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in self.places:
                    self.view(self.theta, name)[member].copy_(parameter)
            for name, buffer in module.named_buffers():
                self.buffers[name][member].copy_(buffer)

    def export(self, member: int = 0) -> nn.Module:
        """Return a member as an ordinary network of its own, in evaluation mode."""
        module = copy.deepcopy(self._template).to(self.device)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in self.places:
                    parameter.copy_(self.view(self.theta, name)[member])
            for name, buffer in module.named_buffers():
                buffer.copy_(self.buffers[name][member])
        return module.eval()

    @contextmanager
    def weights(self, theta: Tensor | None) -> Iterator[None]:
        """Use other parameters, (K, P), for a while; None keeps the present ones."""
        if theta is None:
            yield
            return
        kept = self.theta.clone()
        self.theta.copy_(theta)
        try:
            yield
        finally:
            self.theta.copy_(kept)

    def mask(self, names: Iterable[str]) -> Tensor:
        """Return a flat 0-1 tensor, (1, P), that marks the named parameters."""
        mask = torch.zeros_like(self.theta[:1])
        for name in names:
            mask[:, self.places[name].start : self.places[name].stop] = 1
        return mask

    def keep(self, members: Sequence[int]) -> None:
        """Keep some members, in the order given, and give back the memory of the others.

        What is kept is copied: views of theta, grad and the buffers from before are not of it.
        """
        chosen = torch.as_tensor(list(members), device=self.device)
        self.theta, self.grad = self.theta[chosen].contiguous(), self.grad[chosen].contiguous()
        self.buffers = {name: buffer[chosen] for name, buffer in self.buffers.items()}
        generators = self.context.generators
        self.context.generators = [generators[k] for k in members] if generators else []
        self.members = self.context.members = len(members)
        self._root = self._build(self._template, "")

    # ── building the program ─────────────────────────────────────────────────────────────────

    def _build(self, module: nn.Module, prefix: str) -> Layer:
        """Return the stacked form of a module, by hand where there is one, else by autograd."""
        if not _plain(module):
            return self._autograd(module, prefix)
        names = [name for name, _ in module.named_parameters(recurse=False)]
        parameters = {n: self.view(self.theta, prefix + n) for n in names}
        grads = {n: self.view(self.grad, prefix + n) for n in names}
        weight, bias = parameters.get("weight"), parameters.get("bias")
        weight_grad, bias_grad = grads.get("weight"), grads.get("bias")
        context = self.context
        match module:
            case nn.Sequential():
                return Chain(context, list(self._chain(module, prefix)))
            case ResidualModule():
                projection = module.projection
                return Residual(
                    context,
                    self._build(module.block, f"{prefix}block."),
                    None if projection is None else self._build(projection, f"{prefix}projection."),
                )
            case nn.Linear() if weight is not None and weight_grad is not None:
                return Linear(context, weight, weight_grad, bias, bias_grad)
            case nn.Conv2d() if weight is not None and weight_grad is not None:
                return Conv2d(context, module, weight, weight_grad, bias, bias_grad)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                own = {n: self.buffers[prefix + n] for n, _ in module.named_buffers(recurse=False)}
                return BatchNorm(context, module, parameters, grads, own)
            case nn.MaxPool2d():
                return max_pool(context, module)
            case nn.Dropout():
                return Dropout(context, module.p)
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
        return self._autograd(module, prefix)

    def _chain(self, sequence: nn.Sequential, prefix: str) -> Iterator[Layer]:
        children = list(sequence.named_children())
        # Pooling and ReLU commute; pooling first leaves a quarter of the numbers to touch.
        for place in range(len(children) - 1):
            here, there = children[place][1], children[place + 1][1]
            if type(here) is nn.ReLU and type(there) is nn.MaxPool2d and _plain(here):
                children[place : place + 2] = children[place + 1], children[place]
        before: Layer | None = None
        for name, child in children:
            if type(child) is nn.ReLU and isinstance(
                before, Linear | Conv2d | BatchNorm | MaxPool2d
            ):
                before = ReLU(self.context, inplace=True)
            else:
                before = self._build(child, f"{prefix}{name}.")
            yield before

    def _autograd(self, module: nn.Module, prefix: str) -> Autograd:
        copies = []
        for member in range(self.members):
            twin = copy.deepcopy(module).to(self.device)
            for path, child in twin.named_modules():
                here = prefix + (path + "." if path else "")
                for name, parameter in child.named_parameters(recurse=False):
                    if here + name in self.places:
                        parameter.data = self.view(self.theta, here + name)[member]
                        parameter.grad = self.view(self.grad, here + name)[member]
                for name, _ in child.named_buffers(recurse=False):
                    child._buffers[name] = self.buffers[here + name][member]
            copies.append(twin)
        return Autograd(self.context, copies)


_WRITERS = (Linear, Conv2d, BatchNorm, MaxPool2d, MaxPool2x2)
"""Layers that do not look at their own output again, so that a ReLU may work in place on it."""

_BY_HAND: frozenset[type[nn.Module]] = frozenset({
    nn.Sequential, ResidualModule, nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d,
    nn.MaxPool2d, nn.Dropout, nn.Flatten, nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSoftmax, nn.ReLU,
})  # fmt: skip

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _plain(module: nn.Module) -> bool:
    """Tell whether a module does what its class says, so that a hand-written twin can stand in.

    Subclasses, hooks, frozen parameters, parameters that are used twice and rare options are left
    to autograd.
    """
    if type(module) not in _BY_HAND or any(getattr(module, hooks, None) for hooks in _HOOKS):
        return False
    if not all(p.requires_grad for p in module.parameters(recurse=False)):
        return False
    seen = [id(m) for m in module.modules()]
    names = [id(p) for m in module.modules() for p in m.parameters(recurse=False)]
    if len(set(names)) < len(names) or len(set(seen)) < len(seen):
        return False
    match module:
        case nn.LogSoftmax():
            return module.dim is not None
        case nn.Conv2d():
            return module.padding_mode == "zeros" and not isinstance(module.padding, str)
        case nn.MaxPool2d():
            return not module.return_indices
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return True
    return True


def stack(
    module: nn.Module, members: int, *, states: Sequence[Mapping[str, Tensor]] | None = None
) -> Stack:
    """Stack K copies of a network.

    Args:
        module: The network; it is not changed.
        members: K, how many.
        states: The members' own state dicts; all start as ``module`` if None.

    Raises:
        ModelError: There is nothing to train, or a state does not fit.

    Example:
        >>> stack(nn.Linear(3, 2), 4).theta.shape  # 6 + 2 numbers, aligned to 16 each
        torch.Size([4, 32])
    """
    if states is None:
        return Stack([module] * members)
    twins = [copy.deepcopy(module) for _ in states]
    for twin, state in zip(twins, states, strict=True):
        twin.load_state_dict(state)
    return Stack(twins)
