"""The torch.optim.Optimizer made from a rule: made once, for all rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from functools import cache, partial
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.errors import SpecError
from thalweg.optim.apply import BLOCK, walk
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import options_of
from thalweg.optim.registry import make
from thalweg.optim.rule import Rule

Closure: TypeAlias = Callable[[], Any]


class RuleOptimizer(Optimizer):
    """A rule that moves the parameters of any module in anybody's own loop.

    Made by :func:`torch_optimizer`. Hyperparameters are floats here, in the constructor as in each
    parameter group, and torch's schedulers may change them. Each parameter counts its own updates,
    so that one that is frozen for a while goes on where it was.

    Args:
        params: Parameters, named parameters, or groups of them with settings of their own.
        lr: Learning rate; the rule's own default if not given.
        maximize: Ascend instead of descend.
        hyperparameters: Those of the rule.

    Raises:
        SpecError: A hyperparameter is unknown, or its value is not allowed.
    """

    rule: ClassVar[type[Rule]]

    def __init__(
        self,
        params: Any,
        lr: float | Tensor | None = None,
        *,
        maximize: bool = False,
        **hyperparameters: Any,
    ) -> None:
        if lr is not None:
            hyperparameters["lr"] = lr
        make(self.rule, _numbers(hyperparameters))
        defaults = {each.name: each.default for each in options_of(self.rule)}
        super().__init__(params, {**defaults, **hyperparameters, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own if given.

        Raises:
            SpecError: A setting has a value that is not allowed.
        """
        make(self.rule, self._settings({**self.defaults, **param_group}))
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Do one update of every parameter that has a gradient.

        Args:
            closure: Computes the loss again, with gradients, and returns it.

        Returns:
            The loss, if there is a closure.

        Raises:
            SpecError: A gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group."""
        rule = self.rule(**self._settings(group))
        h = rule.hyper()
        ready: dict[tuple[int, torch.dtype, torch.device], Coefficients] = {}
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.grad.layout != torch.strided:
                raise SpecError(
                    f"a gradient of layout {p.grad.layout}",
                    "a dense gradient",
                    "make the embedding with sparse=False",
                )
            slots = self.state[p]
            theta, g = _real(p), _real(p.grad)
            if not slots:
                slots.update(step=0, **rule.init(theta))
            t = slots["step"]
            key = (t, theta.dtype, theta.device)
            if key not in ready:
                ready[key] = Coefficients(partial(rule.coefficients, t), h, theta)
            state = {name: slot for name, slot in slots.items() if name != "step"}
            if group["maximize"]:
                g = -g
            if rule.elementwise and theta.numel() > BLOCK:
                theta, g, state = _flat(theta, g, state)
            walk(rule, theta, g, state, t, ready[key])
            slots["step"] = t + 1

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return what the rule has to know of a group; schedulers keep more there."""
        return _numbers({each.name: group[each.name] for each in options_of(self.rule)})

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle through the rule: the class itself is made, not written in a module."""
        return _blank, (self.rule,), self.__getstate__()


@cache
def torch_optimizer(rule: type[Rule]) -> type[RuleOptimizer]:
    """Make a ``torch.optim.Optimizer`` class from a rule.

    Args:
        rule: A rule with a default for each of its hyperparameters.

    Raises:
        SpecError: The rule is a wrapper around another one.

    Example:
        >>> from thalweg.optim.adam import AdamRule
        >>> net = torch.nn.Linear(2, 1)
        >>> torch_optimizer(AdamRule)(net.parameters(), lr=1e-3, eps=1e-7).defaults["eps"]
        1e-07
    """
    if any(each.default is MISSING for each in options_of(rule)):
        raise SpecError(
            f"{rule.name}, which wraps another rule",
            "a rule that stands alone",
            "wrap the optimizer instead, as optim.Lookahead does",
        )
    name = rule.__name__.removesuffix("Rule")
    return type(name, (RuleOptimizer,), {"rule": rule, "__doc__": rule.__doc__})


def _blank(rule: type[Rule]) -> RuleOptimizer:
    """Make an optimizer that is about to be given its state."""
    kind = torch_optimizer(rule)
    return kind.__new__(kind)


def _numbers(settings: dict[str, Any]) -> dict[str, Any]:
    """Replace tensors of one element, as torch allows for lr, by their numbers."""
    return {
        name: value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        for name, value in settings.items()
    }


def _real(x: Tensor) -> Tensor:
    """View complex numbers as pairs of real ones."""
    return torch.view_as_real(x) if x.is_complex() else x


def _flat(
    theta: Tensor, g: Tensor, state: dict[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """View everything as one member's row, (1, P), where the layout in memory allows it."""
    alike = [slot for slot in state.values() if slot.shape == theta.shape]
    if not all(x.is_contiguous() for x in (theta, *alike)):
        return theta, g, state
    rows = {n: x.view(1, -1) if x.shape == theta.shape else x for n, x in state.items()}
    return theta.view(1, -1), g.reshape(1, -1), rows
