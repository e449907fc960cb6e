from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thalweg.cli import main
from thalweg.recipes import load_recipe
from thalweg.spec import Spec
from thalweg.store import RunFolder

QUICK = ["train", "digits", "--hidden", "16", "--steps", "4", "--evaluate-every", "2steps"]


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(words) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def events(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    out, _ = told(capsys, *words, "--json", code=code)
    return [json.loads(line, parse_constant=refuse) for line in out.splitlines()]


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, *QUICK)
    above, below, middle, last, result = out.splitlines()
    assert above.split() == ["running", "train", "test"]
    assert below.split() == ["epoch", *["loss", "accuracy"] * 3, "lr", "seconds"]
    assert len(middle.replace(" %", "%").split()) == 1 + 2 * 2 + 2  # train is measured at the end
    assert len(last.replace(" %", "%").split()) == 1 + 3 * 2 + 2
    assert len({len(line) for line in (above, middle, last)} | {len(below)}) <= 2
    assert result.startswith("train ")
    assert "/1438 (" in result
    assert "/359 (" in result
    assert "done after 0.17 epochs, 4 steps" in result
    assert err.startswith("recorded in ")


def test_quiet_tells_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, *QUICK, "--quiet")
    assert out.count("\n") == 1
    assert "test " in out
    assert err == ""


