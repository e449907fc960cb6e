from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.study import load_slice, train

Told = Callable[..., tuple[str, str]]
QUICK = ("--resolution", "5", "--subset", "100")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        train("mlp", "digits", hidden=(8,), steps=12, seed=seed, out=Path("runs", name))
    return tmp_path


def test_a_page_and_a_table(told: Told, two: Path) -> None:
    out, err = told("slice", "one", "two", *QUICK)
    assert err == ""
    assert out.startswith("split   metric")
    assert out.endswith("page: slice/slice.html\n")
    page = (two / "slice" / "slice.html").read_text("utf-8")
    assert "thalweg slice one two --resolution=5 --subset=100" in page
    assert load_slice("slice").whole


def test_machines_are_told_all(told: Told, two: Path) -> None:
    words = ("--splits", "test", "--beyond", "0", "--statistics", "frozen", "--out", "x", "--json")
    found = json.loads(told("slice", "one", "two", *QUICK, *words)[0])
    assert found["names"] == ["one", "two"]
    assert found["lines"]["test"]["at"] == [0, 0.25, 0.5, 0.75, 1]
    assert list(found["barriers"]) == ["test"]
    assert found["barriers"]["test"]["ends"][0] == found["lines"]["test"]["values"]["loss"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resolution", "1"], "--resolution 1"),
        (["--beyond", "far"], "--beyond far"),
        (["--beyond", "-1"], "beyond=-1"),
        (["--statistics", "mine"], "--statistics mine"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], said: str, told: Told, two: Path) -> None:
    out, err = told("slice", "one", "two", *words, code=2)
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_networks_that_do_not_fit_together(told: Told, two: Path) -> None:
    train("mlp", "digits", hidden=(9,), steps=4, out=Path("runs", "wide"))
    _, err = told("slice", "one", "wide", code=1)
    assert "of another architecture" in err
