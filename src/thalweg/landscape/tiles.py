"""Tiles of a survey, measured by whoever does the work."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from torch import Tensor

from thalweg.cluster import Done, Executor, Here, Work
from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Statistics
from thalweg.landscape.means import Means, join
from thalweg.landscape.sheet import Sheet

LARGEST = 8
"""Tiles that a job may have, where there are many of them for each worker."""


class Tiles(Work):
    """Measures networks on a line, a plane or a volume: a job is their coordinates, (M, D).

    Args:
        ground: What is measured.
        directions: Where.
        statistics: BatchNorm's; see `Ground.evaluate`.
    """

    def __init__(self, ground: Ground, directions: Directions, statistics: Statistics) -> None:
        self.ground, self.directions, self.statistics = ground, directions, statistics
        self.gpus = int(ground.device.type == "cuda")
        self._sheet: Sheet | None = None

    def do(self, job: Tensor) -> Generator[Any, None, Means]:
        yield from ()
        if self._sheet is None:
            self._sheet = Sheet(self.ground, self.directions, self.statistics)
        return join([self._sheet.means(tile) for tile in job.split(self.ground.tile)])

    def __getstate__(self) -> dict[str, Any]:
        ground = self.ground
        made_of = {"chunk": ground.chunk, "tile": ground.tile}
        made_of |= {name: vars(ground)[name] for name in ("network", "samples", "loss", "metrics")}
        return {**vars(self), "ground": made_of, "_sheet": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({**state, "ground": Ground(**state["ground"])})


def measure(
    work: Tiles, nodes: Tensor, coordinates: Tensor, executor: Executor | None = None
) -> Iterator[tuple[Tensor, Means]]:
    """Measure nodes, in any order, and yield them as they come.

    Args:
        work: What measures.
        nodes: Their numbers, (M,).
        coordinates: Where they are, (M, D).
        executor: Who does it; this process if None.

    Yields:
        Some of the nodes, and what was measured there.
    """
    executor, tile = executor or Here(), work.ground.tile
    share = -(-len(nodes) // tile) // (8 * executor.workers)
    size = tile * (1 if isinstance(executor, Here) else max(1, min(LARGEST, share)))
    parts = nodes.split(size)
    for happening in executor.run(work, coordinates.split(size)):
        if isinstance(happening, Done):
            yield parts[happening.job], happening.what
