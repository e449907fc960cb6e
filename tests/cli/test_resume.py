from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thalweg.store import RunFolder
from thalweg.study import train

Told = Callable[..., tuple[str, str]]


def test_what_was_interrupted_comes_to_its_end(told: Told, copied: Path, tmp_path: Path) -> None:
    out, err = told("resume", "halted")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["0.3", "0.6"]
    assert "done after 0.6 epochs, 12 steps" in out
    assert err == "recorded in runs/halted\n"
    run = train("mlp", "digits", hidden=(16,), steps=12, evaluate_every="6steps", val=0.1,
                out=tmp_path / "whole")  # fmt: skip
    whole, halves = (RunFolder.open(path) for path in (run.folder, copied / "halted"))
    for name, array in whole.checkpoint().arrays.items():
        assert torch.equal(array, halves.checkpoint().arrays[name]), name


def test_what_has_ended_goes_on_longer(told: Told, copied: Path) -> None:
    out, _ = told("resume", "first", "--steps", 16, "--json")
    started, *_, finished = [json.loads(line) for line in out.splitlines()]
    assert (started["event"], started["step"]) == ("started", 12)
    assert started["folder"] == finished["folder"] == str(copied / "first")
    assert (finished["step"], finished["reason"]) == (16, "complete")
    assert RunFolder.open(copied / "first").spec.steps == 16
    out, err = told("resume", "first", "--epochs", 1, "--until", "test_loss>0", "--quiet")
    assert "test_loss>0 holds" in out
    assert out.count("\n") == 1
    assert err == ""


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["first"], 2, "which has ended (complete); expected a run that was interrupted. Hint: to"),
        (["first", "--steps", "12"], 2, "expected more than the 0.6 epochs, 12 steps, behind it"),
        (["first", "--epochs", "-1"], 2, "got epochs=-1"),
        (["lost", "--steps", "99"], 2, "which diverged; expected a run that can go on"),
        (["own", "--steps", "99"], 2, "whose model came from Python"),
        (["mine", "--steps", "99"], 2, "whose data came from Python"),
        (
            ["first", "--lr", "1"],
            2,
            "the unknown option --lr; expected an option of thalweg resume",
        ),
        (
            ["first", "--steps", "20", "--patience", "2", "--monitor", "tets_loss"],
            2,
            "got a condition on 'tets_loss'; expected a metric that is measured",
        ),
        (["first", "--log-every", "x"], 2, "got --log-every x; expected a number of steps"),
    ],
)
def test_what_cannot_go_on(
    words: list[str], code: int, line: str, told: Told, copied: Path
) -> None:
    before = (copied / words[0] / "spec.toml").read_bytes()
    out, err = told("resume", *words, code=code)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert (copied / words[0] / "spec.toml").read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_again(
    number: signal.Signals, told: Told, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_after(monkeypatch, 5, number)
    out, err = told("resume", "halted", "--json", code=128 + number)
    last = json.loads(out.splitlines()[-1])
    hint = "thalweg resume runs/halted goes on"
    assert last == {
        "event": "interrupted", "step": 5, "signal": number.name, "folder": str(copied / "halted"),
        "hint": hint,
    }  # fmt: skip
    assert err == f"thalweg: interrupted after step 5 by {number.name}; saved: {hint}\n"
    assert RunFolder.open(copied / "halted").state == "interrupted"


def _signal_after(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> None:
    """Send a signal to this process when its training comes to a step."""
    from thalweg.engine import Cohort

    original = Cohort.move

    def made(self: Cohort) -> Any:
        rates = original(self)
        if self.updates == step:
            os.kill(os.getpid(), number)
        return rates

    monkeypatch.setattr(Cohort, "move", made)


def test_a_full_disk_loses_nothing(
    told: Told, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("thalweg.files.os.fsync", full)
        _, err = told("resume", "halted", code=1)
    assert "(No space left on device); expected" in err
    assert err.endswith("then thalweg resume runs/halted goes on\n")
    told("resume", "halted")
    assert RunFolder.open(copied / "halted").state == "complete"
