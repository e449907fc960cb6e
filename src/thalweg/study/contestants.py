"""Who takes part in a race: a rule, with what goes around it and a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg import optim
from thalweg.engine import short_keys
from thalweg.engine.build import build_rule
from thalweg.errors import SpecError, nearest
from thalweg.spec import Spec

NAMED: Mapping[str, Mapping[str, Any]] = {
    "gd": {"optimizer": "sgd", "batch_size": "full"},
    "momentum-decay": {
        "optimizer": "momentum",
        "schedule": {"name": "inverse-time", "decay": 0.01, "per": "step"},
    },
}
"""What is known by a name of its own, beside the rules."""


@dataclass(frozen=True)
class Contestant:
    """One that takes part.

    Args:
        name: What it is called.
        changes: What it changes in the spec of the race.
        lr: Learning rate that its rule has by default: where its tuning begins.
    """

    name: str
    changes: Mapping[str, Any]
    lr: float

    def spec(self, base: Spec, **more: Any) -> Spec:
        """Return its spec, with further settings."""
        return base.override({**self.changes, **more}, short_keys())


def contestant(name: str | Mapping[str, Any], base: Spec) -> Contestant:
    """Return a contestant by what it is called.

    Args:
        name: A rule (``adam``, or the dotted name of a class), perhaps with what goes around it and
            a schedule (``momentum+lookahead``, ``adam+ema@cosine``); ``gd``; ``momentum-decay``,
            whose learning rate falls as 1/(1 + 0.01 t) in steps t; or settings of your own, whose
            ``name`` it is called by.
        base: The spec of the race.

    Raises:
        SpecError: There is no such rule, wrapper or schedule, or a setting does not fit.

    Example:
        >>> contestant("adam+ema@cosine", Spec()).changes["optimizer"]
        {'name': 'adam', 'wrap': ('ema',)}
    """
    if isinstance(name, Mapping):
        own = dict(name)
        called = own.pop("name", None) or str(own.get("optimizer", "?"))
        changes: dict[str, Any] = own
    else:
        called, changes = name, _parse(name)
    try:
        rule = build_rule(base.override({**changes, "optimizer.lr": None}, short_keys()))
    except SpecError as error:
        raise SpecError(
            f"the contestant {called!r}, {error.got}", error.expected, error.hint
        ) from None
    lr = rule.hyper()["lr"]
    given = base.override(changes, short_keys()).optimizer.lr if "lr" in changes else None
    return Contestant(called, changes, float(lr) if given is None else given)


def _parse(name: str) -> dict[str, Any]:
    parts, _, schedule = name.partition("@")
    rule, *around = parts.split("+")
    changes: dict[str, Any] = dict(NAMED.get(rule, {"optimizer": {"name": rule}}))
    known = [*sorted(set(optim.rules()) - set(optim.wrappers())), *NAMED]
    if rule not in known and "." not in rule:
        raise SpecError(f"the contestant {name!r}", "an optimizer", nearest(rule, known))
    optimizer = changes["optimizer"]
    optimizer = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
    if "lookahead" in around:
        optimizer["lookahead"] = {}
    others = tuple(each for each in around if each != "lookahead")
    for each in others:
        if each not in optim.wrappers():
            hint = nearest(each, optim.wrappers())
            raise SpecError(f"the contestant {name!r}", "what goes around a rule", hint)
    if others:
        optimizer["wrap"] = others
    changes["optimizer"] = optimizer
    if schedule:
        if schedule not in optim.schedules():
            hint = nearest(schedule, optim.schedules())
            raise SpecError(f"the contestant {name!r}", "a schedule", hint)
        changes["schedule"] = {"name": schedule, "per": "step"}
    return changes
