"""The folder of a run: what is in it, who may write to it, and how it is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from thalweg.errors import FileError, SpecError, nearest
from thalweg.files import cannot, inside, write_atomically
from thalweg.spec import Spec
from thalweg.store.checkpoint import Checkpoint, DamagedError, read_checkpoint
from thalweg.store.documents import append_line, read_json, read_text, to_json
from thalweg.store.info import Info, State
from thalweg.store.lock import is_locked, locked
from thalweg.store.moving import delete_run
from thalweg.store.parquet import read_parquet
from thalweg.store.table import read_table
from thalweg.store.version import check_format

PREDICTIONS = {"true": "int64", "predicted": "int64", "probability": "double", "loss": "double"}
"""Columns of ``predictions.parquet``."""

MISTAKES = {
    "images": ("torch.float32", 4),
    "true": ("torch.int64", 1),
    "predicted": ("torch.int64", 1),
    "probability": ("torch.float64", 1),
}
"""Arrays of ``mistakes.safetensors``: their types and axes."""


@dataclass(frozen=True)
class RunFolder:
    """A run on disk.

    ::

        run.json            name, tags, state, the data's facts
        spec.toml           what was run: `thalweg train --spec` repeats it
        environment.json    versions, machine, threads, git commit
        log.txt             what happened, when
        metrics/steps/      Parquet: a row an update
        metrics/epochs/     Parquet: a row an evaluation
        checkpoints/        safetensors: step-000000500, …, and best
        states/             safetensors: the recorded path, if any
        predictions.parquet and mistakes.safetensors: what it said of the test split at the end

    Args:
        path: The folder.
        info: What ``run.json`` holds.
        spec: What was run.
        environment: What it was run on and with.
    """

    path: Path
    info: Info
    spec: Spec
    environment: Mapping[str, str]

    # ── making and opening ───────────────────────────────────────────────────────────────────

    @classmethod
    def create(
        cls, path: Path, info: Info, spec: Spec, environment: Mapping[str, str]
    ) -> RunFolder:
        """Make the folder of a new run.

        Raises:
            FileError: There is something already, or it cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            taken = any(path.iterdir())
            if not taken:
                (path / "checkpoints").mkdir()
        except OSError as error:
            raise cannot("written", path, error) from None
        if taken:
            what = "a run" if (path / "run.json").exists() else "something else"
            hint = f"thalweg resume {path}, or another --out"
            raise FileError(f"{path}, which holds {what} already", "an empty or a new folder", hint)
        write_atomically(path / "spec.toml", spec.to_toml())
        write_atomically(path / "environment.json", to_json(environment))
        write_atomically(path / "run.json", to_json(info.model_dump()))
        return cls(path, info, spec, environment)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read the folder of a run.

        Raises:
            FileError: It does not exist, is damaged, or is from a newer version.
        """
        if not os.path.lexists(path / "run.json"):
            what = "which is no run" if os.path.isdir(path) else "which does not exist"
            raise FileError(f"{path}, {what}", "the folder of a run", "see thalweg runs")
        raw = read_json(path, "run.json")
        if isinstance(raw, dict):
            check_format(path / "run.json", raw.get("format"))
        try:
            info = Info.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            raise FileError(
                f"{path / 'run.json'} ({where}: {first['msg']})", "what a run writes"
            ) from None
        try:
            spec = Spec.from_toml(read_text(path, "spec.toml"))
        except SpecError as error:
            raise FileError(
                f"{path / 'spec.toml'} with {error.got}", error.expected, error.hint
            ) from None
        except (ValueError, TypeError, RecursionError):
            raise FileError(f"{path / 'spec.toml'} (damaged)", "a spec in TOML") from None
        environment = read_json(path, "environment.json")
        if not isinstance(environment, dict):
            raise FileError(f"{path / 'environment.json'}", "names with texts")
        texts = {str(name): str(value) for name, value in environment.items()}
        folder = cls(path, info, spec, texts)
        if info.state == "running" and not folder.is_locked():
            return cls(path, info.model_copy(update={"state": "killed"}), spec, texts)
        return folder

    def change(self, **facts: Any) -> RunFolder:
        """Return the run with other facts in ``run.json``, which is written.

        Raises:
            FileError: It cannot be written; the old one is as it was.
        """
        info = self.info.model_copy(update=facts)
        write_atomically(self.path / "run.json", to_json(info.model_dump()))
        return RunFolder(self.path, info, self.spec, self.environment)

    # ── one writer ───────────────────────────────────────────────────────────────────────────

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that writes; the system takes the lock back if this one dies.

        Raises:
            FileError: Another process is writing, or the folder cannot be written.
        """
        with locked(self.path):
            yield

    def is_locked(self) -> bool:
        """Tell whether a process is writing."""
        return is_locked(self.path)

    # ── what is in it ────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.info.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by."""
        return tuple(self.info.tags)

    @property
    def created(self) -> str:
        """When it began, in ISO 8601."""
        return self.info.created

    @property
    def state(self) -> State:
        """How it stands."""
        return self.info.state

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for a regression."""
        return tuple(self.info.data.classes)

    @property
    def parameters(self) -> int:
        """Trainable numbers."""
        return self.info.parameters

    @property
    def samples(self) -> Mapping[str, int]:
        """Samples of each split."""
        return self.info.data.samples

    @property
    def spec_toml(self) -> str:
        """The spec, as it stands in the folder."""
        return self.spec.to_toml()

    def steps(self) -> dict[str, list[Any]]:
        """Return the metrics by update, as columns.

        Raises:
            FileError: A file is damaged.
        """
        return read_table(inside(self.path, "metrics/steps"))

    def epochs(self) -> dict[str, list[Any]]:
        """Return the metrics by evaluation, as columns.

        Raises:
            FileError: A file is damaged.
        """
        return read_table(inside(self.path, "metrics/epochs"))

    def checkpoints(self) -> dict[int, Path]:
        """Return the checkpoint files by step, oldest first; ``best`` is not among them.

        Raises:
            FileError: A link leads out of the folder.
        """
        return _by_step(self.path, "checkpoints")

    def checkpoint(self, which: str = "last") -> Checkpoint:
        """Read a checkpoint.

        Args:
            which: ``last``, ``best``, or the number of a step.

        Raises:
            FileError: There is none such, or it is damaged; for ``last``, if all are.
        """
        files = {str(step): file for step, file in self.checkpoints().items()}
        if which == "last":
            return self._newest([*files.values()])
        best = self.path / "checkpoints" / "best.safetensors"
        files |= {"best": best} if os.path.lexists(best) else {}
        if which not in files:
            known = nearest(which, ["last", *files]) if files else "there is none yet"
            raise FileError(f"the checkpoint {which!r} of {self.path}", "one that there is", known)
        return self._read(files[which])

    def _newest(self, files: list[Path]) -> Checkpoint:
        """Read the newest checkpoint that is whole."""
        newest: DamagedError | None = None
        for file in reversed(files):
            try:
                return self._read(file)
            except DamagedError as error:
                newest = newest or error
        if newest is not None:
            raise newest
        hint = f"thalweg train --spec {self.path / 'spec.toml'} starts anew"
        raise FileError(f"{self.path}, which has no checkpoint yet", "at least one", hint)

    def _read(self, file: Path) -> Checkpoint:
        found = read_checkpoint(inside(self.path, f"checkpoints/{file.name}"))
        updates = found.facts.get("updates")
        if not isinstance(updates, int) or updates < 0:
            raise FileError(f"{file} after {updates!r} updates", "the checkpoint of a run")
        return found

    def predictions(self) -> dict[str, NDArray[Any]] | None:
        """Return what the network said of the test split at the end; None if it did not.

        Returns:
            ``true`` and ``predicted`` classes, ``probability`` of the predicted one and ``loss``,
            (n,) each.

        Raises:
            FileError: The file is damaged.
        """
        file = inside(self.path, "predictions.parquet")
        if not os.path.lexists(file):
            return None
        table = read_parquet(file, self.samples.get("test", 0))
        types = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
        if types != PREDICTIONS:
            raise FileError(f"{file} with columns {types}", f"columns {PREDICTIONS}")
        return {name: table[name].to_numpy() for name in PREDICTIONS}

    def mistakes(self) -> dict[str, NDArray[Any]] | None:
        """Return the worst mistakes on the test split as pictures; None if there are none.

        Returns:
            ``images`` (n, C, H, W), ``true`` and ``predicted`` classes and ``probability``, (n,).

        Raises:
            FileError: The file is damaged.
        """
        file = inside(self.path, "mistakes.safetensors")
        if not os.path.lexists(file):
            return None
        arrays = read_checkpoint(file).arrays
        kinds = {name: (str(array.dtype), array.dim()) for name, array in arrays.items()}
        if kinds != MISTAKES or len({len(array) for array in arrays.values()}) > 1:
            raise FileError(f"{file} with {sorted(arrays)}", "the mistakes of a run")
        return {name: np.asarray(array) for name, array in arrays.items()}

    def states(self) -> dict[int, Path]:
        """Return the files of the recorded path by step, oldest first.

        Raises:
            FileError: A link leads out of the folder.
        """
        return _by_step(self.path, "states")

    def log(self, text: str) -> None:
        """Write a line to ``log.txt``, with the time.

        Raises:
            FileError: It cannot be written.
        """
        append_line(self.path, text)

    def delete(self) -> None:
        """Remove the run: its folder and all that is in it; links are removed, not followed.

        Raises:
            FileError: A process is writing to it, or it cannot be removed.
        """
        delete_run(self.path)


def _by_step(path: Path, name: str) -> dict[int, Path]:
    """Return the files ``step-….safetensors`` of a folder by their steps, in order."""
    files = inside(path, name).glob("step-*.safetensors")
    matches = {file: re.fullmatch(r"step-(\d{9,18})", file.stem) for file in files}
    return dict(sorted((int(match[1]), file) for file, match in matches.items() if match))
