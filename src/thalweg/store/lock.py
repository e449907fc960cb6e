"""One writer a run: a lock on its folder, which the system takes back if the writer dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from thalweg.errors import FileError
from thalweg.files import cannot, inside, remove_unfinished

LOCK = ".lock"

PATIENCE = 1.0
"""Seconds to wait for the lock: who only asks whether there is one holds it for a moment."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that writes to the folder of a run.

    Raises:
        FileError: Another process is writing, or the folder cannot be written.
    """
    lock = _lock(path)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.02)
    except Timeout:
        raise FileError(
            f"{path}, which another process is writing", "a run that nobody writes",
            "wait until it has ended",
        ) from None  # fmt: skip
    except OSError as error:
        raise cannot("written", path, error) from None
    try:
        remove_unfinished(path)
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Tell whether a process is writing to the folder of a run."""
    if not (path / LOCK).exists():
        return False
    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder that only reads has no writer
        return False
    lock.release()
    return False


def _lock(path: Path) -> FileLock:
    # Of the process, not of a thread: who reads a run's events may do so in another one.
    return FileLock(inside(path, LOCK), thread_local=False)
