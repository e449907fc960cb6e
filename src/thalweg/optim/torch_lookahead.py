"""Lookahead around any torch optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.errors import SpecError
from thalweg.optim.apply import BLOCK
from thalweg.optim.lookahead import PULLBACK, no_momentum, set_back, slow_name, synchronise
from thalweg.optim.options import COUNT, UNIT
from thalweg.optim.torch_face import RuleOptimizer
from thalweg.optim.torch_revise import Closure, evaluated
from thalweg.optim.torch_skip import SkippingOptimizer

OWN = ("inner", "k", "alpha", "pullback_momentum", "steps")
"""What Lookahead knows beside its slots."""

FOREIGN = ("momentum_buffer", "exp_avg")
"""What momentum is called in the state of torch's own optimizers, and of most others."""


class Lookahead(SkippingOptimizer):
    """Lookahead (Zhang et al. 2019, arXiv:1907.08610) around any ``torch.optim.Optimizer``.

    The slow weights start as the parameters are when Lookahead is given them: load a model's
    weights before. They and the number of steps done are in the ``state_dict``. The parameter
    groups are those of the inner optimizer, so that torch's schedulers work on Lookahead.

    Args:
        optimizer: The inner optimizer, which moves the fast weights.
        k: Inner steps for one of the slow weights.
        alpha: Share of the way to the fast weights that the slow ones go.
        pullback_momentum: What becomes of the inner optimizer's momentum when the weights are set
            back: ``"keep"``; ``"reset"`` to 0; or ``"pull-back"`` to a slow copy, which starts at
            0 and follows as the slow weights do. Momentum is what a rule of thalweg says it is,
            and in other optimizers the state's ``momentum_buffer`` and ``exp_avg``.
        skip_nonfinite: Leave a step out if any gradient has a NaN or infinity; ``skipped_steps``
            counts these. Those that the inner optimizer leaves out are never counted as steps. An
            inner optimizer of another package is then stepped without the closure, after it.

    Raises:
        SpecError: A setting is not allowed.

    Example:
        >>> net = torch.nn.Linear(2, 1)
        >>> opt = Lookahead(torch.optim.SGD(net.parameters(), lr=0.1), k=4, alpha=0.8)
        >>> net(torch.ones(1, 2)).sum().backward()
        >>> opt.step()
        >>> with opt.slow_weights():
        ...     loss = net(torch.ones(1, 2)).sum()
    """

    def __init__(
        self,
        optimizer: Optimizer,
        k: int = 5,
        alpha: float = 0.5,
        pullback_momentum: str = "keep",
        *,
        skip_nonfinite: bool = False,
    ) -> None:
        if not isinstance(k, int) or k not in COUNT:
            raise SpecError(f"k={k!r} for Lookahead", f"an integer in {COUNT}")
        if alpha not in UNIT:
            raise SpecError(f"alpha={alpha!r} for Lookahead", f"a number in {UNIT}")
        if pullback_momentum not in PULLBACK:
            raise SpecError(
                f"pullback_momentum={pullback_momentum!r} for Lookahead", f"a word in {PULLBACK}"
            )
        self.inner, self.k, self.alpha = optimizer, k, alpha
        self.pullback_momentum, self.steps = pullback_momentum, 0
        self.skip_nonfinite = skip_nonfinite
        if isinstance(optimizer, SkippingOptimizer):
            optimizer.skip_nonfinite |= skip_nonfinite
        if pullback_momentum != "keep" and not self._momenta():
            raise no_momentum(pullback_momentum, type(optimizer).__name__)
        super().__init__(optimizer.param_groups, optimizer.defaults)

    @torch.no_grad()
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to the inner optimizer; their slow weights start as they are now."""
        if not any(group is param_group for group in self.inner.param_groups):
            self.inner.add_param_group(param_group)
        super().add_param_group(param_group)
        for p in param_group["params"]:
            self.state[p] = {"slow": p.clone()}

    def step(self, closure: Closure | None = None, *more: Any) -> Any:
        """Do a step of the inner optimizer, and at every k-th the slow weights follow.

        Args:
            closure: Computes the loss again, with gradients, and returns it.
            more: What else the inner optimizer's ``step`` takes.

        Returns:
            What the inner optimizer returns: the loss, if there is a closure.
        """
        skipped = self.skipped_steps
        loss = self._step_inner(closure, *more)
        if self.skipped_steps > skipped:
            return loss
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                _synchronise(self._pairs(), self.alpha)
                if self.pullback_momentum != "keep":
                    self._set_momentum_back()
        return loss

    def _step_inner(self, closure: Closure | None, *more: Any) -> Any:
        """Do a step of the inner optimizer, or count it as left out; return the loss."""
        if isinstance(self.inner, SkippingOptimizer):
            before = self.inner.skipped_steps
            loss = self.inner.step(closure, *more)
            self.skipped_steps += self.inner.skipped_steps - before
            return loss
        if not self.skip_nonfinite:
            return self.inner.step(closure, *more)
        loss = evaluated(closure)
        if not self._skips(p.grad for p, _ in self._pairs() if p.grad is not None):
            self.inner.step()
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

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Do as :meth:`slow_weights`: they are those to evaluate with."""
        return self.slow_weights()

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

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle with the inner optimizer."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in OWN}}

    def _momenta(self) -> tuple[str, ...]:
        """Return the names of the inner optimizer's slots that may hold momentum."""
        if isinstance(self.inner, RuleOptimizer):
            return self.inner.rule.velocities
        return FOREIGN

    def _set_momentum_back(self) -> None:
        """Treat each parameter's momentum, where it has any yet."""
        names = self._momenta()
        for p, own in self.state.items():
            slots = self.inner.state.get(p, {})
            held = [name for name in names if isinstance(slots.get(name), Tensor)]
            for name in held:
                slow = None
                if self.pullback_momentum == "pull-back":
                    slow = own.setdefault(slow_name(name), torch.zeros_like(slots[name]))
                set_back(slots[name], slow, self.alpha)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return each parameter with its slow weights."""
        return [(p, self.state[p]["slow"]) for group in self.param_groups for p in group["params"]]


@torch.no_grad()
def _set(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for p, value in pairs:
        p.copy_(value)


def _synchronise(pairs: list[tuple[Tensor, Tensor]], alpha: float) -> None:
    """Do as :func:`synchronise` with all pairs of fast and slow weights: the small ones at once.

    Large ones go in blocks, which are still in the cache when they are copied.
    """
    small = [pair for pair in pairs if pair[0].numel() <= BLOCK]
    if small:
        fast, slow = map(list, zip(*small, strict=True))
        torch._foreach_lerp_(slow, fast, alpha)
        torch._foreach_copy_(fast, slow)
    for pair in pairs:
        if pair[0].numel() <= BLOCK:
            continue
        dense = all(map(Tensor.is_contiguous, pair))
        parts = [each.view(-1).split(BLOCK) if dense else [each] for each in pair]
        for one, other in zip(*parts, strict=True):
            synchronise(one, other, alpha)
