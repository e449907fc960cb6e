"""Where runs are kept, and how one is found."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from thalweg.errors import FileError, nearest
from thalweg.spec import Spec
from thalweg.store.folder import RunFolder

ROOT_VARIABLE = "THALWEG_RUNS"


def runs_root() -> Path:
    """Return the folder in which runs are kept: ``$THALWEG_RUNS``, or ``runs`` where you are."""
    return Path(os.environ.get(ROOT_VARIABLE) or "runs")


@dataclass(frozen=True)
class Damaged:
    """A run that cannot be read.

    Args:
        path: Its folder.
        error: What is wrong.
    """

    path: Path
    error: FileError


def find_run(name: str | Path) -> RunFolder:
    """Open a run by its folder, or by its name in the folder of runs.

    Raises:
        FileError: There is none such, or it is damaged.
    """
    return RunFolder.open(locate_run(name))


def locate_run(name: str | Path) -> Path:
    """Return the folder of a run, which may be damaged, given that or its name.

    Raises:
        FileError: There is none such, or there are several.
    """
    root = runs_root()
    for path in (Path(name), root / name):
        if os.path.lexists(path / "run.json"):
            return path
    runs, damaged = survey_runs(root)
    named = [run.path for run in runs if run.name == str(name)]
    named += [each.path for each in damaged if each.path.name == str(name)]
    if len(named) == 1:
        return named[0]
    if named:
        hint = f"name a folder: {', '.join(map(str, named))}"
        raise FileError(f"{str(name)!r}, the name of {len(named)} runs", "one of them", hint)
    from thalweg.store.find_series import locate_series
    from thalweg.store.race import locate_race

    if (race := locate_race(name)) is not None:
        hint = f"thalweg show {race}; its runs are in {race / 'final'}"
        raise FileError(f"{str(name)!r}, which is a race of many runs", "one run", hint)
    if (series := locate_series(name)) is not None:
        hint = f"thalweg show {series}; in Python thalweg.load_sweep has each network: .model(0)"
        raise FileError(f"{str(name)!r}, which is a series of many runs", "one run", hint)
    known = [r.path.name if r.path.name == _slug(r.name) else r.name for r in runs]
    hint = nearest(str(name), known) if known else "see thalweg runs"
    what = "which is no run" if os.path.isdir(name) else "which does not exist"
    raise FileError(f"{str(name)!r}, {what}", "the folder or the name of a run", hint)


def list_runs(root: Path | None = None) -> list[RunFolder]:
    """Return the runs of a folder by the time they began; what is damaged is left out."""
    return survey_runs(root)[0]


def survey_runs(root: Path | None = None) -> tuple[list[RunFolder], list[Damaged]]:
    """Return the runs of a folder by the time they began, and those that are damaged by name."""
    runs, damaged = [], []
    for folder in sorted((root or runs_root()).glob("*/")):
        if folder.name.startswith(".") or not _looks_like_one(folder):
            continue
        file = folder / "run.json"
        if not os.path.lexists(file):
            hint = f"it was killed as it began; thalweg runs delete {folder} removes it"
            error = FileError(f"{file} (missing)", "a file that every run has", hint)
            damaged.append(Damaged(folder, error))
            continue
        try:
            runs.append(RunFolder.open(folder))
        except FileError as error:
            damaged.append(Damaged(folder, error))
    return sorted(runs, key=lambda run: (run.created, run.name)), damaged


def _looks_like_one(folder: Path) -> bool:
    """Tell whether a folder is a run, or was to be one: ``run.json`` is what is written last."""
    begun = (folder / "spec.toml").exists() and (folder / "checkpoints").is_dir()
    return begun or os.path.lexists(folder / "run.json")


def claim_path(spec: Spec, name: str | None = None, root: Path | None = None) -> Path:
    """Make a new, empty folder for a run, called by its data, model, rule and time.

    Args:
        spec: What is run.
        name: What to call it instead.
        root: Where; the folder of runs if None.

    Raises:
        FileError: It cannot be made.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     [claim_path(Spec(), "first try", Path(root)).name for _ in range(2)]
        ['first-try', 'first-try-2']
    """
    root = root or runs_root()
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    parts = [Path(spec.data.source).name, spec.model.name, spec.optimizer.name, now]
    stem = _slug(name) if name else "_".join(map(_slug, parts))
    for number in count(1):
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            if not root.is_dir():
                raise FileError(
                    f"{root}, which is a file", "a folder for runs", "name another by --out"
                ) from None
            continue
        except OSError as error:
            hint = f"name another by --out or {ROOT_VARIABLE}"
            raise FileError(
                f"{path} ({error.strerror})", "a folder that can be written", hint
            ) from None
        return path
    raise AssertionError  # pragma: no cover - there is no end to the numbers


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "run"
