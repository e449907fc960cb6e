"""What is known of a run, by keys: to list runs, to choose among them, and to compare them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from thalweg.errors import SpecError, nearest
from thalweg.files import inside
from thalweg.store import Damaged, RunFolder, read_ends

Facts = dict[str, Any]
CLOCK = ("step", "epoch", "seconds")


def facts_of(run: RunFolder | Damaged) -> Facts:
    """Return what is known of a run: its own facts, its last metrics, and its spec.

    A learning rate that the spec leaves to the rule is that of the first evaluation.

    Raises:
        FileError: Its metrics are damaged.
    """
    if isinstance(run, Damaged):
        return {"name": run.path.name, "state": "damaged", "folder": str(run.path.absolute())}
    first, last = read_ends(inside(run.path, "metrics/epochs"))
    if not last:  # it was never evaluated
        first, last = read_ends(inside(run.path, "metrics/steps"))
    spec = dict(flat(run.spec.model_dump(mode="json")))
    if spec["optimizer.lr"] is None and "lr" in first:
        spec["optimizer.lr"] = float(f"{first['lr']:.6g}")  # it may be kept in single precision
    return {
        "name": run.name,
        "state": run.state,
        "folder": str(run.path.absolute()),
        "tags": list(run.tags),
        "created": run.created,
        "parameters": run.parameters,
        **{key: last.get(key) for key in CLOCK},
        **{key: value for key, value in last.items() if _is_result(key)},
        **spec,
    }


def results(facts: Facts) -> dict[str, float]:
    """Return the last metrics that were measured."""
    return {key: value for key, value in facts.items() if _is_result(key) and value is not None}


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings by dotted keys.

    Example:
        >>> dict(flat({"seed": 0, "model": {"name": "mlp"}}))
        {'seed': 0, 'model.name': 'mlp'}
    """
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_key(key: str, everyone: Collection[Facts]) -> str:
    """Return the full key that a dotted key, a short one or the name of a section stands for.

    Raises:
        SpecError: No run has such a key.

    Example:
        >>> one = {"name": "a", "optimizer.name": "sgd", "optimizer.lr": 0.1, "data.source": "xor"}
        >>> [find_key(key, [one]) for key in ("lr", "optimizer", "data", "name")]
        ['optimizer.lr', 'optimizer.name', 'data.source', 'name']
    """
    known = {name: None for facts in everyone for name in facts}
    for full in (key, f"{key}.name", f"{key}.source"):
        if full in known:
            return full
    ending = [name for name in known if name.endswith(f".{key}")]
    if len(ending) != 1 or key == "name":
        short = {name.rpartition(".")[2] for name in known} - {"name", "source"}
        raise SpecError(f"the key {key!r}", "a setting, a metric or a fact", nearest(key, short))
    return ending[0]


def ordered(everyone: Collection[Facts], key: str, *, reverse: bool = False) -> list[Facts]:
    """Return runs by a key: numbers before words, and those without it last."""
    full = find_key(key, everyone)
    having = [facts for facts in everyone if _has(facts.get(full))]
    lacking = [facts for facts in everyone if not _has(facts.get(full))]
    having.sort(key=lambda facts: _rank(facts[full]), reverse=reverse)
    return having + lacking


def _has(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if is_number else 0.0, str(value)


def _is_result(key: str) -> bool:
    return key.startswith(("running_", "train_", "val_", "test_"))
