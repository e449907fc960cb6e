from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.cli.over import parse_over
from thalweg.errors import SpecError
from thalweg.recipes import recipe_text
from thalweg.store import SeriesFolder
from thalweg.study import load_sweep, sweep

Told = Callable[..., tuple[str, str]]
SMALL = ("--hidden", "8", "--subset", "240", "--batch-size", "60", "--epochs", "2")
OVER = ("--over", "lr=0.01,0.1,1e30", "--optimizer", "sgd", "--seeds", "2")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RUNS", raising=False)


def test_a_table_of_settings(told: Told) -> None:
    out, err = told("sweep", "digits", *SMALL, *OVER, "--name", "rates")
    first, *lines = err.splitlines()
    assert first.startswith("6 members in 1 group, each one program; ")
    assert " MB at most; about " in first
    assert lines[-1] == "recorded in runs/rates"
    assert lines[-2].startswith("6 of 6 over, 2 diverged  best lr=0.1 seed ")
    head, _, *rows, note, best = out.splitlines()
    assert head.split() == [
        "lr", "members", "diverged", "test_accuracy", "test_loss", "train_accuracy", "train_loss",
        "running_accuracy", "running_loss", "seconds",
    ]  # fmt: skip
    assert [row.split()[:3] for row in rows] == [
        ["0.01", "2", "0"], ["0.1", "2", "0"], ["1e+30", "2", "2"]
    ]  # fmt: skip
    assert " ± " in rows[1]
    assert "– " in rows[2]
    assert note == "± is the 95 % interval of the mean over the seeds, by Student's t"
    assert best.startswith("best by test_accuracy: lr=0.1, ")
    found = load_sweep("rates")
    assert found.base.model.options == {"hidden": (8,)}
    assert [point.spec.order_seed for point in found.series.points] == [0] * 6


def test_it_is_the_sweep_of_python(told: Told) -> None:
    told("sweep", "digits", *SMALL, *OVER, "--out", "here", "--order", "own", "--tag", "try")
    there = sweep(
        "mlp", "digits", over={"lr": [0.01, 0.1, 1e30]}, seeds=2, order="own", optimizer="sgd",
        hidden=(8,), subset=240, batch_size=60, epochs=2, out="there",
    )  # fmt: skip
    here = load_sweep("here")
    for name, values in there.results.items():
        assert name == "seconds" or here.results[name] == values
    assert SeriesFolder.open(Path("here")).info.tags == ["try"]


def test_json_is_a_line_an_event(told: Told) -> None:
    out, _ = told("sweep", "digits", *SMALL, *OVER, "--json", "--no-record")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == [
        "planned", *["finished"] * 2, *["evaluated"] * 2, *["finished"] * 4, *["row"] * 3,
        "complete",
    ]  # fmt: skip
    planned, row, complete = events[0], events[-3], events[-1]
    assert (planned["members"], planned["groups"], planned["axes"]) == (6, 1, ["lr"])
    assert planned["settings"] == [{"lr": 0.01}, {"lr": 0.1}, {"lr": 1e30}]
    assert events[1]["reason"] == "diverged"
    assert events[5]["setting"] == {"lr": 0.01}
    assert events[5]["test_loss"] == events[4]["test_loss"][0]
    assert row["metrics"]["test_loss"]["n"] == 2
    assert events[-2]["metrics"] == {}
    assert (complete["folder"], complete["best"]["setting"]) == (None, {"lr": 0.1})
    assert not Path("runs").exists()


def test_quiet_is_the_table_alone(told: Told) -> None:
    out, err = told("sweep", "digits", *SMALL, "--over", "lr=0.01,0.1", "--quiet")
    assert err == ""
    assert "±" not in out
    assert "diverged" not in out
    assert Path("runs/sweep/series.json").exists()


