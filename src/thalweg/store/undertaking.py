"""The folder of something that consists of series: a race, or a search."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from thalweg.errors import FileError, SpecError
from thalweg.files import write_atomically
from thalweg.spec import Spec
from thalweg.store.documents import read_json, read_text, to_json
from thalweg.store.find import Damaged, runs_root
from thalweg.store.info import DataFacts
from thalweg.store.lock import is_locked
from thalweg.store.version import FORMAT, check_format

FILES = ("run.json", "series.json", "race.json", "tune.json")
"""One of these says what a folder is."""


class Undertaking(BaseModel):
    """What is said of a race as of a search.

    Args:
        format: Version of the folder's layout.
        name: Its name.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: running, complete or interrupted; killed, if nobody writes and it says running.
        own: What was given in Python rather than named in the spec.
        data: What must be known of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    name: str
    tags: list[str]
    created: str
    state: Literal["running", "complete", "interrupted", "killed"]
    own: list[str]
    data: DataFacts

    @classmethod
    def new(cls, **facts: Any) -> Self:
        """Return the facts of one that begins now."""
        created = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(format=FORMAT, created=created, state="running", **facts)


N = TypeVar("N", bound=Undertaking)


@dataclass(frozen=True)
class Undertakings(Generic[N]):
    """How folders of one kind are written, read and found.

    Args:
        info: What is known of one.
        file: The file that has it, beside ``spec.toml``.
        word: What one is called.
        several: What several are called.
        rescue: What to do with one that is damaged.
    """

    info: type[N]
    file: str
    word: str
    several: str
    rescue: str

    def holds(self, path: Path) -> bool:
        """Tell whether a folder is one of these."""
        return os.path.lexists(path / self.file)

    def write(self, path: Path, info: N) -> None:
        """Write what one is.

        Raises:
            FileError: It cannot be written; the old file is as it was.
        """
        write_atomically(path / self.file, to_json(info.model_dump()))

    def parse(self, raw: Any, text: str, where: Path | str) -> tuple[N, Spec]:
        """Return what one is, and the spec that it has.

        Args:
            raw: What its file says.
            text: What ``spec.toml`` says.
            where: Where they are, for what is said if they are damaged.

        Raises:
            FileError: They are damaged, or from a newer version.
        """
        file = f"{where}/{self.file}"
        if isinstance(raw, dict):
            check_format(Path(file), raw.get("format"))
        try:
            return self.info.model_validate(raw), Spec.from_toml(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            got, expected = f"{file} ({place}: {first['msg']})", f"what a {self.word} writes"
            raise FileError(got, expected, self.rescue) from None
        except SpecError as error:
            got, hint = f"{where}/spec.toml with {error.got}", error.hint or self.rescue
            raise FileError(got, error.expected, hint) from None

    def read(self, path: Path) -> tuple[N, Spec]:
        """Read what one is, and the spec that it has.

        Raises:
            FileError: There is none, it is damaged, or from a newer version.
        """
        if not self.holds(path):
            what = f"which is no {self.word}" if os.path.isdir(path) else "which does not exist"
            raise FileError(f"{path}, {what}", f"the folder of a {self.word}")
        info, spec = self.parse(read_json(path, self.file), read_text(path, "spec.toml"), path)
        if info.state == "running" and not is_locked(path):
            info = info.model_copy(update={"state": "killed"})
        return info, spec

    def locate(self, name: str | Path) -> Path | None:
        """Return the folder of one, which may be damaged, given that or its name; None if none.

        Raises:
            FileError: There are several of that name.
        """
        root = runs_root()
        for path in (Path(name), root / name):
            if self.holds(path):
                return path
            if any(os.path.lexists(path / each) for each in FILES):
                return None
        named = [path for path, info in self.survey(root)[0] if info.name == str(name)]
        if len(named) > 1:
            got = f"{str(name)!r}, the name of {len(named)} {self.several}"
            raise FileError(got, "one of them", f"name a folder: {', '.join(map(str, named))}")
        return named[0] if named else None

    def survey(self, root: Path | None = None) -> tuple[list[tuple[Path, N]], list[Damaged]]:
        """Return those of a folder by the time they began, and those that are damaged by name."""
        whole, damaged = list[tuple[Path, N]](), list[Damaged]()
        for folder in sorted((root or runs_root()).glob("*/")):
            if folder.name.startswith(".") or not self.holds(folder):
                continue
            try:
                whole.append((folder, self.read(folder)[0]))
            except FileError as error:
                damaged.append(Damaged(folder, error))
        return sorted(whole, key=lambda each: (each[1].created, each[1].name)), damaged
