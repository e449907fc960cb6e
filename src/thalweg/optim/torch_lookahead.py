"""Lookahead around any torch optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.errors import SpecError
from thalweg.optim.options import COUNT, UNIT
from thalweg.optim.torch_face import Closure


class Lookahead(Optimizer):
    """Lookahead (Zhang et al. 2019, arXiv:1907.08610) around any ``torch.optim.Optimizer``.

    The slow weights start as the parameters are when Lookahead is given them: load a model's
    weights before. They and the number of steps done are in the ``state_dict``. The parameter
    groups are those of the inner optimizer, so that torch's schedulers work on Lookahead.

    Args:
        optimizer: The inner optimizer, which moves the fast weights.
        k: Inner steps for one of the slow weights.
        alpha: Share of the way to the fast weights that the slow ones go.

    Raises:
        SpecError: k or alpha is not allowed.

    Example:
        >>> net = torch.nn.Linear(2, 1)
        >>> opt = Lookahead(torch.optim.SGD(net.parameters(), lr=0.1), k=4, alpha=0.8)
        >>> net(torch.ones(1, 2)).sum().backward()
        >>> opt.step()
        >>> with opt.slow_weights():
        ...     loss = net(torch.ones(1, 2)).sum()
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if not isinstance(k, int) or k not in COUNT:
            raise SpecError(f"k={k!r} for Lookahead", f"an integer in {COUNT}")
        if alpha not in UNIT:
            raise SpecError(f"alpha={alpha!r} for Lookahead", f"a number in {UNIT}")
        self.inner, self.k, self.alpha = optimizer, k, alpha
        self.steps = 0
        super().__init__(optimizer.param_groups, optimizer.defaults)

    @torch.no_grad()
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to the inner optimizer; their slow weights start as they are now."""
        if not any(group is param_group for group in self.inner.param_groups):
            self.inner.add_param_group(param_group)
        super().add_param_group(param_group)
        for p in param_group["params"]:
            self.state[p] = {"slow": p.clone()}

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Do a step of the inner optimizer, and at every k-th the slow weights follow.

        Args:
            closure: Computes the loss again, with gradients, and returns it.

        Returns:
            What the inner optimizer returns: the loss, if there is a closure.
        """
        loss = self.inner.step(closure)
        self.steps += 1
        if self.steps % self.k == 0:
            fast, slow = map(list, zip(*self._pairs(), strict=True))
            torch._foreach_lerp_(slow, fast, self.alpha)  # as `synchronise` does, for all at once
            torch._foreach_copy_(fast, slow)
        return loss

    @contextmanager
    def slow_weights(self) -> Iterator[None]:
        """Let the parameters be the slow weights for a while, to evaluate with them."""
        fast = [(p, p.detach().clone()) for p, _ in self._pairs()]
        _set(self._pairs())
        try:
            yield
        finally:
            _set(fast)

    def state_dict(self) -> dict[str, Any]:
        """Return the slow weights, the number of steps, and the state of the inner optimizer."""
        return {**super().state_dict(), "steps": self.steps, "inner": self.inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            SpecError: It is not the state of a Lookahead.
        """
        if not {"steps", "inner"} <= state_dict.keys():
            raise SpecError(
                f"a state with {sorted(state_dict)}",
                "the state of a Lookahead, with steps and inner",
                "load the state of an inner optimizer with .inner.load_state_dict",
            )
        self.inner.load_state_dict(state_dict["inner"])
        super().load_state_dict(state_dict)
        self.steps = state_dict["steps"]
        self.param_groups = self.inner.param_groups
        for p, slow in self._pairs():
            # torch hands over the tensors of state_dict itself, which may still be in use.
            self.state[p] = {"slow": slow.clone()}

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle with the inner optimizer."""
        own = {name: getattr(self, name) for name in ("inner", "k", "alpha", "steps")}
        return {**super().__getstate__(), **own}

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return each parameter with its slow weights."""
        return [(p, self.state[p]["slow"]) for group in self.param_groups for p in group["params"]]


@torch.no_grad()
def _set(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for p, value in pairs:
        p.copy_(value)