def test_a_bar_on_a_terminal(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("thalweg.cli.sweeping.PAUSE", 0.0)
    out, err = told("sweep", "digits", *SMALL, *OVER, "--no-record", "--until", "test_loss<0")
    assert " MB at most; at most about " in err
    assert "recorded" not in err
    assert out.splitlines()[0].split()[0] == "lr"


def test_seeds_alone(told: Told) -> None:
    out, _ = told("sweep", "digits", *SMALL, "--seeds", "3", "--quiet", "--no-record")
    assert out.splitlines()[2].split()[0] == "3"
    assert "best" not in out


def test_all_diverged(told: Told) -> None:
    out, _ = told(
        "sweep", "digits", *SMALL, "--over", "lr=1e30,1e31", "--optimizer", "sgd", "--no-record",
        code=1,
    )  # fmt: skip
    assert "best" not in out


def test_recipes_and_files(told: Told) -> None:
    out, _ = told("sweep", "--recipe", "lr-extremes", "--steps", "3", "--seeds", "1", "--quiet")
    assert [line.split()[0] for line in out.splitlines()[2:7]] == ["100", "10", "1", "0.2", "0.001"]
    Path("mine.toml").write_text(recipe_text("lr-extremes"))
    words = ("--steps", "3", "--over", "lr=0.1", "--quiet", "--no-record")
    out, _ = told("sweep", "--spec", "mine.toml", *words)
    assert out.splitlines()[2].split()[:2] == ["0.1", "5"]
    Path("run.toml").write_text("batch_size = 60\n[model]\nhidden = [8]\n")
    out, _ = told("sweep", "--spec", "run.toml", "--over", "steps=1,2", "--quiet", "--no-record")
    assert out.splitlines()[0].split()[0] == "steps"
    words = ("--steps", "1", "--subset", "60", "--over", "lr=0.1,1", "--quiet", "--no-record")
    out, _ = told("sweep", "digits", "--recipe", "lab", *words)
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["0.1", "1"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["digits"], "got nothing that varies; expected --over, --seeds, or the recipe of a sweep"),
        (["digits", "--over", "lr"], "got --over lr; expected --over KEY=V1,V2,…"),
        (["digits", "--over", "lr="], "got --over lr=; expected --over KEY=V1,V2,…"),
        (["digits", "--over", "lr=1,,2"], "expected --over KEY=V1,V2,…. Hint: as in lr=0.01,0.1"),
        (["digits", "--over", "lr=1", "--over", "lr=2"], "got --over lr=… twice"),
        (["digits", "--over", "lr=a..b"], "expected two numbers with two dots between"),
        (["digits", "--over", "lr=1..0.1"], "got 1 to 0.1; expected two positive numbers"),
        (["digits", "--over", "batch_size=8..64"], "got batch_size='8..64'"),
        (["digits", "--over", "larning_rate=1"], "got the unknown key 'larning_rate'"),
        (["digits", "--over", "lr=-1,1"], "lr=-1"),
        (["digits", "--over", "seed=1,2"], "got seed among what varies"),
        (["digits", "--over", "momentum=0.5,0.9"], "momentum"),
        (["digits", "--over", "lr=1,2", "--seeds", "0"], "got --seeds 0; expected a number of"),
        (["digits", "--over", "lr=1,2", "--order", "mine"], "got --order mine; expected shared"),
        (
            ["digits", "--over", "lr=1,2", "--memory", "x"],
            "got --memory x; expected a number of MB",
        ),
        (["digits", "--over", "lr=1,2", "--memory", "0.001"], "expected memory for one at least"),
        (["digits", "--seeds", "2", "--out", "x", "--no-record"], "got --out and --no-record"),
        (["digits", "--seeds", "2", "--lrr", "1"], "did you mean --lr?"),
        (["nowhere", "--seeds", "2"], "got the data set 'nowhere'"),
        (["--recipe", "lr-extreme"], "did you mean lr-extremes?"),
        (["--recipe", "lab"], "Hint: thalweg train --recipe lab"),
        (["--spec", "none.toml"], "got --spec none.toml (No such file or directory)"),
    ],
)
def test_what_is_no_sweep(words: list[str], line: str, told: Told) -> None:
    out, err = told("sweep", *words, code=2)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("over = 3", "got over=3; expected values by key, or settings one by one"),
        ("[over]\nlr = 0.1", "got over={'lr': 0.1}"),
        ("seeds = -1\n[over]\nlr = [0.1]", "got seeds=-1; expected how many"),
        ("order = 1\n[over]\nlr = [0.1]", "got order=1; expected shared or own"),
        ("spec = 1\n[over]\nlr = [0.1]", "got spec=1; expected a table of settings"),
        ("lr = 1\n[over]\nlr = [0.1]", "got lr in a sweep; expected over, seeds, order and spec"),
        ("over = [", "got TOML that does not parse"),
        ("nothing = 1", "nothing"),
    ],
)
def test_files_that_are_no_sweep(text: str, line: str, told: Told) -> None:
    Path("mine.toml").write_text(text)
    _, err = told("sweep", "--spec", "mine.toml", code=2)
    assert line in err


