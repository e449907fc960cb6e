"""The loop: batches in, events out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Generator, Tensor

from thalweg.data import Data, Split, index_batches
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Clock, Diverged, Evaluated, Event, Finished, Reason, Step
from thalweg.engine.metrics import Average
from thalweg.engine.stop import Judge
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
        count, unit = parse_interval(spec.evaluate_every) or (0, "step")
        every = count * per_epoch if unit == "epoch" else count
        return cls(size, per_epoch, updates, every)


@torch.no_grad()
def descend(cohort: Cohort, data: Data, spec: Spec, order: Generator) -> Iterator[Event]:
    """Train a cohort and say what happens.

    Args:
        cohort: The networks; they are moved in place.
        data: The samples, on the cohort's device.
        spec: How long, in which batches, what to evaluate and when to stop.
        order: Source of the order of the samples, which all members share.

    Yields:
        `Step` after every update; `Evaluated` at the chosen intervals, and at the end on every
        split; `Diverged` when a loss is not finite; and `Finished` last.
    """
    length, judge = Length.of(spec, len(data.train)), Judge(spec)
    splits, slow = data.splits(), spec.evaluate_weights != "current"
    seconds, last = 0.0, dict[str, tuple[float, ...]]()
    reason: Reason | None = None if cohort.updates < length.updates else "complete"

    def measure(*, chosen: bool) -> dict[str, tuple[float, ...]]:
        return {
            f"{name}_{metric}": value
            for name, split in splits.items()
            if (name in judge.splits) == chosen
            for metric, value in cohort.evaluate(split, slow=slow).items()
        }

    def clock() -> Clock:
        epoch = cohort.updates / length.per_epoch
        return Clock(cohort.updates, epoch, cohort.gradients, seconds)

    while reason is None:
        running = Average()
        batches = batches_of(data.train, length.batch_size, order, drop_last=spec.drop_last)
        for _ in range(length.per_epoch):
            begin = time.perf_counter()
            outcome = cohort.step(islice(batches, spec.accumulate))
            seconds += time.perf_counter() - begin
            if not outcome.finite:
                losses = tuple(outcome.metrics["loss"].tolist())
                bad = tuple(k for k, loss in enumerate(losses) if not math.isfinite(loss))
                yield Diverged(clock(), bad, losses)
                reason = "diverged"
                break
            for name, value in outcome.metrics.items():
                running.add(name, value, outcome.samples)
            yield Step(clock(), outcome.metrics, outcome.lr)

            if cohort.updates == length.updates:
                reason = "complete"
            elif judge.out_of_time(seconds):
                reason = "time"
            every = length.evaluate_every
            if every and (reason is not None or cohort.updates % every == 0):
                last = {f"running_{name}": value for name, value in running.result().items()}
                last |= measure(chosen=True)
                reason = judge.verdict(last) or reason
                if reason is not None:  # the last word is on every split
                    last |= measure(chosen=False)
                yield Evaluated(clock(), last, outcome.lr)
            if reason is not None:
                break
    yield Finished(clock(), reason, last)


def batches_of(
    split: Split, size: int, order: Generator, *, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over one epoch's inputs, (1, batch, …), and labels; inputs share their memory."""
    x, y = split.x, split.y
    indices = index_batches(len(split), size, order, drop_last=drop_last, device=x.device)
    if size == len(split):
        yield x.unsqueeze(0), y
        return
    place = torch.empty((size, *x.shape[1:]), dtype=x.dtype, device=x.device)
    for index in indices:
        chosen = torch.index_select(x, 0, index, out=place[: len(index)])
        yield chosen.unsqueeze(0), y.index_select(0, index)
