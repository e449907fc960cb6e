"""Small sweeps that the answers are read from: each is trained once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from thalweg.study.questions import Study, ask

SMALL: dict[str, dict[str, Any]] = {
    "memorise": {"hidden": (64,), "subset": 60, "batch_size": 20, "epochs": 60, "lr": 1e-2},
    "regularise": {"hidden": (16,), "subset": 100, "batch_size": 20, "epochs": 6, "lr": 1e-2},
    "batch-size": {
        "hidden": (16,), "subset": 200, "epochs": 60, "lr": 1e-2, "batch_size": 32,
        "until": "train_accuracy>=0.9",
    },
    "init": {"hidden": (8,), "subset": 300, "steps": 40, "lr": 0.1},
}  # fmt: skip
"""Settings with which a study of digits takes some seconds."""


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Study]:
    """Return a study of digits with two seeds, recorded in a folder that nobody may change."""
    root: Path = tmp_path_factory.mktemp("studies")

    @cache
    def make(name: str) -> Study:
        return ask(name, data="digits", seeds=2, out=root / name, **SMALL[name])

    return make
