"""The landscape that runs have gone through, and the ways that they took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import torch

from thalweg.cluster import Executor, open_executor
from thalweg.cluster.opening import On
from thalweg.errors import FileError
from thalweg.files import make_folder, write_atomically
from thalweg.landscape import (
    Directions,
    Ground,
    Surface,
    Trail,
    load_surface,
    save_surface,
    trail,
)
from thalweg.landscape.ground import Statistics
from thalweg.store import read_parquet, write_parquet
from thalweg.study.ground.looking import choose_kind, kind_of, look
from thalweg.study.ground.surveying import Extent, surveyed
from thalweg.study.ground.walkers import Loss, One, Walker, ground_of, walkers

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
        split: Where the samples are from.
    """

    surface: Surface
    names: tuple[str, ...]
    trails: tuple[Trail, ...]
    split: str = "train"

    @property
    def kind(self) -> str:
        """What the directions are, in a word: see `thalweg.study.ground.looking.Kind`."""
        return kind_of(self.surface.directions)

    def save(self, folder: str | Path) -> None:
        """Write ``surface.safetensors`` and ``trails.parquet``, each whole or not at all.

        Raises:
            FileError: They cannot be written.
        """
        path = Path(folder)
        make_folder(path)
        write_parquet(path / "trails.parquet", _table(self))
        save_surface(self.surface, path / "surface.safetensors")

    def write_page(self, file: str | Path, metric: str = "loss") -> None:
        """Write a page with all pictures and what they show, which needs no network.

        Args:
            file: Where to; its folder must exist.
            metric: What is drawn.

        Raises:
            FileError: It cannot be written.
            ModelError: Nothing was measured yet.
        """
        from thalweg.study.ground.landscape_page import landscape_page

        write_atomically(Path(file), landscape_page(self, metric))


def load_landscape(folder: str | Path) -> Landscape:
    """Read a landscape.

    Raises:
        FileError: A file is missing, damaged, or holds something else.
    """
    path = Path(folder)
    surface = load_surface(path / "surface.safetensors")
    return _landscape(surface, read_parquet(path / "trails.parquet", MOST), path)


def map_landscape(runs: One | Sequence[One], *, on: On = "here", **options: Any) -> Landscape:
    """Map the ground that runs have moved on.

    Args:
        runs: One or several of one architecture: runs, folders or names, with a checkpoint or
            without, or networks of your own, which are not changed. See `draw_landscape`.
        on: Who measures: ``"here"``, ``"processes:4"``, ``"ray"``, ``"ray://host:port"``; see
            `thalweg.cluster.open_executor`.
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

        A network of one's own, on data of one's own:

        >>> from torch import nn
        >>> net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> map_landscape(net, data="circle", kind="random", resolution=5).kind
        'random'
    """
    with open_executor(on) as executor:
        *_, land = draw_landscape(runs, executor=executor, **options)
    return land


