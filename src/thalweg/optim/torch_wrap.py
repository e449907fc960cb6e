"""What goes around a torch optimizer of thalweg's, made from what goes around its rule."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, Protocol

from torch.optim import Optimizer

from thalweg.errors import SpecError
from thalweg.optim.registry import build, make
from thalweg.optim.torch_face import RuleOptimizer, torch_optimizer
from thalweg.optim.wrapper import Wrapper

USAGE = """
Args:
    optimizer: The optimizer inside, which has made no step yet. What is returned takes its groups
        of parameters over, with what goes around as further settings, and is to be used instead.
    skip_nonfinite: Leave a step out if any gradient has a NaN or an infinity.
    hyperparameters: Those of what goes around.

Returns:
    A ``torch.optim.Optimizer``; ``evaluation_weights()`` puts the weights to evaluate with in
    place for a while, where these are others.

Raises:
    SpecError: A hyperparameter is not allowed, or this cannot go around that.
"""


class TorchWrapper(Protocol):
    """Puts something around an optimizer."""

    def __call__(
        self, optimizer: Optimizer, *, skip_nonfinite: bool = False, **hyperparameters: Any
    ) -> RuleOptimizer:
        """Return the optimizer with something around it."""


@cache
def torch_wrapper(around: type[Wrapper]) -> TorchWrapper:
    """Make the function that puts a wrapper around a torch optimizer of thalweg's.

    Example:
        >>> import torch
        >>> from thalweg import optim
        >>> net = torch.nn.Linear(2, 1)
        >>> opt = torch_wrapper(optim.EMARule)(optim.Adam(net.parameters()), ema_decay=0.9)
        >>> net(torch.ones(1, 2)).sum().backward()
        >>> opt.step()
        >>> with opt.evaluation_weights():
        ...     loss = net(torch.ones(1, 2)).sum()
    """

    def wrap(
        optimizer: Optimizer, *, skip_nonfinite: bool = False, **hyperparameters: Any
    ) -> RuleOptimizer:
        if not isinstance(optimizer, RuleOptimizer):
            raise SpecError(
                f"{around.name} around {type(optimizer).__name__}",
                "an optimizer of thalweg's, such as optim.Adam",
                "optim.Lookahead goes around all others, and outmost",
            )
        if any(optimizer.state.values()):
            raise SpecError(
                f"{around.name} around an optimizer that has made steps", "one that has made none"
            )
        make(around, {"inner": build("sgd"), **hyperparameters})
        kind = torch_optimizer(optimizer.rule, *optimizer.around, around)
        skips = skip_nonfinite or optimizer.skip_nonfinite
        settings = {name: optimizer.defaults[name] for name in optimizer.known()}
        return kind(optimizer.param_groups, skip_nonfinite=skips, **{**settings, **hyperparameters})

    wrap.__name__ = wrap.__qualname__ = around.__name__.removesuffix("Rule")
    wrap.__doc__ = f"{inspect.cleandoc(around.__doc__ or '')}\n{USAGE}"
    return wrap
