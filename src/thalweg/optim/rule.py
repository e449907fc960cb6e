"""The update rule: what every optimizer of thalweg is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import options_of

Hyperparameter: TypeAlias = float | Tensor
"""One number for all members, or a float64 tensor of shape (K, 1): one for each."""

Hyper: TypeAlias = Mapping[str, Hyperparameter]
State: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule; its fields are its hyperparameters.

    A rule is written in two parts, as an algorithm box has two kinds of lines. The scalar lines,
    :meth:`coefficients`, are plain Python in float64, for one member. The vector lines,
    :meth:`update`, are in-place tensor operations in which each coefficient is a tensor that
    broadcasts over the members. So the same lines move one network or a thousand, and every member
    is given the very bits that it would be given alone.

    The parameters theta are K networks of P parameters, (K, P); a tensor of any other shape counts
    as one member.
    """

    name: ClassVar[str]
    """By this name it is found."""
    paper: ClassVar[str]
    """Where it was published."""

    @property
    def elementwise(self) -> bool:
        """Whether each parameter moves by itself, so that theta may be cut anywhere."""
        return True

    @property
    def gradients_per_step(self) -> int:
        """Gradient evaluations that one update needs."""
        return 1

    @abstractmethod
    def init(self, theta: Tensor) -> State:
        """Return the slots that the rule keeps, as they are before the first update.

        Args:
            theta: Parameters, (K, P) or any shape. Not kept: a slot that starts equal is a copy.
        """

    @abstractmethod
    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers that the update is made with: the scalar lines of the algorithm.

        Args:
            t: Number of updates done before this one.
            h: Hyperparameters of one member, in force at this step.
        """

    @abstractmethod
    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and the slots in place: the vector lines of the algorithm.

        Args:
            theta: Parameters, (K, P) or any shape.
            g: Gradients, shaped like theta; never changed.
            state: The slots, as :meth:`init` made them.
            t: Number of updates done before this one.
            c: The numbers of :meth:`coefficients`, as tensors that broadcast.
        """

    def hyper(self) -> dict[str, Hyperparameter]:
        """Return the hyperparameters that may differ between members and change in time."""
        h: dict[str, Hyperparameter] = {}
        for option in options_of(type(self)):
            value = getattr(self, option.name)
            if option.type is Rule:
                h |= value.hyper()
            elif option.type is float:
                h[option.name] = value
        return h

    def check(self) -> None:  # noqa: B027 - most rules have nothing to add
        """Raise SpecError if hyperparameters that are right alone do not go together."""

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor | None:
        """Return the weights to evaluate with where these are not theta, else None."""
        return None
