"""Specs that reproduce published results, by name: the TOML files beside this one.

A recipe's leading comment says what it reaches; its first line is its summary. Those of sweeps are
in a folder of their own: a spec, what varies, and how many seeds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from thalweg.errors import SpecError, nearest
from thalweg.spec import Spec

SWEEPS = "sweeps"


@dataclass(frozen=True)
class SweepRecipe:
    r"""What to sweep; the names are those of the arguments of `thalweg.sweep`.

    Args:
        spec: Where the settings start from.
        over: Values by key, of which all combinations are taken; or the settings one by one, which
            may have names.
        seeds: How many seeds of each setting, or which.
        order: Whether all see the samples in one order, or each in that of its seed.

    Example:
        >>> recipe = SweepRecipe.from_toml("seeds = 2\n[over]\nlr = [0.1, 1.0]\n[spec]\nsteps = 9")
        >>> recipe.over, recipe.seeds, recipe.spec.steps
        ({'lr': [0.1, 1.0]}, 2, 9)
    """

    spec: Spec
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]
    seeds: int | Sequence[int] = 1
    order: Literal["shared", "own"] = "shared"

    @classmethod
    def from_toml(cls, text: str) -> SweepRecipe:
        """Read a sweep from TOML text: ``seeds``, ``order``, ``[over]`` or ``[[over]]``, ``spec``.

        Raises:
            SpecError: The text is not TOML, or not a sweep.
        """
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"TOML that does not parse ({error})", "a sweep in TOML") from None
        if unknown := raw.keys() - {"spec", "over", "seeds", "order"}:
            hint = "the settings that all have go below [spec]"
            raise SpecError(f"{min(unknown)} in a sweep", "over, seeds, order and spec", hint)
        over, seeds, order = raw.get("over"), raw.get("seeds", 1), raw.get("order", "shared")
        if not over or not _is_over(over):
            hint = "[over] with lr = [0.1, 1.0], or one [[over]] a setting"
            raise SpecError(f"over={over!r}", "values by key, or settings one by one", hint)
        if not _are_seeds(seeds):
            raise SpecError(f"seeds={seeds!r}", "how many, or a list of them")
        if order not in {"shared", "own"}:
            raise SpecError(f"order={order!r}", "shared or own")
        spec = raw.get("spec", {})
        if not isinstance(spec, dict):
            raise SpecError(f"spec={spec!r}", "a table of settings")
        return cls(Spec.parse(spec), over, seeds, order)


def recipes() -> dict[str, str]:
    """Return the summaries of the recipes of single runs by name.

    Example:
        >>> recipes()["lab"]
        '784-16-32-24-10 on MNIST with plain SGD: three epochs of the training lab.'
    """
    return _summaries(_texts())


def sweep_recipes() -> dict[str, str]:
    """Return the summaries of the recipes of sweeps by name.

    Example:
        >>> sweep_recipes()["weight-decay"][:40]
        'Weight decay 10, 1 and 0.1 on 784-200-10'
    """
    return _summaries(_texts(SWEEPS))


def recipe_text(name: str) -> str:
    """Return a recipe, of a run or of a sweep, as it is written, with its comments.

    Raises:
        SpecError: There is no such recipe.
    """
    return _find(name, _texts() | _texts(SWEEPS))


def load_recipe(name: str) -> Spec:
    """Return a recipe's spec.

    Raises:
        SpecError: There is no such recipe, or it is that of a sweep.

    Example:
        >>> load_recipe("perfect-fit").optimizer.lookahead
        LookaheadSpec(k=4, alpha=0.8, pullback_momentum='keep')
    """
    if name in _texts(SWEEPS):
        hint = f"thalweg sweep --recipe {name}"
        raise SpecError(f"the recipe {name!r}, which is a sweep", "the recipe of one run", hint)
    return Spec.from_toml(_find(name, _texts()))


def load_sweep_recipe(name: str) -> SweepRecipe:
    """Return the recipe of a sweep: ``thalweg.sweep(**vars(load_sweep_recipe(name)))``.

    Raises:
        SpecError: There is no such recipe, or it is that of one run.

    Example:
        >>> load_sweep_recipe("lr-extremes").over
        {'lr': [100.0, 10.0, 1.0, 0.2, 0.001]}
    """
    if name in _texts():
        hint = f"thalweg train --recipe {name}"
        raise SpecError(f"the recipe {name!r}, which is one run", "the recipe of a sweep", hint)
    return SweepRecipe.from_toml(_find(name, _texts(SWEEPS)))


def _find(name: str, texts: Mapping[str, str]) -> str:
    if name not in texts:
        raise SpecError(f"the recipe {name!r}", "a recipe by name", nearest(name, texts))
    return texts[name]


def _summaries(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text.splitlines()[0].lstrip("# ") for name, text in sorted(texts.items())}


def _texts(folder: str = "") -> dict[str, str]:
    room = files(__name__).joinpath(folder) if folder else files(__name__)
    entries = [entry for entry in room.iterdir() if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry.read_text("utf-8") for entry in entries}


def _is_over(over: Any) -> bool:
    if isinstance(over, dict):
        return all(isinstance(values, list) for values in over.values())
    return isinstance(over, list) and all(isinstance(each, dict) for each in over)


def _are_seeds(seeds: Any) -> bool:
    values = seeds if isinstance(seeds, list) else [seeds]
    return all(type(value) is int and value >= 0 for value in values)
