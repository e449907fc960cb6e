"""The torch.optim.Optimizer made from a rule, and from what goes around it."""

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
from thalweg.optim.options import Option, options_of
from thalweg.optim.registry import make
from thalweg.optim.rule import Parts, Rule
from thalweg.optim.torch_revise import Closure, ClosureGradients, Draws, evaluated, real
from thalweg.optim.torch_skip import SkippingOptimizer
from thalweg.optim.wrapper import Wrapper

DENSE = torch.strided

MADE = 32
"""Rules that an optimizer keeps: as many as groups with settings of their own, and some more."""

Maker: TypeAlias = Callable[[type[Rule], dict[str, Any]], Rule]


class RuleOptimizer(SkippingOptimizer):
    """A rule that moves the parameters of any module in anybody's own loop.

    Made by :func:`torch_optimizer`, or by a wrapper such as ``optim.EMA``. Hyperparameters are
    floats here, in the constructor as in each parameter group, and torch's schedulers may change
    them. Each parameter counts its own updates, so that one that is frozen for a while goes on
    where it was.

    Args:
        params: Parameters, named parameters, or groups of them with settings of their own.
        lr: Learning rate; the rule's own default if not given.
        maximize: Ascend instead of descend.
        skip_nonfinite: Leave a step out if any gradient, of whatever group, has a NaN or infinity;
            ``skipped_steps`` counts these.
        hyperparameters: Those of the rule, and of what goes around it.

    Attributes:
        rule: The rule.
        around: What goes around it, the inmost first.
        names: The names of the hyperparameters of both.

    Raises:
        SpecError: A hyperparameter is unknown, or its value is not allowed.
    """

    rule: ClassVar[type[Rule]]
    around: ClassVar[tuple[type[Wrapper], ...]] = ()
    names: ClassVar[tuple[str, ...]]

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
        self.compose(hyperparameters)
        self.skip_nonfinite = skip_nonfinite
        parts = (self.rule, *self.around)
        defaults = {each.name: each.default for part in parts for each in own_options(part)}
        super().__init__(params, {**defaults, **hyperparameters, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own if given.

        Raises:
            SpecError: A setting has a value that is not allowed.
        """
        self.compose(self._settings({**self.defaults, **param_group}))
        super().add_param_group(param_group)

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """Return the names of the settings of a group of parameters."""
        return (*cls.names, "maximize")

    @classmethod
    def compose(cls, settings: Mapping[str, Any], *, make: Maker = make) -> Rule:
        """Make the rule, inside what goes around it, with settings by name.

        Args:
            settings: The settings.
            make: Makes a rule of a class, with its own settings, after a check of them.

        Raises:
            SpecError: A setting is unknown, or its value is not allowed.
        """
        left = _numbers(settings)
        own = [{n: left.pop(n) for n in _names(each) if n in left} for each in cls.around]
        rule = make(cls.rule, left)
        for each, given in zip(cls.around, own, strict=True):
            rule = make(each, {"inner": rule, **given})
        return rule

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
        loss = evaluated(closure)
        moving = self._moving()
        if not self.skip_nonfinite or not self._skips(g for _, _, gs in moving for g in gs):
            for group, params, gs in moving:
                self._step_group(group, params, gs)
        return loss

    @contextmanager
    @torch.no_grad()
    def evaluation_weights(self) -> Iterator[None]:
        """Let the parameters be those to evaluate with for a while, where the rule keeps such."""
        kept: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            rule, _ = self._rule(group)
            for p in group["params"]:
                slots = {n: s for n, s in self.state.get(p, {}).items() if n != "step"}
                weights = rule.evaluation_weights(real(p), slots) if slots else None
                if weights is not None:
                    kept.append((p, p.clone()))
                    real(p).copy_(weights)
        try:
            yield
        finally:
            for p, value in kept:
                p.copy_(value)

    def _moving(self) -> list[tuple[dict[str, Any], list[Tensor], list[Tensor]]]:
        """Return each group, its parameters that have a gradient, and the ways up from these."""
        moving = []
        for group in self.param_groups:
            params = group["params"]
            gs = [g for p in params if (g := p.grad) is not None]
            if len(gs) < len(params):
                params = [p for p in params if p.grad is not None]
            for g in gs:
                if g.layout is not DENSE:
                    raise SpecError(
                        f"a gradient of layout {g.layout}",
                        "a dense gradient",
                        "make the embedding with sparse=False",
                    )
            moving.append((group, params, [-g for g in gs] if group["maximize"] else gs))
        return moving

    def _step_group(self, group: dict[str, Any], params: list[Tensor], gs: list[Tensor]) -> None:
        """Update parameters of one group: those of one age, type and device together."""
        rule, h = self._rule(group)
        if not params:
            return
        slots = list(map(self.state.__getitem__, params))
        if not all(slots):
            for p, own in zip(params, slots, strict=True):
                if not own:
                    own.update(begin(rule, p))
        keys = [(own["step"], p.dtype, p.device) for p, own in zip(params, slots, strict=True)]
        kinds = dict.fromkeys(keys)
        if len(kinds) == 1:
            self._step_alike(rule, h, params, gs, slots)
            return
        for kind in kinds:
            some = [n for n, key in enumerate(keys) if key == kind]
            owned = [slots[n] for n in some]
            self._step_alike(rule, h, [params[n] for n in some], [gs[n] for n in some], owned)

    def _step_alike(
        self,
        rule: Rule,
        h: dict[str, Any],
        params: list[Tensor],
        gs: list[Tensor],
        slots: list[dict[str, Any]],
    ) -> None:
        """Update parameters of one age, type and device."""
        t = slots[0]["step"]
        if params[0].is_complex():
            params, gs = list(map(real, params)), list(map(real, gs))
        self._move(rule, params, gs, slots, t, h)
        for own in slots:
            own["step"] = t + 1

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
            if all(map(Tensor.is_contiguous, theta)) and all(map(Tensor.is_contiguous, gs)):
                if rule.fused(Parts(theta, gs, slots, t, h)):
                    return
            else:
                dense = [p.contiguous() for p in theta]
                if rule.fused(Parts(dense, [g.contiguous() for g in gs], slots, t, h)):
                    torch._foreach_copy_(theta, dense)
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
        key = tuple(map(group.__getitem__, self.names))
        made: dict[Any, tuple[Rule, dict[str, Any]]] = self.__dict__.setdefault("_made", {})
        if (found := made.get(key)) is not None:
            return found
        rule = self.compose(self._settings(group), make=_construct)
        if not any(isinstance(value, Tensor) for value in key):  # these change in place
            if len(made) >= MADE:
                made.clear()  # a schedule sets new ones at every step
            made[key] = rule, rule.hyper()
        return rule, rule.hyper()

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return what the rule has to know of a group; schedulers keep more there."""
        return {name: group[name] for name in self.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state over; settings that an older one does not know have their defaults."""
        super().__setstate__(state)
        for group in self.param_groups:
            for name in self.known():
                group.setdefault(name, self.defaults[name])

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle through the rule: the class itself is made, not written in a module."""
        return _blank, (self.rule, *self.around), self.__getstate__()


class RevisingOptimizer(RuleOptimizer):
    """A rule whose every step takes several gradients, as SAM's and SVRG's do.

    ``step`` calls the closure that many times, always with the same random numbers, so that dropout
    has the same masks; the batch has to be the same too, and BatchNorm's running statistics count
    it as often as it is called. After the step, ``p.grad`` is what the last call has left there.
    Settings of what takes the gradients are the same in all groups.
    """

    @torch.no_grad()
    def step(self, closure: Closure | None = None, full: Closure | None = None) -> Any:
        """Do one update of every parameter that has a gradient.

        Args:
            closure: Computes the loss on the step's batch anew, with gradients, and returns it.
            full: The same over the whole training set, in as many passes as it likes. It is called
                only in steps in which the rule wants it: SVRG's snapshots.

        Returns:
            The loss where the step began.

        Raises:
            SpecError: There is no closure, a gradient is sparse, or groups differ where they must
                not; nothing was moved.
        """
        if closure is None:
            raise SpecError(
                f"a step of {type(self).__name__} without a closure",
                "step(closure)",
                "the closure zeroes the gradients, computes the loss, calls backward, returns it",
            )
        draws = Draws()
        loss = evaluated(closure)
        moving = [each for each in self._moving() if each[1]]
        if moving and not self._skips(g for _, _, gs in moving for g in gs):
            self._step_revised(moving, closure, full, draws)
        return loss

    def _step_revised(
        self, moving: list[Any], closure: Closure, full: Closure | None, draws: Draws
    ) -> None:
        """Move by the gradient that the rule makes of several, unless it is to be left out."""
        params = [p for _, those, _ in moving for p in those]
        signs = [-1 if group["maximize"] else 1 for group, those, _ in moving for _ in those]
        rule, h = self._rule(self._alike([group for group, _, _ in moving]))
        slots = [self.state.get(p) or begin(rule, p) for p in params]
        t = min(each["step"] for each in slots)
        at = ClosureGradients(params, signs, closure, full, draws)
        rows = {
            name: at.row([each[name] for each in slots])
            for name in slots[0]
            if all(name in s and _shaped(s[name], p) for s, p in zip(slots, params, strict=True))
        }
        c = Coefficients(partial(rule.coefficients, t), h, at.theta)
        with at.restored():
            revised = rule.revise(at.theta, at.gradient(), rows, t, c, at)
        if self._skips([revised]):
            return
        for name, row in rows.items():
            for each, piece in zip(slots, at.pieces(row), strict=True):
                each[name].copy_(piece)
        for p, each in zip(params, slots, strict=True):
            self.state[p] = each
        left = iter(at.pieces(revised))
        for group, those, _ in moving:
            self._step_group(group, those, [next(left).to(real(p).dtype) for p in those])

    def _alike(self, groups: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the first group, after a check that all settings that count are the same in all.

        Raises:
            SpecError: One is not.
        """
        revisers = [each for each in self.around if each.revise is not Wrapper.revise]
        for name in _names(*revisers):
            found = {float(group[name]) for group in groups}
            if len(found) > 1:
                raise SpecError(
                    f"{name} of {sorted(found)} in groups of parameters", "the same in all"
                )
        return groups[0]


@cache
def torch_optimizer(rule: type[Rule], *around: type[Wrapper]) -> type[RuleOptimizer]:
    """Make a ``torch.optim.Optimizer`` class from a rule.

    Args:
        rule: A rule with a default for each of its hyperparameters.
        around: What goes around it, the inmost first.

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
            "wrap the optimizer instead, as optim.Lookahead and optim.EMA do",
        )
    name, text = rule.__name__.removesuffix("Rule"), rule.__doc__
    for each in around:
        name, text = f"{each.__name__.removesuffix('Rule')}({name})", each.__doc__
    revises = any(each.revise is not Wrapper.revise for each in around)
    base = RevisingOptimizer if revises else RuleOptimizer
    own = {"rule": rule, "around": around, "names": _names(rule, *around), "__doc__": text}
    return type(name, (base,), own)


def begin(rule: Rule, p: Tensor) -> dict[str, Any]:
    """Return the slots of one parameter; what belongs to the network is the same for all."""
    theta = real(p).contiguous()
    if rule.elementwise or rule.layerwise:
        sizes = rule.layer_slots(theta.shape)
        extra = {name: theta.new_zeros(size) for name, size in sizes.items()}
        return {"step": 0, **rule.init(theta), **extra}
    slots = {
        n: s.view(theta.shape) if s.numel() == theta.numel() > 1 else s
        for n, s in rule.init(theta.view(1, -1)).items()
    }
    return {"step": 0, **slots}


def own_options(rule: type[Rule]) -> list[Option]:
    """Return the options of a rule but for the rule inside."""
    return [each for each in options_of(rule) if each.type is not Rule]


@cache
def _names(*rules: type[Rule]) -> tuple[str, ...]:
    return tuple(each.name for rule in rules for each in own_options(rule))


def _shaped(slot: Any, p: Tensor) -> bool:
    """Tell whether a slot has a number for each of the parameter's."""
    return isinstance(slot, Tensor) and slot.shape == real(p).shape


def _construct(rule: type[Rule], settings: dict[str, Any]) -> Rule:
    """Make a rule with settings that were checked before, or are the user's to answer for."""
    return rule(**settings)


def _blank(rule: type[Rule], *around: type[Wrapper]) -> RuleOptimizer:
    """Make an optimizer that is about to be given its state."""
    kind = torch_optimizer(rule, *around)
    return kind.__new__(kind)


def _numbers(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Replace tensors of one element, as torch allows for lr, by their numbers."""
    numbers = {}
    for name, value in settings.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise SpecError(f"{name} of shape {tuple(value.shape)}", "one number")
        numbers[name] = value.item() if isinstance(value, Tensor) else value
    return numbers


def _flat(
    theta: Tensor, g: Tensor, state: dict[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """View everything as one member's row, (1, P), where the layout in memory allows it."""
    if not theta.is_contiguous() or not all(slot.is_contiguous() for slot in state.values()):
        return theta, g, state
    rows = {n: x.view(1, -1) if x.shape == theta.shape else x for n, x in state.items()}
    return theta.view(1, -1), g.reshape(1, -1), rows