def test_what_varies_is_read_by_its_kind() -> None:
    over = parse_over([
        "hidden=[200,100];[64];[]", "optimizer.nesterov=yes,no", "patience=none,3",
        "batch_size=8,full", "data=digits,circle", "lookahead=yes,no",
        "init=normal(0.5),he-normal", "dropout=0,0.5",
    ])  # fmt: skip
    assert over == {
        "hidden": [(200, 100), (64,), ()],
        "optimizer.nesterov": [True, False],
        "patience": [None, 3],
        "batch_size": [8, "full"],
        "data": ["digits", "circle"],
        "lookahead": [{}, None],
        "init": ["normal(0.5)", "he-normal"],
        "dropout": [0.0, 0.5],
    }
    assert parse_over(["hidden=[8,8],[4]"]) == {"hidden": [(8, 8), (4,)]}
    assert parse_over(["loss.smoothing=0.1..1"]) == {"loss.smoothing": [0.1, 0.3, 1.0]}
    with pytest.raises(SpecError):
        parse_over(["lr=0..1"])


# ── gone on with, listed, shown ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_saves_it_and_resume_goes_on(
    as_json: bool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("sweep", "digits", *SMALL, *OVER, "--over", "batch_size=30,60", "--out", "whole")
    words = ["sweep", "digits", *SMALL, *OVER, "--over", "batch_size=30,60", "--name", "stopped"]
    with monkeypatch.context() as patch:
        _signal_after(patch, 18)
        out, err = told(*words, *["--json"] * as_json, code=130)
    hint = "thalweg resume runs/stopped goes on"
    assert f"interrupted after 6 of 12 members by SIGINT; saved: {hint}\n" in err
    if as_json:
        last = json.loads(out.splitlines()[-1])
        assert (last["event"], last["over"], last["signal"]) == ("interrupted", 6, "SIGINT")
        assert last["hint"] == hint
    out, _ = told("show", "stopped")
    assert f"to go on    {hint.removesuffix(' goes on')}" in out
    assert "6 of 12 over, 2 diverged; 2 groups" in out
    assert "0 of 2" in out
    out, err = told("resume", "stopped", *["--json"] * as_json)
    if as_json:
        assert json.loads(out.splitlines()[0])["members"] == 6
    else:
        assert err.startswith("6 members in 1 group")
        assert "12 of 12 over, 4 diverged" in err
    whole, stopped = load_sweep("whole").results, load_sweep("stopped").results
    assert {**whole, "seconds": 0} == {**stopped, "seconds": 0}
    _, err = told("resume", "stopped", code=2)
    assert "which has ended (complete)" in err
    _, err = told("resume", "stopped", "--epochs", "3", code=2)
    assert "which has ended (complete)" in err


def _signal_after(monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """Send SIGINT to this process after so many updates of what is recorded."""
    from thalweg.study.sweeps.writing import GroupWriter

    original = GroupWriter.__call__
    made = 0

    def call(self: Any, event: Any) -> None:
        nonlocal made
        made += type(event).__name__ == "Step"
        if made == moves:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, event)

    monkeypatch.setattr(GroupWriter, "__call__", call)


