"""A search as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thalweg.errors import SpecError, nearest
from thalweg.spec import Spec

NUMBERS = ("trials", "eta", "rungs", "group", "best")
WORDS = ("sampler", "pruner", "metric")
KEYS = ("spec", "over", "optimizers", "schedules", "seeds", *NUMBERS, *WORDS)


@dataclass(frozen=True)
class TuneRecipe:
    r"""What to search for; the names are those of the arguments of `thalweg.tune`.

    Args:
        spec: Where the settings start from.
        options: The other arguments: ``over``, ``optimizers``, ``trials``, …

    Example:
        >>> text = "trials = 9\n[over]\nlr = '0.01..1'\nhidden = [[8], [16]]\n[spec]\nepochs = 2"
        >>> recipe = TuneRecipe.from_toml(text)
        >>> recipe.options["over"], recipe.spec.epochs
        ({'lr': '0.01..1', 'hidden': [[8], [16]]}, 2.0)
    """

    spec: Spec = field(default_factory=Spec)
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_toml(cls, text: str) -> TuneRecipe:
        """Read a search from TOML text; the settings that all trials share go below ``[spec]``.

        Raises:
            SpecError: The text is not TOML, or not a search.
        """
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"TOML that does not parse ({error})", "a search in TOML") from None
        for key, value in raw.items():
            if key not in KEYS:
                hint = f"{nearest(key, KEYS)}; settings that all share go below [spec]"
                raise SpecError(f"{key} in a search", "an argument of one", hint)
            if (key in NUMBERS and type(value) is not int) or (
                key in WORDS and not isinstance(value, str)
            ):
                raise SpecError(
                    f"{key}={value!r}", "a whole number" if key in NUMBERS else "a word"
                )
            if key in {"spec", "over"} and not isinstance(value, dict):
                raise SpecError(f"{key}={value!r}", "a table")
        return cls(Spec.parse(raw.get("spec", {})), {k: v for k, v in raw.items() if k != "spec"})
