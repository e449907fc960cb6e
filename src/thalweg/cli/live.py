"""How something long is told of while it goes on: JSON, nothing, lines, or a table drawn anew."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thalweg.cli.parser import Namespace
from thalweg.errors import FileError

Report = Callable[..., None]
"""Is told what happens."""

PAUSE = 0.2
"""Seconds between two drawings of the table."""


class Standing(Protocol):
    """Takes note of what happens, and says how it stands."""

    def __call__(self, *happening: Any, **more: Any) -> None:
        """Take note."""

    def line(self) -> str:
        """Say it in a line."""

    def rows(self) -> Iterable[Sequence[str]]:
        """Say it in a table."""


class LiveTable:
    """A table on stderr, drawn by the loop itself, a few times a second.

    Args:
        tally: What stands above it, and in it.
        titles: Of its columns.
    """

    def __init__(self, tally: Standing, titles: Sequence[str]) -> None:
        self.tally, self.titles, self.drawn = tally, titles, 0.0
        self.live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> LiveTable:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def __call__(self, *happening: object) -> None:
        """Draw the table if it is time to."""
        self.tally(*happening)
        now = time.monotonic()
        if now - self.drawn < PAUSE:
            return
        self.drawn = now
        table = Table(box=None, pad_edge=False)
        for title in self.titles:
            table.add_column(title)
        for row in self.tally.rows():
            table.add_row(*map(Text, row))
        self.live.update(Group(Text(self.tally.line()), table), refresh=True)


@contextmanager
def reporting(
    arguments: Namespace,
    tally: Report,
    as_json: Callable[[], Report],
    as_lines: Callable[[], Report],
    drawn: Callable[[], AbstractContextManager[Report]],
) -> Iterator[Report]:
    """Choose what is told: JSON, nothing, what a terminal draws anew, or lines where there is none.

    Args:
        arguments: ``json`` and ``quiet``.
        tally: What takes note even if nothing is told.
        as_json: Makes what tells in JSON.
        as_lines: Makes what prints lines.
        drawn: Makes what draws.
    """
    if arguments.json:
        yield as_json()
    elif arguments.quiet:
        yield tally
    elif not sys.stderr.isatty():
        yield as_lines()
    else:
        with drawn() as report:
            yield report


@contextmanager
def pointing(folder: Path | None, hint: str) -> Iterator[None]:
    """Say of an error of a file how to go on, where there is a folder to go on from.

    Raises:
        FileError: As it came, with the hint.
    """
    try:
        yield
    except FileError as error:
        if folder is None:
            raise
        both = f"{error.hint}; {hint}" if error.hint else hint
        raise FileError(error.got, error.expected, both) from None
