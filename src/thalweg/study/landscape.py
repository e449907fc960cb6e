"""The landscape that runs have gone through, and the ways that they took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa
import torch
from torch import Tensor

from thalweg.engine import Run
from thalweg.errors import FileError, ModelError, SpecError, nearest
from thalweg.files import make_folder
from thalweg.landscape import (
    Directions,
    Ground,
    Surface,
    Trail,
    between,
    load_surface,
    principal_components,
    random_directions,
    save_surface,
    survey,
    trail,
)
from thalweg.landscape.ground import Statistics
from thalweg.store import read_parquet, write_parquet
from thalweg.study.resuming import load_run

Kind = Literal["principal", "random", "between"]
"""The plane of most movement; a random one; the one through two or three networks."""

EVERY = 10.0
"""Seconds between two times that an unfinished surface is written."""

MOST = 10**6
"""States that are read, at most."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """A surface, and the ways that runs took.

    Args:
        surface: Losses and metrics on a grid.
        names: The runs' names.
        trails: The way of each, as seen on the surface, at its own heights.
    """

    surface: Surface
    names: tuple[str, ...]
    trails: tuple[Trail, ...]

    def save(self, folder: str | Path) -> None:
        """Write ``surface.safetensors`` and ``trails.parquet``, each whole or not at all.

        Raises:
            FileError: They cannot be written.
        """
        path = Path(folder)
        make_folder(path)
        write_parquet(path / "trails.parquet", _table(self.names, self.trails))
        save_surface(self.surface, path / "surface.safetensors")


def load_landscape(folder: str | Path) -> Landscape:
    """Read a landscape.

    Raises:
        FileError: A file is missing, damaged, or holds something else.
    """
    path = Path(folder)
    surface = load_surface(path / "surface.safetensors")
    names, trails = _trails(read_parquet(path / "trails.parquet", MOST), path)
    return Landscape(surface, names, trails)


def map_landscape(runs: Run | str | Path | Sequence[Run | str | Path], **options: Any) -> Landscape:
    """Map the ground that runs have moved on.

    Args:
        runs: A run or several, of one architecture: runs, folders or names. The last one's network,
            samples and loss are the ground's.
        **options: As of `draw_landscape`.

    Raises:
        ThalwegError: A run cannot be read, or the runs and the options do not fit together.

    Example:
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(16,), steps=20, record_states=2, out=False)
        >>> land = map_landscape(run, resolution=7, subset=500)
        >>> land.surface.shape, len(land.trails[0].steps)
        ((7, 7), 11)
        >>> land.surface.directions.explained[0] > 0.5
        True
    """
    *_, land = draw_landscape(runs, **options)
    return land


def draw_landscape(
    runs: Run | str | Path | Sequence[Run | str | Path],
    *,
    kind: Kind | None = None,
    resolution: int | Sequence[int] = 41,
    extent: Sequence[tuple[float, float]] | tuple[float, float] | None = None,
    split: str = "train",
    subset: int | None = 3200,
    statistics: Statistics = "frozen",
    n_states: int | None = None,
    start_from: int = 0,
    reference: int = -1,
    seed: int = 0,
    out: str | Path | None = None,
) -> Iterator[Landscape]:
    """Map the ground that runs have moved on, and yield what there is, from coarse to fine.

    Args:
        runs: A run or several, of one architecture: runs, folders or names. The last one's network,
            samples and loss are the ground's.
        kind: ``"principal"``: the plane in which the recorded states lie farthest apart;
            ``"random"``: filter-normalised directions from the last network; ``"between"``: the
            line or plane through two or three networks. By default the first of ``"principal"``,
            ``"between"``, ``"random"`` for which there is what it needs.
        resolution: Nodes along each direction.
        extent: The (lowest, highest) coordinates, of all directions or of each; by default what
            shows the runs.
        split: ``"train"``, ``"val"`` or ``"test"``.
        subset: How many of its samples, drawn by ``seed``; None takes all.
        statistics: BatchNorm's on the surface: ``"frozen"``, ``"estimated"`` at each point, or
            ``"interpolated"`` between networks. Trails, whose states are recorded without, have
            estimated ones.
        n_states: How many recorded states of each run make the plane; None takes all.
        start_from: The first recorded state that does.
        reference: Which of the last run's recorded states the plane passes through.
        seed: Of the subset and of random directions.
        out: A folder to write to, at times and at the end, be it by Ctrl-C; what an earlier call
            has left there of the same survey is gone on with.

    Raises:
        ThalwegError: A run cannot be read, or the runs and the options do not fit together.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    if not several:
        raise SpecError("no runs", "one at least")
    loaded = [run if isinstance(run, Run) else load_run(run) for run in several]
    ground = Ground.of(loaded[-1], split, subset, seed=seed)
    for number, run in enumerate(loaded):
        if run.cohort.stack.places != ground.places:
            raise ModelError(f"run {number}, of another architecture", "runs of one architecture")
    directions = _directions(ground, loaded, kind, n_states, start_from, reference, seed)
    names = tuple(_name(run, number) for number, run in enumerate(loaded))
    trails = tuple(_trail(ground, directions, run) for run in loaded)
    file = None if out is None else Path(out) / "surface.safetensors"
    start = load_surface(file) if file is not None and file.exists() else None
    land, saved, written = None, False, time.monotonic()
    try:
        for surface in survey(
            ground, directions, resolution, extent, statistics=statistics, start=start
        ):
            land = Landscape(surface, names, trails)
            saved = out is not None and (surface.whole or time.monotonic() - written > EVERY)
            if out is not None and saved:
                land.save(out)
                written = time.monotonic()
            yield land
    finally:  # Ctrl-C, or nobody asks for more
        if out is not None and land is not None and not saved:
            land.save(out)


