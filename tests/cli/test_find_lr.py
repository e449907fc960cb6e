from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.cli.find_lr import _print, _row
from thalweg.study import FoundLr, Rate, find_lr

Told = Callable[..., tuple[str, str]]

SMALL = ("digits", "--hidden", "8", "--subset", "240", "--val", "60", "--batch-size", "20")
SMALL += ("--optimizer", "sgd", "--seeds", "2", "--steps", "12", "--warm", "4")
SMALL += ("--low", "1e-3", "--high", "100", "--threads", "1")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def found() -> FoundLr:
    return find_lr(
        "mlp", "digits", hidden=(8,), subset=240, val=60, batch_size=20, optimizer="sgd", seeds=2,
        steps=12, warm=4, low=1e-3, high=100.0, threads=1,
    )  # fmt: skip


def test_it_prints_what_the_library_finds(told: Told, found: FoundLr) -> None:
    out, err = told("find-lr", *SMALL, "--out", "lr.html")
    lines = out.splitlines()
    assert lines[0].startswith("sgd: held for 12 steps after 4 steps at ")
    assert f"verdict: {found.verdict}" in lines
    assert f"steps: {found.steps:,} in all" in out
    assert [line.split()[0] for line in lines if line.strip()[:1].isdigit()] == [
        f"{rate.lr:g}" for rate in found.rates
    ]
    assert "fastai valley: " in out
    assert "taken out after 3 steps" in out
    assert lines[-1] == "picture: lr.html"
    assert Path("lr.html").stat().st_size > 1_000_000
    assert err.splitlines()[:3] == ["range test", "warm start", "forks at 6 rates"]


def test_json_has_a_line_for_each_rate_and_the_answer(told: Told, found: FoundLr) -> None:
    out, err = told("find-lr", *SMALL, "--json", "--out", "lr.html")
    *rates, last = map(json.loads, out.splitlines())
    assert err == ""
    assert [each["lr"] for each in rates] == found.columns["lr"]
    assert {each["event"] for each in rates} == {"rate"}
    assert last["event"] == "complete"
    assert (last["verdict"], last["best"]) == (found.verdict, found.best)
    assert tuple(last["interval"]) == found.interval
    assert last["picture"] == "lr.html"


def test_quiet_is_the_verdict_alone(told: Told, found: FoundLr) -> None:
    assert told("find-lr", *SMALL, "--quiet") == (f"{found.verdict}\n", "")


def test_gradient_descent_is_told_its_limit(told: Told) -> None:
    words = [word if word != "20" else "full" for word in SMALL]
    out, _ = told("find-lr", *words, "--steps", "4", "--warm", "0")
    assert "stable on the quadratic where forks begin: up to " in out
    assert out.startswith("sgd: held for 4 steps, 2 seeds")


def test_prodigy_is_no_rule_of_the_usual_kind(told: Told) -> None:
    out, _ = told("find-lr", *SMALL, "--optimizer", "prodigy")
    assert "note: prodigy has no learning rate of the usual kind: lr multiplies" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seeds", "1"), "--seeds 1"),
        (("--steps", "3"), "--steps 3"),
        (("--warm", "x"), "--warm x"),
        (("--low", "no"), "--low no"),
        (("--high", "-1"), "--high -1"),
        (("-s", "lr=0.1"), "-s lr=0.1"),
        (("--lr", "0.1"), "the unknown option --lr"),
        (("--out", "lr.gif"), "--out lr.gif"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(told: Told, words: tuple[str, ...], complaint: str) -> None:
    _, err = told("find-lr", *SMALL, *words, code=2)
    assert complaint in err


def test_rows_say_why_a_rate_has_no_number() -> None:
    lost = Rate(3.0, 3, float("inf"), float("nan"), None, None, None, 2, False, False)
    assert _row(lost) == ("3", "–", "–", "–", "2 seeds diverged")
    sure = Rate(0.1, 12, 0.5, 0.01, 0.2, 0.02, 1e-5, 0, False, False)
    assert _row(sure) == ("0.1", "0.5 ± 0.01", "0.2 ± 0.02", "<0.001", "")


def test_where_there_is_no_edge_and_no_answer(
    found: FoundLr, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    import numpy as np

    flat = replace(found.range, losses=np.ones_like(found.range.losses))
    _print(replace(found, range=flat, peers={"lightning": [None, None]}), None)
    out = capsys.readouterr().out
    assert "divergence edge: none up to 100" in out
    assert "lightning: no answer" in out
