"""Averages of the weights along the way: Polyak's, SWA and EMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, COUNT, NATURAL, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, State
from thalweg.optim.wrapper import Wrapper


@dataclass(frozen=True)
class _Average(Wrapper):
    """An average θ̄ beside the inner rule's θ: θ̄ ← θ̄ + share·(θ − θ̄)."""

    @property
    def stale_statistics(self) -> bool:
        """Yes: BatchNorm's running statistics are of θ, and evaluation is with the average."""
        return True

    def check(self) -> None:
        """Raise SpecError if there is an average inside: only one can be evaluated with."""
        super().check()
        for rule in self.within():
            if isinstance(rule, _Average):
                raise SpecError(f"{self.name} around {rule.name}", "one kind of average")

    def init(self, theta: Tensor) -> State:
        """Return the slots of the inner rule, and the average, which starts as theta."""
        return {**self.inner.init(theta), "average": theta.detach().clone()}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and the share of θ in the average."""
        return {**self.inner.coefficients(t, h), "share": self.share(t, h)}

    def share(self, t: int, h: Mapping[str, float]) -> float:
        """Return the share of the present θ in the average; 0 leaves it as it is."""
        raise NotImplementedError

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move the average."""
        if c.any("share"):
            state["average"].lerp_(theta, c["share"])

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor:
        """Return the average."""
        return state["average"]


@register
@dataclass(frozen=True)
class PolyakRule(_Average):
    """The plain average of all iterates (Polyak & Juditsky 1992) of any rule.

    After n updates θ̄ = (θ₁ + … + θₙ)/n, kept as θ̄ ← θ̄ + (θₙ − θ̄)/n. It is for evaluation alone.
    """

    name: ClassVar[str] = "polyak"
    paper: ClassVar[str] = "Polyak & Juditsky 1992 (SIAM J. Control Optim. 30)"

    def share(self, t: int, h: Mapping[str, float]) -> float:
        """Return 1/n."""
        return 1.0 / (t + 1)


@register
@dataclass(frozen=True)
class SWARule(_Average):
    """Stochastic weight averaging (Izmailov et al. 2018, algorithm 1) around any rule.

    From update ``swa_start`` on, at every ``swa_every``-th, θ̄ ← θ̄ + (θ − θ̄)/(n + 1) with n the
    number of iterates averaged before: the first one is copied. Until then the average is θ itself.
    The learning rate is the schedule's affair.
    """

    name: ClassVar[str] = "swa"
    paper: ClassVar[str] = "Izmailov et al. 2018, arXiv:1803.05407"

    swa_start: int = option(int, 0, "updates before the first that is averaged", NATURAL)
    swa_every: int = option(int, 1, "updates from one that is averaged to the next", COUNT)

    def share(self, t: int, h: Mapping[str, float]) -> float:
        """Return 1/(n + 1), or 0 between two iterates that are averaged."""
        if t < self.swa_start:
            return 1.0
        n, between = divmod(t - self.swa_start, self.swa_every)
        return 0.0 if between else 1.0 / (n + 1)


@register
@dataclass(frozen=True)
class EMARule(_Average):
    """The exponential moving average of the iterates of any rule.

    θ̄ ← dθ̄ + (1 − d)θ after every update, with d = ema_decay; it starts as the initial weights.
    """

    name: ClassVar[str] = "ema"
    paper: ClassVar[str] = "Tarvainen & Valpola 2017, arXiv:1703.01780"

    ema_decay: Hyperparameter = option(float, 0.999, "share of the average that stays", BELOW_ONE)

    def share(self, t: int, h: Mapping[str, float]) -> float:
        """Return 1 − d."""
        return 1.0 - h["ema_decay"]