def draw_landscape(
    runs: One | Sequence[One],
    *,
    kind: str | None = None,
    resolution: int | Sequence[int] = 41,
    extent: Extent | None = None,
    split: str = "train",
    subset: int | None = 3200,
    statistics: Statistics | None = None,
    tolerance: float = 0.0,
    n_states: int | None = None,
    start_from: int = 0,
    reference: int = -1,
    seed: int = 0,
    data: Any = None,
    loss: Loss | None = None,
    metrics: Any = None,
    out: str | Path | None = None,
    again: bool = False,
    executor: Executor | None = None,
) -> Iterator[Landscape]:
    """Map the ground that runs have moved on, and yield what there is, from coarse to fine.

    Args:
        runs: One or several of one architecture: a `Run`; a folder or name; that with a checkpoint,
            ``"first@120"``, ``"first@best"`` or ``(folder, 120)``; a sweep or a race, whose
            networks are meant, or ``"sweep@3"`` for one of them; any ``nn.Module``, with ``data``
            and ``loss``. The last one's network, samples and loss are the ground's. None of them is
            changed.
        kind: ``"principal"``: the plane in which the recorded states lie farthest apart;
            ``"random"``: filter-normalised directions from the last network; ``"between"``: the
            line or plane from the first network through the second, and perhaps a third;
            ``"hessian"``: the plane in which the loss bends most at the last network; ``"step"``:
            an update of the optimizer beside the gradient; ``"gradient"``: the line down the
            gradient. By default the first of ``"principal"``, ``"between"``, ``"random"`` for which
            there is what it needs.
        resolution: Nodes along each direction.
        extent: The (lowest, highest) coordinates, of all directions or of each; by default what
            shows the runs.
        split: ``"train"``, ``"val"`` or ``"test"``.
        subset: How many of its samples, drawn by ``seed``; None takes all.
        statistics: BatchNorm's on the surface: ``"frozen"``, those of the last network, the
            default; ``"estimated"`` at each point; or ``"interpolated"``, the default between
            networks. Trails, whose states are recorded without, have estimated ones.
        tolerance: Leave out nodes where the loss can be interpolated and no contour of the picture
            moves by more than this share of the step to the next; 0.1 cannot be told from the
            whole, and 0 measures all nodes.
        n_states: How many recorded states of each run make the plane; None takes all.
        start_from: The first recorded state that does.
        reference: Which of the last run's recorded states the plane passes through.
        seed: Of the subset, of random directions and of searches.
        data: What to measure on instead of the last run's own; anything that `load_data` takes.
        loss: What to measure instead of the last run's own: a name, or a callable (outputs,
            labels) → mean loss.
        metrics: Names or callables instead of the last run's own.
        out: A folder to write to, at times and at the end, be it by Ctrl-C; what an earlier call
            has left there of the same survey is gone on with.
        again: Begin anew, whatever is in the folder.
        executor: Who measures; this process if None. The numbers are the same at as many threads.

    Raises:
        ThalwegError: A run cannot be read, or the runs and the options do not fit together.
    """
    found = walkers(runs)
    chosen = choose_kind(kind, found)
    order = [*found[1:], found[0]] if chosen == "between" else found
    ground = ground_of(order, split, subset, seed=seed, data=data, loss=loss, metrics=metrics)
    ground, directions = look(
        chosen, ground, found,
        n_states=n_states, start_from=start_from, reference=reference, seed=seed,
    )  # fmt: skip
    surfaces = surveyed(
        ground, directions, resolution, extent,
        statistics=statistics or ("interpolated" if directions.buffers else "frozen"),
        tolerance=tolerance,
        file=None if out is None else Path(out) / "surface.safetensors",
        again=again,
        executor=executor,
    )  # fmt: skip
    first, names = next(surfaces), tuple(each.name for each in found)
    trails = tuple(_trail(ground, directions, each) for each in found)
    land, saved, written = Landscape(first, names, trails, split), False, time.monotonic()
    try:
        while True:
            saved = out is not None and (
                land.surface.complete or time.monotonic() - written > EVERY
            )
            if out is not None and saved:
                land.save(out)
                written = time.monotonic()
            yield land
            surface = next(surfaces, None)
            if surface is None:
                return
            land, saved = replace(land, surface=surface), False
    finally:  # Ctrl-C, or nobody asks for more
        if out is not None and not saved:
            land.save(out)


def _trail(ground: Ground, directions: Directions, walker: Walker) -> Trail:
    """Return the way that a run took; without recorded states it is the end alone."""
    kept = any(name.endswith("running_var") for name, _ in ground.network.named_buffers())
    how: Statistics = "estimated" if kept else "frozen"
    if not walker.states:
        here = [ground.vector(walker.network)]
        return trail(ground, directions, here, [walker.at], statistics=how)
    return trail(ground, directions, list(walker.states), walker.steps, statistics=how)


def _table(land: Landscape) -> pa.Table:
    """Return trails as a table: a row a state."""
    columns: dict[str, list[Any]] = {"run": [], "step": [], "residual": []}
    for number, each in enumerate(land.trails):
        columns["run"] += [number] * len(each.steps)
        columns["step"] += each.steps
        columns["residual"] += each.residuals.tolist()
        for d, along in enumerate(each.coordinates.unbind(1)):
            columns.setdefault(f"coordinate_{d}", []).extend(along.tolist())
        for name, values in each.values.items():
            columns.setdefault(f"value_{name}", []).extend(values.tolist())
    about = {
        "names": list(land.names),
        "statistics": [each.statistics for each in land.trails],
        "split": land.split,
    }
    return pa.table(columns).replace_schema_metadata({"thalweg": json.dumps(about)})


def _landscape(surface: Surface, table: pa.Table, path: Path) -> Landscape:
    """Return a surface with the trails that a table holds."""
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
    return Landscape(surface, tuple(about["names"]), tuple(found), about.get("split", "train"))
