"""``thalweg tune``: what it takes, what it tells, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.cli.live import LiveTable
from thalweg.cli.parser import Namespace
from thalweg.cli.tuning import Tally, follow_tune
from thalweg.spec import Spec
from thalweg.study import begin_tune, load_tuning
from thalweg.study.search.worker import Told

Told_ = Callable[..., tuple[str, str]]
SMALL = (
    "tune", "digits", "--model", "mlp", "--hidden", "8", "--subset", "240", "--batch-size", "60",
    "--epochs", "3", "--split", "0.7,0.2,0.1", "--trials", "8", "--best", "2", "--seeds", "2",
    "--threads", "1",
)  # fmt: skip
OPTIMIZERS = ("--optimizers", "momentum-decay,adagrad,rmsprop,adam")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nobody may change."""
    from thalweg.cli import main

    folder = tmp_path_factory.mktemp("made") / "search"
    assert main([*SMALL, *OPTIMIZERS, "--out", str(folder), "--quiet", "--tag", "try"]) == 0
    return folder


def test_it_searches_and_says_who_won(told: Told_, tmp_path: Path) -> None:
    out, err = told(*SMALL, *OPTIMIZERS)
    assert "verdict: " in out
    assert "winner: trial " in out
    assert "looked at once; over 2 fresh seeds" in out
    assert "thalweg train --spec runs/tune/winner.toml" in out
    assert "wave 1: 8 trials" in err
    assert "11.1 % of its length" in err
    assert err.endswith("recorded in runs/tune\n")
    spec = Spec.from_toml((tmp_path / "runs/tune/winner.toml").read_text())
    assert (spec.data.val, spec.data.test, spec.epochs) == (0.2, 0.1, 3)
    out, _ = told("train", "--spec", "runs/tune/winner.toml", "--no-record", "--quiet")
    assert "val " in out


def test_json_for_machines(told: Told_) -> None:
    out, err = told(*SMALL, *OPTIMIZERS, "--json", "--no-record")
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = [line["event"] for line in lines]
    assert (kinds[0], kinds[-1], err) == ("started", "complete", "")
    assert kinds.count("trial") == 8
    assert {"asked", "ranked"} <= set(kinds)
    assert lines[0]["space"][0]["name"] == "optimizer"
    last = lines[-1]
    assert last["winner"] == last["finalists"][0]["trial"]
    assert last["test"]["test_accuracy"]["n"] == 2
    assert Spec.parse(last["spec"]).seed == 0


def test_what_is_chosen_as_typed(told: Told_) -> None:
    ranges = ("lr=1e-3..1", "batch_size=30..60", "init=default,he-normal",
              "optimizer.adam.beta1=0.5..0.9")  # fmt: skip
    over = [word for each in ranges for word in ("--over", each)]
    out, _ = told(*SMALL, "--optimizers", "sgd,adam", *over, "--schedules", "constant,cosine",
                  "--json", "--no-record", "--pruner", "none", "--sampler", "random")  # fmt: skip
    axes = {axis["name"]: axis for axis in json.loads(out.splitlines()[0])["space"]}
    assert list(axes) == [
        "optimizer",
        "adam.beta1",
        "adam.beta2",
        "schedule",
        "lr",
        "batch_size",
        "init",
    ]
    assert (axes["lr"]["log"], axes["batch_size"]["whole"]) == (True, True)
    assert axes["adam.beta1"]["when"] == {"optimizer": ["adam"]}


def test_a_search_in_toml(told: Told_, tmp_path: Path) -> None:
    text = """
trials = 4
best = 1
seeds = [7]
pruner = "none"
optimizers = ["sgd", "adam"]
[over]
batch_size = [30, 60]
"optimizer.adam.beta1" = {low = 0.5, high = 0.9}
[spec]
epochs = 1
threads = 1
[spec.data]
source = "digits"
subset = 240
"""
    (tmp_path / "search.toml").write_text(text)
    out, _ = told("tune", "--spec", "search.toml", "--quiet", "--name", "mine")
    assert "ran alone" in out
    found = load_tuning(tmp_path / "runs" / "mine")
    assert (found.info.trials, found.info.seeds, found.info.pruner) == (4, [7], "none")
    out, _ = told("tune", "--spec", "search.toml", "--trials", "2", "--no-record", "--quiet")
    (tmp_path / "spec.toml").write_text(Spec().to_toml())
    (tmp_path / "wrong.toml").write_text("epochs = 'x'")
    _, err = told("tune", "--spec", "wrong.toml", code=2)
    assert "epochs='x'" in err


