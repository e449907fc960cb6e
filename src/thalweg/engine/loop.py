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
        count, unit = parse_interval(spec.evaluate_every) or (0, "step")
        every = count * per_epoch if unit == "epoch" else count
        return cls(size, per_epoch, spec.steps or round(epochs * per_epoch), every)


@torch.no_grad()
def descend(cohort: Cohort, data: Data, spec: Spec, order: Generator) -> Iterator[Event]:
    """Train a cohort and say what happens.

    Args:
        cohort: The networks; they are moved in place.
        data: The samples, on the cohort's device.
        spec: How long, in which batches, what to evaluate and when to stop.
        order: Source of the order of the samples, which all members share.

    Yields:
        `Step` after every update, `Evaluated` at the chosen intervals and at the end, `Diverged`
        when a loss is not finite, and `Finished` last.
    """
    length, judge = Length.of(spec, len(data.train)), Judge(spec)
    splits, slow = data.splits(), spec.evaluate_weights != "current"
    seconds, last = 0.0, dict[str, tuple[float, ...]]()
    reason: Reason | None = None if cohort.updates < length.updates else "complete"

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

            ends = cohort.updates == length.updates or judge.out_of_time(seconds)
            due = length.evaluate_every and cohort.updates % length.evaluate_every == 0
            if due or (ends and length.evaluate_every):
                chosen = splits if ends else [s for s in splits if s in judge.splits]
                last = {f"running_{name}": value for name, value in running.result().items()}
                for split in chosen:
                    measured = cohort.evaluate(splits[split], slow=slow)
                    last |= {f"{split}_{name}": value for name, value in measured.items()}
                yield Evaluated(clock(), last, outcome.lr)
                reason = judge.verdict(last)
            if ends:
                reason = reason or ("time" if cohort.updates < length.updates else "complete")
            if reason is not None:
                break
    yield Finished(clock(), reason, last)


def batches_of(
    split: Split, size: int, order: Generator, *, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over one epoch's inputs, (1, batch, …), and labels; inputs share their memory."""
    x, y = split.x, split.y
    place = torch.empty((size, *x.shape[1:]), dtype=x.dtype, device=x.device)
    for index in index_batches(len(split), size, order, drop_last=drop_last, device=x.device):
        if size == len(split):
            yield x.unsqueeze(0), y
        else:
            chosen = torch.index_select(x, 0, index, out=place[: len(index)])
            yield chosen.unsqueeze(0), y.index_select(0, index)
