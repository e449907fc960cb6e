"""Run folders, small and real, that the commands are tried on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from thalweg.cli import main
from thalweg.engine import Run, short_keys
from thalweg.spec import Spec
from thalweg.store import RunFolder
from thalweg.study import Interrupted, begin, train

Told = Callable[..., tuple[str, str]]
SMALL = {"hidden": (16,), "steps": 12, "evaluate_every": "6steps"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, which nobody may change.

    ``first``, ``second`` and ``mean`` have ended; ``halted`` was interrupted, ``lost`` diverged;
    ``values`` is a regression, ``points`` takes no images, ``never`` was never evaluated, ``own``
    was given its model and ``mine`` its data in Python.
    """
    root = tmp_path_factory.mktemp("made")

    def make(name: str, *given: Any, tags: tuple[str, ...] = (), **settings: Any) -> None:
        train(*given, out=root / name, tags=tags, **SMALL | settings)

    rest: dict[str, Any] = {"val": 0.1, "checkpoint_every": "4steps", "tags": ("good", "try")}
    make("first", "mlp", "digits", lr=1e-2, **rest)
    wrapped = {"optimizer.lookahead.k": 5, "norm": "batch", "pixels": "permute", "split_seed": 3}
    make("second", "mlp", "digits", optimizer="sgd", lr=0.1, **wrapped)
    make("mean", "mlp", "digits", wrap="ema", norm="batch")
    make("values", "mlp", "reg-plane")
    make("points", "mlp", "circle")
    make("never", "mlp", "digits", evaluate_every="never")
    make("lost", "mlp", "reg-plane", optimizer="sgd", lr=1e20)
    make("own", nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "digits", hidden=None)
    x, y = torch.rand(40, 3, 4, 5), torch.arange(40) % 2
    make("mine", "mlp", {"train": (x, y), "test": (x, y)}, normalize="computed")
    halt(root / "halted")
    return root


def halt(folder: Path) -> None:
    """Make a run that Ctrl-C stops after its third step."""
    run = Run(Spec().override({**SMALL, "val": 0.1}, short_keys()))
    with suppress(Interrupted):
        for event in begin(run, out=folder):
            if event.clock.step == 3:
                os.kill(os.getpid(), signal.SIGINT)
    assert RunFolder.open(folder).state == "interrupted"


@pytest.fixture
def runs(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of runs that the commands see; the working directory is an empty one."""
    monkeypatch.setenv("THALWEG_RUNS", str(made))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def copied(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of them below the working directory, to change."""
    shutil.copytree(runs, tmp_path / "runs")
    monkeypatch.delenv("THALWEG_RUNS")
    return tmp_path / "runs"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command, check its exit code, and return what it printed on stdout and stderr."""

    def run(*words: object, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert main([*map(str, words)]) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run
