"""What came of a search for a learning rate: an interval, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, isfinite, nan, sqrt
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from thalweg.frames import to_frame
from thalweg.study.intervals import LEVEL
from thalweg.study.lr.forks import Fork
from thalweg.study.lr.range_test import RangeTest
from thalweg.study.races.standings import paired_p
from thalweg.study.sweeps.grid import half_decade

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rate:
    """One learning rate, over its seeds.

    Args:
        lr: The rate.
        steps: Updates since the fork after which it was evaluated last.
        loss: Mean held-out loss there; infinite if a seed diverged.
        error: Standard error of that mean; NaN if a seed diverged.
        behind: How much more than the best rate's that is, seed by seed; None for the best, and
            for rates that did not come to the end.
        behind_error: Standard error of that difference; likewise.
        p: How often chance alone would put as large a gap between the two; likewise. It is not
            corrected for the number of rates: they are asked from the outermost inwards, until one
            cannot be told from the best.
        diverged: Seeds whose loss was no number.
        pruned: Whether it was taken out before the end.
        rose: Whether the loss of every seed was higher at last than where the fork began.
    """

    lr: float
    steps: int
    loss: float
    error: float
    behind: float | None
    behind_error: float | None
    p: float | None
    diverged: int
    pruned: bool
    rose: bool

    @property
    def whole(self) -> bool:
        """Whether all seeds came to the end."""
        return not self.pruned and not self.diverged

    @property
    def is_behind(self) -> bool:
        """Whether it is worse than the best beyond doubt, its loss rose, or it diverged."""
        lost = bool(self.diverged) or self.rose
        return lost or (self.p is not None and self.p <= 1 - LEVEL)


@dataclass(frozen=True)
class FoundLr:
    """What came of `find_lr`.

    Args:
        rule: The update rule.
        about: What its learning rate is, in the rule's own words.
        range: The range test.
        forks: Every fork, by rate and seed.
        seeds: The seeds.
        fork_steps: Updates of a fork that came to its end.
        warm: Updates of the warm start before.
        warm_lr: Its learning rate.
        ends: The lowest and the highest rate that could have been tried.
        peers: What rules of other packages choose from range tests of their own, by seed; None
            where a rule has no answer.
        gd_limit: For gradient descent on the whole training set, with momentum μ: 2(1 + μ)/λmax by
            seed, beyond which it is not stable on the quadratic that fits the loss, where the forks
            ``begin`` and where those of the best rate ``end``; else None.
        spent: Updates made, by part, over all seeds and rates.
    """

    rule: str
    about: str
    range: RangeTest
    forks: Sequence[Fork]
    seeds: Sequence[int]
    fork_steps: int
    warm: int
    warm_lr: float
    ends: tuple[float, float]
    peers: Mapping[str, Sequence[float | None]]
    gd_limit: Mapping[str, Sequence[float]] | None
    spent: Mapping[str, int]

    @property
    def steps(self) -> int:
        """Updates made in all, but for those of the other packages' range tests."""
        return sum(n for part, n in self.spent.items() if part != "peers")

    @property
    def rates(self) -> list[Rate]:
        """A row for each learning rate that was tried, rising."""
        return rates_of(self.forks, self.seeds, self.fork_steps)

    @property
    def best(self) -> float | None:
        """The rate with the least mean held-out loss at the end; None if all diverged."""
        return best_of(self.rates)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The lowest and the highest rate that cannot be told from the best."""
        return _interval(self.rates)

    @property
    def largest(self) -> float | None:
        """The largest rate within one standard error of the best, in pairs."""
        best = self.best
        near = [
            rate.lr
            for rate in self.rates
            if rate.behind is not None and rate.behind <= (rate.behind_error or 0.0)
        ]
        return None if best is None else max([best, *near])

    @property
    def learned(self) -> bool:
        """Whether the best rate lowered the held-out loss of every seed."""
        own = [fork for fork in self.forks if half_decade(fork.place) == self.best]
        return bool(own) and all(fork.losses[self.fork_steps] < fork.losses[0] for fork in own)

    @property
    def verdict(self) -> str:
        """The answer in a sentence; or that one cannot tell."""
        best, interval, n = self.best, self.interval, self.fork_steps
        if best is None:
            return "no verdict: every learning rate diverged"
        if interval is None or not self.learned:
            return f"cannot tell: no learning rate lowered the held-out loss in {n} steps"
        low, high = interval
        tried = [rate.lr for rate in self.rates]
        open_ends = [
            f"{lr:g} is the {which} that was tried"
            for lr, end, which in ((low, tried[0], "lowest"), (high, tried[-1], "highest"))
            if lr == end
        ]
        if low == high:
            told = f"{best:g} is the best"
        else:
            told = f"cannot tell between {low:g} and {high:g}; {best:g} has the least loss"
            if self.largest != best:
                told += f", and {self.largest:g} is the largest within one standard error of it"
        return "; ".join([told, *open_ends])

    @property
    def notes(self) -> list[str]:
        """What one should know of the answer."""
        found = []
        if not self.about.startswith("learning rate"):
            found.append(f"{self.rule} has no learning rate of the usual kind: lr {self.about}")
        return found

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The rates as columns."""
        rates = self.rates
        return {each.name: [getattr(rate, each.name) for rate in rates] for each in fields(Rate)}

    @property
    def curve(self) -> dict[str, list[float]]:
        """The range test as columns: the rate, median and quartiles of the loss, and each seed."""
        test = self.range
        found = {"lr": test.lr, "loss": test.median, "low": test.low, "high": test.high}
        seeds = {f"seed {s}": own for s, own in zip(self.seeds, test.losses, strict=True)}
        return {name: column.tolist() for name, column in {**found, **seeds}.items()}

    @property
    def fork_columns(self) -> dict[str, list[Any]]:
        """The forks as columns: rate, seed, steps since the fork, held-out loss."""
        rows = [
            (half_decade(fork.place), fork.seed, steps, loss)
            for fork in sorted(self.forks, key=lambda fork: (fork.place, fork.seed))
            for steps, loss in fork.losses.items()
        ]
        names = ("lr", "seed", "steps", "loss")
        return {name: [row[k] for row in rows] for k, name in enumerate(names)}

    def peer(self, rule: str) -> float | None:
        """Return the median over the seeds of what another package's rule chooses."""
        known = [lr for lr in self.peers[rule] if lr is not None]
        return median(known) if known else None

    @property
    def _short(self) -> str:
        """The answer in few words."""
        if self.interval is None or not self.learned:
            return "One cannot tell"
        low, high = self.interval
        return f"{self.best:g}" + (f", or any of {low:g} to {high:g}" if low < high else "")

    def to_pandas(self) -> pd.DataFrame:
        """Return the rates as a DataFrame.

        Raises:
            ThalwegError: pandas is not installed.
        """
        return to_frame(self.columns)

    def figure(self) -> Any:
        """Return it as a Plotly figure."""
        from thalweg.plots.find_lr import Choice, Held, learning_rates

        choices = [
            Choice(rule, lr, [own for own in self.peers[rule] if own is not None])
            for rule in self.peers
            if (lr := self.peer(rule)) is not None
        ]
        for when, limits in (self.gd_limit or {}).items():
            told = f"2/λmax, {'first' if when == 'begin' else 'last'}"
            told = told if self.rule == "sgd" else told.replace("2/", "2(1 + μ)/")
            choices.append(Choice(told, median(limits), list(limits)))
        held = [
            Held(rate.lr, rate.loss, rate.error, rate.steps, rate.diverged, rate.whole)
            for rate in self.rates
        ]
        return learning_rates(
            self.curve, held, choices, edge=self.range.edge, best=self.best,
            interval=self.interval, title=f"Which learning rate for {self.rule}? {self._short}",
        )  # fmt: skip

    def save(self, file: str | Path) -> None:
        """Write the picture to a file, ``.html`` or ``.png``.

        Raises:
            SpecError: The name ends in something else.
            FileError: The file cannot be written.
            ThalwegError: A ``.png`` needs kaleido and a Chrome, and one is missing.
        """
        from thalweg.plots.picture import save

        save(self.figure(), Path(file))


