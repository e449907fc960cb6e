"""Small parameters side by side in one vector, so that they cost no more than one large one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from thalweg.optim.rule import State

SMALL = 32_768
"""Elements up to which a parameter joins a bundle: above, a call costs less than a copy."""


class Bundle:
    """Several parameters of one member as one row, (1, P).

    The slots live here, and the parameters' own become views of them. Parameters and gradients
    belong to the module, and are copied at every step.

    Args:
        params: The parameters, of one type and on one device.
        slots: Their slots; tensors among them are replaced by views.

    Attributes:
        theta: The parameters, (1, P).
        g: Their gradients, (1, P).
        state: Their slots, (1, P) each.
    """

    def __init__(self, params: Sequence[Tensor], slots: Sequence[dict[str, Any]]) -> None:
        shapes, sizes = [p.shape for p in params], [p.numel() for p in params]
        self.params = list(params)
        self.theta = params[0].new_empty(1, sum(sizes))
        self.g = torch.empty_like(self.theta)
        self.state: State = {}
        self.views: list[State] = [{} for _ in params]
        names = [name for name, slot in slots[0].items() if isinstance(slot, Tensor)]
        for name in names:
            if slots[0][name].numel() != sizes[0] or slots[0][name].shape != shapes[0]:
                self.state[name] = slots[0][name]  # the network's, not the parameter's
                for view in self.views:
                    view[name] = slots[0][name]
                continue
            flat = torch.cat([each[name].reshape(-1) for each in slots])
            self.state[name] = flat[None]
            for view, piece, shape in zip(self.views, flat.split(sizes), shapes, strict=True):
                view[name] = piece.view(shape)
        for each, view in zip(slots, self.views, strict=True):
            each.update(view)
        self.pieces = [
            piece.view(shape)
            for piece, shape in zip(self.theta[0].split(sizes), shapes, strict=True)
        ]

    def holds(self, slots: Sequence[dict[str, Any]]) -> bool:
        """Tell whether these slots are still the bundle's own."""
        return all(
            each[name] is mine
            for each, view in zip(slots, self.views, strict=True)
            for name, mine in view.items()
        )

    def gather(self, params: Sequence[Tensor], gs: Sequence[Tensor]) -> None:
        """Copy parameters and gradients in."""
        self.params = list(params)
        torch.cat([p.reshape(-1) for p in params], out=self.theta[0])
        torch.cat([g.reshape(-1) for g in gs], out=self.g[0])

    def scatter(self) -> None:
        """Copy the parameters back."""
        torch._foreach_copy_(self.params, self.pieces)
