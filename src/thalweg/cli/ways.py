"""``thalweg landscape`` of a sweep or a race: the ground of each member, and one that all share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.ground import (
    Following,
    follow,
    nodes_of,
    print_json,
    print_sheets,
    stage_of,
    write_pictures,
)
from thalweg.cli.kinds import whole
from thalweg.cli.parser import Namespace, Parser
from thalweg.cli.text import place
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.study import Landscape, Sweep
    from thalweg.study.ground.ways import Part

RESOLUTION = 25
"""Nodes along each direction, where many planes are mapped."""

STATES = 60
"""States of each that are looked at."""

FOLDER = "landscape"
"""Where it goes, in the folder of the sweep or the race."""


def add_ways(parser: Parser) -> None:
    """Add the options to those of ``thalweg landscape``."""
    many = parser.add_argument_group("of a sweep or a race")
    many.add_argument(
        "--recipe", metavar="NAME",
        help="run the recipe of a sweep that records states, or go on with it, then map it: each "
        "member alone, and all on one plane; --out is the folder of the sweep (runs/NAME)",
    )  # fmt: skip
    many.add_argument("--each", action="store_true", help="map each member alone, too")
    many.add_argument(
        "--states", metavar="N", default=str(STATES),
        help=f"recorded states of each that are looked at, evenly spread ({STATES})",
    )  # fmt: skip


def are_ways(arguments: Namespace) -> bool:
    """Tell whether a sweep or a race is meant as a whole, and the plane of its states."""
    if arguments.recipe is not None or arguments.each:
        return True
    if len(arguments.runs) != 1 or arguments.directions not in {None, "principal", "pca"}:
        return False
    found = _found(arguments.runs[0])
    return found is not None and any((found[1] / "states").glob("member-*"))


def ways(arguments: Namespace, options: dict[str, Any]) -> int:
    """Run the recipe if there is one, map the ways, and print what came of it.

    Args:
        arguments: What was typed.
        options: Those of the study.

    Raises:
        ThalwegError: There is no such recipe or folder, nothing was recorded, or the options do not
            fit.
    """
    _check(arguments)
    if arguments.recipe is None:
        who: Any = arguments.runs if len(arguments.runs) > 1 else arguments.runs[0]
        found = _found(arguments.runs[0]) if len(arguments.runs) == 1 else None
        home = arguments.out or (Path(FOLDER) if found is None else found[0] / FOLDER)
    else:
        who, code = _run_recipe(arguments)
        if code:
            return code
        home = who.folder / FOLDER
    from thalweg.study.ground.landscape_page import landscape_figures, landscape_page
    from thalweg.study.ground.ways import plan_ways

    if arguments.resolution == arguments.parser.get_default("resolution"):
        options = {**options, "resolution": RESOLUTION}
    options = {key: options[key] for key in options.keys() - {"kind", "n_states", "reference"}}
    start = options.pop("start_from")
    states = whole("--states", arguments.states, "a number of states", 2)
    each = arguments.each or arguments.recipe is not None
    parts = plan_ways(who, each=each, states=states, start_from=start)
    metric = arguments.metric
    maps: list[tuple[Part, Landscape, list[Path]]] = []
    for part in parts:
        folder = home / part.folder
        how = Following["Landscape"](
            f"nodes of {part.name}",
            nodes_of,
            stage_of,
            lambda land: landscape_page(land, metric),
            lambda land: landscape_figures(land, metric),
            "landscape.html",
        )
        land, code = follow(part.draw(home, **options), how, folder, arguments)
        if code:
            return code
        pictures = write_pictures(how.figures(land), folder) if arguments.png else []
        maps.append((part, land, pictures))
    if arguments.json:
        from thalweg.cli.landscape import _facts

        told = [
            {"name": part.name, **_facts(land, metric, home / part.folder, pictures)}
            for part, land, pictures in maps
        ]
        print_json({"folder": str(home.absolute()), "parts": told})
        return 0
    _print([(part.name, land) for part, land, _ in maps])
    for part, _, _ in maps:
        print(f"page: {place(home / part.folder / 'landscape.html')}")
    return 0


def _check(arguments: Namespace) -> None:
    """Check that nothing was asked for that these planes do not have."""
    if arguments.recipe is not None and arguments.runs:
        raise SpecError(f"--recipe {arguments.recipe} and {arguments.runs[0]}", "one of the two")
    for option in ("n_states", "reference"):
        value = getattr(arguments, option)
        if value != arguments.parser.get_default(option):
            hint = "--states says how many states make the planes"
            got = f"--{option.replace('_', '-')} {value} for many planes"
            raise SpecError(got, "one run, or several", hint)
    if arguments.directions not in {None, "principal", "pca"}:
        got = f"--directions {arguments.directions} for many planes"
        raise SpecError(got, "principal, which needs recorded states")


def _found(name: str) -> tuple[Path, Path] | None:
    """Return the folder of a sweep or a race, and that of its members; None if it is neither."""
    from thalweg.store import locate_series
    from thalweg.store.race import locate_race

    if (race := locate_race(name)) is not None:
        return race, race / "final"
    series = locate_series(name)
    return None if series is None else (series, series)


def _run_recipe(arguments: Namespace) -> tuple[Sweep, int]:
    """Run the recipe, or what is left of it, and return the sweep with the exit code.

    Raises:
        ThalwegError: There is no such recipe, or the folder holds something else.
    """
    from thalweg.cli.sweeping import follow_sweep, tell_plan
    from thalweg.recipes import load_sweep_recipe
    from thalweg.store import is_series
    from thalweg.store.find import runs_root
    from thalweg.study import Sweep, estimate, go_on_sweep, load_sweep, plan_sweep
    from thalweg.study.races.contest import plain
    from thalweg.study.sweeps.recorded import begin_series

    asked = load_sweep_recipe(arguments.recipe)
    if not asked.spec.record_states:
        hint = f"thalweg sweep --recipe {arguments.recipe} --record-states 1 records them"
        raise SpecError(f"the recipe {arguments.recipe}", "one that records states", hint)
    out = arguments.out or runs_root() / arguments.recipe
    told = Namespace(**{**vars(arguments), "quiet": False, "json": False})
    series = plan_sweep(asked.spec, asked.over, asked.seeds, order=asked.order)
    if not is_series(out):
        plan = estimate(series)
        folder, events = begin_series(
            series, asked.spec, kind="sweep", out=out, name=arguments.recipe
        )
        sweep = Sweep(series, asked.spec, folder.path)
        tell_plan(sweep, plan, told)
    else:
        sweep = load_sweep(out)
        there = [plain(point.changes) for point in sweep.series.points]
        if there != [plain(point.changes) for point in series.points] or sweep.base != asked.spec:
            got = f"{out}, which holds another sweep"
            raise SpecError(got, f"that of {arguments.recipe}", "another --out")
        if all(sweep.series.is_over(index) for index in range(len(sweep.series.groups))):
            return sweep, 0
        sweep, events = go_on_sweep(out)
        plan = estimate(sweep.series)
    stdout = sys.stdout
    try:
        if arguments.json:  # there, there is one JSON object
            sys.stdout = sys.stderr
        code = follow_sweep(sweep, events, plan, told)
    finally:
        sys.stdout = stdout
    return sweep, code


def _print(found: Sequence[tuple[str, Landscape]]) -> None:
    """Print a table of the planes, and one of the ways on the last."""
    from thalweg.plots.report.chapters import Sheet
    from thalweg.study.ground.landscape_page import landscape_sheets

    head = ("plane of", "explained", "a random walk", "not seen", "at most", "lowest on the grid")
    rows = []
    for name, land in found:
        own, loss = land.surface.directions, land.surface.values["loss"]
        away = [value for trail in land.trails for value in trail.residuals.tolist()]
        cells = [
            " + ".join(f"{100 * share:.1f}" for share in of) for of in (own.explained, own.null)
        ]
        middle = sorted(away)[len(away) // 2]
        cells += [f"{100 * middle:.0f} %", f"{100 * max(away):.0f} %"]
        finite = loss[loss.isfinite()]
        rows.append((name, *cells, f"{finite.min().item():.4g}" if len(finite) else "–"))
    print_sheets([Sheet("Planes", head, tuple(rows)), landscape_sheets(found[-1][1])[1]])
