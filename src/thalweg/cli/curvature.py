"""``thalweg curvature``: how the ground bends under a run's network."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.ground import (
    RUN_HELP,
    Following,
    add_ground,
    folder_for,
    follow,
    print_json,
    print_places,
    print_sheets,
    read_ground,
    write_pictures,
)
from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace

if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.study import Bend, Curvature

PAGE = "curvature.html"

_COUNTS = {
    "k": ("a number of eigenvalues", 1),
    "products": ("a number of products, at least 6 or 0", 0),
    "probes": ("a number of random vectors", 0),
    "lanczos": ("a number of steps", 1),
}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "curvature",
        help="measure how the ground bends under a run's network",
        description=(
            "Measure the Hessian of the loss at a run's network: its largest eigenvalues with\n"
            "their residuals, the smallest one, the trace, the density of all; sharpness in a\n"
            "box and in a ball; the gradient noise scale. With several checkpoints, sharpness\n"
            "along training beside 2 / lr. After Ctrl-C or a kill the same command goes on."
        ),
        usage="thalweg curvature RUN… [--checkpoint WHICH] [options]",
        examples=[
            "thalweg curvature first",
            "thalweg curvature first --checkpoint all --probes 0 --products 0",
            "thalweg curvature first --checkpoint states --what largest --k 1",
            "thalweg curvature first second --subset all --png",
            "thalweg curvature first --json | jq '.networks[-1].eigenvalues'",
        ],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help=RUN_HELP)
    parser.add_argument(
        "--checkpoint", metavar="WHICH", default="last",
        help="last, best, the number of a step; all checkpoints, or all recorded states (last)",
    )  # fmt: skip
    how = parser.add_argument_group("what is measured")
    how.add_argument(
        "--what", metavar="WORDS",
        help="some of largest, smallest, trace, density, sharpness and noise (all)",
    )  # fmt: skip
    how.add_argument("--k", metavar="N", default="5", help="largest eigenvalues (5)")
    how.add_argument(
        "--products", metavar="N", default="60",
        help="products with the Hessian for the trace; 0 leaves it out (60)",
    )  # fmt: skip
    how.add_argument(
        "--probes", metavar="N", default="4",
        help="random vectors for the density; 0 leaves it out (4)",
    )  # fmt: skip
    how.add_argument("--lanczos", metavar="N", default="40", help="steps from each of them (40)")
    how.add_argument("--split", metavar="NAME", default="train", help="train, val or test (train)")
    add_ground(parser, subset="1000", seed="the subset and of all that is drawn")
    parser.set_defaults(action=curvature)


def curvature(arguments: Namespace) -> int:
    """Measure, draw, and print what came of it.

    Raises:
        ThalwegError: A run cannot be read, or the options do not fit.
    """
    options: dict[str, Any] = {
        name: whole(f"--{name}", getattr(arguments, name), what, least)
        for name, (what, least) in _COUNTS.items()
    }
    options |= {"split": arguments.split, **read_ground(arguments)}
    if arguments.what is not None:
        options["what"] = [word.strip() for word in arguments.what.split(",")]
    which = arguments.checkpoint
    runs = arguments.runs if which == "last" else [f"{run}@{which}" for run in arguments.runs]
    folder = arguments.out or folder_for(runs, "curvature")
    from thalweg.study import draw_curvature
    from thalweg.study.ground.curvature_page import (
        curvature_figures,
        curvature_page,
        curvature_sheets,
        curvature_words,
    )

    command = ("The same again:", _command(arguments))
    how = Following["Curvature"](
        "measurements",
        lambda found: (found.parts[1], found.parts[0]),
        lambda found: found.parts[1] or None,
        lambda found: curvature_page(found, [command]),
        curvature_figures,
        PAGE,
    )
    found, code = follow(draw_curvature(runs, out=folder, **options), how, folder, arguments)
    if code:
        return code
    pictures = write_pictures(how.figures(found), folder) if arguments.png else []
    if arguments.json:
        print_json(_facts(found, folder, pictures))
        return 0
    print_sheets(curvature_sheets(found))
    for sentence in curvature_words(found)[1:]:
        print(sentence)
    print_places(folder / PAGE, pictures)
    return 0


def _command(arguments: Namespace) -> str:
    """Return the command as it was typed, as far as the study goes."""
    words = ["thalweg", "curvature", *arguments.runs]
    defaults = {action.dest: action.default for action in arguments.parser._actions}
    for name in ("checkpoint", "what", *_COUNTS, "split", "subset", "seed"):
        if (value := getattr(arguments, name)) != defaults[name]:
            words.append(f"--{name}={value}")
    return shlex.join(words)


def _facts(found: Curvature, folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """Return what a machine is told."""
    return {
        "folder": str(folder.absolute()),
        "page": str((folder / PAGE).absolute()),
        "pictures": [str(file.absolute()) for file in pictures],
        "split": found.options.split,
        "samples": found.samples,
        "networks": [_bend(bend) for bend in found.bends],
    }


def _bend(bend: Bend) -> Mapping[str, Any]:
    def pair(value: tuple[float, float] | None) -> dict[str, float] | None:
        return None if value is None else {"value": value[0], "error": value[1]}

    def numbers(tensor: Tensor | None) -> list[float] | None:
        return None if tensor is None else tensor.tolist()

    return {
        "name": bend.name,
        "step": bend.step,
        "loss": bend.loss,
        "limit": bend.limit,
        "eigenvalues": numbers(bend.eigenvalues),
        "residuals": numbers(bend.residuals),
        "converged": bend.converged,
        "smallest": pair(bend.smallest),
        "trace": pair(bend.trace),
        "box": bend.box,
        "ball": bend.ball,
        "noise": pair(bend.noise),
    }
