"""The ground that a race went over, for its report: measured once, and kept in its folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from thalweg.errors import FileError, ThalwegError
from thalweg.files import inside
from thalweg.study.ground.landscape import Landscape, load_landscape
from thalweg.study.ground.walkers import members
from thalweg.study.ground.ways import ALL, SHARED, Part, thinned
from thalweg.study.races.contest import Race

FOLDER = "ways"
"""Where it is, in the folder of the race."""

NODES, SAMPLES = 25, 1000
"""Along each direction, and of the training split."""


def race_ground(race: Race, tell: Callable[[str], None]) -> Landscape | None:
    """Return the plane in which the contestants of a race moved most, and their ways on it.

    Only with the first seed do they record their states. Those that diverged are left out.

    Args:
        race: A race that is over, in a folder, into which the ground is written.
        tell: Is told what takes a few seconds, or why there is no ground.

    Returns:
        The ground; None if there are no ways, or if it cannot be measured here.
    """
    series, folder = race.final, race.folder
    assert folder is not None
    if series is None:
        return None
    numbers = [n for n, r in series.results.items() if not r.diverged and series.states[n].steps]
    if not numbers:
        return None
    with suppress(FileError):  # there is none yet, or it is damaged
        if (land := load_landscape(inside(folder, f"{FOLDER}/{ALL}"))).surface.complete:
            return land
    if race.info.own:
        what = " and ".join(race.info.own)
        tell(f"no map of where they went: the {what} came from Python")
        return None
    tell(f"measuring the ground that they went over: {NODES} × {NODES} networks …")
    try:
        race.check_data()
        walkers = [thinned(one) for one in members(series, numbers, "final", folder / "final")]
        part = Part(SHARED, walkers, ALL, reference=0)
        *_, land = part.draw(inside(folder, FOLDER), resolution=NODES, subset=SAMPLES, again=True)
    except ThalwegError as error:
        tell(f"no map of where they went: {error}")
        return None
    return land
