"""The straight line from one network to another, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalweg.errors import DataError, FileError, SpecError
from thalweg.files import make_folder, write_atomically
from thalweg.landscape import (
    Barrier,
    Surface,
    barrier,
    between,
    load_surface,
    save_surface,
)
from thalweg.landscape.ground import Statistics
from thalweg.store.documents import read_json, to_json
from thalweg.study.ground.surveying import surveyed
from thalweg.study.ground.walkers import Loss, One, data_of, ground_of, walkers

FILE = "slice.json"
"""What says of a folder that it holds a slice."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Losses and metrics on the line from one network, at 0, to another, at 1.

    Args:
        names: What the two are called.
        lines: What was measured on each split.
        nodes: How many nodes there are to be measured, on all splits together.
    """

    names: tuple[str, str]
    lines: Mapping[str, Surface]
    nodes: int

    @property
    def done(self) -> int:
        """How many nodes were measured."""
        return sum(int(line.done.sum()) for line in self.lines.values())

    @property
    def whole(self) -> bool:
        """Whether all nodes were measured."""
        return self.done == self.nodes

    def barrier(self, split: str = "test", metric: str = "loss") -> Barrier:
        """Return what stands between the two.

        Args:
            split: On which samples.
            metric: The loss, or a metric of which less is better.

        Raises:
            SpecError: It was not measured there, or not to the end.
        """
        if split not in self.lines or metric not in self.lines[split].values:
            raise SpecError(f"the {metric} on {split}", f"what was measured on {list(self.lines)}")
        return barrier(self.lines[split], metric)

    def save(self, folder: str | Path) -> None:
        """Write ``slice.json`` and a ``.safetensors`` for each split, each whole or not at all.

        Raises:
            FileError: They cannot be written.
        """
        path = Path(folder)
        make_folder(path)
        for split, line in self.lines.items():
            save_surface(line, path / f"{split}.safetensors")
        about = {"names": list(self.names), "splits": list(self.lines), "nodes": self.nodes}
        write_atomically(path / FILE, to_json(about))

    def write_page(self, file: str | Path) -> None:
        """Write a page with the pictures and what they show, which needs no network.

        Args:
            file: Where to; its folder must exist.

        Raises:
            FileError: It cannot be written.
            ModelError: Nothing was measured yet.
        """
        from thalweg.study.ground.slice_page import slice_page

        write_atomically(Path(file), slice_page(self))


def load_slice(folder: str | Path) -> Slice:
    """Read a slice.

    Raises:
        FileError: A file is missing, damaged, or holds something else.
    """
    path = Path(folder)
    about = read_json(path, FILE)
    if not isinstance(about, dict) or {"names", "splits", "nodes"} - about.keys():
        raise FileError(f"{path / FILE}, which tells of no slice", "what save() wrote")
    first, last = about["names"]
    lines = {split: load_surface(path / f"{split}.safetensors") for split in about["splits"]}
    return Slice((first, last), lines, about["nodes"])


def slice_between(a: One, b: One, **options: Any) -> Slice:
    """Measure the straight line between two networks.

    Args:
        a: A run, a folder or a name, with a checkpoint or without, or a network: at 0.
        b: Another, of the same architecture: at 1.
        **options: As of `draw_slice`.

    Raises:
        ThalwegError: One cannot be read, or they do not fit together.

    Example:
        >>> from thalweg.study import train
        >>> options = {"hidden": (8,), "steps": 40, "lr": 0.05, "out": False}
        >>> one, other = (train("mlp", "digits", seed=seed, **options) for seed in range(2))
        >>> line = slice_between(one, other, resolution=9)
        >>> list(line.lines), line.barrier("test").height > 0.1
        (['train', 'test'], True)
    """
    *_, found = draw_slice(a, b, **options)
    return found


def draw_slice(
    a: One,
    b: One,
    *,
    resolution: int = 33,
    beyond: float = 0.25,
    splits: Sequence[str] = ("train", "test"),
    subset: int | None = 3200,
    statistics: Statistics | None = None,
    seed: int = 0,
    data: Any = None,
    loss: Loss | None = None,
    metrics: Any = None,
    out: str | Path | None = None,
    again: bool = False,
) -> Iterator[Slice]:
    """Measure the straight line between two networks, and yield what there is.

    Sources: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization
    problems", 2015, arXiv:1412.6544; Frankle, Dziugaite, Roy and Carbin, "Linear mode connectivity
    and the lottery ticket hypothesis", 2020, arXiv:1912.05671.

    Args:
        a: A run, a folder or a name, with a checkpoint or without, or a network: at 0.
        b: Another, of the same architecture: at 1.
        resolution: Nodes from one to the other, both included.
        beyond: How far the line goes on beyond both, in its length.
        splits: On which samples; those that there are not are left out.
        subset: How many samples of each; None takes all.
        statistics: BatchNorm's: ``"interpolated"`` between those of the two, the default, which at
            both ends are their own; ``"estimated"`` on the samples at each point; or ``"frozen"``,
            those of ``a`` everywhere.
        seed: Of the subsets.
        data: What to measure on instead of the runs' own; anything that `load_data` takes.
        loss: What to measure instead of the runs' own.
        metrics: Names or callables instead of the runs' own.
        out: A folder to write to; what an earlier call has left there of the same is gone on with.
        again: Begin anew, whatever is in the folder.

    Raises:
        ThalwegError: One cannot be read, or they do not fit together.
    """
    if resolution < 2 or not 0 <= beyond < 100:
        expected = "two nodes at least, and no less than 0 beyond"
        raise SpecError(f"resolution={resolution}, beyond={beyond}", expected)
    found = walkers([a, b])
    if len(found) != 2:
        raise SpecError(f"{len(found)} networks", "two", "NAME@3 is one member of a sweep")
    own = data_of(found, data)
    measured = [split for split in splits if split in own.splits()]
    if not measured:
        raise DataError(f"the splits {list(splits)}", f"some of {list(own.splits())}")
    inside, more = resolution - 1, round(beyond * (resolution - 1))
    nodes, extent = resolution + 2 * more, (-more / inside, 1 + more / inside)
    names, lines = (found[0].name, found[1].name), dict[str, Surface]()
    whole = nodes * len(measured)
    path, saved = None if out is None else Path(out), True
    about = {"seed": seed, "data": own, "loss": loss, "metrics": metrics}
    try:
        for split in measured:
            ground = ground_of([found[1], found[0]], split, subset, **about)
            line = between(ground, found[0].network, found[1].network)
            how = statistics or ("interpolated" if line.buffers else "frozen")
            file = None if path is None else path / f"{split}.safetensors"
            for surface in surveyed(
                ground, line, nodes, extent, statistics=how, file=file, again=again
            ):
                lines[split], saved = surface, False
                yield Slice(names, dict(lines), whole)
            if path is not None:
                Slice(names, lines, whole).save(path)
                saved = True
    finally:  # Ctrl-C, or nobody asks for more
        if path is not None and not saved:
            Slice(names, lines, whole).save(path)
