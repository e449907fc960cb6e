"""A range test: the learning rate rises at each update, over several seeds as one cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.engine import Diverged, Step
from thalweg.engine.partition import partition
from thalweg.spec import Spec
from thalweg.study.lr import rules as lr_rules
from thalweg.study.lr.specs import Own, Stage, build_group

Floats = NDArray[np.float64]

OURS = "ours"

GIVEN_BACK = 0.5
"""The share of what the loss had won that it has lost again at the divergence edge."""

NOISE = 4.0
"""Times the median change from update to update while rates are low: what counts as won."""


@dataclass(frozen=True)
class RangeTest:
    """Losses of batches while the learning rate rises.

    Args:
        lr: Learning rate of each update, (n,).
        losses: Loss of each seed's batch before the update, (S, n); NaN once it was no number.

    Example:
        >>> lr = np.array([1e-3, 1e-2, 1e-1, 1.0])
        >>> test = RangeTest(lr, np.array([[2.0, 1.5, 1.0, np.nan], [2.0, 1.7, 1.2, 9.0]]))
        >>> test.median.tolist(), test.edge
        ([2.0, 1.6, 1.1, inf], 1.0)
    """

    lr: Floats
    losses: Floats

    @property
    def median(self) -> Floats:
        """The median over the seeds, (n,); a seed that is lost counts as the worst."""
        return self._quantile(0.5)

    @property
    def low(self) -> Floats:
        """The first quartile over the seeds, (n,)."""
        return self._quantile(0.25)

    @property
    def high(self) -> Floats:
        """The third quartile over the seeds, (n,); infinite where too many are lost."""
        return self._quantile(0.75)

    @property
    def edge(self) -> float | None:
        """The divergence edge: from here on half of what the loss had won is lost for good.

        Where nothing was won that stands out, it is where the loss rises above its noise. None if
        that does not happen. The loss answers to a rate only after some updates: rates just
        below the edge may diverge, too, when they are held.
        """
        y = self.median
        start, least = float(np.median(y[: max(1, len(y) // 20)])), float(y.min())
        if not isfinite(start):
            return float(self.lr[0])
        first = y[: max(2, len(y) // 4)]  # where rates are low
        noise = NOISE * float(np.median(np.abs(np.diff(first[np.isfinite(first)]))))
        won = start - least > noise
        below = np.flatnonzero(
            y <= (least + GIVEN_BACK * (start - least) if won else start + noise)
        )
        last = below[-1]
        return float(self.lr[last + 1]) if last + 1 < len(y) else None

    def _quantile(self, q: float) -> Floats:
        worst = np.where(np.isfinite(self.losses), self.losses, np.inf)
        with np.errstate(invalid="ignore"):
            found: Floats = np.quantile(worst, q, axis=0)
        return np.where(np.isnan(found), np.inf, found)  # between a number and the infinite


@dataclass(frozen=True)
class Ranged:
    """What came of the range tests.

    Args:
        test: Ours.
        peers: What each of the other packages' rules chooses, by seed.
        steps: Updates that ours took, over all seeds.
        peer_steps: Updates that those of the others took, likewise.
    """

    test: RangeTest
    peers: Mapping[str, Sequence[float | None]]
    steps: int
    peer_steps: int


def run_range(
    base: Spec, own: Own, seeds: Sequence[int], low: float, high: float, steps: int, largest: int
) -> Iterator[Stage | Ranged]:
    """Train while the learning rate rises, and yield how far that is, and last what came of it.

    Args:
        base: What to train, stripped of what interferes.
        own: What was given in Python rather than named.
        seeds: The seeds; each has its own initial weights and its own order of the samples.
        low: First learning rate.
        high: Last learning rate.
        steps: Updates from the first to the last.
        largest: Members of a group at most.
    """
    rises = {OURS: (low, (high / low) ** (1 / (steps - 1)), steps)}
    rises |= {name: (t.first, t.growth, lr_rules.STEPS) for name, t in lr_rules.TRIALS.items()}
    asked = [(name, seed) for name in rises for seed in seeds]
    specs = [_rising(base, *rises[name], seed) for name, seed in asked]
    lrs: list[list[float]] = [[] for _ in asked]
    losses: list[list[float]] = [[] for _ in asked]
    last = [nan] * len(asked)
    whole, done = sum(spec.steps or 0 for spec in specs), 0
    for numbers in partition(specs, largest):
        group = build_group([specs[number] for number in numbers], numbers, own)
        for event in group.events():
            if isinstance(event, Step):
                told = event.metrics["loss"].tolist()
                for number, lr, loss in zip(event.members, event.lr, told, strict=True):
                    lrs[number].append(lr)
                    losses[number].append(loss)
                done += len(event.members)
                yield Stage("range test", done / whole)
            elif isinstance(event, Diverged):
                for number, loss in zip(event.members, event.loss, strict=True):
                    last[number] = loss
    S = len(seeds)
    padded = [[*own, *[nan] * (steps - len(own))] for own in losses[:S]]
    rates = low * rises[OURS][1] ** np.arange(steps)
    peers: dict[str, list[float | None]] = {}
    for number in range(S, len(asked)):
        first, growth, n = rises[asked[number][0]]
        seen = lr_rules.until_lost(losses[number], last[number])
        chosen = lr_rules.TRIALS[asked[number][0]].choose(
            [first * growth**k for k in range(n)], seen
        )
        for rule, choice in chosen.items():
            peers.setdefault(rule, []).append(choice)
    spent = [sum(map(len, part)) for part in (losses[:S], losses[S:])]
    yield Ranged(RangeTest(rates, np.array(padded)), peers, *spent)


def _rising(base: Spec, first: float, growth: float, steps: int, seed: int) -> Spec:
    schedule: dict[str, Any] = {"name": "exponential", "per": "step", "gamma": growth}
    changes = {"optimizer.lr": first, "schedule": schedule, "steps": steps, "seed": seed}
    return base.override(changes)
