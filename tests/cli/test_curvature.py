from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.study import load_curvature, train

Told = Callable[..., tuple[str, str]]
QUICK = ("--subset", "80", "--k", "2", "--probes", "2", "--lanczos", "8", "--products", "12")


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    train("mlp", "digits", hidden=(4,), steps=8, optimizer="sgd", lr=0.1, record_states=4,
          out=Path("runs", "one"))  # fmt: skip
    return tmp_path


def test_a_page_and_tables(told: Told, walked: Path) -> None:
    out, err = told("curvature", "one", *QUICK)
    assert err == ""
    assert "network   number   eigenvalue   residual" in out
    assert "2 / lr is 20" in out
    assert out.endswith("page: runs/one/curvature/curvature.html\n")
    page = (walked / "runs/one/curvature/curvature.html").read_text("utf-8")
    assert "thalweg curvature one --k=2 --products=12 --probes=2 --lanczos=8 --subset=80" in page
    assert load_curvature("runs/one/curvature").whole


def test_along_training(told: Told, walked: Path) -> None:
    words = ("--checkpoint", "states", "--probes", "0", "--products", "0", "--subset", "80")
    found = json.loads(told("curvature", "one", *words, "--json")[0])
    assert [each["step"] for each in found["networks"]] == [0, 4, 8]
    assert [each["limit"] for each in found["networks"]] == [None, 20, 20]
    assert all(len(each["eigenvalues"]) == 5 for each in found["networks"])
    assert found["networks"][0]["trace"] is None
    assert Path(found["folder"]).name == "curvature-at-states"


def test_only_the_largest(told: Told, walked: Path) -> None:
    out, _ = told("curvature", "one", "--what", "largest", "--k", "1", "--subset", "80", "--json")
    (found,) = json.loads(out)["networks"]
    assert len(found["eigenvalues"]) == 1
    assert found["smallest"] is found["trace"] is found["noise"] is None


def test_sharpness_alone(told: Told, walked: Path) -> None:
    words = ("--what", "sharpness", "--subset", "80", "--json")
    (found,) = json.loads(told("curvature", "one", *words)[0])["networks"]
    assert found["eigenvalues"] is found["residuals"] is None
    assert found["box"] > 0
    assert found["ball"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--k", "0"], "--k 0; expected a number of eigenvalues"),
        (["--products", "3"], "products=3"),
        (["--lanczos", "x"], "--lanczos x"),
        (["--seed", "x"], "--seed x"),
        (["--what", "eigenvalues"], "what='eigenvalues'; expected some of largest"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], said: str, told: Told, walked: Path) -> None:
    out, err = told("curvature", "one", "--subset", "80", *words, code=2)
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_a_checkpoint_that_there_is_not(told: Told, walked: Path) -> None:
    _, err = told("curvature", "one", "--checkpoint", "5", code=1)
    assert "the checkpoint '5'" in err
