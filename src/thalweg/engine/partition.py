"""Which specs can share a program, and how many of them at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.engine.build import build_rule
from thalweg.engine.slices import kind
from thalweg.errors import SpecError
from thalweg.optim.foreign import ForeignRule
from thalweg.spec import Spec

OWN = {
    "seed", "order_seed", "epochs", "steps", "until", "patience", "monitor", "max_seconds",
    "l1", "l2", "clip_norm", "clip_value", "optimizer", "schedule", "record",
    "record_states", "record_budget",
}  # fmt: skip
"""What each member of a group has for itself."""

OWN_DATA = {"label_noise", "label_noise_kind", "pixels", "noise", "split_seed"}
OWN_MODEL = {"init", "weights"}
RATES = {"dropout"}
"""Options of models that differ between members unless they are 0 for some."""


def partition(specs: Sequence[Spec], largest: int | None = None) -> list[list[int]]:
    """Return the places of the specs in groups that can each be one program.

    Within a group those that are moved by rules of one kind are neighbours; else the order stays.

    Args:
        specs: What is to be run.
        largest: Members of a group at most.

    Raises:
        SpecError: A spec names a rule that does not exist, or is wrong.

    Example:
        >>> base = Spec()
        >>> specs = [base.override({"batch_size": n, "seed": s}) for s in (0, 1) for n in (8, 16)]
        >>> partition(specs)
        [[0, 2], [1, 3]]
    """
    groups: dict[str, list[int]] = {}
    rules = [build_rule(spec) for spec in specs]
    for place, (spec, rule) in enumerate(zip(specs, rules, strict=True)):
        key = program(spec)
        if isinstance(rule, ForeignRule):  # it moves one network at a time
            key += f" {place}"
        elif rule.revises:
            key += f" {kind(rule)}"
        groups.setdefault(key, []).append(place)
    found: list[list[int]] = []
    for places in groups.values():
        kinds = list(dict.fromkeys(kind(rules[place]) for place in places))
        ordered = sorted(places, key=lambda place: kinds.index(kind(rules[place])))
        size = largest or len(ordered)
        found += [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return found


def program(spec: Spec) -> str:
    """Return what two specs have in common that can share a program.

    Example:
        >>> program(Spec(seed=1)) == program(Spec()), program(Spec(batch_size=8)) == program(Spec())
        (True, False)
    """
    tree = spec.model_dump(mode="json", exclude=OWN)
    for name in OWN_DATA:
        del tree["data"][name]
    for name in OWN_MODEL:
        del tree["model"][name]
    for name in RATES & tree["model"].keys():
        tree["model"][name] = bool(tree["model"][name])
    return json.dumps(tree, sort_keys=True)


def check_program(specs: Sequence[Spec]) -> None:
    """Check that specs can share a program.

    Raises:
        SpecError: Two of them differ in what all members of a group have in common.

    Example:
        >>> check_program([Spec(), Spec(batch_size=8)])
        Traceback (most recent call last):
        ...
        thalweg.errors.SpecError: got batch_size=64 and 8 in one group; expected equal ones.
    """
    programs = dict.fromkeys(program(spec) for spec in specs)
    if len(programs) == 1:
        return
    one, other = (_leaves(json.loads(text)) for text in list(programs)[:2])
    key = next(key for key in {**one, **other} if one.get(key) != other.get(key))
    got = f"{key}={one.get(key)} and {other.get(key)} in one group"
    raise SpecError(got, "equal ones")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
