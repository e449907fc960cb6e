"""``thalweg report``: a run, a sweep or a race as one page."""

from __future__ import annotations

import sys
from pathlib import Path

from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="write a run, a sweep or a race up as one page that needs no network",
        description=(
            "Write a run, a sweep or a race up as one HTML page that needs no network, and\n"
            "print where it is. Of a run: curves, learning rate, confusion matrix, the worst\n"
            "mistakes, the spec, and how to repeat it. Of a sweep: the best setting, maps and\n"
            "curves with 95 % intervals, and every setting. Of a race: the verdict, what it\n"
            "rests on, the standings at equal cost, how everybody was tuned, and a map of\n"
            "where they went, which takes a few seconds the first time."
        ),
        examples=["thalweg report first", "thalweg report runs/sweep --out sweep.html"],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run, a sweep or a race")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="page to write (report.html in the folder)"
    )
    parser.set_defaults(action=report)


def report(arguments: Namespace) -> int:
    """Write the page, and print where it is.

    Raises:
        FileError: There is nothing such, it is damaged, or the page cannot be written.
    """
    from thalweg.files import inside, write_atomically
    from thalweg.study.report import report_of

    folder, page = report_of(arguments.run, lambda text: print(text, file=sys.stderr))
    file = arguments.out or inside(folder, "report.html")
    write_atomically(file, page)
    print(place(file))
    return 0
