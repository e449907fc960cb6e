from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

EVERY = 20
"""Steps of an epoch."""


def tables(epochs: int) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return the tables of a run that learns: a row an update, and one an evaluation."""
    g = np.random.default_rng(0)
    step = np.arange(1, epochs * EVERY + 1)
    loss = 2.3 * np.exp(-step / 15) + 0.02 * g.exponential(size=len(step)) + 0.01
    steps = {
        "step": step.tolist(),
        "epoch": (step / EVERY).tolist(),
        "gradients": step.tolist(),
        "seconds": (0.01 * step).tolist(),
        "lr": (0.1 * 0.99**step).tolist(),
        "loss": loss.tolist(),
        "accuracy": (1 - loss / 2.5).tolist(),
    }
    ends = [EVERY * (k + 1) - 1 for k in range(epochs)]
    rows: dict[str, list[Any]] = {
        name: [steps[name][end] for end in ends] for name in list(steps)[:5]
    }
    for name, more in (("running", 0.02), ("test", 0.05)):
        rows[f"{name}_loss"] = [steps["loss"][end] + more for end in ends]
        rows[f"{name}_accuracy"] = [steps["accuracy"][end] - more for end in ends]
    for name in ("loss", "accuracy"):
        rows[f"train_{name}"] = [None] * (epochs - 1) + [steps[name][-1]] if epochs else []
    return steps, rows


@dataclass(frozen=True)
class Written:
    """A run as a folder would give it back."""

    path: Path = Path("runs/first try")
    name: str = "first try"
    tags: tuple[str, ...] = ("demo",)
    created: str = "2026-01-31T12:00:05+01:00"
    state: str = "complete"
    spec_toml: str = 'epochs = 5\n\n[data]\nsource = "digits"\n'
    environment: Mapping[str, str] = field(default_factory=lambda: {"torch": "2.13.0"})
    classes: tuple[str, ...] = ("zero", "one", "two")
    parameters: int = 1234
    samples: Mapping[str, int] = field(default_factory=lambda: {"train": 100, "val": 0, "test": 50})
    tables: tuple[Mapping[str, Sequence[Any]], Mapping[str, Sequence[Any]]] = field(
        default_factory=lambda: tables(5)
    )
    said: Mapping[str, NDArray[Any]] | None = None
    wrong: Mapping[str, NDArray[Any]] | None = None

    def steps(self) -> Mapping[str, Sequence[Any]]:
        return self.tables[0]

    def epochs(self) -> Mapping[str, Sequence[Any]]:
        return self.tables[1]

    def predictions(self) -> Mapping[str, NDArray[Any]] | None:
        return self.said

    def mistakes(self) -> Mapping[str, NDArray[Any]] | None:
        return self.wrong


@pytest.fixture
def written() -> Callable[..., Written]:
    """Make runs: of three classes, complete, with two mistakes on 50 test samples; or changed."""
    true = np.arange(50) % 3
    predicted = true.copy()
    predicted[:2] = 2
    said = {
        "true": true,
        "predicted": predicted,
        "probability": np.full(50, 0.9),
        "loss": np.full(50, 0.1),
    }
    wrong = {
        "images": np.random.default_rng(0).random((2, 1, 8, 8)),
        "true": true[:2],
        "predicted": predicted[:2],
        "probability": np.array([0.98, 0.5]),
    }
    run = Written(said=said, wrong=wrong)
    return lambda **changes: replace(run, **changes)


@pytest.fixture
def learning() -> Callable[[int], tuple[dict[str, list[Any]], dict[str, list[Any]]]]:
    return tables
