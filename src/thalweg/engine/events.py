"""What the engine says while it trains. Whoever wants to know consumes these, and nobody must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Reason = Literal["complete", "until", "patience", "time", "diverged", "pruned"]
"""Why a run ended: its length, a condition, no improvement, its time, a loss that is no number; or
it was taken out of its cohort."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How far a run is.

    Args:
        step: Updates made.
        epoch: Passes over the training set made, whole and part.
        gradients: Gradient evaluations made, in batches.
        seconds: Time spent training; evaluation is not counted.
    """

    step: int
    epoch: float
    gradients: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """One update was made.

    Args:
        clock: How far the run is.
        metrics: By name, ``loss`` first: means over the batch before the update, in training mode,
            (K,) each; they stay on the device.
        lr: Learning rates of the update.
        members: Numbers of the K members that made it.
    """

    clock: Clock
    metrics: Mapping[str, Tensor]
    lr: tuple[float, ...]
    members: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The networks were evaluated.

    Args:
        clock: How far the run is.
        metrics: By name, one number a member: ``running_loss`` and the like are averages over the
            batches since the epoch began, each before its update, in training mode;
            ``train_loss``, ``val_accuracy`` and the like are over a whole split, in evaluation
            mode, after the last update. None for a member that was not evaluated on a split.
        lr: Learning rates of the last update.
        members: Numbers of those that were evaluated.
    """

    clock: Clock
    metrics: Mapping[str, tuple[float | None, ...]]
    lr: tuple[float, ...]
    members: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Diverged:
    """A loss was not a finite number: a member stays where it was before the update to follow.

    Args:
        clock: How far the run was.
        members: Numbers of such members.
        loss: Their losses.
    """

    clock: Clock
    members: tuple[int, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Members are over: a run is, or some of a cohort, while others go on.

    Args:
        clock: How far they came; how far the cohort is, where they were brought back as they were.
        reason: Why they ended.
        metrics: Their last evaluations.
        members: Their numbers.
    """

    clock: Clock
    reason: Reason
    metrics: Mapping[str, tuple[float | None, ...]]
    members: tuple[int, ...] = (0,)


Event = Step | Evaluated | Diverged | Finished
