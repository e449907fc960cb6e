from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Told = Callable[..., tuple[str, str]]


@pytest.mark.parametrize("name", ["first", "values", "never", "lost", "halted", "own"])
def test_the_page_is_in_the_folder_of_the_run(name: str, told: Told, copied: Path) -> None:
    out, err = told("report", name)
    assert (out, err) == (f"runs/{name}/report.html\n", "")
    page = (copied / name / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert name in page


def test_it_can_be_elsewhere(told: Told, runs: Path) -> None:
    assert told("report", "first", "--out", "x.html")[0] == "x.html\n"
    assert Path("x.html").stat().st_size > 100_000
    assert not (runs / "first" / "report.html").exists()


def test_a_page_that_cannot_be_written(told: Told, runs: Path) -> None:
    _, err = told("report", "first", "--out", "no/x.html", code=1)
    assert "got no/x.html (No such file or directory)" in err


def test_a_damaged_run(told: Told, copied: Path) -> None:
    (copied / "first" / "predictions.parquet").write_bytes(b"PAR1")
    _, err = told("report", "first", code=1)
    assert "predictions.parquet (damaged)" in err
    assert not (copied / "first" / "report.html").exists()


def test_sweeps_and_races_have_pages_of_their_own(told: Told, copied: Path) -> None:
    small = ("--hidden", "8", "--steps", "4", "--quiet")
    told("sweep", "digits", "--over", "lr=0.01,0.1", "--name", "rates", *small)
    told("race", "digits", "--optimizers", "sgd", "--seeds", "2", "--no-tune", *small)
    assert told("report", "rates")[0] == "runs/rates/report.html\n"
    assert "Test accuracy against lr" in (copied / "rates" / "report.html").read_text("utf-8")
    assert told("report", "runs/race")[0] == "runs/race/report.html\n"
    assert "The verdict" in (copied / "race" / "report.html").read_text("utf-8")
