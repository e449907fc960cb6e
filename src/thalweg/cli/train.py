"""``thalweg train``: train a network, as the spec says."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError
from thalweg.spec import Spec

if TYPE_CHECKING:
    from thalweg.engine import Event, Run


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        description=(
            "Train a network. The options are the settings of the spec; -s takes them by their\n"
            "keys, too. Lists have commas, as in --hidden 200,100. Where a value can be absent,\n"
            "none unsets it."
        ),
        usage="thalweg train [DATA] [--recipe NAME | --spec FILE] [-s KEY=VALUE] [options]",
        examples=[
            "thalweg train digits",
            "thalweg train mnist --model lab-mlp --optimizer adam --lr 1e-3 --batch-size 512",
            "thalweg train mnist --model mlp --hidden 200,100 --until 'test_accuracy>=0.98'",
            "thalweg train --recipe perfect-fit",
            "thalweg train --recipe perfect-fit -s optimizer.lr=0.01 --print-spec > mine.toml",
            "thalweg train --spec mine.toml --json > log.jsonl",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a spec in TOML")
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the result")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    told.add_argument(
        "--log-every", metavar="N", default="0", help="with --json, tell of every N-th step, too"
    )
    told.add_argument(
        "--print-spec", action="store_true", help="print the whole spec as TOML, and do not train"
    )
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser)
    parser.set_defaults(action=train)


def train(arguments: Namespace) -> int:
    """Train, and tell what happens.

    Raises:
        ThalwegError: The settings, the model and the data do not fit together.
    """
    from thalweg.engine import Run

    spec = read_spec(arguments)
    if arguments.print_spec:
        print(spec.to_toml(), end="")
        return 0
    run = Run(spec)
    with _report(arguments, run) as report:
        for event in run.events():
            report(event)
    return 1 if run.diverged else 0


def read_spec(arguments: Namespace) -> Spec:
    """Return the spec that the arguments describe.

    Raises:
        SpecError: A file, recipe, key or value that is not as it should be.
    """
    from thalweg.cli.settings import read_settings
    from thalweg.recipes import load_recipe

    spec = Spec()
    if arguments.recipe is not None:
        spec = load_recipe(arguments.recipe)
    elif arguments.spec is not None:
        spec = Spec.from_toml(_text(arguments.spec))
    if arguments.source is not None:
        spec = spec.override({"data": arguments.source})
    return read_settings(arguments, spec)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SpecError(f"--spec {file} ({reason})", "a file with a spec in TOML") from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise SpecError(f"--log-every {text}", "a number of steps")
    return int(text)


@contextmanager
def _report(arguments: Namespace, run: Run) -> Iterator[Callable[[Event], None]]:
    """Choose what is told: JSON, the result alone, or rows with a bar on a terminal."""
    from thalweg.cli.bar import Bar
    from thalweg.cli.report import JsonLines, Lines, Result

    if arguments.json:
        yield JsonLines(run, _count(arguments.log_every))
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
