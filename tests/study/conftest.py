"""What the tests of studies share: quick runs, and what two runs are compared by."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from thalweg.data import Data, load_data
from thalweg.plots.report import report
from thalweg.store import Checkpoint, RunFolder, read_checkpoint

SETTINGS: dict[str, Any] = {
    "model": "mlp", "hidden": (8,), "norm": "batch", "dropout": 0.2, "lr": 1e-2,
    "lookahead": {"k": 3, "alpha": 0.5}, "subset": 240, "val": 60, "batch_size": 60,
    "steps": 14, "evaluate_every": "3steps", "checkpoint_every": "4steps", "record_states": 2,
}  # fmt: skip
"""A run of a quarter of a second with everything that a checkpoint must hold."""


@pytest.fixture(scope="session")
def settings() -> dict[str, Any]:
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def digits() -> Data:
    return load_data("digits", val=60, subset=240)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


@pytest.fixture(autouse=True)
def _leave_the_disk_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power here, and to wait for the disk is slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def _bits(found: Checkpoint) -> dict[str, Any]:
    arrays = {
        name: hashlib.sha256(bytes(array.reshape(-1).view(torch.uint8).numpy().data)).hexdigest()
        for name, array in found.arrays.items()
    }
    return arrays | {key: fact for key, fact in found.facts.items() if key != "seconds"}


def _page(run: RunFolder) -> str:
    """The report, without what the clock and the folder's place decide."""
    text = re.sub(r'<(\w+) class="clock".*?</\1>', "", report(run), flags=re.DOTALL)
    return text.replace(str(run.path), "")


def _results(path: Path, *, page: bool = False) -> dict[str, str]:
    """All that a run has come to, as texts by name, but for the time that it took."""
    run = RunFolder.open(path)
    tables = {"steps": run.steps(), "epochs": run.epochs()}
    for table in tables.values():
        table.pop("seconds", None)
    said, wrong = run.predictions(), run.mistakes()
    best = path / "checkpoints" / "best.safetensors"
    found: dict[str, Any] = {
        "state": run.state,
        **tables,
        "last": _bits(run.checkpoint()),
        "best": _bits(read_checkpoint(best)) if best.exists() else None,
        "states": {step: _bits(read_checkpoint(file)) for step, file in run.states().items()},
        "predictions": said and {name: column.tolist() for name, column in said.items()},
        "mistakes": wrong and {name: column.tolist() for name, column in wrong.items()},
        "spec": run.spec_toml,
        "left over": sorted(str(file) for file in path.rglob(".part-*")),
    }
    if page:
        found["report"] = hashlib.sha256(_page(run).encode()).hexdigest()
    return {name: json.dumps(value, sort_keys=True) for name, value in found.items()}


@pytest.fixture(scope="session")
def results() -> Callable[..., dict[str, str]]:
    return _results
