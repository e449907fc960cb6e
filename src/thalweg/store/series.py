"""The folder of a series: many runs, trained in groups, in one place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from thalweg.errors import FileError, SpecError
from thalweg.files import claim_folder, inside, make_folder, remove, write_atomically
from thalweg.spec import Spec
from thalweg.store.checkpoint import Checkpoint, DamagedError, read_checkpoint, write_checkpoint
from thalweg.store.documents import append_line, read_json, read_text, to_json
from thalweg.store.info import DataFacts
from thalweg.store.lock import is_locked, locked
from thalweg.store.parquet import read_parquet, write_parquet
from thalweg.store.states import StateFiles
from thalweg.store.table import read_table
from thalweg.store.version import FORMAT, check_format

MOST = 10_000_000
"""Members of a series that are read."""

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class Planned(BaseModel):
    """One member, before it is trained.

    Args:
        changes: How its spec differs from the series' spec, by key.
        setting: Its values on the axes; all but the seed.
    """

    model_config = _STRICT

    changes: dict[str, Any]
    setting: dict[str, Any]


class SeriesInfo(BaseModel):
    """What ``series.json`` holds.

    Args:
        format: Version of the folder's layout.
        kind: What it was made for: sweep, race.
        name: Name of the series.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: running, complete or interrupted; killed, if nobody writes and it says running.
        own: What was given in Python rather than named in the spec.
        data: What must be known of the data of the first member.
        about: What the kind of series has to say of itself.
        members: What they are, by their numbers.
        groups: Numbers of the members that are trained as one program.
    """

    model_config = _STRICT

    format: int
    kind: str
    name: str
    tags: list[str]
    created: str
    state: Literal["running", "complete", "interrupted", "killed"]
    own: list[str]
    data: DataFacts
    about: dict[str, Any]
    members: list[Planned]
    groups: list[list[int]]


def new_series_info(**facts: Any) -> SeriesInfo:
    """Return the facts of a series that begins now."""
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return SeriesInfo(format=FORMAT, created=created, state="running", **facts)


@dataclass(frozen=True)
class SeriesFolder:
    """A series on disk.

    ::

        series.json         kind, name, state, members, groups
        spec.toml           what all members come from
        environment.json    versions, machine, threads, git commit
        log.txt             what happened, when
        results.parquet     a row for each member that is over
        metrics/group-000/  Parquet: a row for each evaluation of each member of a group
        weights/            safetensors: parameters of members that are over, a file a group
        states/member-00000/  safetensors: the way that a member took, if it recorded it
        checkpoints/        safetensors: the group that is being trained

    Args:
        path: The folder.
        info: What ``series.json`` holds.
        spec: What all members come from.
        environment: What it was trained on and with.
    """

    path: Path
    info: SeriesInfo
    spec: Spec
    environment: Mapping[str, str]

    @classmethod
    def create(
        cls, path: Path, info: SeriesInfo, spec: Spec, environment: Mapping[str, str]
    ) -> SeriesFolder:
        """Make the folder of a new series.

        Raises:
            FileError: There is something already, or it cannot be written.
        """
        claim_folder(path)
        write_atomically(path / "spec.toml", spec.to_toml())
        write_atomically(path / "environment.json", to_json(environment))
        write_atomically(path / "series.json", to_json(info.model_dump()))
        return cls(path, info, spec, environment)

    @classmethod
    def open(cls, path: Path) -> SeriesFolder:
        """Read the folder of a series.

        Raises:
            FileError: It does not exist, is damaged, or is from a newer version.
        """
        if not is_series(path):
            what = "which is no series" if os.path.isdir(path) else "which does not exist"
            raise FileError(f"{path}, {what}", "the folder of a series")
        raw = read_json(path, "series.json")
        if isinstance(raw, dict):
            check_format(path / "series.json", raw.get("format"))
        try:
            info = SeriesInfo.model_validate(raw)
            text = read_text(path, "spec.toml")
            if not text.strip():
                raise FileError(f"{path / 'spec.toml'} (empty)", "a spec in TOML")
            spec = Spec.from_toml(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            raise FileError(
                f"{path / 'series.json'} ({where}: {first['msg']})", "what a series writes"
            ) from None
        except SpecError as error:
            file = path / "spec.toml"
            raise FileError(f"{file} with {error.got}", error.expected, error.hint) from None
        numbers = sorted(number for group in info.groups for number in group)
        if numbers != list(range(len(info.members))):
            raise FileError(f"{path / 'series.json'} with other groups", "each member in one group")
        environment = read_json(path, "environment.json")
        if not isinstance(environment, dict):
            raise FileError(f"{path / 'environment.json'}", "names with texts")
        texts = {str(name): str(value) for name, value in environment.items()}
        if info.state == "running" and not is_locked(path):
            info = info.model_copy(update={"state": "killed"})
        return cls(path, info, spec, texts)

    def change(self, **facts: Any) -> SeriesFolder:
        """Return the series with other facts in ``series.json``, which is written.

        Raises:
            FileError: It cannot be written; the old one is as it was.
        """
        info = self.info.model_copy(update=facts)
        write_atomically(self.path / "series.json", to_json(info.model_dump()))
        return SeriesFolder(self.path, info, self.spec, self.environment)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that writes; the system takes the lock back if this one dies.

        Raises:
            FileError: Another process is writing, or the folder cannot be written.
        """
        with locked(self.path):
            yield

    def log(self, text: str) -> None:
        """Write a line to ``log.txt``, with the time.

        Raises:
            FileError: It cannot be written.
        """
        append_line(self.path, text)

    # ── what is in it ────────────────────────────────────────────────────────────────────────

    def results(self) -> dict[str, list[Any]]:
        """Return the members that are over, as columns; empty if there are none yet.

        Raises:
            FileError: The file is damaged.
        """
        file = inside(self.path, "results.parquet")
        if not os.path.lexists(file):
            return {}
        return dict(read_parquet(file, MOST).to_pydict())

    def write_results(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write the members that are over.

        Raises:
            FileError: The file cannot be written; it is as it was.
        """
        arrays = {name: pa.array(plain_column(values)) for name, values in columns.items()}
        write_parquet(self.path / "results.parquet", pa.table(arrays))

    def metrics(self, group: int) -> dict[str, list[Any]]:
        """Return what a group's members said by evaluation, as columns.

        Raises:
            FileError: A file is damaged.
        """
        return read_table(inside(self.path, f"metrics/group-{group:03d}"))

    def metrics_folder(self, group: int) -> Path:
        """Return where a group's metrics are."""
        make_folder(self.path / "metrics")
        return inside(self.path, f"metrics/group-{group:03d}")

    def weights(self, group: int) -> Mapping[int, Mapping[str, Any]]:
        """Return parameters and buffers of a group's members, as evaluated, by number.

        Raises:
            FileError: The file is missing, or damaged.
        """
        found = read_checkpoint(inside(self.path, f"weights/group-{group:03d}.safetensors"))
        members: dict[int, dict[str, Any]] = {}
        for path, array in found.arrays.items():
            number, _, name = path.partition("/")
            if not number.isdecimal():
                raise FileError(f"{found.file} with {path!r}", "what a series writes")
            members.setdefault(int(number), {})[name] = array
        return members

    def write_weights(self, group: int, members: Mapping[int, Mapping[str, Any]]) -> None:
        """Write parameters and buffers of a group's members.

        Raises:
            FileError: The file cannot be written.
        """
        make_folder(self.path / "weights")
        arrays = {f"{k}/{name}": a for k, own in members.items() for name, a in own.items()}
        file = inside(self.path, f"weights/group-{group:03d}.safetensors")
        write_checkpoint(file, arrays, {"members": sorted(members)})

    def states(self, number: int) -> StateFiles:
        """Return the files of the states that a member recorded; there may be none."""
        return StateFiles(self.path, number)

    def checkpoint(self, group: int) -> Checkpoint | None:
        """Return the newest checkpoint of a group that is whole; None if there is none."""
        for file in reversed(self._checkpoints(group)):
            try:
                return read_checkpoint(inside(file.parent, file.name))
            except DamagedError:
                continue
        return None

    def write_checkpoint(
        self, group: int, arrays: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint of a group; only then the ones before are removed.

        Raises:
            FileError: It cannot be written.
        """
        folder = self.path / "checkpoints" / f"group-{group:03d}"
        make_folder(folder.parent)
        make_folder(folder)
        file = inside(
            self.path, f"checkpoints/{folder.name}/step-{facts['updates']:09d}.safetensors"
        )
        write_checkpoint(file, arrays, facts)
        for other in self._checkpoints(group):
            if other != file:
                remove(other)

    def remove_checkpoints(self, group: int) -> None:
        """Remove the checkpoints of a group that is over.

        Raises:
            FileError: One cannot be removed.
        """
        for file in self._checkpoints(group):
            remove(file)

    def _checkpoints(self, group: int) -> list[Path]:
        folder = inside(self.path, f"checkpoints/group-{group:03d}")
        return sorted(folder.glob("step-*.safetensors"))


def is_series(path: Path) -> bool:
    """Tell whether a folder is that of a series."""
    return os.path.lexists(path / "series.json")


def plain_column(values: Sequence[Any]) -> list[Any]:
    """Return values of one type: numbers as they are if all are, else texts; None stays.

    Example:
        >>> plain_column([1, None, 0.5]), plain_column(["adam", 3, [8, 4]])
        ([1.0, None, 0.5], ['adam', '3', '[8, 4]'])
    """
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= {int, float, str, bool}:
        return list(values)
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]
