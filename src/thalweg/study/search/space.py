"""What a search may choose: ranges and choices over any keys of the spec, with conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any

from thalweg.engine import short_keys
from thalweg.engine.build import build_rule
from thalweg.errors import SpecError, nearest
from thalweg.spec import SHORT_KEYS, Spec

if TYPE_CHECKING:
    import optuna

DECADES = 100.0
"""A range that spans so much, and is positive, is searched by its logarithm."""

POINTS = 5
"""Values of a range on a grid."""

FORMS = "1e-4..1, log:1..1000, linear:0..0.9, int:8..64, or a list of values"


@dataclass(frozen=True)
class Range:
    """Numbers from one to another, both among them.

    Args:
        low: The least.
        high: The greatest.
        log: Whether their logarithms are equally likely.
        whole: Whether they are whole numbers.

    Raises:
        SpecError: The ends are in the wrong order, not finite, or do not fit.

    Example:
        >>> Range.parse("1e-4..1"), str(Range.parse("int:8..64"))
        (Range(low=0.0001, high=1.0, log=True, whole=False), '8 to 64, whole')
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        if not all(map(isfinite, ends)) or not self.low < self.high:
            raise SpecError(f"a range from {self.low:g} to {self.high:g}", "the lower end first")
        if self.log and self.low <= 0:
            raise SpecError(f"the logarithms of {self.low:g} to {self.high:g}", "positive ends")
        if self.whole and any(end != int(end) for end in ends):
            raise SpecError(f"whole numbers from {self.low:g} to {self.high:g}", "whole ends")

    @classmethod
    def parse(cls, text: str, *, whole: bool = False) -> Range:
        """Read a range, as in ``1e-4..1``.

        ``log:``, ``linear:`` and ``int:`` before it, one or two of them, say how it is searched; by
        default a positive range of two decades and more is logarithmic.

        Args:
            text: What to read.
            whole: Whether it is of whole numbers, whatever the text says.

        Raises:
            SpecError: It is none.
        """
        *words, ends = text.replace(" ", "").split(":")
        low, dots, high = ends.partition("..")
        try:
            if not dots or set(words) - {"log", "linear", "int"} or {"log", "linear"} <= {*words}:
                raise ValueError
            a, b = float(low), float(high)
        except ValueError:
            raise SpecError(f"the range {text!r}", "two numbers with two dots", FORMS) from None
        wide = a > 0 and b >= DECADES * a
        return cls(
            a, b, "log" in words or ("linear" not in words and wide), whole or "int" in words
        )

    def points(self, n: int = POINTS) -> list[float]:
        """Return n values from end to end, evenly on the scale of the range.

        Example:
            >>> Range(1, 4, whole=True).points(3)
            [1, 2, 4]
            >>> [float(f"{x:.3g}") for x in Range(0.1, 10.0, log=True).points(3)]
            [0.1, 1.0, 10.0]
        """
        one, back = (log, exp) if self.log else (float, float)
        a, b = one(self.low), one(self.high)
        inner = [back(a + (b - a) * k / (n - 1)) for k in range(1, n - 1)]
        found = [self.low, *inner, self.high]
        return list(dict.fromkeys(map(int, map(round, found)))) if self.whole else found

    def __str__(self) -> str:
        scale = ", logarithmic" * self.log + ", whole" * self.whole
        return f"{self.low:g} to {self.high:g}{scale}"


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Args:
        values: The values, of any kind that a spec takes.

    Raises:
        SpecError: There are none, or two are alike.

    Example:
        >>> Choice((16, (8, 8))).labels, str(Choice((16, 32)))
        ([16, '[8, 8]'], '16, 32')
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(map(repr, self.labels))) < len(self.values):
            raise SpecError(f"the choices {list(self.values)!r}", "one at least, and each once")

    @property
    def labels(self) -> list[Any]:
        """What the values are called: themselves if they are plain, else as JSON has them."""
        plain = (bool, int, float, str)
        return [v if v is None or isinstance(v, plain) else json.dumps(v) for v in self.values]

    def __str__(self) -> str:
        return ", ".join(map(str, self.labels))


Domain = Range | Choice


