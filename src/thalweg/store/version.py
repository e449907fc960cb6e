"""The version of what is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thalweg.errors import FileError

FORMAT = 1
"""Raised when older readers would misread what is written."""


def check_format(file: Path, found: Any) -> None:
    """Check that this version can read a file.

    Raises:
        FileError: It is from a newer version, or says nothing of its version.

    Example:
        >>> check_format(Path("run.json"), 2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        thalweg.errors.FileError: got run.json of format 2; expected format 1 or older. Hint: ...
    """
    text = str(found)
    if not text.isdecimal():
        raise FileError(f"{file} of format {found!r}", "the number of a format", "it is damaged")
    if int(text) > FORMAT:
        raise FileError(
            f"{file} of format {text}",
            f"format {FORMAT} or older",
            "it is from a newer thalweg: pip install --upgrade thalweg",
        )
