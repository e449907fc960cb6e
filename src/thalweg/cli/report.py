"""``thalweg report``: a run as one page."""

from __future__ import annotations

from pathlib import Path

from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="write a run up as one page that needs no network",
        description=(
            "Write a run up as one HTML page that needs no network: curves, learning rate,\n"
            "confusion matrix, the worst mistakes, the spec, and how to repeat it. Print\n"
            "where it is."
        ),
        examples=["thalweg report first", "thalweg report first --out first.html"],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="page to write (report.html in the run's folder)"
    )
    parser.set_defaults(action=report)


def report(arguments: Namespace) -> int:
    """Write the page, and print where it is.

    Raises:
        FileError: There is no such run, it is damaged, or the page cannot be written.
    """
    from thalweg.files import inside, write_atomically
    from thalweg.plots.report import report as page
    from thalweg.store import find_run

    run = find_run(arguments.run)
    file = arguments.out or inside(run.path, "report.html")
    write_atomically(file, page(run))
    print(place(file))
    return 0