@dataclass(frozen=True)
class Axis:
    """Something that a search may choose.

    Args:
        name: What it is called, such as ``adam.lr``.
        key: The setting, such as ``optimizer.lr``; none if the choices say all that they change.
        domain: Its values.
        when: By other axes, the labels with which there is this axis; there always is if none.
        changes: What each label changes in the spec, where that is not one setting.
    """

    name: str
    key: str
    domain: Domain
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def is_there(self, values: Mapping[str, Any]) -> bool:
        """Tell whether there is this axis, given the values of those before it."""
        return all(values.get(name) in allowed for name, allowed in self.when.items())

    def change(self, value: Any) -> dict[str, Any]:
        """Return what a value, or the label of a choice, changes in the spec."""
        if isinstance(self.domain, Range):
            return {self.key: int(value) if self.domain.whole else value}
        if self.changes:
            return dict(self.changes[value])
        return {self.key: self.domain.values[self.domain.labels.index(value)]}

    def suggest(self, trial: optuna.Trial) -> Any:
        """Let a trial have a value: a number, or the label of a choice."""
        domain = self.domain
        if isinstance(domain, Choice):
            return trial.suggest_categorical(self.name, domain.labels)
        if domain.whole:
            low, high = int(domain.low), int(domain.high)
            return trial.suggest_int(self.name, low, high, log=domain.log)
        return trial.suggest_float(self.name, domain.low, domain.high, log=domain.log)


