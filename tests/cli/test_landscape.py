from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thalweg.study import load_landscape, train
from thalweg.study.ground import landscape_page

Told = Callable[..., tuple[str, str]]
QUICK = ("--resolution", "5", "--subset", "100")


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two runs with recorded states and one without, below the working directory."""
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        train("mlp", "digits", hidden=(8,), steps=12, seed=seed, record_states=2,
              checkpoint_every="4steps", out=Path("runs", name))  # fmt: skip
    train("mlp", "digits", hidden=(8,), steps=4, out=Path("runs", "bare"))
    return tmp_path / "runs"


def test_a_page_and_a_table(told: Told, walked: Path) -> None:
    out, err = told("landscape", "one", *QUICK)
    assert err == ""
    assert "direction   explained   a random walk" in out
    assert "25 networks on 100 samples of train" in out
    assert out.endswith("page: runs/one/landscape/landscape.html\n")
    page = (walked / "one" / "landscape" / "landscape.html").read_text("utf-8")
    assert "thalweg landscape one --resolution=5 --subset=100" in page
    assert load_landscape(walked / "one" / "landscape").surface.whole


def test_several_runs_go_where_you_are_and_machines_are_told_the_same(
    told: Told, walked: Path
) -> None:
    out, err = told("landscape", "one", "two", "--resolution", "5,4", "--subset", "100", "--json")
    found = json.loads(out)
    assert err == ""
    assert (found["directions"], found["shape"]) == ("principal", [5, 4])
    assert [each["name"] for each in found["runs"]] == ["one", "two"]
    assert found["explained"][0] > found["explained"][1] > 0
    assert len(found["null"]) == 2
    assert Path(found["page"]) == walked.parent / "landscape" / "landscape.html"
    assert found["lowest"] <= found["reference"]["loss"] <= found["highest"]


def test_pca_is_a_word_for_principal_and_other_kinds_have_folders_of_their_own(
    told: Told, walked: Path
) -> None:
    out, _ = told("landscape", "one", "--directions", "pca", "--metric", "accuracy", *QUICK)
    assert "accuracy " in out
    out, _ = told("landscape", "one@8", "--directions", "hessian", *QUICK)
    assert "eigenvalue   residual" in out
    assert "page: runs/one/landscape-hessian-at-8/landscape.html" in out
    out, _ = told("landscape", "one", "two", "--directions", "between", "--out", "x", *QUICK)
    assert out.endswith("page: x/landscape.html\n")


def test_without_states_it_is_random_and_says_what_to_do(told: Told, walked: Path) -> None:
    out, err = told("landscape", "bare", *QUICK)
    assert "bare without recorded states" in err
    assert "--record-states 10" in err
    assert "cosine to the first" in out
    _, err = told("landscape", "bare", "--directions", "principal", *QUICK, code=2)
    assert "without recorded states; expected three states of each run at least" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_there_is_and_the_same_command_goes_on(
    number: signal.Signals, told: Told, walked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = landscape_page.landscape_page

    def stop(*given: Any) -> str:
        os.kill(os.getpid(), number)
        return real(*given)

    words = ("landscape", "one", "--resolution", "17", "--subset", "100")
    told(*words, "--out", "whole")
    monkeypatch.setattr(landscape_page, "landscape_page", stop)
    _, err = told(*words, code=128 + number)
    assert err.startswith("thalweg: interrupted after 64 of 289 nodes by SIG")
    assert err.endswith("saved: the same command goes on\n")
    folder = walked / "one" / "landscape"
    assert load_landscape(folder).surface.done.sum() == 64
    assert "Unfinished" in (folder / "landscape.html").read_text("utf-8")
    monkeypatch.undo()
    monkeypatch.chdir(walked.parent)
    told(*words)
    mine, whole = (load_landscape(each).surface for each in (folder, "whole"))
    assert torch.equal(mine.values["loss"], whole.values["loss"])


def test_what_is_in_the_folder_stays_unless_asked(told: Told, walked: Path) -> None:
    told("landscape", "one", *QUICK)
    _, err = told("landscape", "one", "--resolution", "4", "--subset", "100", code=2)
    assert "another shape to go on from" in err
    assert "--again" in err
    told("landscape", "one", "--resolution", "4", "--subset", "100", "--again")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--directions", "pac"], "did you mean pca?"),
        (["--resolution", "many"], "--resolution many; expected a number of nodes"),
        (["--resolution", "1"], "--resolution 1"),
        (["--tolerance", "x"], "--tolerance x; expected a number"),
        (["--tolerance", "-1"], "--tolerance -1; expected a share of a step"),
        (["--tolerance", "inf"], "--tolerance inf"),
        (["--extent", "1"], "--extent 1; expected 2 numbers"),
        (["--extent", "a,b"], "--extent a,b"),
        (["--statistics", "froze"], "did you mean frozen?"),
        (["--metric", "acuracy"], "did you mean accuracy?"),
        (["--subset", "0"], "--subset 0; expected a number of samples, or all"),
        (["--n-states", "1"], "--n-states 1"),
        (["--start-from", "x"], "--start-from x"),
        (["--reference", "x"], "--reference x"),
        (["--reference", "99"], "the state 99 as reference"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], said: str, told: Told, walked: Path) -> None:
    out, err = told("landscape", "one", *words, code=2)
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_options_reach_the_study(told: Told, walked: Path) -> None:
    out, _ = told(
        "landscape", "one", "--resolution", "3", "--extent=-1,1", "--subset", "all",
        "--n-states", "3", "--start-from", "1", "--reference", "-2", "--split", "test",
        "--statistics", "frozen", "--seed", "3", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert (found["split"], found["samples"]) == ("test", 359)
    assert found["extent"] == [[-1, 1], [-1, 1]]
    assert found["runs"][0]["coordinates"][-2] == pytest.approx([0, 0], abs=1e-5)


def test_a_picture_of_fewer_nodes(told: Told, walked: Path) -> None:
    words = ("landscape", "one", "--resolution", "33", "--subset", "100", "--tolerance", "0.2")
    found = json.loads(told(*words, "--json")[0])
    assert found["measured"] + found["interpolated"] == 33 * 33
    assert found["measured"] < 700
    assert 0 < found["checked"] < 50
    assert 0 <= found["off"]["median"] <= found["off"]["most"] < 1
    assert found["tolerance"] == 0.2
    out, err = told(*words)
    assert err == ""
    assert f"; {found['interpolated']} nodes interpolated: off by at most" in out
    assert f"{found['measured']} networks on 100 samples of train" in out
    page = (walked / "one" / "landscape" / "landscape.html").read_text("utf-8")
    assert f"Whole: {found['measured']} of 1,089 nodes were measured" in page
    assert "--tolerance=0.2" in page
    out, _ = told(*words, "--metric", "accuracy", "--json")
    assert json.loads(out)["measured"] == found["measured"]
    out, _ = told(*words[:-2], "--json")
    assert json.loads(out)["interpolated"] == json.loads(out)["checked"] == 0
    assert json.loads(out)["off"] == {}


def test_a_run_that_there_is_not(told: Told, walked: Path) -> None:
    _, err = told("landscape", "nix", code=1)
    assert "'nix', which does not exist" in err
