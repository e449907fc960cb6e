"""A page of chapters: whole, escaped, and in a real browser drawn, moving and quiet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from thalweg.plots.report.chapters import Chapter, Sheet, chapters_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</script><script>hacked = 1</script>"
DRAWN = '[...document.querySelectorAll(".plot .main-svg, .plot canvas")].length'


def figures() -> list[tuple[str, go.Figure]]:
    x = np.linspace(-1, 1, 9)
    hill = go.Figure(go.Surface(x=x, y=x, z=x[:, None] ** 2 + x**2))
    frames = [go.Frame(name=str(k), data=[go.Scatter(x=[k], y=[k])]) for k in range(3)]
    moving = go.Figure(go.Scatter(x=[0], y=[0]), frames=frames)
    settings = {"frame": {"duration": 0}, "transition": {"duration": 0}}
    button = {"label": "play", "method": "animate", "args": [["2"], settings]}
    moving.update_layout(
        title_text="not on the page", meta={"caption": "moves"},
        updatemenus=[{"type": "buttons", "buttons": [button]}],
    )  # fmt: skip
    return [("a hill", hill), ("a dot", moving)]


@pytest.fixture
def page() -> str:
    sheet = Sheet("sums", ("name", "value"), ((EVIL, "1"), ("b", "")))
    chapters = [
        Chapter("Words", [EVIL]), Chapter("Nothing"), Chapter("Figures", figures=figures()),
        Chapter("Tables", tables=[sheet]),
    ]  # fmt: skip
    return chapters_page(EVIL, "Whole.", [("nodes", "9")], chapters, [("Again:", "thalweg x")])


def test_it_says_all_and_nothing_in_it_runs(page: str) -> None:
    assert EVIL not in page
    assert "<h2>Nothing</h2>" not in page
    assert "not on the page" not in page
    for text in ("Whole.", "nodes", "moves", "a hill", "sums", "thalweg x"):
        assert text in page


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_in_a_browser_it_is_drawn_and_plays(page: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    (tmp_path / "page.html").write_text(page, "utf-8")
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        tab = browser.new_page()
        tab.on("console", lambda each: said.append(each.text) if each.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto((tmp_path / "page.html").as_uri())
        tab.wait_for_function("document.querySelector('#figure-1').data !== undefined")
        assert tab.evaluate(DRAWN) > 2
        tab.click("text=play")
        tab.wait_for_function("document.querySelector('#figure-1').data[0].x[0] === 2")
        assert tab.evaluate("window.hacked") is None
        browser.close()
    assert said == []
