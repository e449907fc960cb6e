"""What metrics and settings are called in the logs, the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thalweg.errors import SpecError, nearest

TABLES = ("steps", "epochs")
CLOCK = ("epoch", "gradients", "seconds")
SPLITS = ("running", "train", "val", "test")


def metric_name(table: str, column: str) -> str | None:
    """Return what a column of a table is called in a log; None if it is not logged by itself.

    A step is the horizontal axis of everything. Of the clock it is enough to have it once an epoch,
    and of the learning rate to have it once a step.

    Args:
        table: ``steps``, a row an update, or ``epochs``, a row an evaluation.
        column: ``loss``, ``lr``, ``test_accuracy`` and so on.

    Raises:
        SpecError: There is no such table.

    Example:
        >>> [metric_name("steps", column) for column in ("loss", "lr", "seconds")]
        ['batch/loss', 'lr', None]
        >>> [metric_name("epochs", column) for column in ("test_accuracy", "seconds", "lr")]
        ['test/accuracy', 'clock/seconds', None]
    """
    if table not in TABLES:
        raise SpecError(f"table {table!r}", "steps or epochs", nearest(table, TABLES))
    if table == "steps":
        if column in ("step", *CLOCK):
            return None
        return "lr" if column == "lr" else f"batch/{column}"
    if column in ("step", "lr"):
        return None
    if column in CLOCK:
        return f"clock/{column}"
    split, _, metric = column.partition("_")
    return f"{split}/{metric}" if split in SPLITS and metric else column


def flatten(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a nested spec by their dotted names; those that are None are left out.

    Example:
        >>> flatten({"lr": 0.1, "model": {"name": "mlp", "init": None}})
        {'lr': 0.1, 'model.name': 'mlp'}
    """
    flat: dict[str, Any] = {}
    for key, value in spec.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat
