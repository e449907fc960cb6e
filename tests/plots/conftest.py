from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from thalweg.plots import (
    About,
    Band,
    Line,
    Place,
    Plane,
    RaceRecord,
    Setting,
    SweepRecord,
    Tuned,
    Way,
)

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


@pytest.fixture(scope="session")
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


@dataclass(frozen=True)
class Mean:
    """A mean over seeds, with the ends of its interval."""

    mean: float
    low: float = float("-inf")
    high: float = float("inf")


def about(kind: str, **changes: Any) -> About:
    facts: dict[str, Any] = {
        "kind": kind,
        "name": f"first {kind}",
        "tags": ("demo",),
        "created": "2026-01-31T12:00:05+01:00",
        "state": "complete",
        "data": "Data: digits; 100 train samples.",
        "spec_toml": 'epochs = 5\n\n[data]\nsource = "digits"\n',
        "environment": {"torch": "2.13.0"},
        "commands": [("Train it again from the start:", f"thalweg {kind}")],
    }
    return About(**facts | changes)


def band(top: float, name: str = "", costs: Sequence[str] = ("epoch", "step")) -> Band:
    """Return a curve that rises to a height in three evaluations."""
    mean = [top / 3, top / 2, top]
    x = {cost: [scale * k for k in (1.0, 2.0, 3.0)] for scale, cost in enumerate(costs, 1)}
    return Band(name, x, mean, [y - 0.01 for y in mean], [y + 0.01 for y in mean])


def sweep_of(axes: Mapping[str, Sequence[Any]], **changes: Any) -> SweepRecord:
    """Return a sweep of three seeds, better from setting to setting; of the last one all diverge.

    Of the one before one seed diverges.
    """
    points = [dict(zip(axes, each, strict=True)) for each in product(*axes.values())]
    n = len(points)
    settings = []
    for k, values in enumerate(points):
        y, lost = 0.5 + 0.4 * k / n, {n - 1: 3, n - 2: 1}.get(k, 0)
        means = {"test_accuracy": Mean(y, y - 0.01, y + 0.01), "test_loss": Mean(1 - y)}
        courses = {"test_accuracy": band(y), "running_loss": band(1 - y)}
        own = (means, courses) if lost < 3 else ({}, {})
        settings.append(Setting(values, own[0], 3, 3, lost, own[1]))
    record = SweepRecord(about("sweep"), "test_accuracy", settings, groups=2, seconds=12.5)
    return replace(record, **changes)


COSTS = ("epochs", "gradient evaluations", "seconds")


def race_of(names: Sequence[str] = ("adam", "sgd", "lost"), **changes: Any) -> RaceRecord:
    """Return a race of three: the first is the best, and the last diverged on every seed."""
    first, second, third = names
    places = [
        Place(first, Mean(0.9, 0.88, 0.92), None, 5, 0, Mean(2.0, 1.5, 2.5), 5),
        Place(second, Mean(0.8, 0.79, 0.81), Mean(0.1, 0.05, 0.15), 5, 0, None, 3, 0.0004),
        Place(third, None, None, 5, 5, None, 0, 0.0),
    ]
    good, bad = Mean(0.9, 0.88, 0.92), Mean(0.5)
    lines = [
        Line(first, [0.01, 0.1, 1.0], [bad, good, None], [0, 0, 1], 0.1),
        Line(second, [0.01, 0.1, 1.0], [bad, bad, good], [0, 0, 0], 1.0),
        Line(third, [0.01, 0.1, 1.0], [None, None, None], [1, 1, 1], 0.01),
    ]
    means = {place.name: place.value for place in places}
    gone = Band(third, dict.fromkeys(COSTS, ()), (), (), (), "5 of 5 diverged")
    bands = [band(0.9, first, COSTS), band(0.8, second, COSTS), gone]
    ratios = {first: [1.0, 1.0, 2.0], second: [1.0, 3.0, float("inf")], third: 3 * [float("inf")]}
    facts: dict[str, Any] = {
        "metric": "val_accuracy",
        "contestants": names,
        "seeds": [0, 1, 2, 3, 4],
        "tuning_seeds": [1004],
        "settings": {first: f"optimizer {first}"},
        "verdict": f"{first} is the best",
        "tuning": {line.name: Tuned(line, 3, False) for line in lines},
        "step_seconds": dict.fromkeys(names, 0.00125),
        "target": "val_accuracy>=0.85",
        "standings": {
            "epochs": places,
            "gradient evaluations": places,
            "seconds": [places[1], places[0], places[2]],
        },
        "finals": {"val_accuracy": means, "test_accuracy": means, "test_loss": {}},
        "bands": {"val_accuracy": bands, "test_loss": bands},
        "profile": dict.fromkeys(COSTS, ratios),
    }
    return replace(RaceRecord(about("race"), **facts), **changes)


@pytest.fixture(scope="session")
def swept() -> Callable[..., SweepRecord]:
    return sweep_of


@pytest.fixture(scope="session")
def raced() -> Callable[..., RaceRecord]:
    return race_of


@pytest.fixture
def described() -> Callable[..., About]:
    return about


@pytest.fixture
def mean() -> type[Mean]:
    return Mean


def bowl_of(metric: str = "loss", kind: str = "principal", **facts: Any) -> Plane:
    """Return a bowl on 9 × 5 nodes, lowest at (0.5, −0.5), with more height along y."""
    x, y = np.linspace(-2, 2, 9), np.linspace(-1, 1, 5)
    values = 0.25 + (x[:, None] - 0.5) ** 2 + 10 * (y + 0.5) ** 2
    return Plane(x, y, facts.pop("values", values), metric, kind, **facts)


def way_of(
    x: Sequence[float] = (1.5, 1.0, 0.5), y: Sequence[float] = (0.5, 0.5, 0.0), **facts: Any
) -> Way:
    """Return a way whose heights are not the bowl's."""
    T = len(x)
    columns = {"values": np.linspace(9, 3, T), "steps": np.arange(T), "residuals": np.full(T, 0.2)}
    found = {name: np.array(facts.get(name, own), float) for name, own in columns.items()}
    return Way(facts.get("name", "adam"), np.array(x, float), np.array(y, float), **found)


@pytest.fixture
def bowl() -> Callable[..., Plane]:
    return bowl_of


@pytest.fixture
def way() -> Callable[..., Way]:
    return way_of
