"""From one spec and what varies to many specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import log10
from typing import Any

from thalweg.engine import short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Point:
    """One spec of many.

    Args:
        spec: What to run.
        changes: How it differs from the spec that all come from.
        setting: Its values on the axes; all but the seed.
    """

    spec: Spec
    changes: Mapping[str, Any]
    setting: Mapping[str, Any]


def grid(
    base: Spec,
    over: Axes | Sequence[Mapping[str, Any]],
    seeds: int | Sequence[int] = 1,
    *,
    shared_order: bool = True,
) -> list[Point]:
    """Return every combination of values, times the seeds.

    Args:
        base: The spec that they differ from.
        over: Values by key, of which all combinations are taken; or the settings one by one, which
            may have a ``"name"`` each: then that is what they are called by.
        seeds: How many seeds, counted from the base's, or which.
        shared_order: Whether all see the samples in one order, so that they can be compared in
            pairs; else each in that of its own seed.

    Raises:
        SpecError: There is nothing to vary, or a key or a value does not exist.

    Example:
        >>> points = grid(Spec(), {"lr": [0.1, 1.0], "batch_size": [8, 16]}, seeds=2)
        >>> len(points), points[-1].changes
        (8, {'lr': 1.0, 'batch_size': 16, 'seed': 1, 'order_seed': 0})
        >>> grid(Spec(), [{"name": "large steps", "lr": 1.0}, {"lr": 0.1}])[0].setting
        {'name': 'large steps'}
    """
    settings, named = _settings(over), not isinstance(over, Mapping)
    wanted = range(base.seed, base.seed + seeds) if isinstance(seeds, int) else seeds
    if not wanted or len(set(wanted)) < len(wanted):
        raise SpecError(f"seeds={seeds!r}", "at least one, and each once")
    order = base.seed if base.order_seed is None else base.order_seed
    homes, points = short_keys(), list[Point]()
    for setting in settings:
        own = {key: value for key, value in setting.items() if not named or key != "name"}
        called = {"name": setting["name"]} if own.keys() != setting.keys() else setting
        for seed in wanted:
            changes = {**own, "seed": seed}
            if shared_order:
                changes["order_seed"] = order
            points.append(Point(base.override(changes, homes), changes, called))
    return points


def _settings(over: Axes | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(over, Mapping):
        settings = [dict(each) for each in over]
    else:
        for key, values in over.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise SpecError(f"{key}={values!r}", "a list of values", "as in lr=[0.1, 1.0]")
        settings = [dict(zip(over, values, strict=True)) for values in product(*over.values())]
    if not settings:
        raise SpecError("nothing to vary", "at least one setting")
    for setting in settings:
        if taken := {"seed", "order_seed"} & setting.keys():
            raise SpecError(f"{taken.pop()} among what varies", "seeds=…, for all settings alike")
    names = [setting["name"] for setting in settings if "name" in setting]
    if any(not isinstance(name, str) or names.count(name) > 1 for name in names):
        raise SpecError(f"settings called {names}", "texts, each once")
    return settings


def half_decades(low: float, high: float) -> list[float]:
    """Return 1, 3, 10, 30, … from ``low`` to ``high``: a grid of learning rates.

    Raises:
        SpecError: The ends are not positive, or in the wrong order.

    Example:
        >>> half_decades(0.01, 1)
        [0.01, 0.03, 0.1, 0.3, 1.0]
    """
    if not 0 < low <= high:
        raise SpecError(f"{low:g} to {high:g}", "two positive numbers, the lower one first")
    first, last = round(2 * log10(low)), round(2 * log10(high))
    return [half_decade(place) for place in range(first, last + 1)]


def half_decade(place: int) -> float:
    """Return the number at a place of the half-decade grid: 0 is 1, 1 is 3, 2 is 10.

    Example:
        >>> [half_decade(place) for place in (-3, -2, -1, 0, 1)]
        [0.03, 0.1, 0.3, 1.0, 3.0]
    """
    return float(f"{3 if place % 2 else 1}e{place // 2}")
