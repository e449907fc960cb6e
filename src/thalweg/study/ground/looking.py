"""Which way to look at the ground, by a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from thalweg.errors import SpecError, nearest
from thalweg.landscape import (
    Directions,
    Ground,
    between,
    gradient_direction,
    hessian_directions,
    principal_components,
    random_directions,
    step_plane,
)
from thalweg.study.ground.walkers import Walker

Kind = Literal["principal", "random", "between", "hessian", "step", "gradient"]
"""The plane of most movement; a random one; the one through two or three networks; the one in which
the loss bends most; that of an optimizer's step and the gradient; the line down the gradient."""

_KINDS = {
    "principal components": "principal",
    "random, ": "random",
    "line between": "between",
    "plane through": "between",
    "eigenvectors of the Hessian": "hessian",
    "an update and": "step",
    "down the gradient": "gradient",
}


def kind_of(directions: Directions) -> str:
    """Return the word for some directions; ``"own"`` for the user's.

    Example:
        >>> line = Directions(torch.zeros(2), torch.ones(1, 2), "line between checkpoints")
        >>> kind_of(line)
        'between'
    """
    found = (kind for begin, kind in _KINDS.items() if directions.kind.startswith(begin))
    return next(found, "own")


def choose_kind(kind: str | None, found: Sequence[Walker]) -> Kind:
    """Return the kind of directions that was asked for, or the first for which there is all.

    Args:
        kind: A `Kind`, ``"pca"`` for principal; None for the first of ``"principal"``,
            ``"between"`` and ``"random"`` that is possible.
        found: Who has gone over the ground.

    Raises:
        SpecError: There is no such kind, or something for it is missing.
    """
    recorded = [len(each.states) > 2 for each in found]
    if kind is None:
        return "principal" if all(recorded) else "between" if len(found) in {2, 3} else "random"
    known: dict[str, Kind] = {name: name for name in get_args(Kind)} | {"pca": "principal"}
    if kind not in known:
        raise SpecError(f"kind={kind!r}", "a kind of directions", nearest(kind, known))
    if known[kind] == "principal" and not all(recorded):
        without = found[recorded.index(False)].name
        raise SpecError(
            f"{without} without recorded states", "three states of each run at least",
            "train with record_states=10, on the command line --record-states 10; "
            "or look along random directions",
        )  # fmt: skip
    return known[kind]


def look(
    kind: Kind,
    ground: Ground,
    found: Sequence[Walker],
    *,
    n_states: int | None = None,
    start_from: int = 0,
    reference: int = -1,
    seed: int = 0,
) -> tuple[Ground, Directions]:
    """Return directions of a kind, and the ground with their origin for its reference.

    Args:
        kind: Which; see `choose_kind`.
        ground: That of the last walker; between networks, that of the first.
        found: Who has gone over it.
        n_states: How many recorded states of each make the plane; None takes all.
        start_from: The first of them that does.
        reference: Which of the last walker's recorded states the plane passes through, or to which
            its step leads.
        seed: Of random directions, and of searches.

    Raises:
        ThalwegError: Something for it is missing, or the directions are none.
    """
    last = found[-1]
    if kind == "random":
        return ground, random_directions(ground, seed=seed)
    if kind == "hessian":
        return ground, hessian_directions(ground, seed=seed)
    if kind == "gradient":
        return ground, gradient_direction(ground)
    if kind == "between":
        return ground, between(ground, *(each.network for each in found))
    there = len(last.states)
    if kind == "step":
        after = reference % there if -there <= reference < there else 0
        if after == 0:
            got = f"the state {reference} of {there} recorded states of {last.name}"
            raise SpecError(got, "one that an update led to", "train with record_states=1")
        plane = step_plane(ground, last.states[after - 1], last.states[after])
    else:
        plane = principal_components(
            [torch.stack([ground.vector(theta) for theta in each.states]) for each in found],
            n_states=n_states,
            start_from=start_from,
            reference=reference,
        )
    return ground.at(plane.origin), plane