class Space:
    """All that a search may choose.

    Args:
        axes: What it chooses; those that depend on others come after these.

    Raises:
        SpecError: There is nothing, two have one name, or one depends on what does not come before.

    Example:
        >>> lr = Axis("lr", "lr", Range(0.01, 1.0, log=True))
        >>> rule = Axis("rule", "optimizer", Choice(("sgd", "adam")))
        >>> beta = Axis("beta", "beta1", Range(0.5, 0.9), when={"rule": ["adam"]})
        >>> space = Space([rule, lr, beta])
        >>> space.spec(Spec(), {"rule": "adam", "lr": 0.1, "beta": 0.8}).optimizer.options
        {'beta1': 0.8}
        >>> len(space.grid(points=3))
        12
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = list(axes)
        if not self.axes:
            raise SpecError("nothing to choose", "one range or choice at least", FORMS)
        seen: dict[str, Axis] = {}
        for axis in self.axes:
            if axis.name in seen:
                raise SpecError(f"two ranges called {axis.name}", "each once")
            for name, allowed in axis.when.items():
                known = seen[name].domain if name in seen else None
                if not isinstance(known, Choice):
                    hint = nearest(name, seen)
                    raise SpecError(f"{axis.name} when {name}", "a choice before it", hint)
                for each in allowed:
                    if each not in known.labels:
                        raise SpecError(f"{axis.name} when {name}={each!r}", f"one of {known}")
            seen[axis.name] = axis

    @property
    def names(self) -> list[str]:
        """What the axes are called."""
        return [axis.name for axis in self.axes]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let a trial have a value on each axis that there is for it."""
        values: dict[str, Any] = {}
        for axis in self.axes:
            if axis.is_there(values):
                values[axis.name] = axis.suggest(trial)
        return values

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what values change in the spec, by key."""
        found: dict[str, Any] = {}
        for axis in self.axes:
            if axis.name in values:
                found |= axis.change(values[axis.name])
        return found

    def spec(self, base: Spec, values: Mapping[str, Any]) -> Spec:
        """Return the spec that has the values.

        Raises:
            SpecError: A key does not exist, or a value does not fit.
        """
        return base.override(self.changes(values), short_keys())

    def grid(self, points: int = POINTS) -> list[dict[str, Any]]:
        """Return every combination of choices and of ``points`` values of each range."""
        found: list[dict[str, Any]] = [{}]
        for axis in self.axes:
            domain = axis.domain
            own = domain.labels if isinstance(domain, Choice) else domain.points(points)
            found = [
                {**values, axis.name: value} if there else values
                for values in found
                for there in [axis.is_there(values)]
                for value in (own if there else [None])
            ]
        return found

    def check(self, base: Spec) -> None:
        """Check that every end of a range and every choice fits, each with some of the others.

        Raises:
            SpecError: A key does not exist, a value does not fit, or the seed is among the keys.
        """
        for axis in self.axes:
            if path_of(axis.key) in {"seed", "order_seed"}:
                raise SpecError(f"{axis.name} among what is chosen", "what has no luck in it")
        for values in self.corners():
            build_rule(self.spec(base, values))

    def corners(self) -> Iterator[dict[str, Any]]:
        """Yield values such that each end of a range and each choice is among them."""
        leading = {name for axis in self.axes for name in axis.when}
        leaders = {a.name: _ends(a.domain) for a in self.axes if a.name in leading}
        others = [len(_ends(a.domain)) for a in self.axes if a.name not in leading]
        for labels in product(*leaders.values()):
            chosen = dict(zip(leaders, labels, strict=True))
            for place in range(max(others, default=1)):
                values: dict[str, Any] = {}
                for axis in self.axes:
                    if axis.is_there(values):
                        own = _ends(axis.domain)
                        values[axis.name] = chosen.get(axis.name, own[min(place, len(own) - 1)])
                yield values

    def to_json(self) -> list[dict[str, Any]]:
        """Return the axes as JSON has them."""
        return [_axis_json(axis) for axis in self.axes]

    @classmethod
    def from_json(cls, axes: Sequence[Mapping[str, Any]]) -> Space:
        """Return the space that `to_json` told of.

        Raises:
            SpecError: It is no such thing.
        """
        try:
            return cls([_axis(each) for each in axes])
        except (KeyError, TypeError) as error:
            raise SpecError(f"a space without {error}", "what a search writes") from None


def _ends(domain: Domain) -> list[Any]:
    """Return the ends of a range, or the labels of a choice."""
    return domain.labels if isinstance(domain, Choice) else [domain.low, domain.high]


def path_of(key: str) -> str:
    """Return the dotted key of a short one."""
    homes = {**short_keys(), **SHORT_KEYS}
    return f"{homes[key]}.{key}" if key in homes else key


def _axis_json(axis: Axis) -> dict[str, Any]:
    domain = axis.domain
    own: dict[str, Any] = {"name": axis.name, "key": axis.key}
    if isinstance(domain, Range):
        own |= {"low": domain.low, "high": domain.high, "log": domain.log, "whole": domain.whole}
    else:
        own["choices"] = json.loads(json.dumps(domain.values))
    if axis.when:
        own["when"] = {name: list(allowed) for name, allowed in axis.when.items()}
    if axis.changes:
        own["changes"] = json.loads(json.dumps(axis.changes))
    return own


def _axis(own: Mapping[str, Any]) -> Axis:
    more = {"when": own.get("when", {}), "changes": own.get("changes", {})}
    domain: Domain
    if "choices" in own:
        domain = Choice(tuple(own["choices"]))
    else:
        domain = Range(own["low"], own["high"], own["log"], own["whole"])
    return Axis(own["name"], own["key"], domain, **more)


def to_domain(key: str, given: Any) -> Domain:
    """Return what was given for a key as a range or a choice.

    Args:
        key: The key, for what is said if it does not fit.
        given: A `Range` or `Choice`; a list of values; a text such as ``1e-4..1``; or a mapping
            with ``low``, ``high`` and perhaps ``log``, ``whole``, or with ``choices``.

    Raises:
        SpecError: It is none of these.

    Example:
        >>> to_domain("lr", [0.1, 1.0]), to_domain("hidden", {"low": 8, "high": 64, "whole": True})
        (Choice(values=(0.1, 1.0)), Range(low=8, high=64, log=False, whole=True))
    """
    if isinstance(given, Range | Choice):
        return given
    if isinstance(given, str) and ".." in given:
        return Range.parse(given)
    if isinstance(given, list | tuple):
        return Choice(tuple(given))
    if isinstance(given, Mapping):
        own = {name: value for name, value in given.items() if name != "when"}
        if own.keys() == {"choices"} and isinstance(own["choices"], list | tuple):
            return Choice(tuple(own["choices"]))
        ends = [own.get("low"), own.get("high")]
        numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
        if numbers and own.keys() <= {"low", "high", "log", "whole"}:
            return Range(**own)
    raise SpecError(f"{key}={given!r}", "a range or choices", FORMS)
