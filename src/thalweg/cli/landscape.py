"""``thalweg landscape``: the ground that runs have moved on, drawn with the ways that they took."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.ground import (
    RUN_HELP,
    Following,
    add_ground,
    folder_for,
    follow,
    nodes_of,
    numbers,
    print_json,
    print_places,
    print_sheets,
    read_ground,
    stage_of,
    write_pictures,
)
from thalweg.cli.kinds import whole
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import metric as shown
from thalweg.cli.ways import add_ways, are_ways, ways
from thalweg.errors import SpecError, nearest

if TYPE_CHECKING:
    from thalweg.study import Landscape

KINDS = ("principal", "pca", "random", "between", "hessian", "step", "gradient")
STATISTICS = ("frozen", "estimated", "interpolated")
PAGE = "landscape.html"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "landscape",
        help="draw the ground that runs have moved on, and the ways that they took",
        description=(
            "Measure the loss on a plane through a run's parameters, and draw it on one page\n"
            "that needs no network: from above, as a surface, and with the way of each run as\n"
            "it went, at its own heights. The picture is there at once and sharpens. What was\n"
            "measured is kept, and after Ctrl-C or a kill the same command goes on.\n"
            "A way needs recorded states: thalweg train … --record-states 10."
        ),
        usage="thalweg landscape RUN… [--directions KIND] [--resolution N] [options]",
        examples=[
            "thalweg landscape first",
            "thalweg landscape sgd adam madgrad --resolution 61",
            "thalweg landscape first --resolution 161 --tolerance 0.1",
            "thalweg landscape first --directions hessian --png",
            "thalweg landscape first second --directions between",
            "thalweg landscape first --directions random --extent=-0.5,0.5",
            "thalweg landscape first@best --directions random --split test --metric accuracy",
            "thalweg landscape --recipe ways-down",
            "thalweg landscape first --json | jq .explained",
        ],
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help=RUN_HELP)
    how = parser.add_argument_group("where to look")
    how.add_argument(
        "--directions", metavar="KIND",
        help="principal (or pca): where the runs moved most; random; between: through two or "
        "three networks; hessian: where it bends most; step: an update beside the gradient; "
        "gradient: down it (the first of principal, between, random that is possible)",
    )  # fmt: skip
    how.add_argument(
        "--resolution", metavar="N[,M]", default="41", help="nodes along each direction (41)"
    )
    how.add_argument(
        "--tolerance", metavar="SHARE", default="0",
        help="leave out nodes where no contour moves by more than this share of the step to the "
        "next if the loss is interpolated; 0.1 looks the same for a fraction of the nodes (0: "
        "measure all)",
    )  # fmt: skip
    how.add_argument(
        "--extent",
        metavar="LOW,HIGH",
        help="coordinates along each direction, as in --extent=-1,1 (what shows the runs)",
    )
    how.add_argument(
        "--n-states", metavar="N", help="recorded states of each run that make the plane (all)"
    )
    how.add_argument(
        "--start-from", metavar="N", default="0", help="the first recorded state that does (0)"
    )
    how.add_argument(
        "--reference", metavar="N", default="-1",
        help="recorded state of the last run that the plane passes through (-1, the last)",
    )  # fmt: skip
    how.add_argument("--metric", metavar="NAME", default="loss", help="what is drawn (loss)")
    how.add_argument("--split", metavar="NAME", default="train", help="train, val or test (train)")
    how.add_argument(
        "--statistics", metavar="HOW",
        help="BatchNorm's: frozen, those of the last network, estimated at each node, or "
        "interpolated (frozen; between networks interpolated)",
    )  # fmt: skip
    add_on(how, "measures")
    add_ways(parser)
    add_ground(parser, subset="3200", seed="the subset and of random directions")
    parser.set_defaults(action=landscape)


def landscape(arguments: Namespace) -> int:
    """Measure, draw, and print what came of it.

    Raises:
        ThalwegError: A run cannot be read, or the options do not fit.
    """
    options = _options(arguments)
    if are_ways(arguments):
        return ways(arguments, options)
    if not arguments.runs:
        raise SpecError("no runs", "one at least", "or --recipe NAME")
    word = f"landscape-{arguments.directions}" if arguments.directions else "landscape"
    folder = arguments.out or folder_for(arguments.runs, word)
    from thalweg.cluster import open_executor
    from thalweg.study import draw_landscape, walkers
    from thalweg.study.ground.landscape_page import (
        landscape_figures,
        landscape_page,
        landscape_sheets,
    )

    found = walkers(arguments.runs)
    _check_metric(arguments.metric, [*(found[-1].metrics or {})])
    if arguments.directions is None:
        _tell_missing([each.name for each in found if len(each.states) < 3])
    command = ("The same again:", _command(arguments))
    how = Following["Landscape"](
        "nodes",
        nodes_of,
        stage_of,
        lambda land: landscape_page(land, arguments.metric, [command]),
        lambda land: landscape_figures(land, arguments.metric),
        PAGE,
    )
    with open_executor(arguments.on) as executor:
        drawn = draw_landscape(found, out=folder, executor=executor, **options)
        land, code = follow(drawn, how, folder, arguments)
    if code:
        return code
    pictures = write_pictures(how.figures(land), folder) if arguments.png else []
    if arguments.json:
        print_json(_facts(land, arguments.metric, folder, pictures))
        return 0
    print_sheets(landscape_sheets(land))
    print(_line(land, arguments.metric))
    print_places(folder / PAGE, pictures)
    return 0


def _options(arguments: Namespace) -> dict[str, Any]:
    """Return the options of the study.

    Raises:
        SpecError: One does not fit.
    """
    if arguments.directions not in {None, *KINDS}:
        hint = nearest(arguments.directions, KINDS)
        raise SpecError(f"--directions {arguments.directions}", "a kind of directions", hint)
    sides = [
        whole("--resolution", text, "a number of nodes, or two with a comma", 2)
        for text in arguments.resolution.split(",")
    ]
    (tolerance,) = numbers("--tolerance", arguments.tolerance, 1)
    if not 0 <= tolerance < math.inf:
        raise SpecError(f"--tolerance {arguments.tolerance}", "a share of a step, 0 or more")
    extent = None
    if arguments.extent is not None:
        low, high = numbers("--extent", arguments.extent, 2)
        extent = (low, high)
    if arguments.statistics not in {None, *STATISTICS}:
        hint = nearest(arguments.statistics, STATISTICS)
        raise SpecError(f"--statistics {arguments.statistics}", "one of BatchNorm's", hint)
    reference = arguments.reference
    number = whole("--reference", reference.removeprefix("-"), "the number of a recorded state")
    n_states = arguments.n_states
    if n_states is not None:
        n_states = whole("--n-states", n_states, "a number of states", 2)
    return {
        "kind": arguments.directions,
        "resolution": sides[0] if len(sides) == 1 else sides,
        "extent": extent,
        "split": arguments.split,
        "statistics": arguments.statistics,
        "tolerance": tolerance,
        "n_states": n_states,
        "start_from": whole("--start-from", arguments.start_from, "the number of a state"),
        "reference": -number if reference.startswith("-") else number,
        **read_ground(arguments),
    }


def _check_metric(metric: str, metrics: list[str]) -> None:
    known = ["loss", *metrics]
    if metric not in known:
        raise SpecError(f"--metric {metric}", "what is measured", nearest(metric, known))


def _tell_missing(names: list[str]) -> None:
    """Say what to do where there is no way to draw."""
    if names:
        print(
            f"thalweg: {', '.join(names)} without recorded states, so no way is drawn; "
            "train with --record-states 10 to see it",
            file=sys.stderr,
        )


def _command(arguments: Namespace) -> str:
    """Return the command as it was typed, as far as the study goes."""
    words = ["thalweg", "landscape", *arguments.runs]
    defaults = {action.dest: action.default for action in arguments.parser._actions}
    options = (
        "directions", "resolution", "tolerance", "extent", "n_states", "start_from", "reference",
        "metric", "split", "statistics", "subset", "seed",
    )  # fmt: skip
    for name in options:
        if (value := getattr(arguments, name)) != defaults[name]:
            words.append(f"--{name.replace('_', '-')}={value}")
    return shlex.join(words)


def _line(land: Landscape, metric: str) -> str:
    from thalweg.plots.sentences import off
    from thalweg.study.ground.landscape_page import extremes

    low, high = (shown(metric, value) for value in extremes(land, metric))
    here = shown(metric, land.surface.reference[metric])
    lost = int((land.surface.done & ~land.surface.values[metric].isfinite()).sum())
    blank = f", not finite at {lost:,} nodes" if lost else ""
    done, of = int(land.surface.done.sum()), land.surface.done.numel()
    found = land.surface.off(metric)
    rest = f"; {of - done:,} nodes interpolated{off(found.numpy())}" if done < of else ""
    return (
        f"{metric} {here} at the reference, from {low} to {high}{blank}; "
        f"{done:,} networks on {land.surface.samples:,} samples of {land.split}{rest}"
    )


def _facts(land: Landscape, metric: str, folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """Return what a machine is told."""
    from thalweg.study.ground.landscape_page import extremes

    own, surface = land.surface.directions, land.surface
    low, high = extremes(land, metric)
    done, found = int(surface.done.sum()), surface.off(metric)
    return {
        "folder": str(folder.absolute()),
        "page": str((folder / PAGE).absolute()),
        "pictures": [str(file.absolute()) for file in pictures],
        "directions": land.kind,
        "shape": list(surface.shape),
        "extent": [[axis[0].item(), axis[-1].item()] for axis in surface.axes],
        "split": land.split,
        "samples": surface.samples,
        "statistics": surface.statistics,
        "explained": list(own.explained),
        "null": list(own.null),
        "curvatures": [
            {"eigenvalue": value, "residual": residual} for value, residual in own.curvatures
        ],
        "reference": dict(surface.reference),
        "metric": metric,
        "lowest": low,
        "highest": high,
        "tolerance": surface.tolerance,
        "measured": done,
        "interpolated": surface.done.numel() - done,
        "checked": len(found),
        "off": {"median": found.median().item(), "most": found.max().item()} if len(found) else {},
        "not_finite": int((surface.done & ~surface.values[metric].isfinite()).sum()),
        "runs": [
            {
                "name": name,
                "steps": list(way.steps),
                "coordinates": way.coordinates.tolist(),
                "residuals": way.residuals.tolist(),
                metric: way.values[metric].tolist(),
            }
            for name, way in zip(land.names, land.trails, strict=True)
        ],
    }
