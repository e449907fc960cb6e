"""``thalweg train``: train a network, as the spec says."""

from __future__ import annotations

from pathlib import Path

from thalweg.cli.follow import add_told, check_told, follow
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError
from thalweg.spec import Spec


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        description=(
            "Train a network, and record that in a folder of its own, below runs/ or\n"
            "$THALWEG_RUNS. The options are the settings of the spec; -s takes them by their\n"
            "keys, too. Lists have commas, as in --hidden 200,100. Where a value can be\n"
            "absent, none unsets it."
        ),
        usage="thalweg train [DATA] [--recipe NAME | --spec FILE] [-s KEY=VALUE] [options]",
        examples=[
            "thalweg train digits",
            "thalweg train mnist --model lab-mlp --optimizer adam --lr 1e-3 --batch-size 512",
            "thalweg train mnist --model mlp --hidden 200,100 --until 'test_accuracy>=0.98'",
            "thalweg train --recipe perfect-fit",
            "thalweg train --recipe perfect-fit -s optimizer.lr=0.01 --print-spec > mine.toml",
            "thalweg train --spec mine.toml --json > log.jsonl",
            "thalweg train digits --name first --tag try --checkpoint-every 2epochs",
            "thalweg train digits --no-record",
            "torchrun --nproc-per-node 2 -m thalweg train mnist --model garment",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a spec in TOML")
    where = parser.add_argument_group("where it is recorded")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path, help="this folder, new or empty, instead of runs/…"
    )
    where.add_argument(
        "--name", metavar="NAME", help="name of the run (data, model, rule and time)"
    )
    where.add_argument(
        "--tag", dest="tags", metavar="WORD", action="append", default=[],
        help="a word to find it by; repeatable",
    )  # fmt: skip
    where.add_argument("--no-record", action="store_true", help="nowhere; nothing is kept")
    add_told(parser)
    parser.add_argument(
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
    spec = read_spec(arguments)
    if arguments.print_spec:
        print(spec.to_toml(), end="")
        return 0
    check_told(arguments)
    out, name, tags = arguments.out, arguments.name, arguments.tags
    for option, value in (("--out", out), ("--name", name), ("--tag", tags)):
        if arguments.no_record and value:
            raise SpecError(f"{option} and --no-record", "one of the two")
    from thalweg.engine import Run
    from thalweg.engine.ranks import join_ranks, together
    from thalweg.study import begin

    ranks = join_ranks()
    with together(ranks):
        run = Run(spec, ranks=ranks)
        events = run.events() if arguments.no_record else begin(run, out=out, name=name, tags=tags)
    return follow(run, events, arguments)


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
        spec = Spec.from_toml(read_file(arguments.spec))
    if arguments.source is not None:
        spec = spec.override({"data": arguments.source})
    return read_settings(arguments, spec)


def read_file(file: Path) -> str:
    """Return the text of a file that ``--spec`` names.

    Raises:
        SpecError: It cannot be read.
    """
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SpecError(f"--spec {file} ({reason})", "a file with a spec in TOML") from None
