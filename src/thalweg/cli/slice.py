"""``thalweg slice``: the straight line between two networks, and what stands in the way."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.ground import (
    RUN_HELP,
    Following,
    add_ground,
    follow,
    print_json,
    print_places,
    print_sheets,
    read_ground,
    write_pictures,
)
from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError, nearest

if TYPE_CHECKING:
    from thalweg.study import Slice

STATISTICS = ("interpolated", "estimated", "frozen")
PAGE = "slice.html"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "slice",
        help="draw loss and metrics on the straight line between two networks",
        description=(
            "Measure loss and metrics on the straight line from one network to another, on\n"
            "all splits, and say how high the barrier between them is. The page needs no\n"
            "network. After Ctrl-C or a kill the same command goes on."
        ),
        usage="thalweg slice A B [--resolution N] [options]",
        examples=[
            "thalweg slice first second",
            "thalweg slice first@100 first@best --resolution 65 --png",
            "thalweg slice sweep@0 sweep@1 --splits test --subset all",
            "thalweg slice first second --json | jq .barriers",
        ],
    )
    parser.add_argument("a", metavar="A", help=RUN_HELP)
    parser.add_argument("b", metavar="B", help="another, of the same architecture")
    how = parser.add_argument_group("where to look")
    how.add_argument(
        "--resolution", metavar="N", default="33", help="nodes from A to B, both included (33)"
    )
    how.add_argument(
        "--beyond", metavar="SHARE", default="0.25",
        help="how far the line goes on beyond both, in its length (0.25)",
    )  # fmt: skip
    how.add_argument(
        "--splits", metavar="NAMES", default="train,test", help="on which samples (train,test)"
    )
    how.add_argument(
        "--statistics", metavar="HOW",
        help="BatchNorm's: interpolated between those of the two, estimated at each node, or "
        "frozen, those of A (interpolated)",
    )  # fmt: skip
    add_ground(parser, subset="3200", seed="the subsets")
    parser.set_defaults(action=slice_command)


def slice_command(arguments: Namespace) -> int:
    """Measure, draw, and print what came of it.

    Raises:
        ThalwegError: A run cannot be read, or the two do not fit together.
    """
    options = _options(arguments)
    folder = arguments.out or Path("slice")
    from thalweg.study import draw_slice
    from thalweg.study.ground.slice_page import slice_figures, slice_page, slice_sheet

    command = ("The same again:", _command(arguments))
    how = Following["Slice"](
        "nodes",
        lambda line: (line.done, line.nodes),
        _stage,
        lambda line: slice_page(line, [command]),
        slice_figures,
        PAGE,
    )
    drawing = draw_slice(arguments.a, arguments.b, out=folder, **options)
    line, code = follow(drawing, how, folder, arguments)
    if code:
        return code
    pictures = write_pictures(how.figures(line), folder) if arguments.png else []
    if arguments.json:
        print_json(_facts(line, folder, pictures))
        return 0
    print_sheets([slice_sheet(line)])
    print_places(folder / PAGE, pictures)
    return 0


def _options(arguments: Namespace) -> dict[str, Any]:
    """Return the options of the study.

    Raises:
        SpecError: One does not fit.
    """
    how = arguments.statistics
    if how is not None and how not in STATISTICS:
        raise SpecError(f"--statistics {how}", "one of BatchNorm's", nearest(how, STATISTICS))
    try:
        beyond = float(arguments.beyond)
    except ValueError:
        raise SpecError(f"--beyond {arguments.beyond}", "a number, such as 0.25") from None
    return {
        "resolution": whole("--resolution", arguments.resolution, "a number of nodes", 2),
        "beyond": beyond,
        "splits": [each for each in arguments.splits.split(",") if each],
        "statistics": how,
        **read_ground(arguments),
    }


def _stage(line: Slice) -> Any:
    """Return which splits were measured to the end, and whether there is a coarse picture."""
    from thalweg.errors import ModelError

    try:
        return [each.lattice().shape for each in line.lines.values()]
    except ModelError:
        return None


def _command(arguments: Namespace) -> str:
    """Return the command as it was typed, as far as the study goes."""
    words = ["thalweg", "slice", arguments.a, arguments.b]
    defaults = {action.dest: action.default for action in arguments.parser._actions}
    for name in ("resolution", "beyond", "splits", "statistics", "subset", "seed"):
        if (value := getattr(arguments, name)) != defaults[name]:
            words.append(f"--{name}={value}")
    return shlex.join(words)


def _facts(line: Slice, folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """Return what a machine is told."""
    return {
        "folder": str(folder.absolute()),
        "page": str((folder / PAGE).absolute()),
        "pictures": [str(file.absolute()) for file in pictures],
        "names": list(line.names),
        "barriers": {
            split: {"height": found.height, "at": found.at, "ends": list(found.ends)}
            for split in line.lines
            for found in [line.barrier(split)]
        },
        "lines": {
            split: {
                "at": each.axes[0].tolist(),
                "samples": each.samples,
                "statistics": each.statistics,
                "values": {name: values.tolist() for name, values in each.values.items()},
                "errors": {name: errors.tolist() for name, errors in each.errors.items()},
            }
            for split, each in line.lines.items()
        },
    }
