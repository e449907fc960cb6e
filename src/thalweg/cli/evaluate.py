"""``thalweg evaluate``: what a run's network is worth on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace, Parser
from thalweg.cli.text import counts, is_share, number, plural

if TYPE_CHECKING:
    from thalweg.study import Evaluation


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a run's network on a data set",
        description=(
            "Measure the loss and the metrics of a run's network, on its own data or on\n"
            "others. Others are normalised as the run's own were, and may have fewer classes."
        ),
        examples=[
            "thalweg evaluate first",
            "thalweg evaluate first --split train --checkpoint best",
            "thalweg evaluate first --data photographs --size 28",
        ],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument(
        "--data",
        dest="source",
        metavar="DATA",
        help="another data set by name, or a folder of class folders (the run's own)",
    )
    parser.add_argument("--split", metavar="NAME", default="test", help="train, val or test (test)")
    add_checkpoint(parser)
    parser.add_argument(
        "--folder", metavar="FOLDER", type=Path, help="folder that holds the named set's files"
    )
    parser.add_argument("--size", metavar="N", help="side to which a folder's images are resized")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(action=evaluate)


def add_checkpoint(parser: Parser) -> None:
    """Add the option that says which network of a run is meant."""
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        default="last",
        help="last, best, or the number of a step (last)",
    )


def evaluate(arguments: Namespace) -> int:
    """Measure, and print what came of it.

    Raises:
        ThalwegError: There is no such run, checkpoint, data set or split, or they do not fit.
    """
    from thalweg import study
    from thalweg.store import find_run

    size = arguments.size
    if size is not None:
        size = whole("--size", size, "a number of pixels", 1)
    run = find_run(arguments.run)
    found = study.evaluate(
        run,
        arguments.source,
        arguments.split,
        checkpoint=arguments.checkpoint,
        folder=arguments.folder,
        size=size,
    )
    if arguments.json:
        facts = {"run": run.name, "folder": str(run.path.absolute()), **vars(found)}
        print(json.dumps(facts, ensure_ascii=False))
    else:
        print(_line(found))
    return 0


def _line(found: Evaluation) -> str:
    shares = [name for name in found.metrics if is_share(name)]
    said = [
        f"{name} {counts(found.metrics[name], found.samples)}"
        if name in shares
        else f"{name} {number(found.metrics[name])}"
        for name in [*shares, *(name for name in found.metrics if name not in shares)]
    ]
    step = plural(found.step, "step")
    return f"{found.split} of {found.data}: {', '.join(said)}, after {step}"
