"""Rungs: after which part of their length trials are ranked, and how many go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf

from thalweg.engine.length import Length
from thalweg.errors import SpecError, nearest

PRUNERS = ("halving", "hyperband", "none")


@dataclass(frozen=True)
class Rungs:
    """Who goes on, and after how long that is decided.

    Trials come in waves. A wave is ranked at each of its rungs, as a whole, and the best 1/η go on
    from where they stand, rounded up: in a cohort one more costs least where few are left. (The
    paper rounds down.) With successive halving (Jamieson & Talwalkar 2016) every wave has the same
    rungs: η^(1−n), η^(2−n), …, 1/η of the whole length, of n rungs with the end. With Hyperband (Li
    et al. 2018, JMLR 18) waves take turns: the first has all rungs, the next one less and is
    smaller, and so on to one that nobody is sent away from.

    Args:
        pruner: ``halving``, ``hyperband`` or ``none``.
        eta: η.
        count: Rungs, with the end of training.

    Raises:
        SpecError: There is no such pruner, or a number is too small.

    Example:
        >>> rungs = Rungs("hyperband", eta=3, count=3)
        >>> [[round(rung, 3) for rung in rungs.of(wave)] for wave in (0, 1, 2, 3)]
        [[0.111, 0.333], [0.333], [], [0.111, 0.333]]
        >>> [rungs.size(wave, 27) for wave in (0, 1, 2)]
        [27, 14, 9]
    """

    pruner: str = "halving"
    eta: int = 3
    count: int = 3

    def __post_init__(self) -> None:
        if self.pruner not in PRUNERS:
            raise SpecError(f"pruner={self.pruner!r}", "a pruner", nearest(self.pruner, PRUNERS))
        if self.eta < 2 or self.count < 1:
            raise SpecError(f"eta={self.eta}, rungs={self.count}", "eta=2 and rungs=1 at least")

    def of(self, wave: int) -> list[float]:
        """Return at which parts of its length a wave is ranked, its end left out."""
        skipped = wave % self.count if self.pruner == "hyperband" else 0
        last = 0 if self.pruner == "none" else self.count - 1
        return [self.eta ** float(-k) for k in range(last - skipped, 0, -1)]

    def size(self, wave: int, members: int) -> int:
        """Return of how many trials a wave is, where there is room for so many members.

        Of Hyperband's waves all cost about the same.
        """
        if self.pruner != "hyperband":
            return members
        s, most = len(self.of(wave)), self.count - 1
        share = float(self.eta) ** (s - most) * (most + 1) / (s + 1)
        return max(1, ceil(members * share))

    def keep(self, n: int) -> int:
        """Return how many of n trials go on from a rung.

        Example:
            >>> [Rungs().keep(n) for n in (16, 6, 2)]
            [6, 2, 1]
        """
        return ceil(n / self.eta)


def updates_at(rung: float, length: Length) -> int:
    """Return after how many updates a part of a length is reached: whole epochs, if it can be.

    Example:
        >>> length = Length(batch_size=64, per_epoch=10, updates=90, evaluate_every=10)
        >>> [updates_at(rung, length) for rung in (1 / 27, 1 / 9, 1 / 3, 1.0)]
        [3, 10, 30, 90]
    """
    if rung >= 1:
        return length.updates
    wanted = rung * length.updates
    if wanted < length.per_epoch * (1 - 1e-9):
        return max(1, round(wanted))
    return min(length.updates, round(wanted / length.per_epoch) * length.per_epoch)


def best(scores: Mapping[int, float], n: int) -> list[int]:
    """Return the n best of some trials, by their numbers; of equal ones those asked for first.

    Args:
        scores: How good each is, the higher the better; −∞ for one that is lost.
        n: How many; fewer, if more than the others are lost.

    Example:
        >>> best({4: 0.5, 5: 0.9, 6: 0.5, 7: float("-inf")}, 2)
        [4, 5]
    """
    sound = [number for number, score in scores.items() if score > -inf]
    return sorted(sorted(sound, key=lambda number: (-scores[number], number))[:n])
