"""Folders of runs, moved and removed: nothing is lost on the way, and links are not followed."""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
import shutil
from pathlib import Path

from thalweg.errors import FileError
from thalweg.files import sync_folder
from thalweg.store.lock import locked


def move_run(path: Path, to: Path) -> Path:
    """Move the folder of a run.

    On one file system it is renamed. To another it is copied, the copy is compared with it byte by
    byte, and only then it is removed: whatever happens, a whole one is there.

    Args:
        path: The folder.
        to: The folder into which it goes, if that exists and is no run; else its new path.

    Returns:
        Where it is now.

    Raises:
        FileError: There is something already, a process is writing to the run, or it cannot be
            moved; the run is where it was.
    """
    into = to.is_dir() and not os.path.lexists(to / "run.json")
    target = to / path.resolve().name if into else to
    if os.path.lexists(target):
        raise FileError(f"{target}, which is there already", "a folder that is new", "name another")
    if path.is_symlink():
        raise FileError(f"{path}, a link to {path.resolve()}", "the folder itself")
    with locked(path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.rename(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(path, target)
                shutil.rmtree(path)
            sync_folder(target.parent)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(
                f"{target} ({error.strerror or error})", "a folder that can be written"
            ) from None
    return target


def delete_run(path: Path) -> None:
    """Remove the folder of a run with all that is in it; of a link, the link alone.

    Raises:
        FileError: A process is writing to it, or it cannot be removed.
    """
    with locked(path):
        pass
    try:
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
    except OSError as error:
        raise FileError(f"{path} ({error.strerror})", "a folder that can be removed") from None


def _copy(path: Path, target: Path) -> None:
    """Copy a folder to another file system: under another name, until it is whole.

    Raises:
        FileError: The copy is not what was copied.
        OSError: It cannot be written.
    """
    part = target.with_name(f".part-{secrets.token_hex(8)}")
    try:
        shutil.copytree(path, part, symlinks=True)
        for folder, _, names in os.walk(part):
            for name in names:
                copy = Path(folder, name)
                if not copy.is_symlink():
                    _check(path / copy.relative_to(part), copy)
            sync_folder(Path(folder))
        if _files(part) != _files(path):
            raise FileError(f"a copy of {path} in which files are missing", "a whole copy")
        part.rename(target)
    except shutil.Error as error:  # a list of what failed, each with its reason
        raise OSError(str(error.args[0][0][2])) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check(file: Path, copy: Path) -> None:
    """Compare a file with its copy, and see to it that the copy is on the disk."""
    with copy.open("rb") as stream:
        os.fsync(stream.fileno())
    if not filecmp.cmp(file, copy, shallow=False):
        raise FileError(f"a copy of {file} that is not the same", "a whole copy", "is the disk ok?")


def _files(folder: Path) -> set[Path]:
    return {each.relative_to(folder) for each in folder.rglob("*")}
