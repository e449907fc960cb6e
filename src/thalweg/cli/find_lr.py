"""``thalweg find-lr``: a learning rate to train with, and how sure that is."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.study import FoundLr, Rate


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "find-lr",
        help="find a learning rate, and say how sure that is",
        description=(
            "Find a learning rate to train with. First it rises, over several seeds at once,\n"
            "until the loss diverges. Then rates of a half-decade grid are held for some\n"
            "hundred steps from one state of each seed, the worse ones leaving early.\n"
            "The answer is the best by the held-out loss, the rates that cannot be told from\n"
            "it, and the largest within one standard error. Beside it: what fastai's and\n"
            "Lightning's rules choose. The other options are the settings of the run, as for\n"
            "thalweg train; a schedule is left aside. Nothing is recorded."
        ),
        usage="thalweg find-lr [DATA] [--recipe NAME | --spec FILE] [--seeds N] [--steps N] "
        "[options]",
        examples=[
            "thalweg find-lr digits",
            "thalweg find-lr mnist --model garment --optimizer adam --out lr.html",
            "thalweg find-lr mnist --model lab-mlp --optimizer muon --batch-size 512 --steps 300",
            "thalweg find-lr digits --optimizer sgd --batch-size full",
            "thalweg find-lr --recipe lab --json | jq 'select(.event==\"complete\").interval'",
        ],
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start").add_mutually_exclusive_group()
    base.add_argument("--recipe", metavar="NAME", help="a recipe; see thalweg recipes")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a spec in TOML")
    what = parser.add_argument_group("the search")
    what.add_argument("--seeds", metavar="N", default="5", help="seeds, two at least (5)")
    what.add_argument(
        "--steps", dest="fork_steps", metavar="N",
        help="updates for which a rate is held (200, or the run's if it is shorter)",
    )  # fmt: skip
    what.add_argument(
        "--warm", metavar="N", help="updates at a low rate before (0; 20 if a schedule warms up)"
    )  # fmt: skip
    what.add_argument("--low", metavar="X", help="lowest rate (1e-4 times the rule's default)")
    what.add_argument("--high", metavar="X", help="highest rate (1e5 times the rule's default)")
    what.add_argument(
        "--memory", metavar="MB", help="what members may take at a time (half of what is free)"
    )
    told = parser.add_argument_group("what is told")
    told.add_argument(
        "--out", metavar="FILE", type=Path, help="picture to write, .html or .png"
    )  # fmt: skip
    told.add_argument("--quiet", action="store_true", help="nothing but the verdict")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser, skip=("lr", "steps"))
    parser.set_defaults(action=find_lr)


def find_lr(arguments: Namespace) -> int:
    """Search, and tell what came of it.

    Raises:
        ThalwegError: A setting does not exist, or does not fit; the picture cannot be written.
    """
    from thalweg.cli.sweep import _memory
    from thalweg.cli.train import read_spec

    options: dict[str, Any] = {
        "seeds": whole("--seeds", arguments.seeds, "a number of seeds, two at least", 2)
    }
    if arguments.fork_steps is not None:
        options["steps"] = whole("--steps", arguments.fork_steps, "a number of steps, from 4 on", 4)
    if arguments.warm is not None:
        options["warm"] = whole("--warm", arguments.warm, "a number of steps")
    for end in ("low", "high"):
        if getattr(arguments, end) is not None:
            options[end] = _rate(end, getattr(arguments, end))
    for setting in arguments.settings:
        if setting.partition("=")[0].strip() in {"lr", "optimizer.lr"}:
            raise SpecError(f"-s {setting}", "no lr, since that is to be found", "--low and --high")
    if arguments.out is not None and arguments.out.suffix not in {".html", ".png"}:
        raise SpecError(f"--out {arguments.out}", "a name that ends in .html or .png")
    spec, memory = read_spec(arguments), _memory(arguments.memory)
    found = _follow(spec, arguments, memory=memory, **options)
    if arguments.out is not None:
        found.save(arguments.out)
    if arguments.json:
        _print_json(found, arguments.out)
    elif arguments.quiet:
        print(found.verdict)
    else:
        _print(found, arguments.out)
    return 0


def _follow(spec: Any, arguments: Namespace, **options: Any) -> FoundLr:
    """Search, and say on stderr what goes on."""
    from thalweg.study import search_lr

    search, part = search_lr(spec=spec, **options), ""
    while True:
        try:
            stage = next(search)
        except StopIteration as end:
            found: FoundLr = end.value
            return found
        if stage.part != part and not (arguments.quiet or arguments.json):
            print(stage.part, file=sys.stderr, flush=True)
        part = stage.part


def _rate(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise SpecError(f"--{option} {text}", "a positive number")
    return value


def _print(found: FoundLr, picture: Path | None) -> None:
    """Print the rates and the answer."""
    from thalweg.cli.table import print_table
    from thalweg.cli.text import place, plural

    warm = f" after {plural(found.warm, 'step')} at {found.warm_lr:.2g}" if found.warm else ""
    print(f"{found.rule}: held for {plural(found.fork_steps, 'step')}{warm}, "
          f"{plural(len(found.seeds), 'seed')}\n")  # fmt: skip
    head = ("lr", "held-out loss", "behind", "p", "")
    print_table(head, [_row(rate) for rate in found.rates])
    print("\n± is a standard error over the seeds; behind: how much worse than the best, in pairs")
    edge = found.range.edge
    print("divergence edge: " + (f"{edge:.2g}" if edge else f"none up to {found.ends[1]:g}"))
    for when, limits in (found.gd_limit or {}).items():
        print(f"stable on the quadratic where forks {when}: up to {_scatter(limits)}, by λmax")
    for rule, each in found.peers.items():
        known = [lr for lr in each if lr is not None]
        print(f"{rule}: {_scatter(known) if known else 'no answer'}")
    spent = ", ".join(f"{part} {n:,}" for part, n in found.spent.items() if part != "peers")
    print(f"steps: {found.steps:,} in all, over all seeds and rates ({spent})")
    for note in found.notes:
        print(f"note: {note}")
    print(f"\nverdict: {found.verdict}")
    if picture is not None:
        print(f"picture: {place(picture)}")


def _row(rate: Rate) -> tuple[str, ...]:
    """Return a rate's row in the table."""
    loss = f"{rate.loss:.4g} ± {rate.error:.2g}" if math.isfinite(rate.loss) else "–"
    behind = "–" if rate.behind is None else f"{rate.behind:.2g} ± {rate.behind_error:.2g}"
    p = "–" if rate.p is None else ("<0.001" if rate.p < 0.001 else f"{rate.p:.3f}")
    seeds = f"{rate.diverged} seed{'s' if rate.diverged > 1 else ''}"
    why = f"{seeds} diverged" if rate.diverged else ""
    why = f"taken out after {rate.steps} steps" if rate.pruned else why
    return f"{rate.lr:g}", loss, behind, p, why


def _scatter(values: list[float] | Any) -> str:
    from statistics import median

    low, high = min(values), max(values)
    return f"{median(values):.2g}" + (f" ({low:.2g} to {high:.2g})" if low < high else "")


def _print_json(found: FoundLr, picture: Path | None) -> None:
    """Print an object for each rate, and one for the answer."""
    columns = found.columns
    for row in zip(*columns.values(), strict=True):
        facts = {key: _finite(value) for key, value in zip(columns, row, strict=True)}
        print(json.dumps({"event": "rate", **facts}))
    facts = {
        "verdict": found.verdict, "best": found.best, "interval": found.interval,
        "largest": found.largest, "edge": found.range.edge, "seeds": list(found.seeds),
        "fork_steps": found.fork_steps, "warm": found.warm, "warm_lr": found.warm_lr,
        "peers": {rule: list(each) for rule, each in found.peers.items()},
        "gd_limit": found.gd_limit, "steps": found.steps, "spent": dict(found.spent),
        "notes": found.notes,
    }  # fmt: skip
    facts |= {} if picture is None else {"picture": str(picture)}
    print(json.dumps({"event": "complete", **facts}, ensure_ascii=False))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
