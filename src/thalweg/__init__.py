"""thalweg trains neural networks, many at once, and shows how they got where they are.

The table of contents. Names load when they are first used, so that `configure_runtime` can prepare
the process before torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from thalweg.errors import DataError, DownloadError, ModelError, SpecError, ThalwegError
from thalweg.runtime import configure_runtime

if TYPE_CHECKING:
    from thalweg import data, engine, nn, optim, plots, recipes
    from thalweg.data import Data, Split, load_data
    from thalweg.engine import Run, train
    from thalweg.recipes import load_recipe
    from thalweg.spec import Spec

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022
    # training
    "train",
    "Run",
    "Spec",
    "load_recipe",
    # data
    "load_data",
    "Data",
    "Split",
    # rooms
    "data",
    "nn",
    "optim",
    "engine",
    "plots",
    "recipes",
    # the process
    "configure_runtime",
    # errors
    "ThalwegError",
    "SpecError",
    "DataError",
    "ModelError",
    "DownloadError",
]  # in groups, as a table of contents is

_HOMES = {
    "Data": "data", "Split": "data", "load_data": "data",
    "Run": "engine", "train": "engine",
    "Spec": "spec",
    "load_recipe": "recipes",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a public name from its room."""
    if name not in __all__:
        raise AttributeError(f"module 'thalweg' has no attribute {name!r}")
    if name in _HOMES:
        return getattr(import_module(f"thalweg.{_HOMES[name]}"), name)
    return import_module(f"thalweg.{name}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
