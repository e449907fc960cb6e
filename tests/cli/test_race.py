from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from thalweg.study import load_race
from thalweg.study.races.contest import Race

Told = Callable[..., tuple[str, str]]

SMALL = ("digits", "--hidden", "8", "--subset", "240", "--val", "60", "--batch-size", "60")
SMALL += ("--steps", "8", "--evaluate-every", "4steps", "--seeds", "2")
TITLES = ("at equal epochs", "at equal gradient evaluations", "at equal seconds")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a race that is complete, one that is not tuned, and one that was killed."""
    from thalweg.study import begin_race, race

    root = tmp_path_factory.mktemp("races")
    small: dict[str, Any] = {
        "model": "mlp", "data": "digits", "hidden": (8,), "subset": 240, "val": 60,
        "batch_size": 60, "steps": 8, "evaluate_every": "4steps", "seeds": 2,
    }  # fmt: skip
    race(**small, optimizers="momentum,adam", out=root / "whole", tags=["good"])
    race(**small, optimizers="momentum,adam", tune=False, out=root / "plain")
    _, events = begin_race(**small, optimizers="momentum,adam", out=root / "halted")
    for _ in range(15):
        next(events)
    events.close()  # type: ignore[attr-defined]
    return root


@pytest.fixture
def races(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, as the folder of runs; the working directory is the one above."""
    shutil.copytree(made, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    return tmp_path / "runs"


def test_a_race_from_beginning_to_end(told: Told, races: Path) -> None:
    words = ("--optimizers", "sgd,momentum+lookahead@cosine", "--name", "first", "--tag", "try")
    out, err = told("race", *SMALL, *words)
    assert [title for title in TITLES if title in out] == list(TITLES)
    *_, last = out.splitlines()
    found = load_race("first")
    assert last == f"verdict: {found.verdict}"
    assert found.info.tags == ["try"]
    lines = err.splitlines()
    assert lines[0] == "tuning, round 1: 10 networks"
    assert lines[1].startswith("tuning, round 2: 4 networks; best so far: sgd ")
    assert lines[-2].startswith("the race: 4 networks; best so far: sgd ")
    assert lines[-1] == "recorded in runs/first"
    out, err = told("show", "first")
    assert out.endswith(f"{last}\n")
    assert "contestants  sgd, momentum+lookahead@cosine" in out


def test_for_machines(told: Told, races: Path) -> None:
    words = ("--optimizers", "sgd,gd", "--json", "--no-record", "--order", "own")
    out, err = told("race", *SMALL, *words, "--metric", "val_loss", "--target", "val_loss<=2")
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = [line["event"] for line in lines]
    assert kinds[0] == "started"
    assert set(kinds[1:]) == {"evaluated", "finished", "trial", "complete"}
    last = lines[-1]
    assert (last["folder"], last["metric"], last["target"]) == (None, "val_loss", "val_loss<=2")
    assert {each["contestant"] for each in last["epochs"]} == {"sgd", "gd"}
    assert last["epochs"][0]["val_loss"]["n"] == 2
    assert last["epochs"][0]["p"] is None
    evaluated = next(line for line in lines if line["event"] == "evaluated")
    assert evaluated["part"] == "tuning-00"
    assert len(evaluated["contestants"]) == len(evaluated["val_loss"]) == len(evaluated["seeds"])


def test_the_verdict_alone(told: Told, races: Path) -> None:
    out, err = told(
        "race", *SMALL, "--optimizers", "sgd,adam", "--quiet", "--no-record", "--no-tune"
    )
    assert out == "verdict: no verdict: the learning rates were not tuned\n"
    assert err == ""


def test_untuned_there_is_no_verdict_wherever_it_is_shown(told: Told, races: Path) -> None:
    words = ("race", *SMALL, "--optimizers", "sgd,adam", "--no-tune", "--out", "runs/other")
    for shown in (words, ("show", "plain"), ("show", "other")):
        out, _ = told(*shown)
        assert "tuning: none; the learning rates are the rules' defaults" in out
        assert out.endswith("verdict: no verdict: the learning rates were not tuned\n")
    facts = json.loads(told("show", "plain", "--json")[0])
    assert facts["verdict"] == "no verdict: the learning rates were not tuned"
    assert facts["tuned"] is False


def test_one_seed_has_no_intervals(told: Told, races: Path) -> None:
    out, _ = told("race", *SMALL, "--optimizers", "adam", "--seeds", "1", "--no-record")
    assert "over 1 seed, which has no intervals" in out
    assert out.endswith("verdict: adam ran alone\n")
    assert "behind:" not in out


def test_a_race_in_which_all_diverge(told: Told, races: Path) -> None:
    words = ("reg-plane", "--hidden", "4", "--steps", "3", "--optimizers", "sgd", "--l2", "1e38")
    out, _ = told("race", *words, "--seeds", "2", "--no-record", code=1)
    assert "all diverged" in out
    assert "0 of 2 seeds" in out
    assert out.endswith("verdict: no verdict: every run diverged\n")


# ── what was interrupted ─────────────────────────────────────────────────────────────────────────


def _signal_after(monkeypatch: pytest.MonkeyPatch, events: int, number: signal.Signals) -> None:
    """Send a signal to this process after some events of a race."""
    original = Race.events

    def made(self: Race) -> Iterator[Any]:
        for count, each in enumerate(original(self)):
            if count == events:
                os.kill(os.getpid(), number)
            yield each

    monkeypatch.setattr(Race, "events", made)


def test_it_goes_on(told: Told, races: Path) -> None:
    out, _ = told("show", "halted")
    assert "to go on     thalweg resume runs/halted" in out
    assert "verdict" not in out
    out, err = told("resume", "halted")
    assert out.splitlines()[-1] == f"verdict: {load_race('whole').verdict}"
    assert load_race("halted").standings() == load_race("whole").standings()
    assert err.endswith("recorded in runs/halted\n")
    _, err = told("resume", "halted", code=2)
    assert "which has ended (complete)" in err


def test_longer_is_for_runs(told: Told, races: Path) -> None:
    _, err = told("resume", "halted", "--epochs", "3", code=2)
    assert "got epochs=… for the race" in err


@pytest.mark.parametrize("as_json", [False, True])
def test_a_signal_ends_it_with_a_word(
    as_json: bool, told: Told, races: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _signal_after(monkeypatch, 4, signal.SIGINT)
    words = ("race", *SMALL, "--optimizers", "adam", "--out", "runs/new", *["--json"] * as_json)
    out, err = told(*words, code=130)
    hint = "thalweg resume runs/new goes on"
    assert err.endswith(f"interrupted in tuning, round 1 by SIGINT; saved: {hint}\n")
    if as_json:
        last = json.loads(out.splitlines()[-1])
        assert (last["event"], last["part"], last["hint"]) == ("interrupted", "tuning-00", hint)
    assert load_race("new").info.state == "interrupted"


def test_a_full_disk_loses_nothing(
    told: Told, races: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("thalweg.files.os.fsync", full)
        _, err = told("resume", "halted", code=1)
    assert err.endswith("then thalweg resume runs/halted goes on\n")
    told("resume", "halted", "--quiet")
    assert load_race("halted").verdict == load_race("whole").verdict


# ── lists, shows, wrong words ────────────────────────────────────────────────────────────────────


def test_races_are_listed(told: Told, races: Path) -> None:
    out, _ = told("runs")
    rows = {line.split()[0]: line.split()[1:6] for line in out.splitlines()[2:]}
    assert rows["whole"] == ["race", "complete", "4", "4", "0"]
    assert rows["halted"][:4] == ["race", "killed", "4", "0"]
    out, _ = told("runs", "--tag", "good", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["whole"]
    (races / "plain" / "race.json").write_text("{")
    (races / "whole" / "final" / "results.parquet").write_text("")
    out, _ = told("runs")
    assert "plain is damaged: " in out
    assert "whole is damaged: " in out


def test_show_for_machines(told: Told, races: Path) -> None:
    facts = json.loads(told("show", "whole", "--json")[0])
    assert facts["kind"] == "race"
    assert facts["verdict"] == load_race("whole").verdict
    assert len(facts["trials"]) == len(load_race("whole").trials)
    assert json.loads(told("show", "halted", "--json")[0])["verdict"] is None
    _, err = told("show", "whole", "--plot", code=2)
    assert "Hint: thalweg report runs/whole draws it" in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "got no --optimizers; expected who takes part. Hint: such as --optimizers sgd"),
        (("--optimizers", "adma"), "did you mean adam"),
        (("--optimizers", ","), "got no contestants"),
        (("--optimizers", "adam", "--seeds", "0"), "got --seeds 0; expected a number of seeds"),
        (("--optimizers", "adam", "--tuning-seeds", "x"), "got --tuning-seeds x"),
        (("--optimizers", "adam", "--order", "odd"), "expected shared or own"),
        (("--optimizers", "adam", "--memory", "much"), "got --memory much"),
        (("--optimizers", "adam", "--metric", "accuracy"), "did you mean val_accuracy"),
        (("--optimizers", "adam", "--target", "good"), "got target='good'"),
        (("--optimizers", "adam", "--lr", "0.1"), "got --lr for all contestants"),
        (("--optimizers", "adam", "-s", "optimizer.lr=0.1"), "got -s optimizer.lr for all"),
        (("--optimizers", "adam", "--no-record", "--name", "x"), "got --name and --no-record"),
        (("--optimizers", "adam", "--hiden", "8"), "the unknown option --hiden"),
    ],
)
def test_wrong_words(words: tuple[str, ...], line: str, told: Told, races: Path) -> None:
    before = sorted(races.iterdir())
    out, err = told("race", "digits", *words, code=2)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert sorted(races.iterdir()) == before


def test_the_target_of_a_schedule_is_still_a_setting(told: Told, races: Path) -> None:
    words = ("--optimizers", "momentum", "--no-tune", "--quiet", "--out", "runs/beta")
    told("race", *SMALL, *words, "--schedule", "cosine", "-s", "schedule.target=momentum")
    assert load_race("beta").base.schedule.target == "momentum"


def test_the_live_table(told: Told, races: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("thalweg.cli.live.PAUSE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        out, _ = told("resume", "halted")
    drawn = screen.getvalue()
    assert "tuning, round 2: 4 networks" in drawn or "tuning, round 1: 10 networks" in drawn
    assert "best lr so far" in drawn
    assert "2 of 2" in drawn
    assert "left" in drawn
    assert out.splitlines()[-1].startswith("verdict: ")


def test_now_and_then_a_line(told: Told, races: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.cli.racing.SILENCE", -1.0)
    _, err = told("race", *SMALL, "--optimizers", "sgd", "--l2", "1e38", "--no-tune", "--no-record",
                  code=1)  # fmt: skip
    assert "the race: 2 networks, 2 diverged, " in err
