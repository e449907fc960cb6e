"""Tables on the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NUMBER = re.compile(r"[-\d.,e]+|–")


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their head; without a terminal no line is wrapped."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    lines = [tuple(row) for row in rows]
    for title, *cells in zip(head, *lines, strict=True):
        numbers = all(_NUMBER.fullmatch(cell) for cell in cells)
        table.add_column(title, overflow="fold", justify="right" if numbers else "left")
    for line in lines:
        table.add_row(*map(Text, line))  # Text: brackets are no markup
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    with console.capture() as captured:
        console.print(table)
    for text in captured.get().splitlines():
        print(text.rstrip())