def test_show_report_runs_and_resume(
    told: Told_, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_RUNS", str(made.parent))
    out, _ = told("show", "search")
    assert "momentum-decay.lr        0.0001 to 1, logarithmic" in out
    assert "tags                     try" in out
    assert "verdict: " in out
    out, _ = told("show", "search", "--json")
    facts = json.loads(out)
    assert (facts["kind"], len(facts["results"]), facts["state"]) == ("tune", 8, "complete")
    assert facts["winner"] is not None
    out, _ = told("report", "search", "--out", "page.html")
    page = Path("page.html").read_text()
    for heading in ("The winner", "The search", "What was chosen", "The trials"):
        assert f"<h2>{heading}</h2>" in page
    assert "looked at this once" in page
    out, _ = told("runs")
    assert "search   tune" in out
    _, err = told("resume", "search", code=2)
    assert "which has ended (complete)" in err
    _, err = told("show", "search", "--plot", code=2)
    assert "thalweg report" in err
    out, err = told("tune", "--join", "search")
    assert "who began the search ends it" in err


def test_ctrl_c_saves_it(told: Told_, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = Namespace(json=True, quiet=False)
    settings: dict[str, Any] = {"hidden": (8,), "epochs": 3, "trials": 8, "threads": 1}
    tuning, events = begin_tune("mlp", "digits", optimizers="sgd,adam", best=1, **settings)

    def stopping() -> Any:
        for happening in events:
            if isinstance(happening, Told) and tuning.info.state == "running":
                tuning.info = tuning.info.model_copy(update={"state": "interrupted"})
                os.kill(os.getpid(), signal.SIGINT)
            yield happening

    assert follow_tune(tuning, stopping(), arguments) == 130
    captured = capsys.readouterr()
    last = json.loads(captured.out.splitlines()[-1])
    assert (last["event"], last["signal"]) == ("interrupted", "SIGINT")
    assert "saved: thalweg resume runs/tune goes on" in captured.err
    out, _ = told("show", "tune")
    assert "thalweg resume runs/tune" in out
    assert "not over" in out
    out, _ = told("resume", "tune", "--quiet")
    assert "verdict: " in out


def test_a_table_on_a_terminal() -> None:
    settings: dict[str, Any] = {"hidden": (8,), "epochs": 1, "trials": 4, "threads": 1}
    tuning, events = begin_tune("mlp", "digits", over={"lr": "0.01..1"}, out=False, **settings)
    tally = Tally(tuning)
    with LiveTable(tally, ("trial", "value", "settings")) as table:
        for happening in events:
            table.drawn = 0.0
            table(happening)
    assert tally.done == 4
    assert "the best on fresh seeds" in tally.line()
    assert "4 of 4 trials" in str(table.live.get_renderable().renderables[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--split", "0.9,0.1"), "the shares of train, val and test"),
        (("--split", "0.9,0.2,0.1"), "which make 1"),
        (("--over", "lr"), "KEY=LOW..HIGH"),
        (("--over", "lr=0.1..1", "--over", "lr=1..2"), "each key once"),
        (("--over", "lr=x..y"), "two numbers with two dots"),
        (("--trials", "none"), "--trials none"),
        (("--no-record", "--name", "x"), "--name and --no-record"),
        (("--optimizers", "adma"), "did you mean adam"),
        (("--join", "nothing"), "which does not exist"),
    ],
)
def test_what_cannot_be(told: Told_, words: tuple[str, ...], said: str) -> None:
    code = 1 if "--join" in words else 2
    _, err = told("tune", "digits", *words, code=code)
    assert said in err


def test_nobody_comes_to_the_end(told: Told_) -> None:
    words = ("tune", "reg-plane", "--optimizer", "sgd", "--over", "lr=1e30..1e35", "--trials", "2")
    out, _ = told(*words, "--epochs", "1", "--no-record", code=1)
    assert "no verdict: no trial came to its end" in out
    out, _ = told(*words, "--epochs", "1", "--no-record", "--json", code=1)
    assert json.loads(out.splitlines()[-1])["winner"] is None
