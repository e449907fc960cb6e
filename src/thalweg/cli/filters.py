"""Conditions on runs, as ``thalweg runs --filter`` takes them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from thalweg.cli.facts import Facts, find_key
from thalweg.errors import SpecError

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Filter:
    """A key, a comparison and a value.

    Example:
        >>> runs = [{"optimizer.lr": 0.1, "state": "complete"}, {"optimizer.lr": None}]
        >>> [Filter.parse("lr>=0.05").holds(facts, runs) for facts in runs]
        [True, False]
        >>> [Filter.parse("state=complete").holds(facts, runs) for facts in runs]
        [True, False]
    """

    key: str
    comparison: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read a condition.

        Raises:
            SpecError: It is not KEY, one of = != >= <= > <, VALUE; or it compares with no number.
        """
        match = re.fullmatch(r"\s*([\w.-]+)\s*(>=|<=|!=|=|>|<)\s*(.*?)\s*", text)
        hint = "as in lr>=0.01, optimizer=adam, test_accuracy>0.97"
        if match is None:
            raise SpecError(f"--filter {text!r}", "KEY=VALUE or KEY>=NUMBER", hint)
        found = cls(*match.groups())
        if found.comparison in _COMPARE and _number(found.value) is None:
            raise SpecError(f"--filter {text!r}", f"a number after {found.comparison}", hint)
        return found

    def holds(self, facts: Facts, everyone: Collection[Facts]) -> bool:
        """Tell whether it is true of a run; a run that lacks the key differs from every value.

        Args:
            facts: What is known of the run.
            everyone: What is known of all runs, to know their keys.

        Raises:
            SpecError: No run has such a key.
        """
        there = facts.get(find_key(self.key, everyone))
        if self.comparison in _COMPARE:
            if isinstance(there, bool) or not isinstance(there, int | float):
                return False
            return _COMPARE[self.comparison](there, float(self.value))
        return self._equals(there) == (self.comparison == "=")

    def _equals(self, there: Any) -> bool:
        if isinstance(there, bool) or there is None:
            return self.value == {True: "true", False: "false", None: "none"}[there]
        if isinstance(there, int | float):
            return there == _number(self.value)
        if isinstance(there, list):  # all of it, or one of its words
            return self.value in {",".join(map(str, there)), *map(str, there)}
        return str(there) == self.value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
