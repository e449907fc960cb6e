"""Settings that are written as text."""

from __future__ import annotations

import math
import re
import tomllib
from contextlib import suppress
from typing import Any

from thalweg.errors import SpecError


def parse_interval(text: str, *, seconds: bool = False) -> tuple[float, str] | None:
    """Read how often something happens.

    Args:
        text: A count and its unit, or ``never``.
        seconds: Whether seconds are a unit.

    Returns:
        A count and its unit (``"epoch"``, ``"step"`` or ``"second"``), or None for ``"never"``.

    Raises:
        ValueError: The text is not such an interval.

    Example:
        >>> parse_interval("2epochs"), parse_interval("500steps"), parse_interval("never")
        ((2, 'epoch'), (500, 'step'), None)
        >>> parse_interval("2.5s", seconds=True)
        (2.5, 'second')
    """
    if text == "never":
        return None
    match = re.fullmatch(r"(\d+)(epoch|step)s?", text)
    if match and int(match[1]) > 0:
        return int(match[1]), match[2]
    match = re.fullmatch(r"(\d+|\d*\.\d+)s", text) if seconds else None
    if match and float(match[1]) > 0:
        return float(match[1]), "second"
    forms = "10s, 2epochs, 500steps" if seconds else "1epoch, 500steps"
    raise ValueError(f"an interval such as {forms} or never")


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``KEY=VALUE`` as typed after ``-s``.

    The value is TOML, or a number as Python writes it, or else plain text.

    Raises:
        SpecError: There is no equals sign, or a number is not finite.

    Example:
        >>> parse_setting("optimizer.lr=0.01"), parse_setting("model.init=he-normal")
        (('optimizer.lr', 0.01), ('model.init', 'he-normal'))
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise SpecError(f"the setting {text!r}", "KEY=VALUE", "as in -s optimizer.lr=0.01")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
        with suppress(ValueError):  # .5 is no TOML
            parsed = float(parsed)
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise SpecError(f"{key.strip()}={value.strip()}", "a finite number")
    return key.strip(), parsed
