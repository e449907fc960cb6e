"""Specs that reproduce published results, by name: the TOML files beside this one.

A recipe's leading comment says what it reaches; its first line is its summary.
"""

from __future__ import annotations

from importlib.resources import files

from thalweg.errors import SpecError, nearest
from thalweg.spec import Spec


def recipes() -> dict[str, str]:
    """Return the summaries of all recipes by name.

    Example:
        >>> recipes()["lab"]
        '784-16-32-24-10 on MNIST with plain SGD: three epochs of the training lab.'
    """
    return {name: text.splitlines()[0].lstrip("# ") for name, text in sorted(_texts().items())}


def recipe_text(name: str) -> str:
    """Return a recipe as it is written, with its comments.

    Raises:
        SpecError: There is no such recipe.
    """
    texts = _texts()
    if name not in texts:
        raise SpecError(f"the recipe {name!r}", "a recipe by name", nearest(name, texts))
    return texts[name]


def load_recipe(name: str) -> Spec:
    """Return a recipe's spec.

    Raises:
        SpecError: There is no such recipe.

    Example:
        >>> load_recipe("perfect-fit").optimizer.lookahead
        LookaheadSpec(k=4, alpha=0.8, pullback_momentum='keep')
    """
    return Spec.from_toml(recipe_text(name))


def _texts() -> dict[str, str]:
    entries = [entry for entry in files(__name__).iterdir() if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry.read_text("utf-8") for entry in entries}
