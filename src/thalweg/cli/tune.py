"""``thalweg tune``: find the best settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.kinds import whole
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace, Parser
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.spec import Spec

NUMBERS = ("trials", "eta", "rungs", "group", "best", "seeds", "workers")
"""Options that are whole numbers, 1 at least."""


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "tune",
        help="find the best settings: an optimizer, its numbers, or any other",
        description=(
            "Find the best settings. Trials are proposed in waves and train side by side as\n"
            "one program. A wave is ranked at each rung by the validation split; the best of\n"
            "it go on from where they stand, and new trials take the places of the others. At\n"
            "the end the best trials run again on fresh seeds; the winner is chosen by the\n"
            "validation split, and it alone is evaluated on the test split, once. Its spec is\n"
            "winner.toml, for thalweg train --spec. The other options are the settings that\n"
            "all trials share, as for thalweg train."
        ),
        usage="thalweg tune [DATA] [--optimizers A,B,C] [--over KEY=LOW..HIGH] [--trials N] "
        "[options]",
        examples=[
            "thalweg tune digits",
            "thalweg tune digits --optimizers momentum,adam --epochs 9 --trials 64",
            "thalweg tune digits --over lr=1e-4..1 --over batch_size=16,64,256",
            "thalweg tune digits --optimizers sgd,adam --over optimizer.adam.beta1=0.5..0.99",
            "thalweg tune mnist --model garment --optimizers adagrad,adam --split 0.9,0.05,0.05",
            "thalweg tune --spec search.toml --workers 2",
            "thalweg tune --spec search.toml --on ray",
            "thalweg tune digits --storage postgresql+psycopg://me@host/studies --name team",
            "thalweg tune --join team --storage postgresql+psycopg://me@host/studies",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a search or a spec in TOML")
    _add_space(parser)
    _add_rules(parser)
    where = parser.add_argument_group("where it is recorded")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path, help="this folder, new or empty, instead of runs/…"
    )
    where.add_argument("--name", metavar="NAME", help="name of the search (tune)")
    where.add_argument(
        "--tag", dest="tags", metavar="WORD", action="append", default=[],
        help="a word to find it by; repeatable",
    )  # fmt: skip
    where.add_argument("--no-record", action="store_true", help="nowhere; nothing is kept")
    where.add_argument(
        "--storage", metavar="URL",
        help="a PostgreSQL database for the trials, instead of study.db in the folder",
    )  # fmt: skip
    who = parser.add_argument_group("who trains")
    add_on(who)
    who.add_argument("--workers", metavar="N", help="processes that train at once (1)")
    who.add_argument(
        "--join", metavar="SEARCH", help="help with a search that another process began"
    )
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the verdict")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser)
    parser.set_defaults(action=tune)


def _add_space(parser: Parser) -> None:
    """Add the options on what may be chosen."""
    what = parser.add_argument_group("what may be chosen")
    what.add_argument(
        "--optimizers", metavar="A,B,C",
        help="contestants as of thalweg race, each with numbers of its own",
    )  # fmt: skip
    what.add_argument(
        "--over", metavar="KEY=LOW..HIGH", action="append", default=[],
        help="a range (log:, linear: or int: before it say how), or choices, KEY=V1,V2; "
        "optimizer.NAME.KEY is that of one optimizer; repeatable",
    )  # fmt: skip
    what.add_argument(
        "--schedules", metavar="A,B,C", help="schedules of the learning rate, step by step, or all"
    )
    what.add_argument(
        "--split", metavar="TRAIN,VAL,TEST",
        help="shares of the training samples, as in 0.9,0.05,0.05: val and test of the spec",
    )  # fmt: skip


def _add_rules(parser: Parser) -> None:
    """Add the options on how it is sought."""
    how = parser.add_argument_group("the search")
    how.add_argument("--trials", metavar="N", help="settings that are tried (64)")
    how.add_argument("--sampler", metavar="NAME", help="tpe, cmaes, gp, qmc, random or grid (tpe)")
    how.add_argument("--pruner", metavar="NAME", help="halving, hyperband or none (halving)")
    how.add_argument("--eta", metavar="N", help="one of so many goes on from a rung (3)")
    how.add_argument("--rungs", metavar="N", help="rungs, with the end of training (3)")
    how.add_argument(
        "--group", metavar="N", help="trials that are proposed at a time (what suits the sampler)"
    )
    how.add_argument("--best", metavar="N", help="trials that are run again on fresh seeds (3)")
    how.add_argument("--seeds", metavar="N", help="fresh seeds (5)")
    how.add_argument(
        "--metric", metavar="NAME",
        help="what decides, on the validation split (val_accuracy, or val_loss for a regression)",
    )  # fmt: skip
    how.add_argument(
        "--memory", metavar="MB", help="what members may take at a time (half of what is free)"
    )


def tune(arguments: Namespace) -> int:
    """Search, and tell what happens.

    Raises:
        ThalwegError: A key or a setting does not exist, does not fit, or the folder or the database
            cannot be written.
    """
    from thalweg.cli.sweep import _memory

    out, name, tags = arguments.out, arguments.name, arguments.tags
    for option, value in (("--out", out), ("--name", name), ("--tag", tags)):
        if arguments.no_record and value:
            raise SpecError(f"{option} and --no-record", "one of the two")
    memory = _memory(arguments.memory)
    from thalweg.cli.tuning import follow_help, follow_tune
    from thalweg.cluster import open_executor
    from thalweg.study import begin_tune, join_tune
    from thalweg.study.search.seeking import STORAGE

    storage = arguments.storage or os.environ.get(STORAGE)
    if arguments.join is not None:
        found, events = join_tune(arguments.join, storage=storage, memory=memory)
        return follow_help(found, events, arguments)
    spec, options = read_search(arguments)
    with open_executor(arguments.on, spec.threads) as executor:
        found, events = begin_tune(
            spec=spec,
            storage=storage,
            executor=executor,
            memory=memory,
            out=False if arguments.no_record else out,
            name=name,
            tags=tags,
            **options,
        )
        return follow_tune(found, events, arguments)


def read_search(arguments: Namespace) -> tuple[Spec, dict[str, Any]]:
    """Return the spec and the other arguments of `thalweg.tune` that the arguments describe.

    Raises:
        SpecError: A file, recipe, key or value that is not as it should be.
    """
    from thalweg.cli.ranges import parse_ranges
    from thalweg.cli.settings import read_settings
    from thalweg.cli.train import read_file
    from thalweg.recipes import load_recipe
    from thalweg.spec import Spec
    from thalweg.study.search.recipe import TuneRecipe

    recipe = TuneRecipe()
    if arguments.recipe is not None:
        recipe = TuneRecipe(load_recipe(arguments.recipe))
    elif arguments.spec is not None:
        text = read_file(arguments.spec)
        try:
            recipe = TuneRecipe(Spec.from_toml(text))
        except SpecError:
            if not any(f"{key} =" in text or f"[{key}" in text for key in ("over", "optimizers")):
                raise
            recipe = TuneRecipe.from_toml(text)
    spec, options = recipe.spec, dict(recipe.options)
    if arguments.source is not None:
        spec = spec.override({"data": arguments.source})
    if arguments.split is not None:
        spec = spec.override(read_split(arguments.split))
    spec = read_settings(arguments, spec)
    for key in NUMBERS:
        if (text := getattr(arguments, key)) is not None:
            options[key] = whole(f"--{key}", text, "a whole number, 1 at least", 1)
    for key in ("optimizers", "schedules", "sampler", "pruner", "metric"):
        if (text := getattr(arguments, key)) is not None:
            options[key] = text
    if arguments.over:
        options["over"] = parse_ranges(arguments.over)
    return spec, options


def read_split(text: str) -> dict[str, float]:
    """Return the settings that split the data into such shares.

    Raises:
        SpecError: They are not three shares that make one whole.

    Example:
        >>> read_split("0.9,0.05,0.05")
        {'data.val': 0.05, 'data.test': 0.05}
    """
    try:
        train, val, test = map(float, text.split(","))
    except ValueError:
        train = val = test = -1.0
    if min(train, val, test) <= 0 or abs(train + val + test - 1) > 1e-6:
        got, hint = f"--split {text}", "as in --split 0.9,0.05,0.05"
        raise SpecError(got, "the shares of train, val and test, which make 1", hint)
    return {"data.val": val, "data.test": test}
