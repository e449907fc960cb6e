"""The folder of a race: one series for each round of its tuning, and one for the race itself."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thalweg.errors import FileError, SpecError
from thalweg.files import cannot, write_atomically
from thalweg.spec import Spec
from thalweg.store.documents import read_json, read_text, to_json
from thalweg.store.find import Damaged, runs_root
from thalweg.store.info import DataFacts
from thalweg.store.lock import is_locked
from thalweg.store.version import FORMAT, check_format


class RaceInfo(BaseModel):
    """What ``race.json`` holds.

    Args:
        format: Version of the folder's layout.
        name: Name of the race.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: running, complete or interrupted; killed, if nobody writes and it says running.
        own: What was given in Python rather than named in the spec.
        data: What must be known of the data.
        contestants: Names, or settings.
        seeds: Seeds of the race itself.
        order: Whether all see the samples in one order, or each in that of its seed.
        tune: Whether learning rates are tuned.
        tuning_seeds: Seeds that they are tuned with.
        metric: What decides.
        target: What is to be reached, as in ``val_accuracy>=0.9``; chosen afterwards if None.
        step_seconds: Seconds of an update of each contestant alone, once that was measured.
        ways: About how many states each contestant records, with the first seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    name: str
    tags: list[str]
    created: str
    state: Literal["running", "complete", "interrupted", "killed"]
    own: list[str]
    data: DataFacts
    contestants: list[str | dict[str, Any]]
    seeds: list[int]
    order: Literal["shared", "own"]
    tune: bool
    tuning_seeds: list[int]
    metric: str
    target: str | None
    step_seconds: dict[str, float]
    ways: int = 0


def new_race_info(**facts: Any) -> RaceInfo:
    """Return the facts of a race that begins now."""
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return RaceInfo(format=FORMAT, created=created, state="running", step_seconds={}, **facts)


def is_race(path: Path) -> bool:
    """Tell whether a folder is that of a race."""
    return os.path.lexists(path / "race.json")


def create_race(path: Path, info: RaceInfo, spec: Spec) -> None:
    """Make the folder of a new race.

    ::

        race.json       name, state, contestants, seeds, what decides
        spec.toml       what all contestants have in common
        tuning-00/ …    a series for each round of the tuning
        final/          the race itself, a series

    Raises:
        FileError: There is something already, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        taken = any(path.iterdir())
    except OSError as error:
        raise cannot("written", path, error) from None
    if taken:
        raise FileError(f"{path}, which is not empty", "an empty or a new folder")
    write_atomically(path / "spec.toml", spec.to_toml())
    write_race(path, info)  # last: a folder is a race once it is whole


def write_race(path: Path, info: RaceInfo) -> None:
    """Write what a race is.

    Raises:
        FileError: It cannot be written; the old file is as it was.
    """
    write_atomically(path / "race.json", to_json(info.model_dump()))


def read_race(path: Path) -> tuple[RaceInfo, Spec]:
    """Read what a race is, and what its contestants have in common.

    Raises:
        FileError: There is none, it is damaged, or from a newer version.
    """
    if not is_race(path):
        what = "which is no race" if os.path.isdir(path) else "which does not exist"
        raise FileError(f"{path}, {what}", "the folder of a race")
    raw, file = read_json(path, "race.json"), path / "race.json"
    if isinstance(raw, dict):
        check_format(file, raw.get("format"))
    hint = "its parts hold their results as Parquet: final/results.parquet, tuning-00/…"
    try:
        info = RaceInfo.model_validate(raw)
        file = path / "spec.toml"
        spec = Spec.from_toml(read_text(path, "spec.toml"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise FileError(f"{file} ({where}: {first['msg']})", "what a race writes", hint) from None
    except SpecError as error:
        raise FileError(f"{file} with {error.got}", error.expected, error.hint or hint) from None
    if info.state == "running" and not is_locked(path):
        info = info.model_copy(update={"state": "killed"})
    return info, spec


def locate_race(name: str | Path) -> Path | None:
    """Return the folder of a race, which may be damaged, given that or its name; None if none.

    Raises:
        FileError: There are several of that name.
    """
    root = runs_root()
    for path in (Path(name), root / name):
        if is_race(path):
            return path
        if any(os.path.lexists(path / each) for each in ("run.json", "series.json")):
            return None
    named = [path for path, info in survey_races(root)[0] if info.name == str(name)]
    if len(named) > 1:
        hint = f"name a folder: {', '.join(map(str, named))}"
        raise FileError(f"{str(name)!r}, the name of {len(named)} races", "one of them", hint)
    return named[0] if named else None


def survey_races(
    root: Path | None = None,
) -> tuple[list[tuple[Path, RaceInfo]], list[Damaged]]:
    """Return the races of a folder by the time they began, and those that are damaged by name."""
    whole, damaged = list[tuple[Path, RaceInfo]](), list[Damaged]()
    for folder in sorted((root or runs_root()).glob("*/")):
        if folder.name.startswith(".") or not is_race(folder):
            continue
        try:
            whole.append((folder, read_race(folder)[0]))
        except FileError as error:
            damaged.append(Damaged(folder, error))
    return sorted(whole, key=lambda each: (each[1].created, each[1].name)), damaged
