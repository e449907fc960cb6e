"""Where a descent stands, and what must be kept of it to go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Generator, Tensor

from thalweg import optim
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Reason
from thalweg.engine.feed import Orders
from thalweg.engine.member import Member
from thalweg.engine.metrics import Average
from thalweg.engine.slices import Slice
from thalweg.errors import ModelError
from thalweg.nn.stacked import Stack

FOREIGN = "foreign/"
"""Where the bytes of other packages' optimizers are: their names and sizes are their own affair."""


@dataclass
class Progress:
    """Where a descent stands, beside its cohort.

    Args:
        members: Those in the cohort, in its order; the last ones stay there when they are over.
        orders: Sources of the order of the samples.
        gone: Members that have left.
        done: Updates made in this epoch.
        due: Whether what follows an update is still to come: the evaluation, the verdict.
        seconds: Time spent training.
        running: Averages over the batches since the epoch began.

    Attributes:
        length: Batch size and intervals, which all members share.
    """

    members: list[Member]
    orders: Orders
    gone: list[Member] = field(default_factory=list)
    done: int = 0
    due: bool = False
    seconds: float = 0.0
    running: Average = field(default_factory=Average)

    def __post_init__(self) -> None:
        self.length = self.members[0].length

    @property
    def watched(self) -> set[str]:
        """Splits to evaluate at every interval."""
        return {split for member in self.members for split in member.judge.splits}

    @property
    def active(self) -> list[Member]:
        """Those that train."""
        return [member for member in self.members if member.reason is None]

    @property
    def everyone(self) -> list[Member]:
        """All that there ever were, by their numbers."""
        return sorted([*self.members, *self.gone], key=lambda member: member.number)

    def begin_epoch(self) -> None:
        """Be at the beginning of the next epoch."""
        self.done, self.running = 0, Average()
        self.orders.begin_epoch()

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some members, rising; the others are gone."""
        stay = [self.members[row] for row in rows]
        self.gone += [member for member in self.members if member not in stay]
        self.members = stay
        self.orders.keep(rows)
        for name, total in self.running.sums.items():
            self.running.sums[name] = total[list(rows)]


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


class Followed(BaseModel):
    """What the tracker of a schedule that reacts knows: see `thalweg.optim.PlateauTracker`."""

    model_config = _STRICT

    factor: float
    best: float
    waited: Count
    cooling: Count


class MemberFacts(BaseModel):
    """What the facts of a snapshot say of a member: see `Member`."""

    model_config = _STRICT

    number: Count
    begun: Annotated[list[Count], Field(min_length=2, max_length=2)]
    since: float = 0.0
    lr: float
    last: dict[str, float]
    patience: Watched | None
    plateau: Followed | None
    reason: Reason | None
    made: Annotated[list[Count], Field(min_length=2, max_length=2)] | None


class Facts(BaseModel):
    """What the facts of a snapshot are: those of `Cohort`, `Progress` and `Run`.

    Args:
        counts: Samples since the epoch began, by metric.
        members: Those in the cohort, in its order.
        gone: Those that have left.
        states_every: Updates between two recorded states; 0 if none are.
        rows: Rows of the history's tables.
    """

    model_config = _STRICT

    updates: Count
    gradients: Count
    done: Count
    due: bool
    seconds: float
    counts: dict[str, Annotated[int, Field(gt=0, lt=2**53)]]
    members: Annotated[list[MemberFacts], Field(min_length=1)]
    gone: list[MemberFacts]
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
    for prefix, each in _slots(cohort):
        for slot, value in each.rule.pack(each.state).items():
            if value.shape[1:] == stack.theta.shape[1:]:
                arrays |= _under(f"{prefix}{slot}", cohort.parameters(value))
            else:
                arrays[f"{prefix}{slot}"] = value
    arrays |= {f"generators/order/{k}": state for k, state in enumerate(progress.orders.shuffles)}
    for member, generator in enumerate(stack.context.generators):
        arrays[f"generators/masks/{member}"] = generator.get_state()
    arrays |= {f"running/{name}": total for name, total in progress.running.sums.items()}
    facts = {
        "updates": cohort.updates,
        "gradients": cohort.gradients,
        "done": progress.done,
        "due": progress.due,
        "seconds": progress.seconds,
        "counts": dict(progress.running.counts),
        "members": [_facts(member) for member in progress.members],
        "gone": [_facts(member) for member in progress.gone],
    }
    return Snapshot({name: array.clone() for name, array in arrays.items()}, facts)


def _facts(member: Member) -> dict[str, Any]:
    patience, tracker = member.judge.patience, _tracker(member)
    return {
        "number": member.number,
        "begun": list(member.begun),
        "since": member.since,
        "lr": member.lr,
        "last": dict(member.last),
        "patience": patience
        and {"metric": patience.metric, "best": patience.best, "waited": patience.waited},
        "plateau": None if tracker is None else tracker.state(),
        "reason": member.reason,
        "made": member.made and list(member.made),
    }


def _tracker(member: Member) -> optim.PlateauTracker | None:
    return None if member.course is None else member.course.tracker


def restore(cohort: Cohort, progress: Progress, snapshot: Snapshot) -> None:
    """Put a cohort and its progress where a snapshot was taken.

    Args:
        cohort: As it was before the first step.
        progress: Likewise, or with the members of the snapshot left.
        snapshot: What `take` returned.

    Raises:
        ModelError: The snapshot is of another model, of another rule, or damaged; nothing was
            changed.
    """
    facts, arrays, stack = check_facts(snapshot), snapshot.arrays, cohort.stack
    for known_of, there, order in (
        (facts.members, progress.members, list), (facts.gone, progress.gone, sorted)
    ):  # fmt: skip
        if order(known.number for known in known_of) != order(member.number for member in there):
            raise ModelError("a snapshot of another cohort", "one with the members that there are")
    _check_arrays(arrays, take(cohort, progress).arrays, facts, stack)
    _load(stack, stack.theta, arrays, "parameters")
    for name, buffer in stack.buffers.items():
        buffer.copy_(arrays[f"buffers/{name}"])
    for prefix, each in _slots(cohort):
        mine = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        packed = {n: a for n, a in mine.items() if n.startswith(FOREIGN)}
        if packed:
            theta = stack.theta[each.rows]
            each.rule.unpack(theta, each.state, packed, cohort.layout)
            continue
        for slot, value in each.state.items():
            if value.shape[1:] == stack.theta.shape[1:]:
                _load(stack, value, mine, slot)
            else:
                value.copy_(mine[slot])
    for member, generator in enumerate(stack.context.generators):
        generator.set_state(arrays[f"generators/masks/{member}"].cpu())
    count = len(progress.orders.generators)
    progress.orders.back_to_epoch([arrays[f"generators/order/{k}"].cpu() for k in range(count)])
    progress.running = Average(
        {name: arrays[f"running/{name}"].to(stack.device, copy=True) for name in facts.counts},
        dict(facts.counts),
    )
    cohort.updates, cohort.gradients = facts.updates, facts.gradients
    progress.done, progress.due = facts.done, facts.due
    progress.seconds = facts.seconds
    everyone = {member.number: member for member in progress.everyone}
    for known in (*facts.members, *facts.gone):
        one = everyone[known.number]
        one.begun, one.since, one.lr = (known.begun[0], known.begun[1]), known.since, known.lr
        one.last, one.reason = dict(known.last), known.reason
        one.made = None if known.made is None else (known.made[0], known.made[1])
        patience, watched = one.judge.patience, known.patience
        if patience is not None and watched is not None and watched.metric == patience.metric:
            patience.best, patience.waited = watched.best, watched.waited
        tracker = _tracker(one)
        if tracker is not None and known.plateau is not None:
            tracker.load(known.plateau.model_dump())


def _slots(cohort: Cohort) -> list[tuple[str, Slice]]:
    """Return the slices, and where their tensors are in a snapshot."""
    if len(cohort.slices) == 1:
        return [("slots/", cohort.slices[0])]
    return [(f"slots/{k}/", each) for k, each in enumerate(cohort.slices)]


def _check_arrays(
    arrays: Mapping[str, Tensor], mine: Mapping[str, Tensor], facts: Facts, stack: Stack
) -> None:
    """Check that arrays have the names, shapes and types that those of this run have."""

    def foreign(name: str) -> bool:
        return name.startswith("slots/") and f"/{FOREIGN}" in name

    expected = {
        n: _kind(array)
        for n, array in mine.items()
        if not foreign(n) and not n.startswith("running/")
    }
    sums = _kind(torch.empty(stack.members, dtype=torch.float64))
    expected |= {f"running/{name}": sums for name in facts.counts}
    found = {n: _kind(array) for n, array in arrays.items() if not foreign(n)}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            raise ModelError(
                f"a snapshot of another model or rule: {name} is {found.get(name, 'missing')}",
                f"one of this run, where it is {expected.get(name, 'not there')}",
            )
    for name, array in arrays.items():
        if name.startswith("generators/"):
            device = "cpu" if name.startswith("generators/order/") else stack.device
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
