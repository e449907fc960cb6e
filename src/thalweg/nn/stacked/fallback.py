"""Any module at all: K copies of it, differentiated by autograd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from thalweg.nn.stacked.layer import Context, Layer, each_member


@dataclass(frozen=True)
class Fallback:
    """A layer that has no hand-written form and is left to autograd.

    Args:
        path: Where in the network; empty for the network itself.
        kind: The layer's class.
        reason: Why it is left to autograd, in a few words.
        form: How its members run: ``copies``, one after the other, or ``vmap``, all as one.
        refusal: Why not as one, in a few words; empty where they do.

    Example:
        >>> print(Fallback("3", "RReLU", "no hand-written form of RReLU", "copies", "exact=True"))
        3 (RReLU): no hand-written form of RReLU; members run one by one: exact=True
    """

    path: str
    kind: str
    reason: str
    form: str
    refusal: str

    def __str__(self) -> str:
        one_by_one = f"members run one by one: {self.refusal}"
        how = "members run as one" if self.form == "vmap" else one_by_one
        return f"{self.path or 'the network'} ({self.kind}): {self.reason}; {how}"


@contextmanager
def _draws_from(generator: Generator | None) -> Iterator[None]:
    """Let a module that draws from torch's global generator draw from this one instead."""
    if generator is None:
        yield
        return
    default = torch.default_generator
    if generator.device.type != "cpu":
        default = torch.get_device_module(generator.device).default_generators[
            generator.device.index or 0
        ]
    kept = default.get_state()
    default.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(default.get_state())
        default.set_state(kept)


@contextmanager
def _lent(buffers: Sequence[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Let a module change copies of its buffers, or put new ones in their place; keep what it did.

    The stack's own tensors must stay where they are, and the tape may hold what a buffer was.
    """
    for child, name, held in buffers:
        child._buffers[name] = held.clone()
    try:
        yield
    finally:
        with torch.no_grad():
            for child, name, held in buffers:
                changed = child._buffers[name]
                if changed is not None:
                    held.copy_(changed)
                child._buffers[name] = held


class Autograd(Layer):
    """Members that keep their own module; parameters and gradients live in the stack's storage.

    Args:
        context: What the stack shares.
        modules: K copies of the module, whose trainable parameters and their ``grad`` are views of
            the stack's tensors.
    """

    trains = True
    kept = ("x", "y")

    def __init__(self, context: Context, modules: Sequence[nn.Module]) -> None:
        super().__init__(context)
        self.modules = modules
        self._buffers_of = [
            [(child, name, held) for child in module.modules()
             for name, held in child._buffers.items() if held is not None]
            for module in modules
        ]  # fmt: skip

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        reduced = x.is_floating_point() and self.context.precision != x.dtype
        self.x, ys = [], []
        parts = each_member(x, self.context.members)
        generators: Sequence[Generator | None] = self.context.generators
        generators = generators or [None] * self.context.members
        for module, buffers, part, generator in zip(
            self.modules, self._buffers_of, parts, generators, strict=True
        ):
            module.train(train)
            leaf = part.detach().requires_grad_(train and part.is_floating_point())
            with (
                _draws_from(generator if train else None),
                torch.set_grad_enabled(train),
                torch.autocast(x.device.type, self.context.precision, enabled=reduced),
                _lent(buffers),
            ):
                # A copy, because neither the module nor the tape may see the stack's buffers.
                ys.append(module(leaf.clone()))
            self.x.append(leaf)
        self.y = ys if train else []
        return torch.stack(
            [y.detach().to(x.dtype) if x.is_floating_point() else y.detach() for y in ys]
        )

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        for module, y, gk in zip(self.modules, self.y, g.unbind(0), strict=True):
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad.zero_()
            if y.requires_grad:
                torch.autograd.backward(y, gk.to(y.dtype))
        self.y = []
        if not need_input:
            return None
        return torch.stack([torch.zeros_like(x) if x.grad is None else x.grad for x in self.x])
