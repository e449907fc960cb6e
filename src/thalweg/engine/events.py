"""What the engine says while it trains. Whoever wants to know consumes these, and nobody must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Reason = Literal["complete", "until", "patience", "time", "diverged"]
"""Why a run ended: its length, a condition, no improvement, its time, a loss that is no number."""


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
        lr: Learning rate of the update.
    """

    clock: Clock
    metrics: Mapping[str, Tensor]
    lr: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The networks were evaluated.

    Args:
        clock: How far the run is.
        metrics: By name, one number a member: ``running_loss`` and the like are averages over the
            batches since the epoch began, each before its update, in training mode;
            ``train_loss``, ``val_accuracy`` and the like are over a whole split, in evaluation
            mode, after the last update.
        lr: Learning rate of the last update.
    """

    clock: Clock
    metrics: Mapping[str, tuple[float, ...]]
    lr: float


@dataclass(frozen=True, slots=True)
class Diverged:
    """A loss was not a finite number; the update that would have followed was not made.

    Args:
        clock: How far the run was.
        members: Which networks.
        loss: Their losses.
    """

    clock: Clock
    members: tuple[int, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over.

    Args:
        clock: How far it came.
        reason: Why it ended.
        metrics: The last evaluation.
    """

    clock: Clock
    reason: Reason
    metrics: Mapping[str, tuple[float, ...]]


Event = Step | Evaluated | Diverged | Finished
