"""``--on``: the same words and numbers, whoever trains."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from thalweg.cli import main
from thalweg.cluster import Here, opening

SWEEP = [
    "sweep", "digits", "--over", "lr=0.01,0.1", "--seeds", "2", "-s", "hidden=[8]", "--subset",
    "120", "--steps", "6", "--evaluate-every", "2steps",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch):
    """Let processes be this one: what others do is in tests/cluster and tests/study."""
    monkeypatch.setattr(opening, "Processes", lambda count, threads: Here())


def rows(text: str) -> list[object]:
    told = [json.loads(line) for line in text.splitlines()]
    return [
        {k: v for k, v in line.items() if k not in {"seconds", "folder", "bytes"}} for line in told
    ]


def test_a_sweep_tells_the_same(capsys, tmp_path):
    told = []
    for where in ("here", "processes:2"):
        assert main([*SWEEP, "--on", where, "--json", "--out", str(tmp_path / where)]) == 0
        told.append(rows(capsys.readouterr().out))
    assert told[0] == told[1]
    assert main([*SWEEP, "--on", "processes:2", "--no-record"]) == 0
    said = capsys.readouterr()
    assert "best by" in said.out
    assert "4 of 4 over" in said.err


def test_a_sweep_that_was_stopped_goes_on_elsewhere(capsys, tmp_path, monkeypatch):
    original = Here.run

    def run(self, work, jobs):
        for happening in original(self, work, jobs):
            yield happening
            os.kill(os.getpid(), signal.SIGTERM)

    out = tmp_path / "sweep"
    with monkeypatch.context() as patch:
        patch.setattr(Here, "run", run)
        assert main([*SWEEP, "--on", "processes:2", "--out", str(out)]) == 128 + signal.SIGTERM
    assert "goes on" in capsys.readouterr().err
    assert main(["resume", str(out), "--on", "processes:2"]) == 0
    assert "best by" in capsys.readouterr().out


def test_races_and_landscapes(capsys, tmp_path):
    words = ["-s", "hidden=[8]", "--subset", "120", "--steps", "6", "--no-tune", "--seeds", "2"]
    out = ["--out", str(tmp_path / "race")]
    race = ["race", "digits", "--optimizers", "sgd,adam", *words, *out]
    assert main([*race, "--on", "processes:2", "--quiet"]) == 0
    train = ["train", "digits", "-s", "hidden=[8]", "--steps", "6", "--record-states", "2"]
    assert main([*train, "--quiet", "--out", str(tmp_path / "run")]) == 0
    land = ["landscape", str(tmp_path / "run"), "--resolution", "5", "--on", "processes:2"]
    assert main(land) == 0
    assert "runs" in capsys.readouterr().out or Path(tmp_path / "run" / "landscape").exists()


def test_what_is_refused(capsys, tmp_path):
    assert main([*SWEEP, "--on", "prozesses:2"]) == 2
    assert "got on='prozesses:2'; expected here, processes" in capsys.readouterr().err
    assert main([*SWEEP, "--on", "ray://127.0.0.1:1", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["kind"] == "ThalwegError"
    assert said.err.count("\n") == 1
    train = ["train", "digits", "--steps", "1", "--quiet", "--out", str(tmp_path / "run")]
    assert main(train) == 0
    assert main(["resume", str(tmp_path / "run"), "--on", "ray"]) == 2
    assert "got --on ray for a run; expected a sweep, a race or a search" in capsys.readouterr().err


def test_the_module_is_the_program(monkeypatch, capsys):
    import runpy

    monkeypatch.setattr("sys.argv", ["thalweg", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("thalweg", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("thalweg ")
