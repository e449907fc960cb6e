"""Tables on the terminal."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 3  # between two columns
_NUMBER = re.compile(r"[-+\d.,e]+|–")


def print_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], dispensable: Sequence[str] = ()
) -> None:
    """Print rows below their head; without a terminal no line is wrapped.

    Args:
        head: Titles of the columns.
        rows: Their cells.
        dispensable: Columns to leave out where the terminal is too narrow for all, the first one
            first.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    lines = [tuple(row) for row in rows]
    columns = list(zip(head, *lines, strict=True))
    for title in dispensable:
        if sum(_GAP + max(map(cell_len, column)) for column in columns) - _GAP <= width:
            break
        columns = [column for column in columns if column[0] != title]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title, *cells in columns:
        numbers = all(_NUMBER.fullmatch(cell) for cell in cells)
        table.add_column(title, overflow="fold", justify="right" if numbers else "left")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))  # Text: brackets are no markup
    console = Console(highlight=False, width=width, height=1)  # a dumb terminal is not asked
    with console.capture() as captured:
        console.print(table)
    for text in captured.get().splitlines():
        print(text.rstrip())