def test_a_full_disk_loses_nothing(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    from thalweg.store import SeriesFolder as Folder

    with monkeypatch.context() as patch:
        patch.setattr("thalweg.store.series.write_parquet", _refuse)
        _, err = told("sweep", "digits", *SMALL, *OVER, "--out", "s", code=1)
    assert "No space left" in err
    assert err.endswith("then thalweg resume s goes on\n")
    told("resume", "s")
    assert Folder.open(Path("s")).info.state == "complete"


def _refuse(file: Path, *_: object) -> None:
    from thalweg.files import cannot

    raise cannot("written", file, OSError(28, "No space left on device"))


def test_sweeps_are_listed_after_the_runs(told: Told) -> None:
    told("sweep", "digits", *SMALL, *OVER, "--name", "rates", "--tag", "good")
    out, _ = told("runs")
    assert out.splitlines()[2].split()[:6] == ["rates", "sweep", "complete", "6", "6", "2"]
    told("train", "digits", *SMALL, "--name", "first")
    out, _ = told("runs")
    lines = out.splitlines()
    assert lines[2].split()[0] == "first"
    assert lines[3] == ""
    assert lines[6].split()[0] == "rates"
    rows = [json.loads(line) for line in told("runs", "--json")[0].splitlines()]
    assert [row["name"] for row in rows] == ["first", "rates"]
    assert (rows[1]["kind"], rows[1]["members"], rows[1]["varies"]) == ("sweep", 6, ["lr"])
    assert "rates" not in told("runs", "--filter", "state=complete")[0]
    assert "first" not in told("runs", "--tag", "good")[0]
    assert "rates" in told("runs", "--tag", "good")[0]
    assert told("runs", "--tag", "bad")[1] == "no runs in runs of that sort\n"


def test_damaged_sweeps_are_listed(told: Told) -> None:
    told("sweep", "digits", *SMALL, *OVER, "--name", "one")
    told("sweep", "digits", *SMALL, *OVER, "--name", "two")
    Path("runs/one/series.json").write_text("{")
    Path("runs/two/results.parquet").write_text("{")
    out, _ = told("runs")
    assert "one is damaged: got" in out
    assert "two is damaged: got" in out
    rows = [json.loads(line) for line in told("runs", "--json")[0].splitlines()]
    assert [row["state"] for row in rows] == ["damaged", "damaged"]
    _, err = told("show", "two", code=1)
    assert "results.parquet (damaged)" in err


def test_a_sweep_is_shown(told: Told) -> None:
    table, _ = told("sweep", "digits", *SMALL, *OVER, "--name", "rates", "--tag", "good")
    out, _ = told("show", "rates")
    lines = dict(line.split(None, 1) for line in out.splitlines()[:14] if line)
    assert (lines["sweep"], lines["state"], lines["tags"]) == ("rates", "complete", "good")
    assert (lines["varies"], lines["seeds"]) == ("lr", "0, 1")
    assert lines["members"] == "6 of 6 over, 2 diverged; 1 group"
    assert lines["settings"] == "data.subset=240, model.hidden=8, batch_size=60, epochs=2"
    assert out.endswith(table)
    facts = json.loads(told("show", "runs/rates", "--json")[0])
    assert len(facts["table"]) == 3
    assert facts["best"]["setting"] == {"lr": 0.1}
    assert facts["diverged"] == 2
    _, err = told("show", "rates", "--plot", code=2)
    assert "got --plot for runs/rates, a sweep; expected a run" in err
    told("train", "digits", *SMALL, "--name", "first")
    _, err = told("show", "rates", "first", code=1)
    assert "got 'rates', which is a series of many runs; expected one run" in err


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate"], ["predict"], ["export"], ["runs", "tag"], ["runs", "rename"],
        ["runs", "move"], ["runs", "delete", "--yes"],
    ],
)  # fmt: skip
def test_what_a_sweep_cannot(words: list[str], told: Told) -> None:
    if not Path("runs/rates").exists():
        told("sweep", "digits", *SMALL, "--over", "lr=0.1", "--name", "rates")
    more = {"predict": ["x.png"], "export": ["--to", "x.pt"], "tag": ["x"], "rename": ["x"],
            "move": ["x"]}  # fmt: skip
    _, err = told(*words, "rates", *more.get(words[-1], []), code=1)
    assert (
        "got 'rates', which is a series of many runs; expected one run. Hint: thalweg show" in err
    )
    assert ".model(0)" in err
