"""Settings that are written as text."""

from __future__ import annotations

import math
import tomllib
from contextlib import suppress
from typing import Any

from thalweg.errors import SpecError


def parse_interval(text: str) -> tuple[int, str] | None:
    """Read how often something happens.

    Returns:
        A count and its unit (``"epoch"`` or ``"step"``), or None for ``"never"``.

    Raises:
        ValueError: The text is not such an interval.

    Example:
        >>> parse_interval("2epochs"), parse_interval("500steps"), parse_interval("never")
        ((2, 'epoch'), (500, 'step'), None)
    """
    if text == "never":
        return None
    for unit in ("epoch", "step"):
        digits = text.removesuffix("s").removesuffix(unit)
        if digits != text and digits.isdecimal() and int(digits) > 0:
            return int(digits), unit
    raise ValueError("an interval such as 1epoch, 500steps or never")


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
