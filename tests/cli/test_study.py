from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.store import SeriesFolder

Told = Callable[..., tuple[str, str]]
SMALL = ("--hidden", "8", "--subset", "128", "--until", "train_accuracy>=0.5", "--lr", "0.01")
WORDS = ("study", "batch-size", "digits", *SMALL, "--seeds", "2", "--epochs", "40")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RUNS", raising=False)


def test_an_answer_in_words_and_tables(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.study.questions.asking.save", lambda figure, file: None)
    out, err = told(*WORDS, "--name", "sizes", "--tag", "try", "--pictures")
    title, first, *rest = out.splitlines()
    assert title == "What does the batch size do?"
    assert first.startswith("  The target, train_accuracy>=0.5, is met soonest by the clock with ")
    assert "How many steps, how many passes?" in rest
    assert any(line.split()[:2] == ["batch", "lr"] for line in rest)
    written = [line for line in err.splitlines() if line.startswith("written to ")]
    assert written[0] == "written to runs/sizes/report.html"
    assert written[1] == "written to runs/sizes/costs.png"
    info = SeriesFolder.open(Path("runs/sizes")).info
    assert (info.kind, info.tags, info.about["question"]) == ("sweep", ["try"], "batch-size")
    shown, _ = told("show", "sizes")
    assert out in shown
    page, _ = told("report", "sizes")
    assert page == "runs/sizes/report.html\n"
    assert "What does the batch size do?" in Path("runs/sizes/report.html").read_text("utf-8")


def test_json_ends_with_the_answer(told: Told) -> None:
    Path("mine.toml").write_text(
        'batch_size = 128\nuntil = "train_accuracy>=0.3"\nepochs = 40\nevaluate = ["train"]\n'
        "[model]\nhidden = [8]\n[data]\nsubset = 128\n"
    )
    out, err = told("study", "batch-size", "--spec", "mine.toml", "--seeds", "2", "--json")
    assert "written" not in err
    *events, table, answer = [json.loads(line) for line in out.splitlines()]
    assert events[0]["event"] == "planned"
    assert (table["event"], table["chapter"]) == ("table", "All of it in numbers")
    assert set(table["rows"][0]) >= {"batch", "lr", "steps", "epochs"}
    assert answer["event"] == "answer"
    assert answer["question"] == "What does the batch size do?"
    assert Path(answer["folder"], "report.html").exists()
    assert answer["words"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["memorize", "digits"], "did you mean memorise?"),
        (["memorise", "digits", "--seeds", "1"], "expected a number of seeds, two at least"),
        (["memorise", "digits", "--lr", "-1"], "lr=-1"),
        (["memorise", "--spec", "none.toml"], "expected a file with a spec in TOML"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], line: str, told: Told) -> None:
    _, err = told("study", *words, code=2)
    assert line in err
    assert not Path("runs").exists()
