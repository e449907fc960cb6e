"""Schedules: how a hyperparameter changes in the course of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from math import cos, pi
from typing import Any, ClassVar, TypeVar

from thalweg.errors import SpecError, nearest
from thalweg.optim.options import (
    COUNT,
    POSITIVE,
    UNIT,
    Option,
    check,
    option,
    options_of,
)
from thalweg.optim.registry import claim
from thalweg.optim.rule import Hyperparameter, Rule

PERIODS = ("epoch", "step")


class Shape(ABC):
    """The course of a schedule; its fields are its options."""

    name: ClassVar[str]

    @abstractmethod
    def factor(self, n: int, total: int) -> float:
        """Return what the base value is multiplied by.

        Args:
            n: Epochs or steps done since the schedule began, from 0 to ``total`` - 1.
            total: Epochs or steps that the schedule runs for.
        """


S = TypeVar("S", bound=type[Shape])

_SHAPES: dict[str, type[Shape]] = {}


def register_schedule(shape: S) -> S:
    """Make a shape known by its name; a class decorator.

    Raises:
        SpecError: Another shape has the name.
    """
    claim(_SHAPES, shape, "schedule")
    return shape


@register_schedule
@dataclass(frozen=True)
class Constant(Shape):
    """Always 1."""

    name: ClassVar[str] = "constant"

    def factor(self, n: int, total: int) -> float:
        """Return 1."""
        return 1.0


@register_schedule
@dataclass(frozen=True)
class Step(Shape):
    """γ once more after every ``step_size``; torch's StepLR."""

    name: ClassVar[str] = "step"

    step_size: int = option(int, MISSING, "epochs or steps from one change to the next", COUNT)
    gamma: float = option(float, 0.1, "factor of each change", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return γ^⌊n/step_size⌋."""
        return float(self.gamma ** (n // self.step_size))


@register_schedule
@dataclass(frozen=True)
class MultiStep(Shape):
    """γ once more from each milestone on; torch's MultiStepLR."""

    name: ClassVar[str] = "multistep"

    milestones: tuple[int, ...] = option(
        tuple, MISSING, "epochs or steps after which the value changes", COUNT
    )
    gamma: float = option(float, 0.1, "factor of each change", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return γ to the number of milestones reached."""
        return float(self.gamma ** bisect_right(sorted(self.milestones), n))


@register_schedule
@dataclass(frozen=True)
class Cosine(Shape):
    """Half a cosine from 1 down (Loshchilov & Hutter 2017); torch's CosineAnnealingLR."""

    name: ClassVar[str] = "cosine"

    minimum: float = option(float, 0.0, "factor at the end", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return the minimum + (1 - minimum)(1 + cos(πn/total))/2."""
        return _anneal(1.0, self.minimum, n / total)


@register_schedule
@dataclass(frozen=True)
class OneCycle(Shape):
    """Up to the base value, then far down (Smith & Topin 2019); torch's OneCycleLR, two phases.

    The base value is the highest one. Momentum is not cycled.
    """

    name: ClassVar[str] = "one-cycle"

    pct_start: float = option(float, 0.3, "share of the run that goes up", UNIT)
    div_factor: float = option(float, 25.0, "base value / first value", POSITIVE)
    final_div_factor: float = option(float, 1e4, "first value / last value", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return the cosine from the first value up to 1, or from there down to the last."""
        first = 1.0 / self.div_factor
        peak, end = self.pct_start * total - 1.0, total - 1.0
        if n <= peak:
            return _anneal(first, 1.0, n / peak if peak else 1.0)
        return _anneal(1.0, first / self.final_div_factor, (n - peak) / (end - peak))


@register_schedule
@dataclass(frozen=True)
class WarmUp(Shape):
    """A straight line up to 1, then 1 (Goyal et al. 2017); torch's LinearLR."""

    name: ClassVar[str] = "warm-up"

    length: int = option(int, MISSING, "epochs or steps until the base value", COUNT)
    first: float = option(float, 0.1, "factor at the beginning", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return first + (1 - first)·n/length, at most 1."""
        return self.first + (1.0 - self.first) * min(n, self.length) / self.length


def _anneal(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine."""
    return end + (start - end) * (1.0 + cos(pi * share)) / 2.0


@dataclass(frozen=True)
class Schedule:
    """A shape put in its place in a run; made by :func:`build_schedule`.

    Attributes:
        shape: Its course.
        total: Epochs or steps of the run.
        per: ``"epoch"`` or ``"step"``: what is counted.
        start: Epoch or step, from 0, until which the value stays as the shape begins.
        target: The hyperparameter that changes.
    """

    shape: Shape
    total: int
    per: str = "epoch"
    start: int = 0
    target: str = "lr"

    def factor(self, n: int) -> float:
        """Return what the base value is multiplied by in epoch or step n, from 0.

        After the end of the run the last value stays.

        Example:
            >>> halves = build_schedule("step", total=8, start=1, step_size=2, gamma=0.5)
            >>> [halves.factor(n) for n in range(8)]
            [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
        """
        length = max(self.total - self.start, 1)
        return self.shape.factor(min(max(n - self.start, 0), length - 1), length)


def build_schedule(
    name: str,
    *,
    total: int,
    per: str = "epoch",
    start: int = 0,
    target: str = "lr",
    **options: Any,
) -> Schedule:
    """Make a schedule; this is where its options are validated.

    Args:
        name: Which shape: see :func:`schedules`.
        total: Epochs or steps of the run, by ``per``.
        per: ``"epoch"`` or ``"step"``: what is counted.
        start: Epoch or step, counted from 0, at which the shape begins; the value stays at its
            first factor before. ``start=1, per="epoch"`` is a loop that calls a torch scheduler's
            ``step()`` at the end of every epoch but the first.
        target: The hyperparameter that changes.
        options: Options of the shape: see :func:`schedule_options`.

    Raises:
        SpecError: The shape or an option is unknown, or a value is not allowed.

    Example:
        >>> warm = build_schedule("warm-up", total=100, per="step", length=10, first=0.0)
        >>> warm.factor(5), warm.factor(50)
        (0.5, 1.0)
    """
    shape = _find(name)
    if per not in PERIODS:
        raise SpecError(f"per={per!r} for schedule {name}", " or ".join(PERIODS))
    for what, value, least in (("total", total, 1), ("start", start, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SpecError(
                f"{what}={value!r} for schedule {name}", f"an integer of at least {least}"
            )
    return Schedule(shape(**check(shape, f"schedule {name}", options)), total, per, start, target)


def schedules() -> dict[str, type[Shape]]:
    """Return all known shapes by name.

    Example:
        >>> list(schedules())
        ['constant', 'cosine', 'multistep', 'one-cycle', 'step', 'warm-up']
    """
    return dict(sorted(_SHAPES.items()))


def schedule_options(name: str) -> list[Option]:
    """List what can be set on a shape: name, type, default, help and range.

    Raises:
        SpecError: There is no such schedule.
    """
    return list(options_of(_find(name)))


def in_force(
    rule: Rule, schedules: Iterable[Schedule], *, epoch: int, step: int
) -> dict[str, Hyperparameter]:
    """Return the hyperparameters of a rule as they are at one step of a run.

    Args:
        rule: The rule, with its base values.
        schedules: Schedules; two on one target multiply.
        epoch: Epochs done before this step.
        step: Steps done before this one, in the whole run.

    Raises:
        SpecError: A schedule's target is not a hyperparameter of the rule.

    Example:
        >>> from thalweg.optim.registry import build
        >>> drop = build_schedule("multistep", total=12, milestones=[10, 11], gamma=0.5)
        >>> in_force(build("adam", lr=0.5), [drop], epoch=11, step=1298)["lr"]
        0.125
    """
    h = rule.hyper()
    for each in schedules:
        if each.target not in h:
            raise SpecError(
                f"a schedule for {each.target!r} of optimizer {rule.name}",
                "one of its hyperparameters",
                nearest(each.target, h),
            )
        h[each.target] = h[each.target] * each.factor(epoch if each.per == "epoch" else step)
    return h


def _find(name: str) -> type[Shape]:
    if name not in _SHAPES:
        raise SpecError(f"schedule {name!r}", "a schedule by name", nearest(name, _SHAPES))
    return _SHAPES[name]
