from __future__ import annotations

import pytest

from thalweg.errors import SpecError
from thalweg.store.logs.names import flatten, metric_name


@pytest.mark.parametrize(
    ("table", "column", "name"),
    [
        ("steps", "loss", "batch/loss"),
        ("steps", "accuracy", "batch/accuracy"),
        ("steps", "lr", "lr"),
        ("steps", "step", None),
        ("steps", "epoch", None),
        ("steps", "gradients", None),
        ("steps", "seconds", None),
        ("epochs", "running_loss", "running/loss"),
        ("epochs", "train_loss", "train/loss"),
        ("epochs", "val_top5_accuracy", "val/top5_accuracy"),
        ("epochs", "test_accuracy", "test/accuracy"),
        ("epochs", "epoch", "clock/epoch"),
        ("epochs", "gradients", "clock/gradients"),
        ("epochs", "seconds", "clock/seconds"),
        ("epochs", "step", None),
        ("epochs", "lr", None),
        ("epochs", "grad_norm", "grad_norm"),
        ("epochs", "sharpness", "sharpness"),
        ("epochs", "train_", "train_"),
    ],
)
def test_columns_have_names(table: str, column: str, name: str | None) -> None:
    assert metric_name(table, column) == name


def test_tables_are_two() -> None:
    with pytest.raises(SpecError, match="did you mean epochs"):
        metric_name("epoch", "loss")


def test_settings_are_flat() -> None:
    nested = {"a": 1, "b": {"c": None, "d": {"e": [1, 2]}, "f": {}}, "g": False}
    assert flatten(nested) == {"a": 1, "b.d.e": [1, 2], "g": False}
