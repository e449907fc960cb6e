"""What the parts of a search for a learning rate share: specs, groups, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.engine import Group
from thalweg.spec import Spec

Own = Mapping[str, Any]
"""What was given in Python rather than named: model, data, loss."""


@dataclass(frozen=True)
class Stage:
    """How far a search is.

    Args:
        part: What goes on.
        share: How much of it is done.
    """

    part: str
    share: float


def bare(spec: Spec) -> Spec:
    """Return a spec without what changes the learning rate, ends a run, or looks at it.

    Example:
        >>> spec = Spec().override({"schedule": "cosine", "patience": 3, "evaluate": "test"})
        >>> bare(spec).schedule.name, bare(spec).patience, bare(spec).evaluate
        ('constant', None, ())
    """
    changes: dict[str, Any] = {"schedule": None, "until": None, "patience": None}
    changes |= {"max_seconds": None, "record_states": 0, "order_seed": None, "metrics": ()}
    changes |= {"evaluate": (), "evaluate_every": "never", "evaluate_last": "chosen"}
    return spec.override(changes)


def build_group(specs: Sequence[Spec], numbers: Sequence[int], own: Own) -> Group:
    """Return a group whose members are called by these numbers; data of names are loaded once."""
    return Group(specs, numbers=numbers, **own)
