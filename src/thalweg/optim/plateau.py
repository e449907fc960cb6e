"""The schedule that depends on how a run goes: less where a metric stops improving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from thalweg.errors import SpecError
from thalweg.optim.options import BELOW_ONE, NATURAL, NON_NEGATIVE, UNIT, Choice, option
from thalweg.optim.shapes import Shape, register_schedule

MODES = Choice("rel", "abs")


@register_schedule
@dataclass(frozen=True)
class Plateau(Shape):
    """γ once more where the monitored metric stops improving; torch's ReduceLROnPlateau.

    It counts evaluations. When more than ``wait`` of them (torch's patience) have brought no
    improvement on the best one, the value is multiplied by γ (torch's factor), and the following
    evaluations count for nothing, as many as ``cooldown`` says. An improvement is one by more than
    ``threshold``: in the mode ``rel`` a share of the best value, for metrics above 0; in the mode
    ``abs`` a number. NaN is no improvement. ``minimum`` is torch's min_lr over the base value, and
    torch's eps is 0.
    """

    name: ClassVar[str] = "plateau"
    reacts: ClassVar[bool] = True

    gamma: float = option(float, 0.1, "factor of each change", BELOW_ONE)
    wait: int = option(int, 10, "evaluations without improvement that change nothing", NATURAL)
    threshold: float = option(float, 1e-4, "how much better an improvement is", NON_NEGATIVE)
    threshold_mode: str = option(str, "rel", "rel: the threshold is a share of the best", MODES)
    cooldown: int = option(int, 0, "evaluations after a change that count for nothing", NATURAL)
    minimum: float = option(float, 0.0, "least factor", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return 1, the factor of a run in which nothing was measured: see :meth:`tracker`."""
        return 1.0

    def check(self) -> None:
        """Raise SpecError unless a relative threshold is below 1."""
        if self.threshold_mode == "rel" and self.threshold >= 1.0:
            raise SpecError(
                f"threshold={self.threshold:g} for schedule plateau",
                "a share of the best value, below 1",
                "threshold_mode=abs takes it as a number",
            )

    def tracker(self, *, lower_is_better: bool) -> PlateauTracker:
        """Return what follows the metric of one run, and says the factor.

        Args:
            lower_is_better: Whether the metric should fall, as a loss, or rise.
        """
        return PlateauTracker(self, lower_is_better)


class PlateauTracker:
    """Follows one metric of one run from evaluation to evaluation, for :class:`Plateau`.

    Args:
        options: When to change the factor, and by how much.
        lower_is_better: Whether the metric should fall, as a loss, or rise.

    Attributes:
        factor: What the base value is multiplied by now.
        best: The best value so far.
        waited: Evaluations since without improvement.
        cooling: Evaluations still to come that count for nothing.

    Example:
        >>> tracker = Plateau(gamma=0.5, wait=1).tracker(lower_is_better=True)
        >>> [tracker.observe(loss) for loss in (1.0, 0.8, 0.9, 0.85, 0.7, 0.7, 0.7)]
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    def __init__(self, options: Plateau, lower_is_better: bool) -> None:
        self.options, self.lower_is_better = options, lower_is_better
        self.factor = 1.0
        self.best = inf if lower_is_better else -inf
        self.waited = self.cooling = 0

    def observe(self, value: float) -> float:
        """Take note of an evaluation, and return the factor from then on.

        Args:
            value: What the metric came to.
        """
        chosen = self.options
        if self._improves(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling, self.waited = self.cooling - 1, 0
        if self.waited > chosen.wait:
            self.factor = max(self.factor * chosen.gamma, chosen.minimum)
            self.cooling, self.waited = chosen.cooldown, 0
        return self.factor

    def state(self) -> dict[str, float | int]:
        """Return what another tracker with the same options needs to go on from here.

        ``best`` is infinite until something was measured.
        """
        return {
            "factor": self.factor,
            "best": self.best,
            "waited": self.waited,
            "cooling": self.cooling,
        }

    def load(self, state: Mapping[str, float | int]) -> None:
        """Go on from where another tracker was.

        Args:
            state: What its :meth:`state` returned.
        """
        self.factor, self.best = float(state["factor"]), float(state["best"])
        self.waited, self.cooling = int(state["waited"]), int(state["cooling"])

    def _improves(self, value: float) -> bool:
        threshold, sign = self.options.threshold, -1.0 if self.lower_is_better else 1.0
        if self.options.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * threshold)
        else:
            bound = self.best + sign * threshold
        return value < bound if self.lower_is_better else value > bound
