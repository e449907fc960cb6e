"""The folder of a search: what is sought, its trials, the best ones on fresh seeds, the winner."""

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


class TuneInfo(BaseModel):
    """What ``tune.json`` holds.

    Args:
        format: Version of the folder's layout.
        name: Name of the search.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: running, complete or interrupted; killed, if nobody writes and it says running.
        own: What was given in Python rather than named in the spec.
        data: What must be known of the data.
        space: What may be chosen: the axes.
        sampler: Who proposes.
        pruner: How trials are sent away.
        eta: One of so many goes on from a rung.
        rungs: Rungs, with the end of training.
        trials: How many there are to be.
        group: Trials that are asked for at a time; what suits the sampler if None.
        metric: What decides, on the validation split.
        best: How many are run again on fresh seeds.
        seeds: The fresh seeds.
        storage: Address of the database, without a password; a file in the folder if None.
        study: Name of the study in it.
        seconds: How long the search has taken so far, in this process, waits included.
        test: What the winner came to on the test split, by metric, seed by seed; None before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    name: str
    tags: list[str]
    created: str
    state: Literal["running", "complete", "interrupted", "killed"]
    own: list[str]
    data: DataFacts
    space: list[dict[str, Any]]
    sampler: str
    pruner: str
    eta: int
    rungs: int
    trials: int
    group: int | None
    metric: str
    best: int
    seeds: list[int]
    storage: str | None
    study: str
    seconds: float = 0.0
    test: dict[str, list[float]] | None = None


def new_tune_info(**facts: Any) -> TuneInfo:
    """Return the facts of a search that begins now."""
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return TuneInfo(format=FORMAT, created=created, state="running", **facts)


def is_tune(path: Path) -> bool:
    """Tell whether a folder is that of a search."""
    return os.path.lexists(path / "tune.json")


def make_tune_folder(path: Path) -> None:
    """Make the folder of a new search.

    ::

        tune.json         name, state, space, sampler, rungs, what decides
        spec.toml         where the settings start from
        environment.json  versions, machine, threads, git commit
        study.db          Optuna's study in SQLite: all trials
        final/            the best trials on fresh seeds, a series
        winner.toml       the winner's spec

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


def write_tune(path: Path, info: TuneInfo) -> None:
    """Write what a search is.

    Raises:
        FileError: It cannot be written; the old file is as it was.
    """
    write_atomically(path / "tune.json", to_json(info.model_dump()))


def parse_tune(raw: Any, text: str, where: Path | str) -> tuple[TuneInfo, Spec]:
    """Return what a search is, and where its settings start from.

    Args:
        raw: What ``tune.json`` says.
        text: What ``spec.toml`` says.
        where: Where they are, for what is said if they are damaged.

    Raises:
        FileError: They are damaged, or from a newer version.
    """
    if isinstance(raw, dict):
        check_format(Path(where) / "tune.json", raw.get("format"))
    hint = "optuna-dashboard opens its study.db"
    try:
        return TuneInfo.model_validate(raw), Spec.from_toml(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        got = f"{where}/tune.json ({place}: {first['msg']})"
        raise FileError(got, "what a search writes", hint) from None
    except SpecError as error:
        raise FileError(
            f"{where}/spec.toml with {error.got}", error.expected, error.hint or hint
        ) from None


def read_tune(path: Path) -> tuple[TuneInfo, Spec]:
    """Read what a search is, and where its settings start from.

    Raises:
        FileError: There is none, it is damaged, or from a newer version.
    """
    if not is_tune(path):
        what = "which is no search" if os.path.isdir(path) else "which does not exist"
        raise FileError(f"{path}, {what}", "the folder of a search")
    info, spec = parse_tune(read_json(path, "tune.json"), read_text(path, "spec.toml"), path)
    if info.state == "running" and not is_locked(path):
        info = info.model_copy(update={"state": "killed"})
    return info, spec


def locate_tune(name: str | Path) -> Path | None:
    """Return the folder of a search, which may be damaged, given that or its name; None if none.

    Raises:
        FileError: There are several of that name.
    """
    root = runs_root()
    for path in (Path(name), root / name):
        if is_tune(path):
            return path
        if any(os.path.lexists(path / each) for each in ("run.json", "series.json", "race.json")):
            return None
    named = [path for path, info in survey_tunes(root)[0] if info.name == str(name)]
    if len(named) > 1:
        hint = f"name a folder: {', '.join(map(str, named))}"
        raise FileError(f"{str(name)!r}, the name of {len(named)} searches", "one of them", hint)
    return named[0] if named else None


def survey_tunes(
    root: Path | None = None,
) -> tuple[list[tuple[Path, TuneInfo]], list[Damaged]]:
    """Return the searches of a folder by the time they began, and those that are damaged."""
    whole, damaged = list[tuple[Path, TuneInfo]](), list[Damaged]()
    for folder in sorted((root or runs_root()).glob("*/")):
        if folder.name.startswith(".") or not is_tune(folder):
            continue
        try:
            whole.append((folder, read_tune(folder)[0]))
        except FileError as error:
            damaged.append(Damaged(folder, error))
    return sorted(whole, key=lambda each: (each[1].created, each[1].name)), damaged
