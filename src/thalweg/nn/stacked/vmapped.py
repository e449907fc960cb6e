"""Any module that torch.func.vmap can map: K members as one, with other roundings than alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from thalweg.nn.stacked.fallback import Autograd
from thalweg.nn.stacked.layer import Context, Layer, State

FEW = 4
"""Mapping costs about three runs of one member: fewer members are quicker one by one."""

LARGE = 1 << 14
"""Numbers of one member, in and parameters, above which copies are as quick, and often quicker."""


class Vmapped(Layer):
    """Members that run as one wherever that is possible and quicker, else one by one.

    What decides is the module and its sizes, never a timing. A module that vmap cannot map, such
    as one whose flow depends on its numbers, goes on one by one from the first time that it fails.

    Args:
        context: What the stack shares.
        loop: The same members, one by one.
        parameters: Trainable parameters by their names in the module, (K, …).
        grads: Their gradients' places, by the same names.
        frozen: The other parameters.
    """

    trains = True
    kept = ("x", "y", "leaves")

    def __init__(
        self,
        context: Context,
        loop: Autograd,
        parameters: State,
        grads: State,
        frozen: State,
    ) -> None:
        super().__init__(context)
        self.loop, self.parameters, self.grads, self.frozen = loop, parameters, grads, frozen
        self.size = sum(p[0].numel() for p in (parameters | frozen).values())
        self.never, self.large = _refusal(loop.modules), ""
        self.mapped, self.checked = False, set[bool]()

    @property
    def refusal(self) -> str:
        """Why the members run one by one in training, in a few words; empty if they run as one."""
        return self.never or self.large

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        size = self.size + x[0].numel()
        large = f"{size} numbers a member are too many to gain" if size > LARGE else ""
        if train:
            self.large = large
        if not self.never and not large:
            try:
                y = self._map(x, train=train)
                if train not in self.checked:
                    self._check(x, y, train=train)
            except Exception as error:  # whatever it is, the copies are the judge of the module
                self.never = str(error).partition("\n")[0].partition(". ")[0]
                self.release()
            else:
                self.mapped = True
                return y
        self.mapped = False
        return self.loop.forward(x, train=train)

    def _map(self, x: Tensor, *, train: bool) -> Tensor:
        module, shared = self.loop.modules[0].train(train), len(x) == 1
        learns = train and x.is_floating_point()
        self.x = (x[0] if shared else x).detach().requires_grad_(learns)
        self.leaves = {n: p.detach().requires_grad_(train) for n, p in self.parameters.items()}

        def member(parameters: State, frozen: State, x: Tensor) -> Tensor:
            y: Tensor = functional_call(module, parameters | frozen, (x,))
            return y

        reduced = x.is_floating_point() and self.context.precision != x.dtype
        with (
            torch.set_grad_enabled(train),
            torch.autocast(x.device.type, self.context.precision, enabled=reduced),
        ):
            mapped = vmap(member, in_dims=(0, 0, None if shared else 0), randomness="error")
            y: Tensor = mapped(self.leaves, self.frozen, self.x.clone())
        self.y = y
        # A copy, because the tape may hold what the next layer works on.
        return y.detach().to(x.dtype if x.is_floating_point() else y.dtype, copy=True)

    def _check(self, x: Tensor, y: Tensor, *, train: bool) -> None:
        """Compare with the copies, once: a module may have numbers that vmap does not see."""
        expected = self.loop.forward(x, train=train)
        self.loop.release()
        rounding = 5e-2 if self.context.precision != expected.dtype else 1e-3
        scale = float(expected.abs().nan_to_num().max())
        if not torch.allclose(y, expected, rtol=rounding, atol=rounding * scale, equal_nan=True):
            raise ArithmeticError("vmap finds other values")
        self.checked.add(train)

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        if not self.mapped:
            return self.loop.backward(g, need_input=need_input)
        wanted = [*self.leaves.values(), *([self.x] if need_input else [])]
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if self.y.requires_grad:
            found = torch.autograd.grad(
                self.y, wanted, g.to(self.y.dtype), allow_unused=True, materialize_grads=True
            )
        del self.y
        for name, new in zip(self.leaves, found, strict=False):
            self.grads[name].zero_() if new is None else self.grads[name].copy_(new)
        if not need_input:
            return None
        return torch.zeros_like(self.x) if found[-1] is None else found[-1]

    def release(self) -> None:
        super().release()
        self.loop.release()


def _refusal(modules: Sequence[nn.Module]) -> str:
    """Say what rules mapping out from the start; empty if nothing does."""
    if len(modules) < FEW:
        return f"fewer than {FEW} members"
    if next(modules[0].buffers(), None) is not None:
        return "it has buffers"
    if any(_hides_parameters(child) for child in modules[0].modules()):
        return "it keeps parameters where vmap does not see them"
    if len({repr(module) for module in modules}) > 1:
        return "its dropout rates differ"
    return ""


def _hides_parameters(module: nn.Module) -> bool:
    """Tell whether a module has parameters in lists of its own, as recurrent ones have."""
    return any(
        isinstance(part, nn.Parameter)
        for value in vars(module).values()
        for part in (value if isinstance(value, list | tuple) else [value])
    )
