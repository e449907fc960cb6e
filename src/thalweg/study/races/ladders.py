"""Learning rates for a race: the same budget for each, on a grid that grows until it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log10

from thalweg.study.sweeps.grid import half_decade

FIRST = 5
"""Learning rates of the first round."""

LATER = 2
"""Learning rates of each further round."""

ROUNDS = 8
"""Rounds at most; a contestant whose best is still at the edge then is not tuned, unless every
learning rate diverged."""


@dataclass
class Ladder:
    """Half-decade learning rates that one contestant was tried with.

    Args:
        centre: Place of the one to begin with: 0 is 1, −1 is 0.3, −2 is 0.1.

    Attributes:
        scores: By place, the higher the better; −∞ for those that diverged.

    Example:
        >>> ladder = Ladder.around(1e-3)
        >>> ladder.propose()
        [-8, -7, -6, -5, -4]
        >>> ladder.scores = dict(zip(ladder.propose(), [0.1, 0.2, 0.3, 0.4, 0.5]))
        >>> ladder.at_edge, ladder.propose(), ladder.lr
        (True, [-3, -2], 0.01)
    """

    centre: int
    scores: dict[int, float] = field(default_factory=dict)

    @classmethod
    def around(cls, lr: float) -> Ladder:
        """Return a ladder whose middle is nearest to a learning rate."""
        return cls(round(2 * log10(lr)) if lr > 0 else -4)

    @property
    def best(self) -> int:
        """The place with the highest score; of equal ones the middle one.

        Where the lowest rates score alike they hardly move the network: of equal ones that reach
        to the lowest, or to the highest, it is the highest, and the lowest if all diverged.
        """
        top = max(self.scores.values())
        equal = sorted(place for place, score in self.scores.items() if score == top)
        low, high = min(self.scores), max(self.scores)
        if top == float("-inf"):
            return low
        return equal[-1] if equal[0] == low or equal[-1] == high else equal[len(equal) // 2]

    @property
    def lr(self) -> float:
        """The best learning rate so far."""
        return half_decade(self.best)

    @property
    def all_diverged(self) -> bool:
        """Whether no learning rate that was tried came to its end on every seed."""
        return max(self.scores.values()) == float("-inf")

    @property
    def at_edge(self) -> bool:
        """Whether the best is the lowest or the highest that was tried, or all diverged."""
        ends = {min(self.scores), max(self.scores)}
        return self.best in ends or self.all_diverged

    def propose(self) -> list[int]:
        """Return the places to try next."""
        if not self.scores:
            half = FIRST // 2
            return list(range(self.centre - half, self.centre + half + 1))
        low, high = min(self.scores), max(self.scores)
        if self.all_diverged or self.best == low:
            return list(range(low - LATER, low))
        if self.best == high:
            return list(range(high + 1, high + 1 + LATER))
        return [low - 1, high + 1]  # as many as the others get


def goes_on(ladders: Iterable[Ladder], rounds: int) -> bool:
    """Tell whether another round is needed: somebody's best is at the edge of what was tried."""
    return rounds == 0 or (rounds < ROUNDS and any(ladder.at_edge for ladder in ladders))


def mean_scores(
    places: Sequence[tuple[str, int]], scores: Sequence[float]
) -> Mapping[tuple[str, int], float]:
    """Return the mean score over the seeds of each contestant and place; −∞ is one lost seed.

    Example:
        >>> mean_scores([("sgd", 0), ("sgd", 0)], [0.5, 1.0])
        {('sgd', 0): 0.75}
    """
    found: dict[tuple[str, int], list[float]] = {}
    for key, score in zip(places, scores, strict=True):
        found.setdefault(key, []).append(score)
    return {key: sum(own) / len(own) for key, own in found.items()}
