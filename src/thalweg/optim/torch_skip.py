"""A step that is left out because a gradient is not finite: shared by all torch optimizers here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class SkippingOptimizer(Optimizer):
    """An optimizer that leaves a step out, if asked to, when some gradient has a NaN or infinity.

    Then nothing moves: neither parameters, in whatever group, nor state, nor the count of steps.

    Attributes:
        skip_nonfinite: Whether such steps are left out.
        skipped_steps: How many were; it is in the ``state_dict``.
    """

    skip_nonfinite: bool = False
    skipped_steps: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what torch returns, and the number of steps left out."""
        return {**super().state_dict(), "skipped_steps": self.skipped_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned, and leave that as it is."""
        super().load_state_dict(state_dict)
        copies: dict[int, Tensor] = {}  # what several parameters share, they go on sharing
        for slots in self.state.values():
            # torch hands over the tensors of state_dict itself, which may still be in use.
            for name, x in slots.items():
                if isinstance(x, Tensor):
                    slots[name] = copies.setdefault(id(x), x.clone())
        self.skipped_steps = state_dict.get("skipped_steps", 0)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle with the setting and the count."""
        own = {"skip_nonfinite": self.skip_nonfinite, "skipped_steps": self.skipped_steps}
        return {**super().__getstate__(), **own}

    def _skips(self, gs: Iterable[Tensor]) -> bool:
        """Say whether a step with these gradients is to be left out, and count it if so."""
        skips = self.skip_nonfinite and not all_finite(gs)
        self.skipped_steps += skips
        return skips


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether no tensor has a NaN or an infinity; they may be sparse, and on any device.

    Example:
        >>> all_finite([torch.ones(2), torch.tensor([1.0, float("nan")])])
        False
    """
    found: dict[torch.device, list[Tensor]] = {}
    for x in tensors:
        values = x.coalesce().values() if x.layout is torch.sparse_coo else x
        found.setdefault(x.device, []).append(values.isfinite().all())
    return all(bool(torch.stack(each).all()) for each in found.values())  # one wait a device
