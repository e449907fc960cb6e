from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.store.logs import TensorBoardLog
from thalweg.store.logs.library import load

SPEC = {"lr": 0.1, "model": {"name": "mlp", "hidden": [3, 4], "init": None}, "drop_last": False}


@pytest.fixture
def kind() -> str:
    return "tensorboard"


def reader(folder: Path) -> Any:
    accumulator = load("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    found = accumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return found


def hparams(folder: Path) -> dict[str, Any]:
    data = load("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    content = reader(folder).PluginTagToContent("hparams")
    return {tag: data.FromString(value) for tag, value in content.items()}


def test_the_settings_are_hyperparameters(folder: Path) -> None:
    log = TensorBoardLog(folder, "a run", ("x", "y"), SPEC)
    log.write("steps", {"step": [0], "loss": [1.0]})
    start = hparams(folder)["_hparams_/session_start_info"].session_start_info
    assert start.group_name == "a run"
    values = {name: getattr(v, v.WhichOneof("kind")) for name, v in start.hparams.items()}
    assert values == {
        "lr": 0.1,
        "model.name": "mlp",
        "model.hidden": "[3, 4]",
        "drop_last": False,
        "tags": "x, y",
    }


@pytest.mark.parametrize(
    ("state", "status"), [("complete", 1), ("patience", 1), ("diverged", 2), ("interrupted", 0)]
)
def test_the_end_is_a_status(state: str, status: int, folder: Path) -> None:
    TensorBoardLog(folder, "a run").close(state)
    end = hparams(folder)["_hparams_/session_end_info"].session_end_info
    assert end.status == status


def test_each_process_has_a_file_and_the_settings_are_written_once(folder: Path) -> None:
    for last in (2, 4, 6):
        log = TensorBoardLog(folder, "a run", (), SPEC)
        log.write("steps", {"step": list(range(last)), "loss": [0.5] * last})
    files = sorted((folder / "tensorboard").iterdir())
    assert len(files) == 3
    loader = load("tensorboard.backend.event_processing.event_file_loader").LegacyEventFileLoader
    events = [list(loader(str(file)).Load()) for file in files]
    assert [e[0].file_version for e in events] == ["brain.Event:2"] * 3
    tags = [[v.tag for event in e for v in event.summary.value] for e in events]
    assert [t.count("_hparams_/session_start_info") for t in tags] == [1, 0, 0]
    assert [t.count("batch/loss") for t in tags] == [2, 2, 2]


def test_a_row_is_one_event_at_its_time(folder: Path) -> None:
    log = TensorBoardLog(folder, "a run")
    rows = {"step": [0, 1], "seconds": [0.0, 30.0], "loss": [1.0, 0.5], "accuracy": [0.5, None]}
    log.write("steps", rows)
    (file,) = (folder / "tensorboard").iterdir()
    loader = load("tensorboard.backend.event_processing.event_file_loader").LegacyEventFileLoader
    _, _, first, second = loader(str(file)).Load()
    assert [v.tag for v in first.summary.value] == ["batch/loss", "batch/accuracy"]
    assert [v.tag for v in second.summary.value] == ["batch/loss"]
    assert second.wall_time - first.wall_time == pytest.approx(30)


def test_wherever_a_file_is_cut_off_nothing_else_is_lost(
    folder: Path, table: Callable, read: Callable
) -> None:
    TensorBoardLog(folder, "a run").write("steps", table("steps", 0, 6))
    (file,) = (folder / "tensorboard").iterdir()
    content = file.read_bytes()
    whole = read()
    for size in range(0, len(content), 13):
        for other in (folder / "tensorboard").iterdir():
            other.unlink()
        file.write_bytes(content[:size])
        TensorBoardLog(folder, "a run").write("steps", table("steps", 0, 6))
        assert read() == whole
