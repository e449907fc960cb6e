"""Slices of a cohort: neighbours that one update rule moves as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from thalweg import optim
from thalweg.engine.course import Course
from thalweg.optim.foreign import ForeignRule
from thalweg.optim.rule import Layout


class Slice:
    """Neighbours in a cohort whose rules differ in nothing but numbers.

    Args:
        rules: The rule of each of its members.
        courses: What changes each one's hyperparameters in time; None for those that stay.
        start: Row of the first of them.
        begun: Updates that the cohort had made when they entered.

    Attributes:
        rule: The rule of all: hyperparameters that differ are (n, 1), in float64.
        rows: Where they are in the cohort.
        state: The rule's tensors.
    """

    def __init__(
        self,
        rules: Sequence[optim.Rule],
        courses: Sequence[Course | None],
        *,
        start: int = 0,
        begun: int = 0,
    ) -> None:
        self.rules, self.courses, self.begun = list(rules), list(courses), begun
        self.rows = slice(start, start + len(self.rules))
        self.rule = merged(self.rules)
        self.state: optim.State = {}

    def hyper(self, t: int) -> optim.Hyper:
        """Return the hyperparameters in force after ``t`` updates of its members."""
        h = self.rule.hyper()
        distinct = dict.fromkeys(course for course in self.courses if course is not None)
        factors = {course: course.factor(t) for course in distinct}
        for target in dict.fromkeys(course.schedule.target for course in distinct):
            own = [
                1.0 if course is None or course.schedule.target != target else factors[course]
                for course in self.courses
            ]
            same = all(factor == own[0] for factor in own)
            h[target] = h[target] * (own[0] if same else _column(own))
        return h

    @property
    def tensors(self) -> list[Tensor]:
        """What the rule keeps, (n, …) each; nothing of a rule of another package."""
        return [slot for slot in self.state.values() if isinstance(slot, Tensor)]

    def bind(self, theta: Tensor, layout: Layout) -> None:
        """Let optimizers of another package go on with parameters, (K, P), at another place."""
        if isinstance(self.rule, ForeignRule):
            packed = self.rule.pack(self.state)
            self.rule.unpack(theta[self.rows], self.state, packed, layout)

    def joins(self, other: Slice) -> bool:
        """Tell whether one slice could hold the members of this one and of the next."""
        alike = self.begun == other.begun and kind(self.rules[0]) == kind(other.rules[0])
        return alike and not isinstance(self.rule, ForeignRule)

    def join(self, other: Slice) -> Slice:
        """Return one slice of the members of this one and of the next."""
        joined = Slice(
            [*self.rules, *other.rules],
            [*self.courses, *other.courses],
            start=self.rows.start,
            begun=self.begun,
        )
        both = ((name, torch.cat([slot, other.state[name]])) for name, slot in self.state.items())
        joined.state = dict(both)
        return joined

    def keep(self, members: Sequence[int], start: int) -> Slice:
        """Return the slice of some of its members; their tensors are copied.

        Args:
            members: Which, counted within the slice.
            start: Row of the first of them from now on.
        """
        kept = Slice(
            [self.rules[k] for k in members],
            [self.courses[k] for k in members],
            start=start,
            begun=self.begun,
        )
        if isinstance(self.rule, ForeignRule):
            kept.state = self.state
            return kept
        for name, slot in self.state.items():
            chosen = torch.as_tensor(list(members), device=slot.device)
            kept.state[name] = slot[chosen].contiguous()
        return kept


def neighbours(rules: Sequence[optim.Rule]) -> list[int]:
    """Return how many rules after one another can be merged, from the first to the last.

    Example:
        >>> sgd, adam = optim.build("sgd", lr=0.1), optim.build("adam")
        >>> neighbours([sgd, optim.build("sgd", lr=0.5), adam, sgd])
        [2, 1, 1]
    """
    counts: list[int] = []
    for k, rule in enumerate(rules):
        if k and kind(rule) == kind(rules[k - 1]) and not isinstance(rule, ForeignRule):
            counts[-1] += 1
        else:
            counts.append(1)
    return counts


def kind(rule: optim.Rule) -> tuple[Any, ...]:
    """Return all of a rule but the numbers that may differ between the members of a slice."""
    numbers = _numbers(rule)
    others = [
        kind(value) if isinstance(value, optim.Rule) else repr(value)
        for name, value in _values(rule).items()
        if name not in numbers
    ]
    return (type(rule), *others)


def merged(rules: Sequence[optim.Rule]) -> optim.Rule:
    """Return one rule that moves each member as its own rule would.

    Args:
        rules: Of one `kind`.
    """
    first = rules[0]
    if len(rules) == 1:
        return first
    numbers, changes = _numbers(first), dict[str, Any]()
    for name, value in _values(first).items():
        own = [_values(rule)[name] for rule in rules]
        if isinstance(value, optim.Rule):
            changes[name] = merged(own)
        elif name in numbers and any(each != value for each in own):
            changes[name] = _column(own)
    return replace(first, **changes) if changes else first


def separate(rule: optim.Rule, members: int) -> list[optim.Rule]:
    """Return the rule of each member, of one in which hyperparameters may be (K, 1).

    Example:
        >>> both = optim.build("sgd", lr=torch.tensor([[0.1], [0.5]], dtype=torch.float64))
        >>> [rule.lr for rule in separate(both, 2)]
        [0.1, 0.5]
    """
    own: list[dict[str, Any]] = [{} for _ in range(members)]
    for name, value in _values(rule).items():
        if isinstance(value, optim.Rule):
            for changes, inner in zip(own, separate(value, members), strict=True):
                changes[name] = inner
        elif isinstance(value, Tensor):
            for changes, number in zip(own, value.flatten().tolist(), strict=True):
                changes[name] = number
    return [replace(rule, **changes) if changes else rule for changes in own]


def _values(rule: optim.Rule) -> dict[str, Any]:
    return {field.name: getattr(rule, field.name) for field in fields(rule)}


def _numbers(rule: optim.Rule) -> set[str]:
    """Return the fields that hold a number for each member."""
    return {name for name, value in rule.hyper().items() if not isinstance(value, Tensor)}


def _column(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)
