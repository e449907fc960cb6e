"""How the values of a setting lie on an axis, and how far an axis reaches."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any, Literal

import numpy as np

from thalweg.plots.intervals import split_of
from thalweg.plots.text import falls, is_share, plain, setting_text
from thalweg.plots.thin import Floats

Scale = Literal["log", "linear", "category"]


def ordered(values: Sequence[Any]) -> list[Any]:
    """Return the distinct values of a setting: numbers by size, others in the order given.

    Example:
        >>> ordered([0.1, 0.01, 0.1]), ordered(["sgd", "adam", "sgd"])
        ([0.01, 0.1], ['sgd', 'adam'])
    """
    distinct: dict[str, Any] = {repr(value): value for value in values}
    found = list(distinct.values())
    return sorted(found) if all(map(is_number, found)) else found


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < np.inf


def scale_of(values: Sequence[Any]) -> Scale:
    """Return the scale on which values lie evenly, or nearly.

    Example:
        >>> scale_of([1e-3, 3e-3, 1e-2]), scale_of([1, 2, 3]), scale_of([0, 1e-4, 1e-2])
        ('log', 'linear', 'category')
        >>> scale_of([8, 16, 32]), scale_of(["sgd", "adam"])
        ('log', 'category')
    """
    found = ordered(values)
    if not all(map(is_number, found)):
        return "category"
    if len(found) < 3:
        return "log" if len(found) == 2 and found[0] > 0 and found[1] >= 10 * found[0] else "linear"
    x = np.array(found, dtype=np.float64)
    if x[0] > 0 and _uneven(np.log(x)) < min(0.5, _uneven(x)):
        return "log"
    return "linear" if _uneven(x) < 0.8 else "category"


def _uneven(x: Floats) -> float:
    """Return how much the gaps between values vary, relative to their mean."""
    gaps = np.diff(x)
    return float(gaps.std() / gaps.mean())


def places(values: Sequence[Any], found: Sequence[Any], scale: Scale) -> Floats:
    """Return where values lie on an axis, (n,): as they are, or by their place among those found.

    Example:
        >>> places(["b", "a"], ["a", "b"], "category").tolist(), places([8], [8], "log").tolist()
        ([1.0, 0.0], [8.0])
    """
    if scale != "category":
        return np.array(values, dtype=np.float64)
    place = {repr(value): k for k, value in enumerate(found)}
    return np.array([place[repr(value)] for value in values], dtype=np.float64)


def axis_of(found: Sequence[Any], scale: Scale) -> dict[str, Any]:
    """Return the layout of an x axis for the values of a setting."""
    if scale == "category":
        texts = [plain(setting_text(value, most=18)) for value in found]
        ends = [-0.5, len(found) - 0.5]
        ticks: dict[str, Any] = {
            "tickmode": "array",
            "tickvals": list(range(len(found))),
            "ticktext": texts,
        }
        ticks["tickangle"] = 0 if _fits(texts) else -45
        return ticks | {"type": "linear", "range": ends, "zeroline": False}
    axis: dict[str, Any] = {"type": scale, "zeroline": False}
    if scale == "log":
        decades = log10(found[-1] / found[0])
        texts = [setting_text(value) for value in found]
        if _fits(texts) or decades < 2:
            axis |= {"tickmode": "array", "tickvals": list(found), "ticktext": texts}
            axis["tickangle"] = 0 if _fits(texts) else -45
        else:
            axis |= {"dtick": 1 if decades <= 8 else 2, "exponentformat": "power"}
    return axis


def _fits(texts: Sequence[str]) -> bool:
    """Tell whether texts have room beside one another below a narrow figure."""
    return max(map(len, texts)) * len(texts) <= 28


def reach(figure: Any, name: str, means: Floats, lows: Floats, highs: Floats) -> None:
    """Choose the scale of the y axis and how far it reaches.

    A wide interval, as of two seeds, may leave the axis: the means have two thirds of it.

    Args:
        figure: Changed in place.
        name: The metric, such as ``val_loss``.
        means: Means (n,).
        lows: Lower ends of their intervals (n,).
        highs: Upper ends (n,).
    """
    y = means[np.isfinite(means)]
    share = is_share(split_of(name)[1])
    axis: dict[str, Any] = {"tickformat": ".4~%" if share else ".3~g", "zeroline": False}
    log = bool(len(y)) and falls(name) and y.min() > 0 and y.max() > 10 * y.min()
    with np.errstate(invalid="ignore", divide="ignore"):
        y, lows, highs = (np.log10(each) if log else each for each in (y, lows, highs))
    axis |= {"type": "log" if log else "linear"} | span(y, lows, highs, share=share)
    if log and y.max() - y.min() < 3:
        axis["dtick"] = "D2"
    figure.update_yaxes(**axis)


def span(
    means: Floats, lows: Floats, highs: Floats, *, share: bool = False, beyond: float = 0.25
) -> dict[str, Any]:
    """Return the range of an axis as its layout has it, in which means have two thirds at least.

    Args:
        means: Means (n,).
        lows: Lower ends of their intervals (n,).
        highs: Upper ends (n,).
        share: Whether they are shares, beyond whose ends no axis goes.
        beyond: How far intervals may reach beyond the means, as a part of the way between these.

    Example:
        >>> ends = np.array([0.0]), np.array([2.0])
        >>> [round(end, 2) for end in span(np.array([0.5, 1.0]), *ends)["range"]]
        [0.34, 1.16]
    """
    y = means[np.isfinite(means)]
    if not len(y):
        return {}
    wide = max(y.max() - y.min(), 1e-3 * abs(y.max()), 1e-12)
    low = max(_least(lows, y.min()), y.min() - beyond * wide)
    high = min(-_least(-highs, -y.max()), y.max() + beyond * wide)
    if share:
        low, high = max(low, min(0.0, float(y.min()))), min(high, max(1.0, float(y.max())))
    room = 0.05 * (high - low or wide)
    return {"range": [float(low - room), float(high + room)]}


def _least(ends: Floats, mean: float) -> float:
    return float(min([mean, *ends[np.isfinite(ends)]]))
