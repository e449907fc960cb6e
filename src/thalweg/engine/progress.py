"""Where a descent stands, and what must be kept of it to go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Generator, Tensor

from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Reason
from thalweg.engine.metrics import Average
from thalweg.engine.stop import Judge
from thalweg.errors import ModelError
from thalweg.nn.stacked import Stack

FOREIGN = "slots/foreign/"
"""Where the bytes of other packages' optimizers are: their names and sizes are their own affair."""


@dataclass
class Progress:
    """Where a descent stands, beside its cohort.

    Args:
        order: Source of the order of the samples.
        judge: Decides when to stop.
        shuffle: State of ``order`` as it was when the epoch began.
        done: Updates made in this epoch.
        due: Whether what follows an update is still to come: the evaluation, the verdict.
        lr: Learning rate of the last update.
        seconds: Time spent training.
        running: Averages over the batches since the epoch began.
        last: The last evaluation.
        reason: Why the run ended; None before.
    """

    order: Generator
    judge: Judge
    shuffle: Tensor = field(init=False)
    done: int = 0
    due: bool = False
    lr: float = 0.0
    seconds: float = 0.0
    running: Average = field(default_factory=Average)
    last: dict[str, tuple[float, ...]] = field(default_factory=dict)
    reason: Reason | None = None

    def __post_init__(self) -> None:
        self.shuffle = self.order.get_state()


@dataclass(frozen=True)
class Snapshot:
    """A descent at one moment, whole: restored, it goes on to the same bits.

    Args:
        arrays: Tensors by path: ``parameters/NAME`` and ``buffers/NAME``, (K, …);
            ``slots/SLOT/NAME``, the rule's; ``generators/…``, states of random generators;
            ``running/METRIC``, sums since the epoch began. Copies, on the device of the cohort.
        facts: All that is not a tensor, as JSON has it.
    """

    arrays: Mapping[str, Tensor]
    facts: Mapping[str, Any]


Count = Annotated[int, Field(ge=0, lt=2**53)]  # exact as floating-point numbers, too
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class Watched(BaseModel):
    """What `Patience` knows: its metric, the best score so far, and evaluations since then."""

    model_config = _STRICT

    metric: str
    best: float
    waited: Count


class Facts(BaseModel):
    """What the facts of a snapshot are: those of `Cohort`, `Progress` and `Run`.

    Args:
        counts: Samples since the epoch began, by metric.
        states_every: Updates between two recorded states; 0 if none are.
        rows: Rows of the history's tables.
    """

    model_config = _STRICT

    updates: Count
    gradients: Count
    done: Count
    due: bool
    lr: float
    seconds: float
    counts: dict[str, Annotated[int, Field(gt=0, lt=2**53)]]
    last: dict[str, list[float]]
    patience: Watched | None
    reason: Reason | None
    states_every: Count = 0
    rows: dict[str, Count] = {}


def check_facts(snapshot: Snapshot) -> Facts:
    """Return the facts of a snapshot, if they are what they should be.

    Raises:
        ModelError: They are not what `take` wrote.
    """
    try:
        return Facts.model_validate(snapshot.facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"a snapshot in which {where} is wrong", "what a run writes") from None


def take(cohort: Cohort, progress: Progress) -> Snapshot:
    """Return a copy of all that the next step depends on."""
    stack = cohort.stack
    arrays = _under("parameters", cohort.parameters(stack.theta))
    arrays |= {f"buffers/{name}": buffer for name, buffer in stack.buffers.items()}
    for slot, value in cohort.rule.pack(cohort.state).items():
        if value.shape == stack.theta.shape:
            arrays |= _under(f"slots/{slot}", cohort.parameters(value))
        else:
            arrays[f"slots/{slot}"] = value
    arrays["generators/order"] = progress.shuffle
    for member, generator in enumerate(stack.context.generators):
        arrays[f"generators/masks/{member}"] = generator.get_state()
    arrays |= {f"running/{name}": total for name, total in progress.running.sums.items()}
    patience = progress.judge.patience
    facts = {
        "updates": cohort.updates,
        "gradients": cohort.gradients,
        "done": progress.done,
        "due": progress.due,
        "lr": progress.lr,
        "seconds": progress.seconds,
        "counts": dict(progress.running.counts),
        "last": {name: list(values) for name, values in progress.last.items()},
        "patience": patience
        and {"metric": patience.metric, "best": patience.best, "waited": patience.waited},
        "reason": progress.reason,
    }
    return Snapshot({name: array.clone() for name, array in arrays.items()}, facts)