def rates_of(forks: Sequence[Fork], seeds: Sequence[int], end: int) -> list[Rate]:
    """Return a row for each learning rate, rising.

    Args:
        forks: Every fork.
        seeds: The seeds: each rate has a fork of each.
        end: Updates of a fork that came to its end.

    Example:
        >>> forks = [Fork(p, s, {10: 1.0 + p + 0.01 * s * p}) for p in (0, 1) for s in (0, 1, 2)]
        >>> low, high = rates_of(forks, (0, 1, 2), 10)
        >>> low.lr, low.loss, low.behind, high.lr, round(high.behind, 3), high.is_behind
        (1.0, 1.0, None, 3.0, 1.01, True)
    """
    by_place: dict[int, dict[int, Fork]] = {}
    for fork in forks:
        by_place.setdefault(fork.place, {})[fork.seed] = fork
    whole = {
        place: [own[seed].losses[end] for seed in seeds]
        for place, own in by_place.items()
        if all(isfinite(own[seed].losses.get(end, inf)) for seed in seeds)
    }
    best = min(whole, key=lambda place: fmean(whole[place])) if whole else None
    found = []
    for place, own in sorted(by_place.items()):
        lost = sum(
            fork.reason == "diverged" or inf in fork.losses.values() for fork in own.values()
        )
        last = min(max(fork.losses, default=0) for fork in own.values())
        losses = [fork.losses.get(last, inf) for fork in own.values()]
        gaps: list[float] = []
        if best is not None and place != best and place in whole:
            gaps = [a - b for a, b in zip(whole[place], whole[best], strict=True)]
        found.append(
            Rate(
                half_decade(place),
                last,
                inf if lost else fmean(losses),
                nan if lost else _error(losses),
                fmean(gaps) if gaps else None,
                _error(gaps) if gaps else None,
                paired_p(whole[place], whole[best]) if gaps and best is not None else None,
                lost,
                not lost and place not in whole,
                all(fork.losses.get(last, inf) > fork.losses.get(0, inf) for fork in own.values()),
            )
        )
    return found


def best_of(rates: Sequence[Rate]) -> float | None:
    """Return the rate with the least mean held-out loss at the end; None if all diverged."""
    whole = [rate for rate in rates if rate.whole]
    return min(whole, key=lambda rate: rate.loss).lr if whole else None


def _interval(rates: Sequence[Rate]) -> tuple[float, float] | None:
    near = [rate.lr for rate in rates if rate.whole and not rate.is_behind]
    return (min(near), max(near)) if near else None


def _error(values: Sequence[float]) -> float:
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else nan
