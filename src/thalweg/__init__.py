"""thalweg trains neural networks, many at once, and shows how they got where they are.

The table of contents. Names load when they are first used, so that `configure_runtime` can prepare
the process before torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from thalweg.errors import (
    DataError,
    DownloadError,
    FileError,
    ModelError,
    SpecError,
    ThalwegError,
)
from thalweg.runtime import configure_runtime

if TYPE_CHECKING:
    from thalweg import cluster, data, engine, landscape, nn, optim, plots, recipes, store, study
    from thalweg.data import Data, Split, load_data
    from thalweg.engine import Run
    from thalweg.recipes import load_recipe
    from thalweg.spec import Spec
    from thalweg.store import RunFolder
    from thalweg.study import (
        Curvature,
        FoundLr,
        Interrupted,
        Landscape,
        Race,
        Range,
        Slice,
        Study,
        Sweep,
        Tuning,
        compare_batch_sizes,
        compare_inits,
        find_lr,
        load_curvature,
        load_landscape,
        load_race,
        load_run,
        load_slice,
        load_study,
        load_sweep,
        load_tuning,
        map_landscape,
        measure_curvature,
        memorise,
        race,
        regularise,
        resume,
        slice_between,
        sweep,
        train,
        tune,
    )

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022
    # training
    "train",
    "resume",
    "load_run",
    "Run",
    "RunFolder",
    "Spec",
    "load_recipe",
    # many at once
    "sweep",
    "load_sweep",
    "Sweep",
    "race",
    "load_race",
    "Race",
    "tune",
    "load_tuning",
    "Tuning",
    "Range",
    "find_lr",
    "FoundLr",
    # questions
    "memorise",
    "regularise",
    "compare_batch_sizes",
    "compare_inits",
    "load_study",
    "Study",
    # the ground
    "map_landscape",
    "load_landscape",
    "Landscape",
    "slice_between",
    "load_slice",
    "Slice",
    "measure_curvature",
    "load_curvature",
    "Curvature",
    # data
    "load_data",
    "Data",
    "Split",
    # rooms
    "data",
    "nn",
    "optim",
    "engine",
    "landscape",
    "cluster",
    "store",
    "study",
    "plots",
    "recipes",
    # the process
    "configure_runtime",
    # errors
    "ThalwegError",
    "SpecError",
    "DataError",
    "ModelError",
    "FileError",
    "DownloadError",
    "Interrupted",
]  # in groups, as a table of contents is

_HOMES = {
    "Data": "data", "Split": "data", "load_data": "data",
    "Run": "engine",
    "RunFolder": "store",
    "Interrupted": "study", "load_run": "study", "resume": "study", "train": "study",
    "Sweep": "study", "load_sweep": "study", "sweep": "study",
    "FoundLr": "study", "find_lr": "study",
    "Race": "study", "load_race": "study", "race": "study",
    "Study": "study", "load_study": "study", "memorise": "study", "regularise": "study",
    "compare_batch_sizes": "study", "compare_inits": "study",
    "Tuning": "study", "load_tuning": "study", "tune": "study", "Range": "study",
    "Landscape": "study", "load_landscape": "study", "map_landscape": "study",
    "Slice": "study", "load_slice": "study", "slice_between": "study",
    "Curvature": "study", "load_curvature": "study", "measure_curvature": "study",
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
