"""What the commands that train share: what is told meanwhile, and how it ends."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from thalweg.cli.kinds import whole
from thalweg.cli.parser import Namespace, Parser
from thalweg.cli.text import place, typed
from thalweg.errors import FileError

if TYPE_CHECKING:
    from thalweg.engine import Event, Run


def add_told(parser: Parser) -> None:
    """Add the options on what is told."""
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the result")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    told.add_argument(
        "--log-every", metavar="N", default="0", help="with --json, tell of every N-th step, too"
    )


def check_told(arguments: Namespace) -> None:
    """Check these options before anything is done.

    Raises:
        SpecError: One of them does not fit.
    """
    _log_every(arguments)


def follow(run: Run, events: Iterator[Event], arguments: Namespace) -> int:
    """Train by going through the events, tell of them, and return the exit code.

    Raises:
        FileError: The folder of the run cannot be written any more.
    """
    from thalweg.cli.telling import tell
    from thalweg.study import Interrupted

    try:
        with _report(arguments, run) as report:
            for event in events:
                report(event)
    except Interrupted as stop:
        if run.folder is None:  # another process saves it
            return 128 + stop.signal
        step, hint = run.cohort.updates, _resume(run)
        if arguments.json:
            folder = str(run.folder and run.folder.absolute())
            tell("interrupted", step=step, signal=stop.signal.name, folder=folder, hint=hint)
        what = f"interrupted after step {step:,} by {stop.signal.name}"
        print(f"thalweg: {what}; saved: {hint}", file=sys.stderr)
        return 128 + stop.signal
    except FileError as error:
        if run.folder is None:
            raise
        hint = f"then {_resume(run)}"
        raise FileError(
            error.got, error.expected, f"{error.hint}; {hint}" if error.hint else hint
        ) from None
    if run.folder is not None and not (arguments.json or arguments.quiet):
        print(f"recorded in {place(run.folder)}", file=sys.stderr)
    return 1 if run.diverged else 0


def _resume(run: Run) -> str:
    assert run.folder is not None
    return f"thalweg resume {typed(run.folder)} goes on"


def _log_every(arguments: Namespace) -> int:
    return whole("--log-every", arguments.log_every, "a number of steps")


@contextmanager
def _report(arguments: Namespace, run: Run) -> Iterator[Callable[[Event], None]]:
    """Choose what is told: JSON, the result alone, or rows with a bar on a terminal."""
    from thalweg.cli.bar import Bar
    from thalweg.cli.telling import JsonLines, Lines, Result

    if run.ranks is not None and run.ranks.rank:  # the first tells
        yield lambda event: None
    elif arguments.json:
        yield JsonLines(run, _log_every(arguments))
    elif arguments.quiet:
        yield Result(run)
    elif not sys.stderr.isatty():
        yield Lines(run)
    else:
        lines = Lines(run, shutil.get_terminal_size().columns)
        with Bar(run) as bar:

            def both(event: Event) -> None:
                bar(event)
                lines(event)

            yield both
