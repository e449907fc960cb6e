"""The update rule: what every optimizer of thalweg is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import options_of

Hyperparameter: TypeAlias = float | Tensor
"""One number for all members, or a float64 tensor of shape (K, 1): one for each."""

Layout: TypeAlias = Sequence[tuple[int, Sequence[int]]]
"""Where each parameter starts in a row of theta, and its shape."""

Hyper: TypeAlias = Mapping[str, Hyperparameter]
State: TypeAlias = dict[str, Tensor]


class Gradients(Protocol):
    """What a rule may ask for: gradients at the present parameters, (K, P), in a shared buffer."""

    def batch(self) -> Tensor:
        """Return the gradient on the step's own batch, with its own dropout masks."""

    def full(self) -> Tensor:
        """Return the gradient over the whole training set."""


class Parts(NamedTuple):
    """Parameters of one member that one kernel moves together.

    Attributes:
        thetas: The parameters.
        gs: Their gradients.
        states: Their slots.
        t: Number of updates done before this one.
        h: Hyperparameters in force.
    """

    thetas: Sequence[Tensor]
    gs: Sequence[Tensor]
    states: Sequence[State]
    t: int
    h: Mapping[str, float]

    def slots(self, name: str) -> list[Tensor]:
        """Return the slot of that name of each parameter."""
        return [state[name] for state in self.states]

    def counts(self) -> list[Tensor]:
        """Return the number of this update, from 1, for each parameter, as kernels ask for it."""
        return [torch.tensor(self.t + 1.0, device=self.thetas[0].device)] * len(self.thetas)


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule; its fields are its hyperparameters.

    A rule is written in two parts, as an algorithm box has two kinds of lines. The scalar lines,
    :meth:`coefficients`, are plain Python in float64, for one member. The vector lines,
    :meth:`update`, are in-place tensor operations in which each coefficient is a tensor that
    broadcasts over the members. So the same lines move one network or a thousand, and every member
    is given the very bits that it would be given alone.

    The parameters theta are K networks of P parameters, (K, P); a tensor of any other shape counts
    as one member. A rule says how much of theta it must see at once: any part (``elementwise``); or
    one parameter of one network, in its own shape (``layerwise``); or one network, (P,) (neither).
    """

    name: ClassVar[str]
    """By this name it is found."""
    paper: ClassVar[str]
    """Where it was published."""
    velocities: ClassVar[tuple[str, ...]] = ()
    """Slots that hold the way it was going: means or sums of past gradients, or of past steps."""

    @property
    def elementwise(self) -> bool:
        """Whether each parameter moves by itself, so that theta may be cut anywhere."""
        return True

    @property
    def layerwise(self) -> bool:
        """Whether theta is wanted one parameter of one member at a time, in its own shape."""
        return False

    @property
    def fuses(self) -> bool:
        """Whether torch has a kernel for the whole update: see :meth:`fused`."""
        return type(self).fused is not Rule.fused

    @property
    def revises(self) -> bool:
        """Whether it takes another gradient than the batch's own: see :meth:`revise`."""
        return False

    @property
    def stale_statistics(self) -> bool:
        """Whether BatchNorm's running statistics are not those of the evaluation weights."""
        return False

    @property
    def gradients_per_step(self) -> float:
        """Gradient evaluations that one update needs."""
        return 1.0

    @abstractmethod
    def init(self, theta: Tensor) -> State:
        """Return the slots that the rule keeps, as they are before the first update.

        Args:
            theta: Parameters, (K, P) or any shape. Not kept: a slot that starts equal is a copy.
        """

    def layer_slots(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what a layer-wise rule keeps of one parameter beside its slots."""
        return {}

    def pack(self, state: State) -> State:
        """Return the state as tensors alone, to be kept elsewhere."""
        return state

    def unpack(  # noqa: B027 - a state of tensors is packed as it is
        self, theta: Tensor, state: State, packed: State, layout: Layout
    ) -> None:
        """Put a state, in place, back to what was packed, where that is not the state itself."""

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
            theta: Parameters: (K, P) or any shape; one member's where the rule is not elementwise.
            g: Gradients, shaped like theta; never changed.
            state: The slots, as :meth:`init` made them, of the same part.
            t: Number of updates done before this one.
            c: The numbers of :meth:`coefficients`, as tensors that broadcast.
        """

    def revise(
        self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, at: Gradients
    ) -> Tensor:
        """Return the gradient to move by, which may take further gradients to find.

        Args:
            theta: Parameters, (K, P); afterwards as they were.
            g: The batch's gradient, (K, P).
            state: The slots.
            t: Number of updates done before this one.
            c: The numbers of :meth:`coefficients`, as tensors that broadcast.
            at: Evaluates gradients at the present theta, whatever that is.
        """
        return g

    def fused(self, parts: Parts) -> bool:
        """Do the update by one kernel of torch's, where there is one for the rule and the device.

        What it does is what :meth:`update` says, to rounding; a rule is used by the one or the
        other in all its life, so that its bits stay the same.

        Args:
            parts: Parameters of one member, with all that belongs to them.

        Returns:
            Whether it was done; if not, nothing was changed.
        """
        return False

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


class LayerRule(Rule):
    """A rule that wants one parameter of one member at a time, in its own shape."""

    @property
    def elementwise(self) -> bool:
        """No."""
        return False

    @property
    def layerwise(self) -> bool:
        """Yes."""
        return True
