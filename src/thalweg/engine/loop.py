"""The loop: batches in, events out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Generator, Tensor

from thalweg.data import Data, Split, index_batches
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Clock, Diverged, Evaluated, Event, Finished, Reason, Step
from thalweg.engine.metrics import Average
from thalweg.engine.progress import Progress
from thalweg.errors import SpecError
from thalweg.spec import Spec, parse_interval


@dataclass(frozen=True)
class Length:
    """How long a run is.

    Args:
        batch_size: Samples a batch.
        per_epoch: Updates an epoch.
        updates: Updates in all.
        evaluate_every: Updates between two evaluations; 0 is never.
    """

    batch_size: int
    per_epoch: int
    updates: int
    evaluate_every: int

    @classmethod
    def of(cls, spec: Spec, samples: int) -> Length:
        """Return the length of a spec's run on so many training samples.

        Raises:
            SpecError: There would be no update.

        Example:
            >>> Length.of(Spec(batch_size=64, epochs=3), samples=1000)
            Length(batch_size=64, per_epoch=16, updates=48, evaluate_every=16)
        """
        size = samples if spec.batch_size == "full" else min(spec.batch_size, samples)
        batches = samples // size if spec.drop_last else math.ceil(samples / size)
        per_epoch = math.ceil(batches / spec.accumulate)
        epochs = 1.0 if spec.epochs is None else spec.epochs
        updates = spec.steps or round(epochs * per_epoch)
        if updates < 1:
            raise SpecError(
                f"epochs={epochs:g}", "at least one update", f"an epoch has {per_epoch}"
            )
        return cls(size, per_epoch, updates, _in_updates(spec.evaluate_every, per_epoch))


def _in_updates(interval: str, per_epoch: int) -> int:
    """Return how many updates an interval is; 0 for never."""
    count, unit = parse_interval(interval) or (0, "step")
    return int(count) * (per_epoch if unit == "epoch" else 1)


@torch.no_grad()
def descend(cohort: Cohort, data: Data, spec: Spec, progress: Progress) -> Iterator[Event]:
    """Train a cohort and say what happens.

    Args:
        cohort: The networks; they are moved in place.
        data: The samples, on the cohort's device.
        spec: How long, in which batches, what to evaluate and when to stop.
        progress: Where to go on from; kept up to date, so that a snapshot that is taken at any
            event is whole.

    Yields:
        `Step` after every update; `Evaluated` at the chosen intervals, and at the end on every
        split; `Diverged` when a loss is not finite; and `Finished` last.
    """
    length, p, judge = Length.of(spec, len(data.train)), progress, progress.judge
    accumulate = min(spec.accumulate, len(data.train))
    splits, slow = data.splits(), spec.evaluate_weights != "current"

    def measure(*, chosen: bool) -> dict[str, tuple[float, ...]]:
        those = {name: split for name, split in splits.items() if (name in judge.splits) == chosen}
        if not those:
            return {}
        with cohort.evaluation(slow=slow):
            return {
                f"{name}_{metric}": value
                for name, split in those.items()
                for metric, value in cohort.measure(split).items()
            }

    def clock() -> Clock:
        epoch = cohort.updates / length.per_epoch
        return Clock(cohort.updates, epoch, cohort.gradients, p.seconds)

    if cohort.updates >= length.updates and not p.due:
        p.reason = p.reason or "complete"
    while p.reason is None:
        p.shuffle = p.order.get_state()
        batches = batches_of(
            data.train,
            length.batch_size,
            p.order,
            drop_last=spec.drop_last,
            skip=min(p.done * accumulate, len(data.train)),
        )
        while p.reason is None and (p.due or p.done < length.per_epoch):
            if not p.due:
                begin = time.perf_counter()
                outcome = cohort.step(islice(batches, accumulate))
                p.seconds += time.perf_counter() - begin
                if not outcome.finite:
                    losses = tuple(outcome.metrics["loss"].tolist())
                    bad = tuple(k for k, loss in enumerate(losses) if not math.isfinite(loss))
                    p.reason = "diverged"
                    yield Diverged(clock(), bad, losses)
                    break
                for name, value in outcome.metrics.items():
                    p.running.add(name, value, outcome.samples)
                p.done, p.due, p.lr = p.done + 1, True, outcome.lr
                yield Step(clock(), outcome.metrics, p.lr)

            reason: Reason | None = None
            if cohort.updates >= length.updates:
                reason = "complete"
            elif judge.out_of_time(p.seconds):
                reason = "time"
            every = length.evaluate_every
            evaluates = bool(every and (reason is not None or cohort.updates % every == 0))
            if evaluates:
                last = {f"running_{name}": value for name, value in p.running.result().items()}
                last |= measure(chosen=True)
                reason = judge.verdict(last) or reason
                if reason is not None:  # the last word is on every split
                    last |= measure(chosen=False)
                p.last = last
            p.due, p.reason = False, reason
            if evaluates:
                yield Evaluated(clock(), p.last, p.lr)
        if p.reason is None:
            p.done, p.running = 0, Average()
    yield Finished(clock(), p.reason, p.last)


def batches_of(
    split: Split, size: int, order: Generator, *, drop_last: bool, skip: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over one epoch's inputs, (1, batch, …), and labels; inputs share their memory.

    The order is drawn at once. The first ``skip`` batches are left out.
    """
    indices = index_batches(len(split), size, order, drop_last=drop_last, device=split.x.device)
    return _gather(split, size, islice(indices, skip, None))


def everything(split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over a whole split in its own order, as inputs (1, batch, …) and labels."""
    for x, y in zip(split.x.split(size), split.y.split(size), strict=True):
        yield x.unsqueeze(0), y


def _gather(split: Split, size: int, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    x, y = split.x, split.y
    if size == len(split):  # its own order
        yield from ((x.unsqueeze(0), y) for _ in indices)
        return
    place = torch.empty((size, *x.shape[1:]), dtype=x.dtype, device=x.device)
    for index in indices:
        chosen = torch.index_select(x, 0, index, out=place[: len(index)])
        yield chosen.unsqueeze(0), y.index_select(0, index)
