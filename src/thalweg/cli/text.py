"""Numbers, places and endings as people read them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thalweg.spec import Spec


def number(value: float) -> str:
    """Return a number with four decimals, or with a power of ten if it is tiny or huge.

    Example:
        >>> number(0.0123456), number(-12), number(1.5e-7), number(0.0)
        ('0.0123', '-12.0000', '1.50e-07', '0.0000')
    """
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.2e}"


def is_share(name: str) -> bool:
    """Tell whether a metric is a share of the samples.

    Example:
        >>> is_share("accuracy"), is_share("top5"), is_share("mae")
        (True, True, False)
    """
    return name == "accuracy" or name.startswith("top")


def metric(name: str, value: float) -> str:
    """Return a metric: a share of the samples in percent, anything else as a number.

    Example:
        >>> metric("accuracy", 0.97214), metric("top5", 1.0), metric("loss", 0.25)
        ('97.21 %', '100.00 %', '0.2500')
    """
    return f"{100 * value:.2f} %" if is_share(name) else number(value)


def counts(share: float, n: int) -> str:
    """Return how many of n a share is.

    Example:
        >>> counts(59998 / 60000, 60000)
        '59998/60000 (99.997 %)'
    """
    return f"{round(share * n)}/{n} ({100 * share:.3f} %)"


def plural(n: float, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> plural(1, "step"), plural(1200, "step"), plural(2.25, "epoch")
        ('1 step', '1,200 steps', '2.25 epochs')
    """
    return f"{round(n, 2):,.10g} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(0.2), duration(75), duration(7_380), duration(200_000)
        ('1 s', '1 min 15 s', '2 h 3 min', '55 h 33 min')
    """
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def place(path: Path) -> str:
    """Return a path as seen from here, if it is below.

    Example:
        >>> place(Path("runs/first").absolute()), place(Path("/somewhere"))
        ('runs/first', '/somewhere')
    """
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def typed(path: Path) -> str:
    """Return a path as it is typed in a shell here.

    Example:
        >>> typed(Path("runs/first try"))
        "'runs/first try'"
    """
    return shlex.quote(place(path))


def normalisation(mean: Any, std: Any) -> str:
    """Return how inputs are normalised; nothing if they are not.

    Args:
        mean: What is subtracted: numbers, in lists of any depth.
        std: What it is then divided by, likewise.

    Example:
        >>> normalisation([0.1307], [0.3081]), normalisation([0.0], [1.0])
        ('(x − 0.1307) / 0.3081', '')
        >>> normalisation([[[0.1]], [[0.2]]], [[[1.0]], [[1.0]]])
        '(x − 0.1000) / 1.0000 and 1 more'
    """
    means, stds = list(_numbers(mean)), list(_numbers(std))
    if set(means) == {0.0} and set(stds) == {1.0}:
        return ""
    more = "" if len(means) == 1 else f" and {len(means) - 1} more"
    return f"(x − {number(means[0])}) / {number(stds[0])}{more}"


def _numbers(nested: Any) -> Iterator[float]:
    for each in nested if isinstance(nested, list) else ():
        yield from _numbers(each)
    if not isinstance(nested, list):
        yield nested


def ending(state: str, spec: Spec) -> str:
    """Say why a run ended, or how it stands.

    Example:
        >>> ending("until", Spec(until="test_loss<0.1")), ending("complete", Spec())
        ('test_loss<0.1 holds', 'done')
    """
    words = {
        "complete": "done",
        "until": f"{spec.until} holds",
        "patience": f"{spec.monitor} no better in {plural(spec.patience or 0, 'evaluation')}",
        "time": "the time is up",
    }
    return words.get(state, state)
