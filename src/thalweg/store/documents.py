"""Texts in the folder of a run: written whole, and read with suspicion."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from thalweg.errors import FileError
from thalweg.files import cannot, check_is_file, inside

LONGEST = 2**24
"""Bytes of the longest text that is read: run.json, spec.toml, environment.json."""


def to_json(value: Any) -> str:
    """Return JSON for people to read."""
    content = value if isinstance(value, dict | list) else dict(value)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def append_line(folder: Path, text: str, name: str = "log.txt") -> None:
    """Write a line to a file, with the time.

    Raises:
        FileError: It cannot be written.
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    file = inside(folder, name)
    if file.exists():
        check_is_file(file)
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"{now}  {text}\n")
    except OSError as error:
        raise cannot("written", file, error) from None


def read_text(folder: Path, name: str) -> str:
    """Return a text.

    Raises:
        FileError: It is missing, damaged, or too long.
    """
    file = inside(folder, name)
    check_is_file(file)
    try:
        size = file.stat().st_size
        if size > LONGEST:
            raise FileError(f"{file} of {size} bytes", f"{LONGEST} at most", "it is damaged")
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise FileError(f"{file} (damaged)", "text in UTF-8") from None
    except OSError as error:
        raise error if isinstance(error, FileError) else cannot("read", file, error) from None


def read_json(folder: Path, name: str) -> Any:
    """Return what a file holds as JSON.

    Raises:
        FileError: It is missing, or damaged.
    """
    try:
        return json.loads(read_text(folder, name))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{folder / name} (damaged)", "JSON") from None
