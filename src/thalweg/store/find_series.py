"""How a series is found, and which there are."""

from __future__ import annotations

import os
from pathlib import Path

from thalweg.errors import FileError
from thalweg.store.find import Damaged, runs_root
from thalweg.store.series import SeriesFolder, is_series


def find_series(name: str | Path) -> SeriesFolder:
    """Open a series by its folder, or by its name in the folder of runs.

    Raises:
        FileError: There is none such, there are several, or it is damaged.
    """
    return SeriesFolder.open(locate_series(name) or Path(name))


def locate_series(name: str | Path) -> Path | None:
    """Return the folder of a series, which may be damaged, given that or its name; None if none.

    Raises:
        FileError: There are several of that name.
    """
    root = runs_root()
    for path in (Path(name), root / name):
        if is_series(path):
            return path
        if os.path.lexists(path / "run.json"):
            return None
    named = [each.path for each in survey_series(root)[0] if each.info.name == str(name)]
    if len(named) > 1:
        hint = f"name a folder: {', '.join(map(str, named))}"
        raise FileError(f"{str(name)!r}, the name of {len(named)} series", "one of them", hint)
    return named[0] if named else None


def survey_series(root: Path | None = None) -> tuple[list[SeriesFolder], list[Damaged]]:
    """Return the series of a folder by the time they began, and those that are damaged by name."""
    whole, damaged = list[SeriesFolder](), list[Damaged]()
    for folder in sorted((root or runs_root()).glob("*/")):
        if folder.name.startswith(".") or not is_series(folder):
            continue
        try:
            whole.append(SeriesFolder.open(folder))
        except FileError as error:
            damaged.append(Damaged(folder, error))
    return sorted(whole, key=lambda each: (each.info.created, each.info.name)), damaged
