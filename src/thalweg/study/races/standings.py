"""What a race says: curves, standings at equal cost, and a verdict that may be "cannot tell"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, isfinite, nan, sqrt
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtr

from thalweg.engine.stop import Condition, lower_is_better
from thalweg.study.intervals import LEVEL, Interval, mean_interval, paired_interval

Cost = Literal["epochs", "gradients", "seconds"]
COSTS: tuple[Cost, ...] = ("epochs", "gradients", "seconds")


@dataclass(frozen=True)
class Trace:
    """One run of a race, evaluation by evaluation.

    Args:
        seed: Its seed.
        costs: What it had cost: passes; gradient evaluations, in batches of one size for all; and
            seconds as if it were alone.
        values: What was measured, by metric; each as long as the costs.
        diverged: Whether it ended by a loss that is no number.
    """

    seed: int
    costs: Mapping[Cost, Sequence[float]]
    values: Mapping[str, Sequence[float]]
    diverged: bool

    def at(self, metric: str, cost: Cost, budget: float) -> float:
        """Return a metric at the last evaluation within a budget; NaN if there is none."""
        within = [k for k, spent in enumerate(self.costs[cost]) if spent <= budget * (1 + 1e-9)]
        return self.values[metric][within[-1]] if within and not self.diverged else nan

    def reaches(self, target: Condition, cost: Cost) -> float:
        """Return what it cost until the target was reached first; infinite if it never was."""
        for spent, value in zip(self.costs[cost], self.values.get(target.metric, ()), strict=False):
            if target.holds({target.metric: value}):
                return spent
        return inf


@dataclass(frozen=True)
class Curve:
    """Mean and interval of a metric over the seeds of a contestant, against the cost.

    Args:
        x: The costs.
        mean: Over the seeds that did not diverge.
        low: Lower ends of the intervals.
        high: Upper ends.
    """

    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Standing:
    """How a contestant did at a budget.

    Args:
        contestant: Its name.
        value: The metric, over the seeds that did not diverge; None if there is none.
        behind: How much worse than the best it was, seed by seed, with the interval of this one
            comparison; None for the best, or where there are no pairs.
        diverged: Seeds that diverged.
        to_target: Mean cost until the target; None unless all seeds reached it.
        reached: Seeds that reached the target.
        p: How often chance alone would put as large a gap between these two, corrected for all
            the comparisons; 0 if it diverged on more seeds than the best; None for the best.
    """

    contestant: str
    value: Interval | None
    behind: Interval | None
    diverged: int
    to_target: Interval | None
    reached: int
    p: float | None = None

    @property
    def is_behind(self) -> bool:
        """Whether it was worse than the best beyond doubt, or diverged more often."""
        return self.p is not None and self.p <= 1 - LEVEL


Traces = Mapping[str, Sequence[Trace]]
"""The runs of each contestant, by its name, in the order of the seeds."""


def curves(traces: Traces, metric: str, cost: Cost) -> dict[str, Curve]:
    """Return a curve for each contestant."""
    found = {}
    for name, own in traces.items():
        known = [trace for trace in own if metric in trace.values]
        good = [trace for trace in known if not trace.diverged] or known
        if not good:
            found[name] = Curve([], [], [], [])
            continue
        length = min(len(trace.costs[cost]) for trace in good)
        columns = [
            [v for trace in good if isfinite(v := trace.values[metric][k])] for k in range(length)
        ]
        at = [k for k, column in enumerate(columns) if column]
        intervals = [mean_interval(columns[k]) for k in at]
        found[name] = Curve(
            [good[0].costs[cost][k] for k in at],
            [each.mean for each in intervals],
            [each.low for each in intervals],
            [each.high for each in intervals],
        )
    return found


def equal_budget(traces: Traces, cost: Cost) -> float:
    """Return the cost that every contestant's runs came to, those aside that diverged."""
    ends = [t.costs[cost][-1] for own in traces.values() for t in own if not t.diverged]
    return min(ends) if ends else 0.0


