"""What the tests of the logs share: a machine of their own, rows, and the libraries' readers."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thalweg.store.logs.library import load
from thalweg.store.logs.mlflow import database
from thalweg.store.logs.wandb_file import history, records

Series = dict[str, list[tuple[int, float]]]
Rows = dict[str, list[float | int | None]]


@pytest.fixture(scope="session", autouse=True)
def _own_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's servers, keys and settings out of the tests, and the tests offline."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("MLFLOW_", "WANDB_")):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / "netrc"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        for name in ("CACHE", "CONFIG", "DATA"):
            patch.setenv(f"WANDB_{name}_DIR", str(home))
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, which takes it many seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    database(file)
    return file


@pytest.fixture
def folder(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of a run, which may be logged at once."""
    folder = tmp_path / "the runs" / "a run%20"
    folder.mkdir(parents=True)
    if kind == "mlflow":
        shutil.copy(request.getfixturevalue("empty_database"), folder.parent)
    return folder


@pytest.fixture
def table() -> Callable[[str, int, int], Rows]:
    return _table


def _table(name: str, first: int, last: int) -> Rows:
    """Return rows of a table: an update each, or an evaluation every ten."""
    steps = [step for step in range(first, last) if name == "steps" or step % 10 == 0]
    columns: Rows = {
        "step": list(steps),
        "epoch": [step / 10 for step in steps],
        "gradients": list(steps),
        "seconds": [step / 1000 for step in steps],
        "lr": [0.1 / (step + 1) for step in steps],
    }
    if name == "steps":
        columns["loss"] = [math.exp(-step / 7) for step in steps]
        columns["accuracy"] = [step / 1000 for step in steps]
    else:
        columns["train_loss"] = [1 / (step + 1) for step in steps]
        columns["val_loss"] = [None for step in steps]
        columns["test_accuracy"] = [step / 1000 if step % 20 else None for step in steps]
    return columns


@pytest.fixture
def expected() -> Callable[[int], Series]:
    """What a log of the rows up to a step must hold."""

    def series(last: int) -> Series:
        steps, epochs = _table("steps", 0, last), _table("epochs", 0, last)
        named = {"batch/loss": "loss", "batch/accuracy": "accuracy", "lr": "lr"}
        columns = {name: (steps, column) for name, column in named.items()}
        for column in ("epoch", "gradients", "seconds"):
            columns[f"clock/{column}"] = epochs, column
        columns |= {n: (epochs, n.replace("/", "_")) for n in ("train/loss", "test/accuracy")}
        return {
            name: [
                (step, value)
                for step, value in zip(rows["step"], rows[column], strict=True)
                if value is not None
            ]
            for name, (rows, column) in columns.items()
        }

    return series


@pytest.fixture
def read(kind: str, folder: Path) -> Callable[[], Series]:
    """What is in the log, in order of steps, as its own library reads it."""
    return {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}[kind].__get__(folder)


def _tensorboard(folder: Path) -> Series:
    reader = load("tensorboard.backend.event_processing.event_accumulator").EventAccumulator(
        str(folder / "tensorboard"), size_guidance={"scalars": 0}
    )
    reader.Reload()
    return {
        tag: sorted((event.step, event.value) for event in reader.Scalars(tag))
        for tag in reader.Tags()["scalars"]
    }


def _mlflow(folder: Path) -> Series:
    uri = os.environ.get("MLFLOW_TRACKING_URI") or database(folder.parent / "mlflow.db")
    client = load("mlflow").MlflowClient(uri)
    experiment = client.get_experiment_by_name("thalweg")
    (run,) = client.search_runs([experiment.experiment_id])
    return {
        name: sorted(
            (entry.step, entry.value) for entry in client.get_metric_history(run.info.run_id, name)
        )
        for name in run.data.metrics
    }


def _wandb(folder: Path) -> Series:
    series: Series = {}
    for file in _settled(folder):
        for row in history(file):
            for name, value in row.items():
                if name != "step" and not name.startswith("_"):
                    series.setdefault(name, []).append((row["step"], value))
    return {name: sorted(entries) for name, entries in series.items()}


@pytest.fixture(scope="session")
def settled() -> Callable[[Path], list[Path]]:
    return _settled


def _settled(folder: Path) -> list[Path]:
    """Return the files of a run that was closed when its service, a little later, is done."""
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    for _ in range(200):
        if "exit" in [record.WhichOneof("record_type") for record in records(files[-1])]:
            return files
        time.sleep(0.05)
    raise AssertionError(f"{files[-1]} has no end")
