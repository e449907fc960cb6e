"""Options with a meaning: one declaration feeds validation, the command line and the docs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

from thalweg.errors import SpecError, nearest


@dataclass(frozen=True)
class Interval:
    """A range of numbers; an infinite end, and NaN, never belong to it.

    Args:
        low: Lower end.
        high: Upper end.
        ends: ``"[]"``, ``"[)"``, ``"(]"`` or ``"()"``: which ends belong to it.

    Example:
        >>> 1.0 in Interval(0.0, 1.0, "[)"), float("nan") in Interval(0.0, 1.0)
        (False, False)
        >>> str(Interval(0.0, float("inf"), "[)"))
        '[0, inf)'
    """

    low: float
    high: float
    ends: str = "[]"

    def __contains__(self, x: float) -> bool:
        """Say whether ``x`` lies in the interval."""
        above = x >= self.low if self.ends[0] == "[" else x > self.low
        below = x <= self.high if self.ends[1] == "]" else x < self.high
        return above and below

    def __str__(self) -> str:
        """Write the interval as mathematicians do."""
        return f"{self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"


@dataclass(frozen=True)
class Choice:
    """A few words, of which one is chosen.

    Args:
        words: The words.

    Example:
        >>> "keep" in Choice("keep", "reset"), str(Choice("keep", "reset"))
        (True, '{keep, reset}')
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __contains__(self, word: str) -> bool:
        """Say whether it is one of the words."""
        return word in self.words

    def __str__(self) -> str:
        """Write the words as a set."""
        return f"{{{', '.join(self.words)}}}"


NON_NEGATIVE = Interval(0.0, float("inf"), "[)")
POSITIVE = Interval(0.0, float("inf"), "()")
BELOW_ONE = Interval(0.0, 1.0, "[)")
UNIT = Interval(0.0, 1.0)
NATURAL = Interval(0.0, float("inf"), "[)")
COUNT = Interval(1.0, float("inf"), "[)")

FLOATS = tuple[float, ...]


class Option(NamedTuple):
    """What is known about one option.

    Attributes:
        name: As written in Python, TOML and on the command line.
        type: ``float``, ``int``, ``bool``, ``str``, ``tuple`` (of integers),
            ``tuple[float, ...]``, or a class.
        default: Its value when not given; ``dataclasses.MISSING`` if it must be given.
        help: One line for people.
        range: The values allowed; ``None`` where the type says it all.
    """

    name: str
    type: type
    default: Any
    help: str
    range: Interval | Choice | None


def option(kind: type, default: Any, text: str, within: Interval | Choice | None = None) -> Any:
    """Declare one field of a dataclass as an option."""
    return dataclasses.field(default=default, metadata={"option": (kind, text, within)})


@cache
def options_of(owner: type) -> tuple[Option, ...]:
    """Return the options that a dataclass declares, in the order of declaration."""
    found = []
    for field in dataclasses.fields(owner):
        kind, text, within = field.metadata["option"]
        found.append(Option(field.name, kind, field.default, text, within))
    return tuple(found)


def check(
    owner: type, what: str, given: Mapping[str, Any], *, per_member: bool = False
) -> dict[str, Any]:
    """Check the given options against what ``owner`` declares, and normalise their types.

    Args:
        owner: A dataclass of options.
        what: What the owner is called in an error, such as ``"optimizer adam"``.
        given: Options by name.
        per_member: Whether a number may also be a float64 tensor of shape (K, 1), with one value
            for each of K members.

    Returns:
        The same options; numbers have become ``int`` or ``float``.

    Raises:
        SpecError: An option is unknown, missing, of the wrong type, or out of its range.
    """
    known = {each.name: each for each in options_of(owner)}
    for name in given:
        if name not in known:
            raise SpecError(f"{name} for {what}", "an option that it has", nearest(name, known))
    for name, each in known.items():
        if each.default is MISSING and name not in given:
            raise SpecError(f"no {name} for {what}", f"{name}: {each.help}")
    checked = {}
    for name, value in given.items():
        many = per_member and known[name].type is float and isinstance(value, Tensor)
        checked[name] = (_per_member if many else _value)(what, known[name], value)
    return checked


def _value(what: str, known: Option, value: Any) -> Any:
    """Return ``value`` in the type of the option, or raise SpecError."""
    if _fits(value, known.type):
        each = _each(known.type)
        numbers = value if each else (value,)
        if known.range is None or all(number in known.range for number in numbers):
            if each:
                return tuple(map(each, numbers))
            return float(value) if known.type is float else value
    raise SpecError(f"{known.name}={value!r} for {what}", _expected(known), known.help)


def _each(kind: Any) -> type | None:
    """Return the type of the numbers in a list; None for what is not a list."""
    return {tuple: int, FLOATS: float}.get(kind)


def _fits(value: object, kind: type) -> bool:
    """Say whether a value can stand for the type; true and false do not stand for numbers."""
    if each := _each(kind):
        return isinstance(value, list | tuple) and all(_fits(one, each) for one in value)
    if kind in (int, float):
        return isinstance(value, int if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _per_member(what: str, known: Option, value: Tensor) -> Tensor:
    """Accept a hyperparameter that differs between members."""
    if value.dtype != torch.float64 or value.dim() != 2 or value.shape[1] != 1:
        # In float32, 0.9 is 0.89999998: a member would differ from its run alone.
        raise SpecError(
            f"{known.name} of {value.dtype} and shape {tuple(value.shape)} for {what}",
            "a float, or a float64 tensor of shape (K, 1)",
        )
    for each in value.flatten().tolist():
        _value(f"a member of {what}", known, each)
    return value


def _expected(known: Option) -> str:
    """Describe the values that an option takes."""
    nouns: dict[Any, str] = {float: "a number", int: "an integer", bool: "true or false"}
    nouns |= {str: "a word", tuple: "integers", FLOATS: "numbers"}
    noun = nouns.get(known.type, f"a {known.type.__name__}")
    return noun if known.range is None else f"{noun} in {known.range}"
