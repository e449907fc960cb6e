"""Optimizers of other packages, by their dotted names."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import prod
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients, each_member
from thalweg.optim.rule import Hyper, Hyperparameter, Layout, Rule, State

OBJECTS = "objects"
"""Where the state holds the optimizers; all that they know is theirs."""


@dataclass(frozen=True)
class ForeignRule(Rule):
    """Any ``torch.optim.Optimizer`` class as a rule, one instance a member.

    It is as fast as it is, and gives the bits that it gives: each member is moved by itself. Its
    ``lr`` may follow a schedule. Classes whose ``step`` needs a closure are refused, since the
    engine evaluates the gradient. Those that evaluate at other weights than they train with, and
    have the methods ``train`` and ``eval`` for it, are asked for these.

    Args:
        factory: The class.
        options: Its options but for lr.
        lr: Learning rate; the class's own default if None.
    """

    name: ClassVar[str] = "foreign"
    paper: ClassVar[str] = "as its package says"

    factory: type[Optimizer] = field()
    options: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 1e-3

    @property
    def elementwise(self) -> bool:
        """No."""
        return False

    def hyper(self) -> dict[str, Hyperparameter]:
        """Return the learning rate."""
        return {"lr": self.lr}

    def init(self, theta: Tensor) -> State:
        """Return nothing: an optimizer begins with its first update."""
        return {}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the hyperparameters."""
        return dict(h)

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Do nothing: see :meth:`move`."""
        raise NotImplementedError

    def move(
        self, theta: Tensor, g: Tensor, state: State, t: int, h: Hyper, layout: Layout
    ) -> None:
        """Let each member's optimizer do its step.

        Raises:
            SpecError: The optimizer fails, or needs a closure.
        """
        owned = self._optimizers(theta, state, layout)
        for optimizer, row, own in zip(owned, g, each_member(h, theta), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = own["lr"]
                for p, (start, shape) in zip(group["params"], layout, strict=True):
                    p.grad = row[start : start + prod(shape)].view(*shape)
            try:
                with torch.enable_grad(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what other packages warn of is theirs
                    optimizer.step()
            except (TypeError, RuntimeError, ValueError) as error:
                raise SpecError(
                    f"{self.factory.__name__}, whose step failed ({error})",
                    "an optimizer that steps without a closure",
                ) from error

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor | None:
        """Return the weights of its evaluation mode, if it has one."""
        optimizers: Any = state.get(OBJECTS, [])
        if not optimizers or not hasattr(optimizers[0], "eval"):
            return None
        for optimizer in optimizers:
            optimizer.eval()
        weights = theta.clone()
        for optimizer in optimizers:
            optimizer.train()
        return weights

    def pack(self, state: State) -> State:
        """Return the optimizers' state_dicts as bytes."""
        optimizers: Any = state.get(OBJECTS, [])
        return {f"foreign/{k}": _to_bytes(each) for k, each in enumerate(optimizers)}

    def unpack(self, theta: Tensor, state: State, packed: State, layout: Layout) -> None:
        """Put the optimizers back to what was packed."""
        state.clear()
        for k, optimizer in enumerate(self._optimizers(theta, state, layout) if packed else []):
            file = io.BytesIO(packed[f"foreign/{k}"].cpu().numpy().tobytes())
            optimizer.load_state_dict(torch.load(file, weights_only=True))

    def _optimizers(self, theta: Tensor, state: State, layout: Layout) -> Any:
        if OBJECTS not in state:
            made: Any = [self._make(row, layout) for row in theta]
            state[OBJECTS] = made
        return state[OBJECTS]

    def _make(self, row: Tensor, layout: Layout) -> Optimizer:
        params = [
            nn.Parameter(row[start : start + prod(shape)].view(*shape)) for start, shape in layout
        ]
        optimizer = self.factory(params, lr=self.lr, **self.options)  # type: ignore[call-arg]
        if hasattr(optimizer, "train"):
            optimizer.train()
        return optimizer


def build_foreign(name: str, options: Mapping[str, Any]) -> ForeignRule:
    """Return the rule for a class by its dotted name, such as ``torch.optim.RMSprop``.

    Raises:
        SpecError: There is no such class, or it does not take the options.

    Example:
        >>> build_foreign("torch.optim.Rprop", {"lr": 0.01}).factory.__name__
        'Rprop'
    """
    module, _, last = name.rpartition(".")
    try:
        found = getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError):
        raise SpecError(
            f"optimizer {name!r}", "a class that can be imported", "as in torch.optim.RMSprop"
        ) from None
    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise SpecError(f"optimizer {name!r}", "a subclass of torch.optim.Optimizer")
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    default = inspect.signature(found).parameters.get("lr")
    lr = given.pop("lr", None)
    if lr is None:
        known = default is not None and default.default is not default.empty
        lr = cast(Any, default).default if known else 1e-3
    rule = ForeignRule(found, given, float(cast(Any, lr)))
    try:  # what it does not take is known before the first step
        rule._make(torch.zeros(4), [(0, (2, 2))])
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"{name} with {dict(options)}", "options that it takes", str(error)
        ) from None
    return rule


def _to_bytes(optimizer: Optimizer) -> Tensor:
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
