"""``thalweg race``: let optimizers race, fairly."""

from __future__ import annotations

from pathlib import Path

from thalweg.cli.kinds import whole
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace, Parser
from thalweg.errors import SpecError


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "race",
        help="let optimizers race, fairly, and say who won or that one cannot tell",
        description=(
            "Let optimizers race. Each is tuned with the same number of runs: its learning\n"
            "rate, on a half-decade grid that is widened until everybody's best lies inside\n"
            "it. Then all run with fresh seeds, in pairs: the same initial weights and the\n"
            "same order of the samples. The validation split decides; the test split is looked\n"
            "at in the race itself alone, and decides nothing.\n"
            "\n"
            "A contestant is a rule (adam, torch.optim.Adagrad), with what goes around it and a\n"
            "schedule: momentum+lookahead, adam+ema@cosine, sgd+sam. gd is sgd with the whole\n"
            "training set as a batch; momentum-decay is momentum whose learning rate falls as\n"
            "1/(1 + 0.01 t) in steps t; all stands for every registered rule. The other options\n"
            "are the settings that all share, as for thalweg train."
        ),
        usage="thalweg race [DATA] --optimizers A,B,C [--seeds N] [options]",
        examples=[
            "thalweg race digits --optimizers sgd,momentum,adam",
            "thalweg race digits --optimizers all --hidden 64 --epochs 5 --seeds 10",
            "thalweg race digits --optimizers adam,adam+ema@cosine,sgd+sam --epochs 10",
            "thalweg race mnist --model garment --optimizers momentum-decay,adam,muon --epochs 1",
            "thalweg race digits --optimizers sgd,adam --target 'val_accuracy>=0.9' --json",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a spec in TOML")
    _add_rules(parser)
    where = parser.add_argument_group("where it is recorded")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path, help="this folder, new or empty, instead of runs/…"
    )
    where.add_argument("--name", metavar="NAME", help="name of the race (race)")
    where.add_argument(
        "--tag", dest="tags", metavar="WORD", action="append", default=[],
        help="a word to find it by; repeatable",
    )  # fmt: skip
    where.add_argument("--no-record", action="store_true", help="nowhere; nothing is kept")
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the verdict")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser, skip=("target",))  # that of a schedule: -s schedule.target=…
    parser.set_defaults(action=race)


def _add_rules(parser: Parser) -> None:
    """Add the options on how the race is run."""
    what = parser.add_argument_group("the race")
    what.add_argument("--optimizers", metavar="A,B,C", help="who takes part")
    what.add_argument("--seeds", metavar="N", default="5", help="seeds of the race itself (5)")
    what.add_argument(
        "--tuning-seeds", metavar="N", default="1",
        help="seeds that each learning rate is tried with; their mean decides (1)",
    )  # fmt: skip
    what.add_argument(
        "--no-tune", action="store_true",
        help="take everybody's default learning rate; such a race has no verdict",
    )  # fmt: skip
    what.add_argument(
        "--order", metavar="shared|own", default="shared",
        help="all see the samples in one order, or each seed in its own (shared)",
    )  # fmt: skip
    what.add_argument(
        "--metric", metavar="NAME",
        help="what decides, on the validation split (val_accuracy, or val_loss for a regression)",
    )  # fmt: skip
    what.add_argument(
        "--target", dest="goal", metavar="COND",
        help="what is to be reached, as in 'val_accuracy>=0.9' (what half of them reach)",
    )  # fmt: skip
    what.add_argument(
        "--memory", metavar="MB", help="what members may take at a time (half of what is free)"
    )
    add_on(what)
    what.add_argument(
        "--ways", metavar="N", default="40",
        help="states that each records with the first seed, for the report's map; 0 for none (40)",
    )  # fmt: skip


def race(arguments: Namespace) -> int:
    """Let optimizers race, and tell what happens.

    Raises:
        ThalwegError: A contestant or a setting does not exist, or does not fit.
    """
    from thalweg.cli.sweep import _memory
    from thalweg.cli.train import read_spec

    out, name, tags = arguments.out, arguments.name, arguments.tags
    for option, value in (("--out", out), ("--name", name), ("--tag", tags)):
        if arguments.no_record and value:
            raise SpecError(f"{option} and --no-record", "one of the two")
    if not arguments.optimizers:
        hint = "such as --optimizers sgd,momentum,adam; thalweg optimizers lists them"
        raise SpecError("no --optimizers", "who takes part", hint)
    seeds = whole("--seeds", arguments.seeds, "a number of seeds", 1)
    tuning_seeds = whole("--tuning-seeds", arguments.tuning_seeds, "a number of seeds", 1)
    memory, ways = _memory(arguments.memory), whole("--ways", arguments.ways, "a number", 0)
    _refuse_own(arguments)
    spec = read_spec(arguments)
    from thalweg.cli.racing import follow_race
    from thalweg.cluster import open_executor
    from thalweg.study import begin_race

    with open_executor(arguments.on, spec.threads) as executor:
        found, events = begin_race(
            spec=spec,
            optimizers=arguments.optimizers,
            seeds=seeds,
            tune=not arguments.no_tune,
            tuning_seeds=tuning_seeds,
            order=arguments.order,
            metric=arguments.metric,
            target=arguments.goal,
            memory=memory,
            executor=executor,
            ways=ways,
            out=False if arguments.no_record else out,
            name=name,
            tags=tags,
        )
        return follow_race(found, events, arguments)


def _refuse_own(arguments: Namespace) -> None:
    """Refuse settings that each contestant has for itself.

    Raises:
        SpecError: One was given.
    """
    from thalweg.cli.settings import settings
    from thalweg.study.races.contestants import own_settings

    keys = own_settings(text.partition("=")[0].strip() for text in arguments.settings)
    given = [each for each in settings() if each.key in vars(arguments)]
    words = [each.flag for each in given if each.section == "optimizer"]
    words += [f"-s {key}" for key in keys]
    if words:
        hint = "in Python a contestant can have settings of its own: thalweg.race"
        raise SpecError(f"{words[0]} for all contestants", "--optimizers", hint)
