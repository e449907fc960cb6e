"""What goes around a rule: another rule, which leaves to it what it does not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass

from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.foreign import ForeignRule
from thalweg.optim.options import option
from thalweg.optim.rule import Gradients, Parts, Rule, State


@dataclass(frozen=True)
class Wrapper(Rule):
    """A rule around a rule. As it stands, it changes nothing.

    Slots, hyperparameters and coefficients share one space of names with those of the inner rule.
    """

    inner: Rule = option(Rule, MISSING, "the rule inside")

    def within(self) -> Iterator[Rule]:
        """Yield the rules inside, the inmost last."""
        rule: Rule = self
        while isinstance(rule, Wrapper):
            rule = rule.inner
            yield rule

    def check(self) -> None:
        """Raise SpecError if it goes around itself, or around an optimizer of another package."""
        if isinstance(self.inner, ForeignRule):
            raise SpecError(
                f"{self.name} around {self.inner.factory.__name__} of another package",
                "a rule of thalweg's inside",
                "thalweg optimizers lists them",
            )
        if any(type(rule) is type(self) for rule in self.within()):
            raise SpecError(f"{self.name} around {self.name}", "each wrapper at most once")

    @property
    def elementwise(self) -> bool:
        """Whether the inner rule is."""
        return self.inner.elementwise

    @property
    def layerwise(self) -> bool:
        """Whether the inner rule is."""
        return self.inner.layerwise

    @property
    def fuses(self) -> bool:
        """Whether the inner rule does."""
        return self.inner.fuses

    @property
    def revises(self) -> bool:
        """Whether the inner rule does."""
        return self.inner.revises

    @property
    def stale_statistics(self) -> bool:
        """Whether the inner rule's are."""
        return self.inner.stale_statistics

    @property
    def gradients_per_step(self) -> float:
        """As many as the inner rule needs."""
        return self.inner.gradients_per_step

    def init(self, theta: Tensor) -> State:
        """Return the slots of the inner rule."""
        return self.inner.init(theta)

    def layer_slots(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Return those of the inner rule."""
        return self.inner.layer_slots(shape)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule."""
        return self.inner.coefficients(t, h)

    def revise(
        self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, at: Gradients
    ) -> Tensor:
        """Let the inner rule revise the gradient."""
        return self.inner.revise(theta, g, state, t, c, at)

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Let the inner rule move, and do the wrapper's own part."""
        self.inner.update(theta, g, state, t, c)
        self.after(theta, state, t, c)

    def fused(self, parts: Parts) -> bool:
        """Do the inner rule's part by its kernel, if it has one, and the wrapper's own."""
        if not self.inner.fused(parts):
            return False
        c = Coefficients(lambda _: self.coefficients(parts.t, parts.h), {}, parts.thetas[0])
        for theta, state in zip(parts.thetas, parts.states, strict=True):
            self.after(theta, state, parts.t, c)
        return True

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Do what comes after the inner rule's update: nothing here."""

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor | None:
        """Return those of the inner rule."""
        return self.inner.evaluation_weights(theta, state)
