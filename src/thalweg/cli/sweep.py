"""``thalweg sweep``: train every combination of some settings, times some seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from thalweg.cli.kinds import whole
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError
from thalweg.recipes import SweepRecipe, load_recipe, load_sweep_recipe, sweep_recipes


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sweep",
        help="train every combination of some settings, times some seeds",
        description=(
            "Train every combination of some settings, times some seeds. What can share a\n"
            "program trains as one; a member has the very bits of its run alone. Before it\n"
            "begins, it says what it will take; at the end there is a row for each setting,\n"
            "with means and 95 % intervals over the seeds. Members that diverge are results,\n"
            "too. The other options are the settings that all have, as for thalweg train."
        ),
        usage="thalweg sweep [DATA] [--recipe NAME | --spec FILE] [--over KEY=V1,V2,…] "
        "[--seeds N] [options]",
        examples=[
            "thalweg sweep digits --over lr=1e-3..1 --optimizer sgd --seeds 3",
            "thalweg sweep digits --over optimizer=sgd,adam --over lr=0.01,0.1 --seeds 5",
            "thalweg sweep digits --over 'hidden=[200,100];[64]' --epochs 20",
            "thalweg sweep --recipe lr-extremes",
            "thalweg sweep --recipe weight-decay --seeds 2 --epochs 1",
            "thalweg sweep mnist --model lab-mlp --over lr=1e-3..1 --seeds 64 --on ray",
            "thalweg sweep digits --over lr=0.01,0.1 --json | jq 'select(.event==\"row\")'",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a sweep or a spec in TOML")
    what = parser.add_argument_group("what varies")
    what.add_argument(
        "--over", metavar="KEY=V1,V2,…", action="append", default=[],
        help="values of a setting; LOW..HIGH is 1, 3, 10, 30, … between; lists have semicolons "
        "between, as in 'hidden=[200,100];[64]'; repeatable",
    )  # fmt: skip
    what.add_argument("--seeds", metavar="N", help="seeds of each setting (1, or the recipe's)")
    what.add_argument(
        "--order", metavar="shared|own",
        help="all see the samples in one order, to compare in pairs, or each in its own (shared)",
    )  # fmt: skip
    what.add_argument(
        "--memory", metavar="MB", help="what members may take at a time (half of what is free)"
    )
    add_on(what)
    where = parser.add_argument_group("where it is recorded")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path, help="this folder, new or empty, instead of runs/…"
    )
    where.add_argument("--name", metavar="NAME", help="name of the sweep (sweep)")
    where.add_argument(
        "--tag", dest="tags", metavar="WORD", action="append", default=[],
        help="a word to find it by; repeatable",
    )  # fmt: skip
    where.add_argument("--no-record", action="store_true", help="nowhere; nothing is kept")
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the table")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser)
    parser.set_defaults(action=sweep)


def sweep(arguments: Namespace) -> int:
    """Train, and tell what happens.

    Raises:
        ThalwegError: The settings, the model and the data do not fit together.
    """
    out, name, tags = arguments.out, arguments.name, arguments.tags
    for option, value in (("--out", out), ("--name", name), ("--tag", tags)):
        if arguments.no_record and value:
            raise SpecError(f"{option} and --no-record", "one of the two")
    memory = _memory(arguments.memory)
    asked = read_sweep(arguments)
    from thalweg.cli.sweeping import follow_sweep, tell_plan
    from thalweg.cluster import open_executor
    from thalweg.study import Sweep, estimate, plan_sweep
    from thalweg.study.sweeps.scattered import with_threads
    from thalweg.study.sweeps.sweeping import begin_sweep

    with open_executor(arguments.on, asked.spec.threads) as executor:
        base = with_threads(asked.spec, executor)
        series = plan_sweep(
            base, asked.over, asked.seeds, order=asked.order, memory=memory, executor=executor
        )
        plan = estimate(series).shared(executor.workers if executor else 1)
        where: Path | Literal[False] | None = False if arguments.no_record else out
        folder, events = begin_sweep(series, base, executor, out=where, name=name, tags=tags)
        found = Sweep(series, base, folder)
        tell_plan(found, plan, arguments)
        return follow_sweep(found, events, plan, arguments)


def read_sweep(arguments: Namespace) -> SweepRecipe:
    """Return the sweep that the arguments describe.

    Raises:
        SpecError: A file, recipe, key or value that is not as it should be; nothing varies.
    """
    from thalweg.cli.over import parse_over
    from thalweg.cli.settings import read_settings

    asked = _start(arguments)
    if arguments.source is not None:
        asked = replace(asked, spec=asked.spec.override({"data": arguments.source}))
    asked = replace(asked, spec=read_settings(arguments, asked.spec))
    if arguments.over:
        asked = replace(asked, over=parse_over(arguments.over))
    if arguments.seeds is not None:
        asked = replace(asked, seeds=whole("--seeds", arguments.seeds, "a number of seeds", 1))
    if arguments.order is not None:
        if arguments.order not in {"shared", "own"}:
            raise SpecError(f"--order {arguments.order}", "shared or own")
        asked = replace(asked, order=arguments.order)
    if asked.seeds == 1 and list(asked.over) == [{}]:
        hint = "--over lr=0.01,0.1, or --seeds 5"
        raise SpecError("nothing that varies", "--over, --seeds, or the recipe of a sweep", hint)
    return asked


def _start(arguments: Namespace) -> SweepRecipe:
    """Return what the recipe or the file says; of a single run, with nothing that varies."""
    from thalweg.cli.train import read_file
    from thalweg.spec import Spec

    nothing = SweepRecipe(Spec(), [{}])
    if arguments.recipe is not None:
        if arguments.recipe in sweep_recipes() or not (arguments.over or arguments.seeds):
            return load_sweep_recipe(arguments.recipe)
        return replace(nothing, spec=load_recipe(arguments.recipe))
    if arguments.spec is None:
        return nothing
    text = read_file(arguments.spec)
    try:
        return replace(nothing, spec=Spec.from_toml(text))
    except SpecError:
        if "over" not in text:
            raise
        return SweepRecipe.from_toml(text)


def _memory(text: str | None) -> float | None:
    """Return the bytes that ``--memory`` grants; None if it is not given.

    Raises:
        SpecError: It is no positive number.
    """
    if text is None:
        return None
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if not 0 < megabytes < float("inf"):
        raise SpecError(f"--memory {text}", "a number of MB", "such as --memory 500")
    return megabytes * 2**20
