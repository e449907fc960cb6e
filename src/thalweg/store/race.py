"""What ``race.json`` holds: the folder of a race has one series for each round of it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from thalweg.errors import FileError
from thalweg.files import write_atomically
from thalweg.store.documents import read_json, to_json
from thalweg.store.version import FORMAT, check_format


class RaceInfo(BaseModel):
    """What a race is.

    Args:
        format: Version of the folder's layout.
        name: Name of the race.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: running, complete or interrupted.
        own: What was given in Python rather than named in the spec.
        contestants: Names, or settings.
        seeds: Seeds of the race itself.
        order: Whether all see the samples in one order, or each in that of its seed.
        tune: Whether learning rates are tuned.
        tuning_seeds: Seeds that they are tuned with.
        metric: What decides.
        target: What is to be reached, as in ``val_accuracy>=0.9``; chosen afterwards if None.
        step_seconds: Seconds of an update of each contestant alone, once that was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    name: str
    tags: list[str]
    created: str
    state: Literal["running", "complete", "interrupted"]
    own: list[str]
    contestants: list[str | dict[str, Any]]
    seeds: list[int]
    order: Literal["shared", "own"]
    tune: bool
    tuning_seeds: list[int]
    metric: str
    target: str | None
    step_seconds: dict[str, float]


def new_race_info(**facts: Any) -> RaceInfo:
    """Return the facts of a race that begins now."""
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return RaceInfo(format=FORMAT, created=created, state="running", step_seconds={}, **facts)


def is_race(path: Path) -> bool:
    """Tell whether a folder is that of a race."""
    return os.path.lexists(path / "race.json")


def write_race(path: Path, info: RaceInfo) -> None:
    """Write what a race is.

    Raises:
        FileError: It cannot be written.
    """
    write_atomically(path / "race.json", to_json(info.model_dump()))


def read_race(path: Path) -> RaceInfo:
    """Read what a race is.

    Raises:
        FileError: There is none, it is damaged, or from a newer version.
    """
    if not is_race(path):
        raise FileError(f"{path}, which is no race", "the folder of a race")
    raw = read_json(path, "race.json")
    if isinstance(raw, dict):
        check_format(path / "race.json", raw.get("format"))
    try:
        return RaceInfo.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        file = path / "race.json"
        raise FileError(f"{file} ({where}: {first['msg']})", "what a race writes") from None
