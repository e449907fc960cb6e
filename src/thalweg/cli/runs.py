"""``thalweg runs``: list the runs, and keep them in order."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from thalweg.cli import managing
from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place


def add(commands: Commands) -> None:
    """Add the command and those below it."""
    parser = commands.add_parser(
        "runs",
        help="list runs, and rename, tag, move or delete them",
        description=(
            "List the runs below runs/ or $THALWEG_RUNS, by the time they began. Keys are\n"
            "those of the spec, of the last evaluation (test_accuracy, val_loss, …), and\n"
            "name, state, tags, created, step, epoch, seconds, parameters. Sweeps and races\n"
            "follow in a table of their own, unless runs are filtered."
        ),
        usage="thalweg runs [--sort KEY] [--filter EXPR …] [options]\n"
        "       thalweg runs {rename,tag,move,delete} …",
        examples=[
            "thalweg runs",
            "thalweg runs --sort test_accuracy",
            "thalweg runs --filter optimizer=adam 'lr>=0.01' state=complete",
            "thalweg runs --tag try --json | jq -r .folder",
            "thalweg runs rename digits_mlp_adam_20260728-101500 first",
            "thalweg runs delete first",
        ],
    )
    parser.add_argument("--sort", metavar="KEY", help="sort by this, the least first")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument(
        "--filter", dest="filters", metavar="EXPR", nargs="+", action="extend", default=[],
        help="only runs of which all these are true: KEY=VALUE, KEY!=VALUE, KEY>=NUMBER, …",
    )  # fmt: skip
    parser.add_argument(
        "--tag", dest="words", metavar="WORD", action="append", default=[],
        help="only runs with this tag; repeatable",
    )  # fmt: skip
    parser.add_argument("--root", metavar="FOLDER", type=Path, help="the runs of this folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=runs)
    managing.add(parser.commands())


def runs(arguments: Namespace) -> int:
    """List the runs.

    Raises:
        SpecError: A filter that cannot be read, or a key that no run has.
    """
    from thalweg.cli.listing import print_runs, select
    from thalweg.cli.series import print_series, survey
    from thalweg.store import runs_root

    root = arguments.root or runs_root()
    chosen, complaints = select(
        root, arguments.filters, arguments.words, arguments.sort, reverse=arguments.reverse
    )
    series, broken = ([], []) if arguments.filters else survey(root, arguments.words)
    if arguments.json:
        for facts in chosen:
            error = complaints.get(facts["folder"])
            wrong = {} if error is None else {"error": str(error)}
            print(json.dumps(facts | wrong, ensure_ascii=False))
        for facts in series:
            print(json.dumps(facts, ensure_ascii=False))
        for each in broken:
            told = {"kind": "series", "name": each.path.name, "state": "damaged"}
            told |= {"folder": str(each.path.absolute()), "error": str(each.error)}
            print(json.dumps(told, ensure_ascii=False))
        return 0
    if not chosen and not series and not broken:
        asked = arguments.filters or arguments.words
        print(f"no runs in {place(root)}" + (" of that sort" if asked else ""), file=sys.stderr)
        return 0
    if chosen:
        print_runs(chosen)
    if series:
        print("\n" * bool(chosen), end="")
        print_series(series)
    damaged = [(f["name"], complaints[f["folder"]]) for f in chosen if f["folder"] in complaints]
    damaged += [(each.path.name, each.error) for each in broken]
    if damaged:
        print()
    for name, error in damaged:
        print(f"{name} is damaged: {error}")
    return 0
