"""Where many optimizers went: the ground of each alone, and one that all share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from thalweg.errors import SpecError
from thalweg.nn import Stack
from thalweg.study.ground.landscape import Landscape, draw_landscape
from thalweg.study.ground.walkers import One, Walker, walkers

STATES = 60
"""States of a way that are shown."""

ALL = "all"
"""The folder of the ground that all share."""

SHARED = "all on one plane"
"""What the ground is called that all share."""


@dataclass(frozen=True, eq=False)
class Part:
    """One ground of several.

    Args:
        name: Whose it is.
        walkers: Who went over it.
        folder: The name of its folder.
        reference: Which recorded state of the last of them the plane passes through.
    """

    name: str
    walkers: Sequence[Walker]
    folder: str
    reference: int = -1

    def draw(self, out: Path | None = None, **options: Any) -> Iterator[Landscape]:
        """Map it, and yield what there is.

        Args:
            out: The folder in which there is one for it; what it holds is gone on with.
            **options: As of `draw_landscape`.
        """
        home = None if out is None else out / self.folder
        given = {"kind": "principal", "reference": self.reference, **options}
        return draw_landscape(list(self.walkers), out=home, **given)


def plan_ways(
    who: One | Sequence[One], *, each: bool = True, states: int = STATES, start_from: int = 0
) -> list[Part]:
    """Return what `draw_ways` maps.

    Args:
        who: See `draw_ways`.
        each: See `draw_ways`.
        states: See `draw_ways`.
        start_from: See `draw_ways`.

    Raises:
        ThalwegError: They cannot be read, have no states, or not names of their own.
    """
    found = [thinned(walker, states, start_from) for walker in walkers(who)]
    folders = [slug(walker.name) for walker in found]
    if len({*folders, ALL}) <= len(folders):
        names = ", ".join(walker.name for walker in found)
        raise SpecError(f"ways called {names}", f"names that tell them apart, none of them {ALL}")
    alone = [Part(one.name, [one], name) for one, name in zip(found, folders, strict=True)]
    shared = [Part(SHARED, found, ALL, reference=0)]
    return alone if len(found) == 1 else [*(alone if each else ()), *shared]


def draw_ways(
    who: One | Sequence[One],
    *,
    each: bool = True,
    states: int = STATES,
    start_from: int = 0,
    resolution: int | Sequence[int] = 25,
    out: str | Path | None = None,
    **options: Any,
) -> Iterator[tuple[str, Landscape]]:
    """Map where some have gone, and yield what there is: each alone, then all on one plane.

    The planes are those of most movement. That of one passes through its end, that of all through
    the state that the last of them began with, which is the same for all if their seeds are.

    Args:
        who: A sweep, a race, runs: see `thalweg.study.walkers`. They are of one architecture, and
            have recorded states.
        each: Whether to map each alone, too.
        states: How many states of each are looked at, evenly spread; a network that was evaluated
            with other weights than its last ones, such as their average, comes after them.
        start_from: The first recorded state of each that is.
        resolution: Nodes along each direction.
        out: A folder: each has one in it, by its name, and so have all together; what is there of
            the same maps is gone on with.
        **options: As of `draw_landscape`.

    Yields:
        Whose ground it is, and the ground so far, from coarse to fine.

    Raises:
        ThalwegError: They cannot be read, have no states, or do not fit together.

    Example:
        >>> from thalweg.study import sweep
        >>> over = [{"name": "slow", "lr": 1e-3}, {"name": "fast", "lr": 1e-2}]
        >>> found = sweep(data="digits", over=over, hidden=(8,), steps=20, record_states=2)
        >>> lands = dict(draw_ways(found, resolution=5, subset=100))
        >>> list(lands), lands["fast"].trails[0].steps[-1]
        (['slow', 'fast', 'all on one plane'], 20)
    """
    home = None if out is None else Path(out)
    for part in plan_ways(who, each=each, states=states, start_from=start_from):
        for land in part.draw(home, resolution=resolution, **options):
            yield part.name, land


def thinned(walker: Walker, states: int = STATES, start_from: int = 0) -> Walker:
    """Return someone with fewer states, evenly spread, and the network as evaluated at the end.

    Args:
        walker: Who.
        states: How many at most, two at least.
        start_from: The first recorded state that is taken.

    Raises:
        SpecError: There are no states from there on.
    """
    there = len(walker.states) - start_from
    if there < 1 or start_from < 0 or states < 2:
        hint = "train with record_states=1, on the command line --record-states 1"
        got = f"{walker.name} with {len(walker.states)} recorded states"
        raise SpecError(got, f"two of them at least from {start_from} on", hint)
    count = min(states, there)
    places = {start_from + round(k * (there - 1) / max(1, count - 1)) for k in range(count)}
    taken = [walker.states[place].reshape(1, -1) for place in sorted(places)]
    steps = [walker.steps[place] for place in sorted(places)]
    end = Stack([walker.network]).theta
    if not torch.equal(end, taken[-1].to(end)):
        taken, steps = [*taken, end], [*steps, walker.at]
    return replace(walker, states=taken, steps=steps)


def slug(name: str) -> str:
    """Return a name as that of a folder.

    Example:
        >>> slug("GD, lr 0.002"), slug("momentum, 1/t")
        ('gd-lr-0.002', 'momentum-1-t')
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "way"
