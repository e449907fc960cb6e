from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.cli.counting import Counting
from thalweg.cli.ground import folder_for
from thalweg.study import sweep, train

Told = Callable[..., tuple[str, str]]


def test_a_bar_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Counting("nodes", shown=True) as count:
        count(3, 9)
    assert "3 of 9 nodes" in capsys.readouterr().err


def test_where_it_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    options = {"hidden": (4,), "steps": 2}
    train("mlp", "digits", out=Path("runs", "one"), **options)
    sweep("mlp", "digits", over={"lr": [0.1, 0.2]}, out=Path("runs", "s"), **options)
    assert folder_for(["one"], "a") == Path("runs/one/a")
    assert folder_for(["runs/one"], "a") == Path("runs/one/a")
    assert folder_for(["one@2"], "a") == Path("runs/one/a-at-2")
    assert folder_for(["one", "one@2"], "a") == Path("a")
    assert folder_for(["s@1"], "a") == Path("a-at-1")
    assert folder_for(["s"], "a") == Path("a")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_pictures_as_png(told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    monkeypatch.delenv("THALWEG_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    train("mlp", "digits", hidden=(4,), steps=4, record_states=2, out=Path("runs", "one"))
    out, _ = told("landscape", "one", "--resolution", "3", "--subset", "50", "--png")
    assert "picture: runs/one/landscape/contour.png" in out
    for name in ("contour", "surface", "descent"):
        assert Path("runs/one/landscape", f"{name}.png").read_bytes()[:4] == b"\x89PNG"
