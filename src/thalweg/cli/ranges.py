"""What a search may choose, as typed: ``KEY=LOW..HIGH``, ``KEY=log:LOW..HIGH``, ``KEY=V1,V2``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from thalweg.cli.kinds import members
from thalweg.cli.over import parse_over
from thalweg.cli.settings import settings
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.study import Range

HINT = "as in lr=1e-4..1, hidden=[200,100];[64] or optimizer.adam.beta1=0.8..0.99"


def parse_ranges(texts: Iterable[str]) -> dict[str, Range | list[Any]]:
    """Return the range or the choices of each key.

    A setting that takes whole numbers has a range of such.

    Raises:
        SpecError: There is no equals sign, no value, or a key stands there twice.

    Example:
        >>> found = parse_ranges(["lr=1e-4..1", "batch_size=16..128", "init=orthogonal,default"])
        >>> found["lr"].log, found["batch_size"].whole, found["init"]
        (True, True, ['orthogonal', 'default'])
    """
    from thalweg.study import Range

    known = {name: each for each in settings() for name in (each.key, f"{each.section}.{each.key}")}
    found: dict[str, Range | list[Any]] = {}
    for text in texts:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key or not value:
            raise SpecError(f"--over {text}", "--over KEY=LOW..HIGH or KEY=V1,V2,…", HINT)
        if key in found:
            raise SpecError(f"--over {key}=… twice", "each key once", "all its values in one")
        if ".." in value:
            kinds = members(known[key].kind) if key in known else ()
            found[key] = Range.parse(value, whole=int in kinds and float not in kinds)
        else:
            found |= parse_over([text])
    return found
