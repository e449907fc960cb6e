"""How long an update of one network takes that is trained alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

import torch

from thalweg.engine import Group
from thalweg.engine.feed import Batch

TIMED = 20
"""Updates that are timed, if they do not take too long."""

LONGEST = 2.0
"""Seconds after which a few are enough."""


@torch.no_grad()
def update_seconds(group: Group) -> float:
    """Return the seconds of an update: the median of a few, the first left out.

    The group is moved by it.

    Example:
        >>> from thalweg.engine import short_keys
        >>> from thalweg.spec import Spec
        >>> 0 < update_seconds(Group([Spec().override({"hidden": (8,)}, short_keys())])) < 1
        True
    """
    accumulate = group.progress.members[0].spec.accumulate
    batches, taken, start = _batches(group), list[float](), time.perf_counter()
    while len(taken) <= TIMED and (len(taken) < 2 or time.perf_counter() - start < LONGEST):
        begin = time.perf_counter()
        group.cohort.step(islice(batches, accumulate))
        taken.append(time.perf_counter() - begin)
    rest = sorted(taken[1:])
    return rest[len(rest) // 2]


def _batches(group: Group) -> Iterator[Batch]:
    while True:
        yield from group.feed.epoch()
