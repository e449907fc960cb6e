"""How a log finds again what it wrote for the same run in an earlier process."""

from __future__ import annotations

import uuid
from pathlib import Path

from thalweg.files import write_atomically

FILE = "log-id.txt"


def identity(folder: Path) -> str:
    """Return the name of a run among all runs of the world, which its folder keeps.

    The names of runs repeat, and folders move.

    Raises:
        FileError: The folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     identity(Path(folder)) == identity(Path(folder))
        True
    """
    file = folder / FILE
    if not file.exists():
        write_atomically(file, uuid.uuid4().hex)
    return file.read_text().strip()
