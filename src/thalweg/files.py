"""Writing so that nothing is lost: a file is whole, or as it was before."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from thalweg.errors import FileError

_TEMPORARY = ".part-"
"""How the name of a file begins while it is being written."""

_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "name a folder that you may write to",
    errno.EPERM: "name a folder that you may write to",
}


def write_atomically(
    file: Path, content: bytes | str | Callable[[Path], None], by: Path | None = None
) -> None:
    """Write a file by way of a temporary one: written, synced to disk, renamed.

    Whoever reads sees the old file or the new one, even after a kill or a power cut.

    Args:
        file: What to write; its folder must exist.
        content: Bytes, text (written as UTF-8), or a callable that writes to the path it is given.
        by: Folder of the temporary file, on the same file system; the file's own if None.

    Raises:
        FileError: It cannot be written; the old file is as it was, and nothing is left over.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "a.txt"), "whole")
        ...     Path(folder, "a.txt").read_text(), len(os.listdir(folder))
        ('whole', 1)
    """
    temporary = (by or file.parent) / f"{_TEMPORARY}{secrets.token_hex(8)}{file.suffix}"
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        with temporary.open("rb+") as stream:  # opened anew: a library may have put another there
            os.fsync(stream.fileno())
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise cannot("written", file, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove(file: Path) -> None:
    """Remove a file or a link, if it is there.

    Raises:
        FileError: It cannot be removed.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise cannot("removed", file, error) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises:
        FileError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot("made", folder, error) from None


def sync_folder(folder: Path) -> None:
    """See to it that what was renamed or removed in a folder is so on the disk."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what a writer that was killed left behind in a folder and in those below it."""
    for file in folder.rglob(f"{_TEMPORARY}*"):  # which follows no links
        with suppress(OSError):  # what cannot be removed disturbs nobody
            file.unlink()


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file in a folder, if that is where it really is.

    Raises:
        FileError: A symbolic link leads out of the folder, or in a circle.
    """
    file = folder / name
    try:
        real, home = file.resolve(), folder.resolve()
    except (OSError, RuntimeError):
        raise FileError(f"{file}, a link in a circle", f"a file inside {folder}") from None
    if not real.is_relative_to(home):
        raise FileError(
            f"{file}, a link to {real}", f"a file inside {folder}", "links are not followed"
        )
    return file


def check_is_file(file: Path) -> None:
    """Check that a path leads to a file, and to no folder or pipe, which could not be read.

    Raises:
        FileError: It does not.
    """
    if not os.path.isfile(file):
        what = "which is no file" if os.path.lexists(file) else "no such file"
        raise FileError(f"{file} ({what})", "a file")


def cannot(be: str, what: Path, error: OSError) -> FileError:
    """Return the error for a file or a folder that cannot be written, read, removed or made.

    Example:
        >>> cannot("written", Path("a.txt"), OSError(errno.ENOSPC, ""))
        FileError('got a.txt (No space left on device); expected ... Hint: free some space')
    """
    number = error.errno
    reason = str(error) if number is None else os.strerror(number)
    kind = "folder" if os.path.isdir(what) else "file"
    return FileError(
        f"{what} ({reason})", f"a {kind} that can be {be}", _HINTS.get(number or 0, "")
    )


def claim_folder(path: Path) -> None:
    """Make a folder, or take one that is empty.

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
