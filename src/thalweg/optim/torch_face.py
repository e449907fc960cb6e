"""The torch.optim.Optimizer made from a rule: made once, for all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING
from functools import cache, partial
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.apply import FUSED_TYPES, walk
from thalweg.optim.bundle import SMALL, Bundle
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import options_of
from thalweg.optim.registry import make
from thalweg.optim.rule import Rule
from thalweg.optim.torch_skip import SkippingOptimizer

Closure: TypeAlias = Callable[[], Any]


class RuleOptimizer(SkippingOptimizer):
    """A rule that moves the parameters of any module in anybody's own loop.

    Made by :func:`torch_optimizer`. Hyperparameters are floats here, in the constructor as in each
    parameter group, and torch's schedulers may change them. Each parameter counts its own updates,
    so that one that is frozen for a while goes on where it was.

    Args:
        params: Parameters, named parameters, or groups of them with settings of their own.
        lr: Learning rate; the rule's own default if not given.
        maximize: Ascend instead of descend.
        skip_nonfinite: Leave a step out if any gradient, of whatever group, has a NaN or infinity;
            ``skipped_steps`` counts these.
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
        skip_nonfinite: bool = False,
        **hyperparameters: Any,
    ) -> None:
        if lr is not None:
            hyperparameters["lr"] = lr
        make(self.rule, _numbers(hyperparameters))
        self.skip_nonfinite = skip_nonfinite
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
            SpecError: A gradient is sparse; nothing was moved.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = [(group, self._with_gradients(group)) for group in self.param_groups]
        if not self._skips(p.grad for _, params in moving for p in params if p.grad is not None):
            for group, params in moving:
                self._step_group(group, params)
        return loss

    @contextmanager
    @torch.no_grad()
    def evaluation_weights(self) -> Iterator[None]:
        """Let the parameters be those to evaluate with for a while, where the rule keeps such."""
        kept: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            rule, _ = self._rule(group)
            for p in group["params"]:
                slots = {n: s for n, s in self.state[p].items() if n != "step"}
                weights = rule.evaluation_weights(_real(p), slots) if slots else None
                if weights is not None:
                    kept.append((p, p.clone()))
                    _real(p).copy_(weights)
        try:
            yield
        finally:
            for p, value in kept:
                p.copy_(value)

    def _with_gradients(self, group: dict[str, Any]) -> list[Tensor]:
        """Return the parameters of a group that have a gradient."""
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if p.grad.layout is not torch.strided:
                raise SpecError(
                    f"a gradient of layout {p.grad.layout}",
                    "a dense gradient",
                    "make the embedding with sparse=False",
                )
        return params

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Update parameters of one group: those of one age, type and device together."""
        rule, h = self._rule(group)
        alike: dict[tuple[int, torch.dtype, torch.device], list[Tensor]] = {}
        for p in params:
            slots = self.state[p]
            if not slots:
                slots.update(step=0, **_begin(rule, _real(p).contiguous()))
            alike.setdefault((slots["step"], p.dtype, p.device), []).append(p)
        for (t, _, _), those in alike.items():
            slots = [self.state[p] for p in those]
            theta = [_real(p) for p in those]
            gs = [_real(p.grad) for p in those if p.grad is not None]
            if group["maximize"]:
                gs = [-g for g in gs]
            self._move(rule, theta, gs, slots, t, h)
            for each in slots:
                each["step"] = t + 1

    def _move(
        self,
        rule: Rule,
        theta: list[Tensor],
        gs: list[Tensor],
        slots: list[dict[str, Any]],
        t: int,
        h: Mapping[str, Any],
    ) -> None:
        """Update parameters that have made t updates, in as few calls as there can be."""
        if rule.fuses and theta[0].dtype in FUSED_TYPES:
            dense = [p.contiguous() for p in theta]
            if rule.fused(dense, [g.contiguous() for g in gs], slots, t, h):
                for p, moved in zip(theta, dense, strict=True):
                    if p is not moved:
                        p.copy_(moved)
                return
        c = Coefficients(partial(rule.coefficients, t), h, theta[0])
        alone = list(zip(theta, gs, slots, strict=True))
        if not rule.elementwise and not rule.layerwise:
            bundle = self._bundle(theta, gs, slots)
            row = {name: slot[0] for name, slot in bundle.state.items()}
            rule.update(bundle.theta[0], bundle.g[0], row, t, c)
            bundle.scatter()
            return
        if rule.elementwise:
            small = [each for each in alone if each[0].numel() <= SMALL]
            if len(small) > 1:
                bundle = self._bundle(*map(list, zip(*small, strict=True)))
                walk(rule, bundle.theta, bundle.g, bundle.state, t, c)
                bundle.scatter()
                alone = [each for each in alone if each[0].numel() > SMALL]
        for p, g, own in alone:
            state = {name: slot for name, slot in own.items() if name != "step"}
            if rule.elementwise:
                walk(rule, *_flat(p, g, state), t, c)
            else:
                rule.update(p, g, state, t, c)

    def _bundle(
        self, params: list[Tensor], gs: list[Tensor], slots: list[dict[str, Any]]
    ) -> Bundle:
        """Return the bundle of these parameters, with their present values and gradients.

        It is made anew if a parameter's slots are no longer its own, as after load_state_dict.
        """
        bundles = self.__dict__.setdefault("_bundles", {})
        key = tuple(map(id, slots))
        if key not in bundles or not bundles[key].holds(slots):
            bundles[key] = Bundle(params, slots)
        found: Bundle = bundles[key]
        found.gather(params, gs)
        return found

    def _rule(self, group: dict[str, Any]) -> tuple[Rule, dict[str, Any]]:
        """Return the rule with a group's settings, and its hyperparameters; made once for each."""
        key = tuple(map(group.__getitem__, _names(self.rule)))
        made: dict[Any, tuple[Rule, dict[str, Any]]] = self.__dict__.setdefault("_made", {})
        if key not in made or any(isinstance(value, Tensor) for value in key):
            made.clear()  # a schedule sets new ones at every step
            rule = self.rule(**self._settings(group))
            made[key] = rule, rule.hyper()
        return made[key]

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return what the rule has to know of a group; schedulers keep more there."""
        return _numbers({name: group[name] for name in _names(self.rule)})

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


@cache
def _names(rule: type[Rule]) -> tuple[str, ...]:
    return tuple(each.name for each in options_of(rule))


def _begin(rule: Rule, theta: Tensor) -> dict[str, Tensor]:
    """Return the slots of one parameter; what belongs to the network is the same for all."""
    if rule.elementwise or rule.layerwise:
        extra = {
            name: theta.new_zeros(size) for name, size in rule.layer_slots(theta.shape).items()
        }
        return {**rule.init(theta), **extra}
    slots = rule.init(theta.view(1, -1))
    return {
        n: s.view(theta.shape) if s.numel() == theta.numel() > 1 else s for n, s in slots.items()
    }


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
    if not theta.is_contiguous() or not all(slot.is_contiguous() for slot in state.values()):
        return theta, g, state
    rows = {n: x.view(1, -1) if x.shape == theta.shape else x for n, x in state.items()}
    return theta.view(1, -1), g.reshape(1, -1), rows
