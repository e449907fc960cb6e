from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.store.logs import WandbLog, wandb
from thalweg.store.logs.identity import identity
from thalweg.store.logs.library import load
from thalweg.store.logs.wandb_file import records

SPEC = {"lr": 0.1, "model": {"name": "mlp", "hidden": [3, 4], "init": None}}


@pytest.fixture
def kind() -> str:
    return "wandb"


@pytest.fixture
def entries(folder: Path, settled: Callable) -> Callable[[str], list[Any]]:
    """All records of a kind that the run has."""

    def of(kind: str) -> list[Any]:
        found = [record for file in settled(folder) for record in records(file)]
        return [getattr(r, kind) for r in found if r.WhichOneof("record_type") == kind]

    return of


def test_settings_tags_name_and_project(folder: Path, entries: Callable, read: Callable) -> None:
    for last in (2, 4):
        log = WandbLog(folder, "a run", ("x", "y" * 100), SPEC)
        log.write("steps", {"step": list(range(last)), "loss": [0.5] * last})
        log.close("interrupted")
    assert len(read()["batch/loss"]) == 4
    first, second = entries("run")
    assert first.run_id == second.run_id == identity(folder)
    assert first.display_name == "a run"
    assert first.project == "thalweg"
    assert list(first.tags) == ["x", "y" * 64]
    config = {item.key: item.value_json for item in first.config.update}
    assert config["lr"] == "0.1"
    assert json.loads(config["model"]) == SPEC["model"]


def test_steps_are_the_axis(folder: Path, entries: Callable) -> None:
    log = WandbLog(folder, "a run")
    log.write("steps", {"step": [3, 4], "loss": [0.5, 0.25]})
    log.close("complete")
    axes = {metric.name or metric.glob_name: metric for metric in entries("metric")}
    assert axes["*"].step_metric == "step"
    assert axes["step"].options.hidden


@pytest.mark.parametrize(
    ("state", "code"), [("complete", 0), ("until", 0), ("diverged", 1), ("interrupted", 1)]
)
def test_the_end_is_an_exit_code(state: str, code: int, folder: Path, entries: Callable) -> None:
    WandbLog(folder, "a run").close(state)
    assert [entry.exit_code for entry in entries("exit")] == [code]


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "key"}, "online"),
        ({"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "disabled"}, "disabled"),
        ({"WANDB_MODE": "online"}, "online"),
    ],
)
def test_nothing_leaves_the_machine_unasked(
    environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb._mode() == mode


def test_the_mode_and_the_project_are_the_users(
    folder: Path, monkeypatch: pytest.MonkeyPatch, entries: Callable
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    WandbLog(folder, "a run").close("complete")
    assert [run.project for run in entries("run")] == ["mine"]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    log = WandbLog(folder, "a run")
    log.write("steps", {"step": [0], "loss": [1.0]})
    log.close("complete")
    assert len(list(folder.glob("wandb/offline-run-*"))) == 1


def test_a_run_of_the_users_own_goes_on(folder: Path, tmp_path: Path) -> None:
    client = load("wandb")
    settings = client.Settings(silent=True, console="off")
    theirs = client.init(mode="offline", dir=tmp_path, settings=settings)
    try:
        log = WandbLog(folder, "a run")
        log.write("steps", {"step": [0], "loss": [1.0]})
        log.close("complete")
        assert client.run is theirs
        theirs.log({"x": 1})
    finally:
        theirs.finish()


def test_versions_without_a_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, read: Callable
) -> None:
    monkeypatch.setattr(wandb, "PRIVATE", {"x_of_another_version": True})
    log = WandbLog(folder, "a run")
    log.write("steps", {"step": [0], "loss": [1.0]})
    log.close("complete")
    assert read() == {"batch/loss": [(0, 1)]}