def common_target(traces: Traces, metric: str) -> Condition:
    """Return the target that half of the contestants reach by their ends, in the mean."""
    finals = [
        mean_interval(good).mean
        for own in traces.values()
        if (good := [t.values[metric][-1] for t in own if not t.diverged])
    ]
    ordered = sorted(finals, reverse=not lower_is_better(metric))
    bound = ordered[(len(ordered) - 1) // 2] if ordered else nan
    return Condition(metric, "<=" if lower_is_better(metric) else ">=", bound)


def paired_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p-value of Student's test on pairs: how often chance does as much.

    Where all differences are the same, Student's test says nothing; then it is how often all of
    them fall on one side by chance, 2^(1 − n). It is 1 if they are 0, or if there is one pair.

    Example:
        >>> round(paired_p([3.0, 4.0, 5.0], [2.0, 2.0, 2.0]), 4), paired_p([1.0, 2.0], [0.0, 1.0])
        (0.0742, 0.5)
    """
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(gaps), fmean(gaps) if gaps else 0.0
    if n < 2 or mean == 0:
        return 1.0
    spread = stdev(gaps) / sqrt(n)
    if spread <= 1e-9 * abs(mean):
        return float(2.0 ** (1 - n))
    return float(2 * stdtr(n - 1, -abs(mean) / spread))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979).

    To call significant what is at most 0.05 then errs anywhere among them in 5 % of cases at most,
    however they depend on one another.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda each: ps[each])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = least
    return corrected


def standings(traces: Traces, metric: str, cost: Cost, target: Condition) -> list[Standing]:
    """Return how the contestants did at the cost that all of them came to, the best first.

    Who is best is not known beforehand: a comparison with the best is one among those of all pairs,
    and corrected for as many (`holm`).

    Args:
        traces: Their runs.
        metric: What decides.
        cost: What is to be equal.
        target: What is to be reached.
    """
    budget = equal_budget(traces, cost)
    sign = -1.0 if lower_is_better(metric) else 1.0
    values = {n: {t.seed: t.at(metric, cost, budget) for t in own} for n, own in traces.items()}
    finite = {name: [v for v in own.values() if isfinite(v)] for name, own in values.items()}
    lost = {name: sum(trace.diverged for trace in own) for name, own in traces.items()}

    def rank(name: str) -> tuple[bool, int, float]:  # who diverges on some seeds goes behind
        none = not finite[name]
        return none, lost[name], inf if none else -sign * mean_interval(finite[name]).mean

    def pairs(one: str, other: str) -> tuple[list[float], list[float]]:
        """Return how good two were, on the seeds that neither lost."""
        both = [
            (sign * a, sign * b)
            for seed, a in values[one].items()
            if isfinite(a) and isfinite(b := values[other].get(seed, nan))
        ]
        return [a for a, _ in both], [b for _, b in both]

    ranked = sorted(traces, key=rank)
    best, found = ranked[0], list[Standing]()
    tested = [(a, b) for a, b in combinations(ranked, 2) if finite[a] and finite[b]]
    corrected = dict(zip(tested, holm([paired_p(*pairs(a, b)) for a, b in tested]), strict=True))
    for name in ranked:
        good, (ours, theirs) = finite[name], pairs(best, name)
        costs = [trace.reaches(target, cost) for trace in traces[name]]
        reached = [each for each in costs if isfinite(each)]
        behind = paired_interval(ours, theirs) if ours and name != best else None
        p = None
        if name != best:
            worse = behind is not None and behind.mean > 0
            p = corrected[best, name] if worse else 1.0
            p = 0.0 if lost[name] > lost[best] else p
        found.append(
            Standing(
                name,
                mean_interval(good) if good else None,
                behind,
                lost[name],
                mean_interval(reached) if reached and len(reached) == len(costs) else None,
                len(reached),
                p,
            )
        )
    return found


def verdict(found: Sequence[Standing], *, tuned: bool, at_edge: Sequence[str] = ()) -> str:
    """Return who won, in a sentence; or that one cannot tell.

    Args:
        found: The standings, the best first.
        tuned: Whether each contestant was tuned.
        at_edge: Those whose best learning rate is still at the edge of what was tried.

    Example:
        >>> a = Standing("a", Interval(0.9, 0.01, 5), None, 0, None, 5)
        >>> b = Standing("b", Interval(0.8, 0.01, 5), Interval(0.1, 0.02, 5), 0, None, 0, 0.001)
        >>> c = Standing("c", Interval(0.89, 0.01, 5), Interval(0.01, 0.02, 5), 0, None, 0, 0.6)
        >>> verdict([a, b], tuned=True)
        'a is the best'
        >>> verdict([a, c, b], tuned=True)
        'cannot tell between a and c; b is behind'
        >>> verdict([a, b], tuned=False)
        'no verdict: the learning rates were not tuned'
    """
    if at_edge:
        many = len(at_edge) > 1
        what = f"learning rate{'s' if many else ''} of {_list(at_edge)}"
        return f"no verdict: the best {what} {'are' if many else 'is'} at the edge of those tried"
    if not tuned:
        return "no verdict: the learning rates were not tuned"
    if found[0].value is None:
        return "no verdict: every run diverged"
    open_ones = [each.contestant for each in found if not each.is_behind]
    behind = [each.contestant for each in found if each.is_behind]
    if len(found) == 1:
        return f"{open_ones[0]} ran alone"
    if len(open_ones) == 1:
        return f"{open_ones[0]} is the best"
    told = f"cannot tell between {_list(open_ones)}"
    return (
        f"{told}; {_list(behind)} {'is' if len(behind) == 1 else 'are'} behind" if behind else told
    )


def profile(traces: Traces, targets: Sequence[Condition], cost: Cost) -> dict[str, list[float]]:
    """Return performance ratios, as for a performance profile (Dolan & Moré 2002).

    A problem is a target with a seed. The ratio of a contestant on it is its cost until the target
    over the least cost of anybody; infinite where it was not reached.

    Returns:
        The ratios of each contestant, rising; problems that nobody solved are left out.
    """
    ratios: dict[str, list[float]] = {name: [] for name in traces}
    seeds = dict.fromkeys(trace.seed for own in traces.values() for trace in own)
    for target in targets:
        for seed in seeds:
            costs = {
                name: next((t.reaches(target, cost) for t in own if t.seed == seed), inf)
                for name, own in traces.items()
            }
            least = min(costs.values())
            if isfinite(least):
                for name, spent in costs.items():
                    ratios[name].append(1.0 if spent == least else spent / least if least else inf)
    return {name: sorted(own) for name, own in ratios.items()}


def _list(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
