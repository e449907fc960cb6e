"""Surfaces on disk: saved at any time, and gone on with."""

from __future__ import annotations

from pathlib import Path

import torch

from thalweg.errors import FileError
from thalweg.landscape.directions import Directions
from thalweg.landscape.grid import Surface
from thalweg.store import read_checkpoint, write_checkpoint

KIND = "surface"
"""What the header of such a file says that it holds."""


def save_surface(surface: Surface, file: str | Path) -> None:
    """Write a surface to a safetensors file, whole or not at all.

    Args:
        surface: Finished or not.
        file: Where to; its folder must exist.

    Raises:
        FileError: It cannot be written; an older file of that name is as it was.
    """
    own = surface.directions
    arrays = {"origin": own.origin, "vectors": own.vectors, "done": surface.done}
    arrays |= {f"axes/{d}": nodes for d, nodes in enumerate(surface.axes)}
    arrays |= {f"values/{name}": grid for name, grid in surface.values.items()}
    arrays |= {f"errors/{name}": grid for name, grid in surface.errors.items()}
    arrays |= {f"buffers/{name}": buffer for name, buffer in own.buffers.items()}
    facts = {
        "what": KIND,
        "kind": own.kind,
        "extent": own.extent,
        "explained": own.explained,
        "null": own.null,
        "chosen": own.chosen,
        "curvatures": own.curvatures,
        "statistics": surface.statistics,
        "samples": surface.samples,
        "reference": dict(surface.reference),
        "tolerance": surface.tolerance,
    }
    write_checkpoint(Path(file), {name: array.clone() for name, array in arrays.items()}, facts)


def load_surface(file: str | Path) -> Surface:
    """Read a surface.

    Raises:
        FileError: The file is missing, damaged, or holds something else.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> from thalweg.data import Split
        >>> from thalweg.landscape.grid import survey
        >>> from thalweg.landscape.ground import Ground
        >>> from thalweg.landscape.random import random_directions
        >>> x = torch.ones(2, 2)
        >>> ground = Ground(nn.Linear(2, 1), Split(x, x[:, :1], x[:, :1]))
        >>> *_, surface = survey(ground, random_directions(ground, 1), 9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_surface(surface, f"{folder}/line.safetensors")
        ...     again = load_surface(f"{folder}/line.safetensors")
        >>> torch.equal(again.values["loss"], surface.values["loss"])
        True
    """
    found = read_checkpoint(Path(file))
    facts, arrays = found.facts, found.arrays
    if facts.get("what") != KIND:
        raise FileError(f"{file}, which holds no surface", "a file that save_surface wrote")

    def below(folder: str) -> dict[str, torch.Tensor]:
        return {
            name.removeprefix(folder): array
            for name, array in arrays.items()
            if name.startswith(folder)
        }

    axes = below("axes/")
    directions = Directions(
        arrays["origin"],
        arrays["vectors"],
        facts["kind"],
        tuple((low, high) for low, high in facts["extent"]),
        tuple(facts["explained"]),
        tuple(facts["null"]),
        tuple(tuple(numbers) for numbers in facts["chosen"]),
        below("buffers/"),
        tuple((value, residual) for value, residual in facts.get("curvatures", ())),
    )
    return Surface(
        directions,
        tuple(axes[str(d)] for d in range(len(axes))),
        below("values/"),
        below("errors/"),
        arrays["done"],
        facts["statistics"],
        facts["samples"],
        facts["reference"],
        facts.get("tolerance", 0.0),
    )