def test_regression_tells_losses(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = told(capsys, "train", "reg-plane", "--steps", "2", "--metrics", "mae", "--lr", "1e-9")
    assert out.splitlines()[1].split() == ["epoch", *["loss", "mae"] * 3, "lr", "seconds"]
    assert "train loss " in out.splitlines()[-1]
    assert " % " not in out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    first, *middle, last = events(capsys, *QUICK, "--seed", "3")
    assert first["event"] == "started"
    assert first["spec"]["seed"] == 3
    assert Spec.parse(first["spec"]).model.options == {"hidden": (16,)}
    assert first["samples"] == {"train": 1438, "test": 359}
    assert first["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert {"thalweg", "torch", "python"} <= set(first["versions"])
    assert [(each["event"], each["step"]) for each in middle] == [
        ("evaluated", 2),
        ("evaluated", 4),
    ]
    assert {"epoch", "gradients", "seconds", "lr", "running_accuracy", "test_loss"} <= set(
        middle[0]
    )
    assert 0 <= middle[1]["train_accuracy"] <= 1
    assert last["event"] == "finished"
    assert last["reason"] == "complete"
    assert last["test_accuracy"] == middle[1]["test_accuracy"]


def test_json_tells_of_every_nth_step(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [e for e in events(capsys, *QUICK, "--log-every", "2") if e["event"] == "step"]
    assert [step["step"] for step in steps] == [2, 4]
    assert steps[0]["lr"] == 0.001
    assert {"loss", "accuracy"} <= set(steps[0])


@pytest.mark.parametrize("count", ["-1", "two"])
def test_every_nth_step_is_a_number(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = told(capsys, *QUICK, "--json", "--log-every", count, code=2)
    assert f"got --log-every {count}" in err


def test_a_run_is_recorded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THALWEG_RUNS")
    monkeypatch.chdir(tmp_path)
    _, err = told(capsys, *QUICK, "--name", "first try", "--tag", "a", "--tag", "b")
    assert err == "recorded in runs/first-try\n"
    run = RunFolder.open(tmp_path / "runs" / "first-try")
    assert (run.name, run.tags, run.state) == ("first try", ("a", "b"), "complete")
    first, *_, last = events(capsys, *QUICK, "--out", "elsewhere/x", "--keep-last", "1")
    assert first["folder"] == last["folder"] == str(tmp_path / "elsewhere" / "x")
    assert first["step"] == 0
    told(capsys, *QUICK, "--quiet")
    named = [each.name for each in (tmp_path / "runs").iterdir() if each.name != "first-try"]
    assert [name.rpartition("_")[0] for name in named] == ["digits_mlp_adam"]


def test_nothing_is_recorded_if_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THALWEG_RUNS")
    monkeypatch.chdir(tmp_path)
    first, *_, last = events(capsys, *QUICK, "--no-record")
    assert first["folder"] is last["folder"] is None
    assert told(capsys, *QUICK, "--no-record")[1] == ""
    told(capsys, *QUICK, "--log", "tensorbord", code=2)
    told(capsys, *QUICK, "--print-spec")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--out", "full"], 1, "which holds something else already; expected an empty or a new f"),
        (["--out", "file"], 1, "got "),
        (["--no-record", "--out", "x"], 2, "got --out and --no-record; expected one of the two"),
        (["--no-record", "--name", "x"], 2, "got --name and --no-record"),
        (["--no-record", "--tag", "x"], 2, "got --tag and --no-record"),
        (["--checkpoint-every", "often"], 2, "got record.checkpoint_every='often'; expected"),
        (["--keep-last", "0"], 2, "got record.keep_last=0; expected at least 1"),
        (["--log", "tensorbord"], 2, "did you mean tensorboard?"),
    ],
)
def test_where_a_run_cannot_be_recorded(
    words: list[str],
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file").touch()
    out, err = told(capsys, *QUICK, *words, code=code)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


DIVERGING = ["train", "reg-plane", "--optimizer", "sgd", "--lr", "1e20", "--epochs", "9"]


def test_a_diverging_run_fails_and_names_the_step(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, *DIVERGING, code=1)
    assert "diverged after" in out
    assert err.startswith("thalweg: got a loss of ")
    assert " after step " in err
    assert "\nrecorded in " in err
    assert err.count("\n") == 2


def test_a_diverging_run_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    *_, diverged, finished = events(capsys, *DIVERGING, code=1)
    assert diverged["event"] == "diverged"
    assert diverged["loss"] is None
    assert diverged["step"] >= 1
    assert finished["reason"] == "diverged"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--until", "test_accuracy>=0.0"], "test_accuracy>=0.0 holds"),
        (["--patience", "1", "--monitor", "test_loss", "--lr", "0"], "test_loss no better in 1 ev"),
        (["--max-seconds", "0"], "the time is up"),
    ],
)
def test_the_result_says_why_the_run_ended(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = told(capsys, *QUICK, "--quiet", *words)
    assert why in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--lr", "-1"], "got optimizer.lr=-1.0; expected at least 0"),
        (["--batch-size", "0"], "got batch_size=0; expected at least 1"),
        (["--recipe", "perfectfit"], "Hint: did you mean perfect-fit?"),
        (["--recipe", "lab", "--spec", "x"], "got --spec and --recipe; expected one of the two"),
        (["--spec", "nowhere.toml"], "got --spec nowhere.toml (No such file or directory)"),
        (["-s", "optimiser.lr=1"], "did you mean optimizer"),
        (["--optimizer", "adma"], "did you mean adam"),
        (["--model", "lab-mpl"], "did you mean lab-mlp"),
        (["--loss", "nlll"], "did you mean nll"),
        (["--schedule", "cosin"], "did you mean cosine"),
        (["--momentum", "0.9"], "got momentum for optimizer adam"),
        (["--until", "accuracy"], "got until='accuracy'"),
    ],
)
def test_wrong_usage(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = told(capsys, "train", *words, code=2)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_data_that_cannot_be_had_are_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.data.remote._copy", _no_network)
    _, err = told(capsys, "train", "mnist", code=1)
    assert "Name or service not known" in err
    assert "THALWEG_DATA" in err


def _no_network(*_: object) -> None:
    raise OSError("Name or service not known")


def test_a_model_that_does_not_take_the_data_is_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, err = told(capsys, "train", "digits", "--model", "garment", code=1)
    assert "16x16" in err


def test_print_spec_round_trips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["train", "digits", "--recipe", "perfect-fit", "-s", "optimizer.lr=0.01"]
    text, _ = told(capsys, *words, "--print-spec")
    recipe = load_recipe("perfect-fit")
    assert Spec.from_toml(text) == recipe.override({"data": "digits", "lr": 0.01})
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    again, _ = told(capsys, "train", "--spec", str(file), "--print-spec")
    assert again == text


def test_a_spec_that_is_not_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xff")
    _, err = told(capsys, "train", "--spec", str(file), code=2)
    assert "(not UTF-8)" in err


def test_the_command_line_and_python_train_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from thalweg.study import train

    last = events(capsys, *QUICK, "--lr", "1e-2")[-1]
    run = train("mlp", "digits", hidden=(16,), steps=4, evaluate_every="2steps", lr=1e-2)
    assert run.metrics.items() <= last.items()
