"""From folders to pages: what is gathered is what was recorded, and nothing is trained."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from thalweg.errors import FileError
from thalweg.store import SeriesFolder
from thalweg.study import begin_race, load_race, load_sweep, race, sweep, train
from thalweg.study.report import race_record, report_of, sweep_record

SMALL: dict[str, Any] = {"hidden": (8,), "subset": 200, "batch_size": 50, "epochs": 2}


def recorded(path: Path) -> Any:
    return sweep_record(load_sweep(path), SeriesFolder.open(path))


def test_a_sweep_is_gathered_as_it_was(tmp_path: Path) -> None:
    over = {"lr": [0.1, 1e30], "hidden": [(8,), (4, 4)]}
    small = {key: value for key, value in SMALL.items() if key != "hidden"}
    found = sweep(
        "mlp", "digits", over=over, seeds=2, optimizer="sgd", val=50, out=tmp_path / "a", **small
    )
    record = recorded(tmp_path / "a")
    assert record.metric == "val_accuracy"
    good, *_ = record.settings
    (row, *_) = found.table()
    assert good.means["val_accuracy"] == row.means["val_accuracy"]
    assert good.courses["val_loss"].x == {"epoch": [1.0, 2.0], "step": [4, 8]}
    both = [found.course(number)["val_loss"] for number in row.numbers]
    means = [sum(y) / 2 for y in zip(*both, strict=True)]
    assert good.courses["val_loss"].mean == pytest.approx(means)
    assert [(each.diverged, each.over) for each in record.settings] == [(0, 2)] * 2 + [(2, 2)] * 2
    assert record.settings[-1].courses == {}
    (_, command), *_ = record.about.commands
    assert shlex.split(command)[4:] == [
        "--over", "lr=0.1,1e+30", "--over", "hidden=[8];[4, 4]", "--seeds", "2",
    ]  # fmt: skip
    folder, page = report_of(tmp_path / "a")
    assert folder == tmp_path / "a"
    assert "figure-heat" in page


def test_what_cannot_be_typed_is_python(tmp_path: Path) -> None:
    over = [{"lr": 0.1}, {"lr": 0.2, "schedule": "cosine"}]
    sweep("mlp", "digits", over=over, seeds=[3, 7], order="own", out=tmp_path / "a", **SMALL)
    (_, lines), *_ = recorded(tmp_path / "a").about.commands
    assert lines.splitlines()[-1] == (
        f"thalweg.sweep(spec=spec, over={over!r}, seeds=[3, 7], order='own')"
    )


def test_what_came_from_python_must_come_again(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    small = {key: value for key, value in SMALL.items() if key != "hidden"}
    sweep(own, "digits", over={"lr": [0.1]}, out=tmp_path / "a", **small)
    (told, _), *_ = recorded(tmp_path / "a").about.commands
    assert told == "Its model came from Python: run again what made it."
    x, y = torch.rand(40, 3), torch.arange(40) % 2
    data = {"train": (x, y), "test": (x, y)}
    race("mlp", data, optimizers=["sgd"], seeds=2, hidden=(4,), steps=4, tune=False,
         out=tmp_path / "b")  # fmt: skip
    (told, _), *_ = race_record(load_race(tmp_path / "b")).about.commands
    assert told.startswith("Its data came from Python")


def test_a_race_is_gathered_as_it_was(tmp_path: Path) -> None:
    who = ["sgd", {"name": "wild", "optimizer": "sgd", "lr": 1e30}]
    out = tmp_path / "r"
    found = race("mlp", "digits", optimizers=who, seeds=2, tune=False, out=out, **SMALL)
    record = race_record(load_race(out))
    assert record.verdict == found.verdict
    assert list(record.standings) == ["epochs", "gradient evaluations", "seconds"]
    first, wild = record.standings["epochs"]
    assert (first.name, first.value) == ("sgd", found.standings()[0].value)
    assert (wild.name, wild.diverged, wild.seeds) == ("wild", 2, 2)
    assert next(iter(record.bands)) == "val_accuracy"
    (band, lost) = record.bands["val_accuracy"]
    assert band.mean == found.curves()["sgd"].mean
    assert lost.note == "2 of 2 diverged"
    assert record.step_seconds == found.step_seconds
    assert record.settings["wild"] == "optimizer sgd; optimizer.lr 1e+30"
    (_, lines), *_ = record.about.commands
    assert "tune=False" in lines
    told: list[str] = []
    page = report_of(out, told.append)[1]
    assert "No verdict" in page
    assert "Where they went" in page
    assert page == report_of(out, told.append)[1]
    assert len(told) == 1  # the ground is measured once


def test_a_tuned_race_and_how_to_run_it_again(tmp_path: Path) -> None:
    out = tmp_path / "r"
    found = race("mlp", "digits", optimizers=["sgd"], seeds=2, target="val_accuracy>=0.1", out=out,
                 **SMALL)  # fmt: skip
    record = race_record(load_race(out))
    own = record.tuning["sgd"]
    assert own.runs == len(found.trials)
    assert own.line.chosen == found.ladders["sgd"].lr
    assert [y.mean for y in own.line.y if y] == [
        t.score for t in sorted(found.trials, key=lambda t: t.lr) if t.score is not None
    ]
    (_, command), *_ = record.about.commands
    assert shlex.split(command)[4:] == [
        "--optimizers", "sgd", "--seeds", "2", "--tuning-seeds", "1", "--order", "shared",
        "--metric", "val_accuracy", "--target", "val_accuracy>=0.1",
    ]  # fmt: skip


def test_a_race_that_has_hardly_begun(tmp_path: Path) -> None:
    found, events = begin_race("mlp", "digits", optimizers=["sgd"], out=tmp_path / "r", **SMALL)
    assert found.info.state == "running"
    events.close()  # type: ignore[attr-defined]
    page = report_of(tmp_path / "r")[1]
    assert "This race is not over" in page
    assert f"thalweg resume {tmp_path / 'r'}" in page


def test_a_run_and_nothing(tmp_path: Path) -> None:
    run = train("mlp", "digits", out=tmp_path / "one", **SMALL)
    assert report_of(tmp_path / "one")[0] == run.folder
    with pytest.raises(FileError, match="which does not exist"):
        report_of(tmp_path / "none")