def _directions(
    ground: Ground, runs: Sequence[Run], kind: Kind | None, n_states: int | None,
    start_from: int, reference: int, seed: int,
) -> Directions:  # fmt: skip
    """Return the directions of a kind, or of the first for which there is what it needs."""
    kinds: dict[str, bool] = {
        "principal": all(len(run.states.theta) > 2 for run in runs),
        "between": len(runs) in {2, 3},
        "random": True,
    }
    chosen = next(name for name, there in kinds.items() if there) if kind is None else kind
    if chosen not in kinds:
        raise SpecError(f"kind={chosen!r}", "a kind of directions", nearest(chosen, kinds))
    if chosen == "random":
        return random_directions(ground, seed=seed)
    if chosen == "between":
        return between(ground, *(run.model for run in runs))
    if not kinds["principal"]:
        raise SpecError(
            "runs without recorded states", "three states of each at least",
            "train with record_states=1, or another interval",
        )  # fmt: skip
    states = [[ground.vector(theta) for theta in run.states.theta] for run in runs]
    return principal_components(
        [torch.stack(each) for each in states],
        n_states=n_states,
        start_from=start_from,
        reference=reference,
    )


def _trail(ground: Ground, directions: Directions, run: Run) -> Trail:
    """Return the way that a run took; without recorded states it is the end alone."""
    kept = any(name.endswith("running_var") for name, _ in ground.network.named_buffers())
    how: Statistics = "estimated" if kept else "frozen"
    states: Sequence[Tensor] = run.states.theta
    steps: Sequence[int] = run.states.steps
    if not states:
        states, steps = [ground.vector(run.model)], [run.cohort.updates]
    return trail(ground, directions, states, steps, statistics=how)


def _name(run: Run, number: int) -> str:
    return run.folder.name if run.folder is not None else f"run {number}"


def _table(names: Sequence[str], trails: Sequence[Trail]) -> pa.Table:
    """Return trails as a table: a row a state."""
    columns: dict[str, list[Any]] = {"run": [], "step": [], "residual": []}
    for number, each in enumerate(trails):
        columns["run"] += [number] * len(each.steps)
        columns["step"] += each.steps
        columns["residual"] += each.residuals.tolist()
        for d, along in enumerate(each.coordinates.unbind(1)):
            columns.setdefault(f"coordinate_{d}", []).extend(along.tolist())
        for name, values in each.values.items():
            columns.setdefault(f"value_{name}", []).extend(values.tolist())
    about = {"names": list(names), "statistics": [each.statistics for each in trails]}
    return pa.table(columns).replace_schema_metadata({"thalweg": json.dumps(about)})


def _trails(table: pa.Table, path: Path) -> tuple[tuple[str, ...], tuple[Trail, ...]]:
    """Return the names of runs and their trails from a table."""
    metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
    if b"thalweg" not in metadata:
        raise FileError(f"{path / 'trails.parquet'}, which holds no trails", "what save() wrote")
    about = json.loads(metadata[b"thalweg"])
    columns = {name: torch.tensor(table[name].to_numpy()) for name in table.column_names}
    found = []
    for number, how in enumerate(about["statistics"]):
        mine = columns["run"] == number
        own = {name: column[mine].double() for name, column in columns.items() if name != "run"}
        along = [own[name] for name in own if name.startswith("coordinate_")]
        values = {
            name.removeprefix("value_"): column
            for name, column in own.items()
            if name.startswith("value_")
        }
        steps = tuple(columns["step"][mine].tolist())
        found.append(
            Trail(steps, torch.stack(along, 1), own["residual"], values, cast(Statistics, how))
        )
    return tuple(about["names"]), tuple(found)
