"""A survey that goes on with what a folder holds of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from thalweg.cluster import Executor
from thalweg.errors import ModelError, SpecError
from thalweg.landscape import Directions, Ground, Surface, load_surface, survey
from thalweg.landscape.ground import Statistics

Extent = Sequence[tuple[float, float]] | tuple[float, float]


def surveyed(
    ground: Ground,
    directions: Directions,
    shape: int | Sequence[int],
    extent: Extent | None = None,
    *,
    statistics: Statistics = "frozen",
    tolerance: float = 0.0,
    file: Path | None = None,
    again: bool = False,
    executor: Executor | None = None,
) -> Iterator[Surface]:
    """Survey as `thalweg.landscape.survey` does, from where a file has come to.

    Args:
        ground: What is measured.
        directions: Where.
        shape: Nodes along each direction.
        extent: How far along each.
        statistics: BatchNorm's.
        tolerance: How far a picture may be off; 0 measures all nodes.
        file: A surface that was begun, if it is there; it is not written.
        again: Begin anew nevertheless.
        executor: Who measures; this process if None.

    Raises:
        SpecError: The file is of another survey.
        ThalwegError: It is damaged, or what is asked for does not fit together.
    """
    start = load_surface(file) if file is not None and file.exists() and not again else None
    surfaces = survey(
        ground, directions, shape, extent,
        statistics=statistics, tolerance=tolerance, start=start, executor=executor,
    )  # fmt: skip
    try:
        yield next(surfaces)
    except ModelError as error:
        if start is None:
            raise
        hint = "name another folder (out=, --out), or begin anew (again=True, --again)"
        raise SpecError(f"{file}, {error.got}", error.expected, hint) from None
    yield from surfaces