def restore(cohort: Cohort, progress: Progress, snapshot: Snapshot) -> None:
    """Put a cohort and its progress where a snapshot was taken.

    Raises:
        ModelError: The snapshot is of another model, of another rule, or damaged; nothing was
            changed.
    """
    facts, arrays, stack = check_facts(snapshot), snapshot.arrays, cohort.stack
    _check_arrays(arrays, take(cohort, progress).arrays, facts, stack)
    _load(stack, stack.theta, arrays, "parameters")
    for name, buffer in stack.buffers.items():
        buffer.copy_(arrays[f"buffers/{name}"])
    packed = {n.removeprefix("slots/"): a for n, a in arrays.items() if n.startswith(FOREIGN)}
    if packed:
        cohort.rule.unpack(stack.theta, cohort.state, packed, cohort.layout)
    else:
        for slot, value in cohort.state.items():
            if value.shape == stack.theta.shape:
                _load(stack, value, arrays, f"slots/{slot}")
            else:
                value.copy_(arrays[f"slots/{slot}"])
    for member, generator in enumerate(stack.context.generators):
        generator.set_state(arrays[f"generators/masks/{member}"].cpu())
    progress.shuffle = arrays["generators/order"].cpu()
    progress.order.set_state(progress.shuffle)
    progress.running = Average(
        {name: arrays[f"running/{name}"].to(stack.device, copy=True) for name in facts.counts},
        dict(facts.counts),
    )
    cohort.updates, cohort.gradients = facts.updates, facts.gradients
    progress.done, progress.due, progress.lr = facts.done, facts.due, facts.lr
    progress.seconds, progress.reason = facts.seconds, facts.reason
    progress.last = {name: tuple(values) for name, values in facts.last.items()}
    patience, watched = progress.judge.patience, facts.patience
    if patience is not None and watched is not None and watched.metric == patience.metric:
        patience.best, patience.waited = watched.best, watched.waited


def _check_arrays(
    arrays: Mapping[str, Tensor], mine: Mapping[str, Tensor], facts: Facts, stack: Stack
) -> None:
    """Check that arrays have the names, shapes and types that those of this run have."""
    own = ("running/", FOREIGN)
    expected = {n: _kind(array) for n, array in mine.items() if not n.startswith(own)}
    sums = _kind(torch.empty(stack.members, dtype=torch.float64))
    expected |= {f"running/{name}": sums for name in facts.counts}
    found = {n: _kind(array) for n, array in arrays.items() if not n.startswith(FOREIGN)}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            raise ModelError(
                f"a snapshot of another model or rule: {name} is {found.get(name, 'missing')}",
                f"one of this run, where it is {expected.get(name, 'not there')}",
            )
    for name, array in arrays.items():
        if name.startswith("generators/"):
            device = "cpu" if name == "generators/order" else stack.device
            try:
                Generator(device).set_state(array.cpu())
            except RuntimeError:
                raise ModelError(f"a snapshot in which {name} is damaged", "a state") from None


def _kind(array: Tensor) -> str:
    return f"{str(array.dtype).removeprefix('torch.')} of shape {tuple(array.shape)}"


def _load(stack: Stack, flat: Tensor, arrays: Mapping[str, Tensor], prefix: str) -> None:
    for name in stack.places:
        stack.view(flat, name).copy_(arrays[f"{prefix}/{name}"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}
