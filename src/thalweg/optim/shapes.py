"""The courses that a schedule may take, as factors of the base value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

from thalweg.errors import SpecError
from thalweg.optim.options import COUNT, NON_NEGATIVE, POSITIVE, UNIT, option
from thalweg.optim.registry import claim

EXAMPLE = 60
"""The length of the run that a shape's example is made for."""


class Shape(ABC):
    """The course of a schedule; its fields are its options.

    Attributes:
        name: As in a spec.
        reacts: Whether it depends on what is measured, and not on the time alone.
        example: Values to draw it with over a run of 60, for the options that have no default.
    """

    name: ClassVar[str]
    reacts: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def factor(self, n: int, total: int) -> float:
        """Return what the base value is multiplied by.

        Args:
            n: Epochs or steps done since the schedule began, from 0 to ``total`` - 1.
            total: Epochs or steps that the schedule runs for.
        """

    @classmethod
    def suiting(cls, total: int) -> dict[str, Any]:
        """Return values, which suit a run of ``total``, for the options that have no default.

        They are the example's, whose times, the whole numbers, are stretched along with its run.
        """

        def stretched(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(stretched, value))
            return max(1, round(value * total / EXAMPLE)) if isinstance(value, int) else value

        return {name: stretched(value) for name, value in cls.example.items()}

    def check(self) -> None:  # noqa: B027 - most shapes have nothing to add
        """Raise SpecError if options that are right alone do not go together."""


S = TypeVar("S", bound=type[Shape])

SHAPES: dict[str, type[Shape]] = {}


def register_schedule(shape: S) -> S:
    """Make a shape known by its name; a class decorator.

    Raises:
        SpecError: Another shape has the name.
    """
    claim(SHAPES, shape, "schedule")
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
    example: ClassVar[Mapping[str, Any]] = {"step_size": 20}

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
    example: ClassVar[Mapping[str, Any]] = {"milestones": (30, 45)}

    milestones: tuple[int, ...] = option(
        tuple, MISSING, "epochs or steps after which the value changes", COUNT
    )
    gamma: float = option(float, 0.1, "factor of each change", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return γ to the number of milestones reached."""
        return float(self.gamma ** bisect_right(sorted(self.milestones), n))


@register_schedule
@dataclass(frozen=True)
class Exponential(Shape):
    """γ once more each time; torch's ExponentialLR."""

    name: ClassVar[str] = "exponential"
    example: ClassVar[Mapping[str, Any]] = {"gamma": 0.95}

    gamma: float = option(float, MISSING, "factor of each change", POSITIVE)

    @classmethod
    def suiting(cls, total: int) -> dict[str, Any]:
        """Return a γ with which it comes as far as the example's does."""
        return {"gamma": cls.example["gamma"] ** (EXAMPLE / total)}

    def factor(self, n: int, total: int) -> float:
        """Return γⁿ."""
        return float(self.gamma**n)


@register_schedule
@dataclass(frozen=True)
class InverseTime(Shape):
    """Inverse time decay, η = η₀/(1 + dt), with t counted from 0.

    On the learning rate of ``momentum``, per step, it is momentum with inverse time decay.
    """

    name: ClassVar[str] = "inverse-time"

    decay: float = option(float, 0.01, "d in 1/(1 + dt)", NON_NEGATIVE)

    def factor(self, n: int, total: int) -> float:
        """Return 1/(1 + dn)."""
        return 1.0 / (1.0 + self.decay * n)


@register_schedule
@dataclass(frozen=True)
class Polynomial(Shape):
    """A power of what is left of the run; torch's PolynomialLR."""

    name: ClassVar[str] = "polynomial"

    power: float = option(float, 2.0, "of the share of the run that is left", POSITIVE)
    minimum: float = option(float, 0.0, "factor at the end", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return the minimum + (1 - minimum)(1 - n/total)^power."""
        return self.minimum + (1.0 - self.minimum) * float((1.0 - n / total) ** self.power)


@register_schedule
@dataclass(frozen=True)
class Linear(Shape):
    """A straight line over the whole run; torch's LinearLR."""

    name: ClassVar[str] = "linear"

    first: float = option(float, 1.0, "factor at the beginning", NON_NEGATIVE)
    last: float = option(float, 0.0, "factor at the end", NON_NEGATIVE)

    def factor(self, n: int, total: int) -> float:
        """Return first + (last - first)·n/total."""
        return self.first + (self.last - self.first) * n / total


@register_schedule
@dataclass(frozen=True)
class WarmUp(Shape):
    """A straight line up to 1, then 1 (Goyal et al. 2017); torch's LinearLR."""

    name: ClassVar[str] = "warm-up"
    example: ClassVar[Mapping[str, Any]] = {"length": 10}

    length: int = option(int, MISSING, "epochs or steps until the base value", COUNT)
    first: float = option(float, 0.1, "factor at the beginning", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return first + (1 - first)·n/length, at most 1."""
        return self.first + (1.0 - self.first) * min(n, self.length) / self.length


@register_schedule
@dataclass(frozen=True)
class Piecewise(Shape):
    """A factor of its own between each two boundaries."""

    name: ClassVar[str] = "piecewise"
    example: ClassVar[Mapping[str, Any]] = {"boundaries": (20, 40), "factors": (1.0, 0.5, 0.1)}

    boundaries: tuple[int, ...] = option(
        tuple, MISSING, "epochs or steps after which the next factor holds", COUNT
    )
    factors: tuple[float, ...] = option(
        tuple[float, ...], MISSING, "one more than boundaries", NON_NEGATIVE
    )

    def factor(self, n: int, total: int) -> float:
        """Return the factor after as many boundaries as have been reached."""
        return self.factors[bisect_right(self.boundaries, n)]

    def check(self) -> None:
        """Raise SpecError unless boundaries rise, and there is one factor more than these."""
        if any(a >= b for a, b in pairwise(self.boundaries)):
            raise SpecError(f"boundaries={self.boundaries} for schedule piecewise", "rising ones")
        if len(self.factors) != len(self.boundaries) + 1:
            raise SpecError(
                f"{len(self.factors)} factors and {len(self.boundaries)} boundaries for schedule "
                "piecewise",
                "one factor more than boundaries",
                "the first factor holds until the first boundary",
            )
