from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.errors import ThalwegError
from thalweg.store.logs import MLflowLog, mlflow, open_log
from thalweg.store.logs.library import load
from thalweg.store.logs.mlflow import database

SPEC = {"lr": 0.1, "model": {"name": "mlp", "hidden": [3, 4], "init": None}, "drop_last": False}


@pytest.fixture
def kind() -> str:
    return "mlflow"


def runs(folder: Path, experiment: str = "thalweg") -> list[Any]:
    client = load("mlflow").MlflowClient(database(folder.parent / "mlflow.db"))
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_settings_tags_and_name(folder: Path) -> None:
    log = MLflowLog(folder, "a run", ("x", "y"), SPEC)
    log.write("steps", {"step": [0], "loss": [1.0]})
    (run,) = runs(folder)
    assert run.info.run_name == "a run"
    assert run.info.status == "RUNNING"
    assert run.data.tags["thalweg.tags"] == "x, y"
    assert run.data.tags["thalweg.folder"] == str(folder)
    assert run.data.params == {
        "lr": "0.1",
        "model.name": "mlp",
        "model.hidden": "[3, 4]",
        "drop_last": "False",
    }


@pytest.mark.parametrize(
    ("state", "status"),
    [("complete", "FINISHED"), ("diverged", "FAILED"), ("interrupted", "KILLED")],
)
def test_the_end_is_a_status(state: str, status: str, folder: Path) -> None:
    MLflowLog(folder, "a run").close(state)
    (run,) = runs(folder)
    assert run.info.status == status
    assert run.data.tags["thalweg.state"] == state


def test_a_run_that_goes_on_runs_again_with_the_settings_that_it_had(folder: Path) -> None:
    MLflowLog(folder, "a run", (), SPEC).close("interrupted")
    log = MLflowLog(folder, "a run", (), {**SPEC, "lr": 0.2, "epochs": 5})
    log.write("steps", {"step": [0], "loss": [1.0]})
    (run,) = runs(folder)
    assert run.info.status == "RUNNING"
    assert run.data.params["lr"] == "0.1"
    assert run.data.params["epochs"] == "5"


def test_two_runs_of_one_name_are_two(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    for place in (folder, other):
        MLflowLog(place, "a run").close("complete")
    assert len(runs(folder)) == 2


def test_more_than_the_api_takes_at_once(folder: Path) -> None:
    log = MLflowLog(folder, "a run", (), {f"s{i}": "x" * 9000 for i in range(250)})
    log.write("steps", {"step": list(range(1500)), "loss": [0.5] * 1500, "lr": [0.1] * 1500})
    (run,) = runs(folder)
    assert len(run.data.params) == 250
    client = load("mlflow").MlflowClient(database(folder.parent / "mlflow.db"))
    assert len(client.get_metric_history(run.info.run_id, "batch/loss")) == 1500


def test_the_users_server_and_experiment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, table: Callable, read: Callable
) -> None:
    store = folder.parent / "elsewhere"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # stands in for a server
    (folder.parent / "mlflow.db").unlink()
    for last in (5, 12):
        MLflowLog(folder, "a run", (), SPEC).write("steps", table("steps", 0, last))
    assert [step for step, _ in read()["lr"]] == list(range(12))
    assert not (folder.parent / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    MLflowLog(folder, "a run").close("complete")
    client = load("mlflow").MlflowClient(store.as_uri())
    assert client.get_experiment_by_name("mine") is not None


def test_an_experiment_that_another_process_makes_just_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MLflowLog(folder, "a run").close("complete")
    client = load("mlflow").MlflowClient
    get, calls = client.get_experiment_by_name, []

    def late(self: Any, name: str) -> Any:
        calls.append(name)
        return None if len(calls) % 2 else get(self, name)

    other = folder.parent / "other"
    other.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(client, "get_experiment_by_name", late)
        MLflowLog(other, "a run").close("complete")
    assert len(runs(folder)) == 2
    monkeypatch.setattr(client, "get_experiment_by_name", lambda *_: None)
    with pytest.raises(ThalwegError, match=r"mlflow: .*already exists"):
        MLflowLog(other, "a run").close("complete")


def test_a_database_needs_more_than_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "thalweg.store.logs.library.find_spec", lambda name: None if name == "alembic" else name
    )
    with pytest.raises(ThalwegError, match="alembic, which is not installed"):
        open_log("mlflow", tmp_path, "a run")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    open_log("mlflow", tmp_path, "a run")


def test_a_database_is_made_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(file: Path) -> None:
        made.append(file)
        time.sleep(0.1)
        file.write_bytes(b"a database")

    def fail(file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    file = tmp_path / "mlflow.db"
    monkeypatch.setattr(mlflow, "_make", fail)
    with pytest.raises(ThalwegError, match="No space left"):
        database(file)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    monkeypatch.setattr(mlflow, "_make", make)
    threads = [threading.Thread(target=database, args=(file,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert file.read_bytes() == b"a database"
