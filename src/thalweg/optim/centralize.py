"""Gradient centralisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.registry import register
from thalweg.optim.rule import State
from thalweg.optim.wrapper import Wrapper


@register
@dataclass(frozen=True)
class CentralizeRule(Wrapper):
    """Gradient centralisation (Yong et al. 2020, equation 1) around any rule.

    From the gradient of every weight of two axes or more its mean over all axes but the first, the
    outputs', is subtracted, before the inner rule sees it.
    """

    name: ClassVar[str] = "centralize"
    paper: ClassVar[str] = "Yong, Huang, Hua & Zhang 2020, arXiv:2004.01461"

    @property
    def elementwise(self) -> bool:
        """No."""
        return False

    @property
    def layerwise(self) -> bool:
        """Yes."""
        return True

    @property
    def fuses(self) -> bool:
        """No."""
        return False

    def check(self) -> None:
        """Raise SpecError if the rule inside wants to see whole networks at once."""
        super().check()
        if not (self.inner.elementwise or self.inner.layerwise):
            raise SpecError(
                f"{self.name} around {self.inner.name}",
                "a rule that moves each parameter by itself",
            )

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one parameter by the inner rule."""
        if g.dim() > 1:
            g = g - g.mean(dim=tuple(range(1, g.dim())), keepdim=True)
        self.inner.update(theta, g, state, t, c)
