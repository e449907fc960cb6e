"""What a sweep varies, as typed: ``KEY=V1,V2,…``, ``KEY=LOW..HIGH``, ``KEY=[200,100];[64]``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from thalweg.cli.kinds import members
from thalweg.cli.settings import Setting, settings
from thalweg.errors import SpecError
from thalweg.spec import LookaheadSpec, parse_setting
from thalweg.study import half_decades

_OUTSIDE = r"(?![^\[(]*[\])])"  # in no brackets
HINT = "as in lr=0.01,0.1 or lr=1e-3..1 or 'hidden=[200,100];[64]'"


def parse_over(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values of each key.

    Values have commas between them, or semicolons where a value is a list. Two numbers with two
    dots between them are the half-decade grid from one to the other.

    Raises:
        SpecError: There is no equals sign, no value, or a key stands there twice.

    Example:
        >>> parse_over(["lr=0.1,1", "hidden=[200,100];[64]", "optimizer=sgd,adam"])
        {'lr': [0.1, 1.0], 'hidden': [(200, 100), (64,)], 'optimizer': ['sgd', 'adam']}
        >>> parse_over(["optimizer.lr=0.01..1", "init=normal(1),orthogonal"])
        {'optimizer.lr': [0.01, 0.03, 0.1, 0.3, 1.0], 'init': ['normal(1)', 'orthogonal']}
    """
    known = {name: each for each in settings() for name in (each.key, f"{each.section}.{each.key}")}
    found: dict[str, list[Any]] = {}
    for text in texts:
        key, sign, values = text.partition("=")
        key, where = key.strip(), f"--over {text}"
        between = ";" if ";" in values else ","
        parts = [part.strip() for part in re.split(between + _OUTSIDE, values)]
        if not sign or not key or not all(parts):
            raise SpecError(where, "--over KEY=V1,V2,…", HINT)
        if key in found:
            raise SpecError(f"--over {key}=… twice", "each key once", "all its values in one")
        found[key] = [value for part in parts for value in _read(where, key, known.get(key), part)]
    return found


def _read(where: str, key: str, setting: Setting | None, text: str) -> list[Any]:
    """Return the values that a part of a list stands for."""
    ends = text.split("..")
    if len(ends) == 2 and (setting is None or float in members(setting.kind)):
        try:
            low, high = map(float, ends)
        except ValueError:
            raise SpecError(where, "two numbers with two dots between", HINT) from None
        return half_decades(low, high)
    if setting is None:
        return [parse_setting(f"{key}={text}")[1]]
    if setting.kind is LookaheadSpec:
        return [setting.read(text not in {"none", "no", "false"})]
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1] or "none"
    return [setting.read(text)]
