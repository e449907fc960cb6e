"""Who takes part in a race: a rule, with what goes around it and a schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg import optim
from thalweg.engine import short_keys
from thalweg.engine.build import build_rule
from thalweg.errors import SpecError, nearest
from thalweg.spec import SHORT_KEYS, Spec

Name = str | Mapping[str, Any]
"""What a contestant is given as."""

ALL = "all"
"""Stands for every rule that is registered."""

NAMED: Mapping[str, Mapping[str, Any]] = {
    "gd": {"optimizer": "sgd", "batch_size": "full"},
    "momentum-decay": {
        "optimizer": "momentum",
        "schedule": {"name": "inverse-time", "decay": 0.01, "per": "step"},
    },
}
"""What is known by a name of its own, beside the rules."""

SHARED = (
    "data", "model", "loss", "metrics", "record", "seed", "order_seed", "evaluate",
    "evaluate_every", "evaluate_last", "monitor", "precision", "device", "threads",
)  # fmt: skip
"""Settings that no contestant has for itself."""


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


def everyone(names: str | Sequence[Name]) -> list[str | dict[str, Any]]:
    """Return contestants one by one.

    Args:
        names: A list of them, or names with commas; ``all`` stands for every registered rule.

    Raises:
        SpecError: There are none, or one is neither a name nor settings that JSON can hold.

    Example:
        >>> everyone("sgd, adam@cosine"), len(everyone("all")) > 20
        (['sgd', 'adam@cosine'], True)
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    found: list[str | dict[str, Any]] = []
    for name in names:
        if name == ALL:
            found += [rule for rule in rules() if rule not in names]
        elif isinstance(name, str):
            found.append(name)
        elif isinstance(name, Mapping):
            found.append(_as_json(name))
        else:
            raise SpecError(f"the contestant {name!r}", "a name, or settings")
    if not found:
        raise SpecError("no contestants", "one at least", 'as in optimizers=["sgd", "adam"]')
    return found


def own_settings(keys: Iterable[str]) -> list[str]:
    """Return those settings that each contestant has for itself.

    Example:
        >>> own_settings(["lr", "batch_size", "momentum", "optimizer.wrap"])
        ['lr', 'momentum', 'optimizer.wrap']
    """
    homes = {**short_keys(), **SHORT_KEYS}
    return [key for key in keys if homes.get(key, key).split(".")[0] == "optimizer"]


def rules() -> list[str]:
    """Return the registered rules, without what goes around a rule."""
    around = optim.wrappers()
    return [rule for rule in optim.rules() if rule not in around]


def contestant(name: Name, base: Spec) -> Contestant:
    """Return a contestant by what it is called.

    Args:
        name: A rule (``adam``, or the dotted name of a class), perhaps with what goes around it and
            a schedule (``momentum+lookahead``, ``adam+ema@cosine``); ``gd``; ``momentum-decay``,
            whose learning rate falls as 1/(1 + 0.01 t) in steps t; or settings of your own, among
            them the ``optimizer``, and the ``name`` that it is called by.
        base: The spec of the race.

    Raises:
        SpecError: There is no such rule, wrapper or schedule, or a setting does not fit.

    Example:
        >>> contestant("adam+ema@cosine", Spec()).changes["optimizer"]
        {'name': 'adam', 'wrap': ('ema',)}
        >>> slow = {"name": "slow", "optimizer": "momentum", "momentum": 0.5, "lr": 0.001}
        >>> contestant(slow, Spec()).name, contestant(slow, Spec()).lr
        ('slow', 0.001)
    """
    changes = dict(name) if isinstance(name, Mapping) else {"optimizer": name}
    who = changes.get("optimizer")
    called = changes.pop("name", None) or (who.get("name") if isinstance(who, Mapping) else who)
    if not isinstance(called, str) or not who:
        hint = 'as in {"name": "heavy", "optimizer": "momentum", "momentum": 0.99}'
        raise SpecError(f"the contestant {name!r}", "a name, and an optimizer", hint)
    if isinstance(who, str):
        changes = {**_parse(who), **{k: v for k, v in changes.items() if k != "optimizer"}}
    if "lr" in changes:
        changes["optimizer.lr"] = changes.pop("lr")
    try:
        own = base.override(changes, short_keys())
        rule = build_rule(base.override({**changes, "optimizer.lr": None}, short_keys()))
    except SpecError as error:
        raise SpecError(
            f"the contestant {called!r}, {error.got}", error.expected, error.hint
        ) from None
    for key in SHARED:
        if getattr(own, key) != getattr(base, key):
            got = f"the contestant {called!r} with its own {key}"
            raise SpecError(got, "what all of them share", f"give {key} to the race")
    lr = float(rule.hyper()["lr"])
    return Contestant(called, changes, lr if own.optimizer.lr is None else own.optimizer.lr)


def _parse(name: str) -> dict[str, Any]:
    parts, _, schedule = name.partition("@")
    rule, *around = parts.split("+")
    changes: dict[str, Any] = dict(NAMED.get(rule, {"optimizer": {"name": rule}}))
    if rule in optim.wrappers():
        hint = f"it goes around a rule, as in sgd+{rule}"
        raise SpecError(f"the contestant {name!r}", "an optimizer", hint)
    known = [*sorted(rules()), *NAMED]
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


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON gives them back.

    Raises:
        SpecError: JSON cannot hold them.
    """
    try:
        return dict(json.loads(json.dumps(dict(settings), allow_nan=False)))
    except (TypeError, ValueError):
        hint = "a race is written down, and can be resumed"
        raise SpecError(f"the contestant {settings!r}", "names, numbers and lists", hint) from None
