"""The report in a real browser: drawn, quiet, offline, in place, and in the reader's colours."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.plots import Record, report
from thalweg.plots.theme import DARK, INK, MUTED, SERIES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
EVIL = "</script><script>hacked = 1</script><img src=x onerror='hacked = 2'>"
NAMES = (EVIL, "a class with a long name", *(f"<b>{k}</b>" for k in range(8)))

# Where each figure's legend ends and its data begin, in pixels from the top of the page.
LEGENDS = """[...document.querySelectorAll(".plot")]
  .filter((plot) => plot.querySelector(".legend"))
  .map((plot) => [
    plot.querySelector(".legend").getBoundingClientRect().bottom,
    plot.querySelector(".nsewdrag").getBoundingClientRect().top,
  ])"""
INK_OF = """(selector) => getComputedStyle(document.querySelector(selector)).fill"""
LINES = """[...document.querySelectorAll("#figure-0 .js-line")]
  .map((line) => getComputedStyle(line).stroke)"""
WIDTHS = '[...document.querySelectorAll(".plot")].map((plot) => plot.layout.width)'
FITS = """[...document.querySelectorAll(".plot")].every(
  (plot) => plot.clientWidth === plot.querySelector(".main-svg").clientWidth)"""
TURNED = 'document.querySelector("#figure-0").layout.xaxis.title.text'


def rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(written: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    g = np.random.default_rng(0)
    true = g.integers(0, len(NAMES), 500)
    predicted = np.where(g.random(500) < 0.8, true, g.integers(0, len(NAMES), 500))
    run = written(
        name=EVIL,
        tags=(EVIL,),
        state="diverged",
        spec_toml=EVIL,
        environment={EVIL: "x" * 300},
        classes=NAMES,
        said={"true": true, "predicted": predicted},
    )
    file: Path = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(report(run), "utf-8")
    return file


@contextmanager
def opened(browser: Any, file: Path, size: str, scheme: str) -> Iterator[Any]:
    """Open the page offline; whatever it says or asks for is an error."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if outside(request.url) else None)
    page.goto(file.as_uri())
    yield page
    assert said == []
    assert page.evaluate("typeof hacked") == "undefined"
    context.close()


def until(page: Any, condition: str) -> None:
    """Wait for what comes with the next frame; the page's policy forbids Playwright's own way."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    pytest.fail(f"in vain: {condition}")


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_drawn_whole_and_in_its_colours(
    browser: Any, file: Path, size: str, scheme: str
) -> None:
    with opened(browser, file, size, scheme) as page:
        plots = page.locator(".plot").count()
        drawn = page.locator(".js-plotly-plot:has(.main-svg)").count()
        assert drawn == plots == 4
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert all(legend <= data + 1 for legend, data in page.evaluate(LEGENDS))
        colours = DARK if scheme == "dark" else {light: light for light in DARK}
        assert page.evaluate(INK_OF, "#figure-0 .xtick text") == rgb(colours[INK])
        lines = page.evaluate(LINES)
        assert {rgb(colours[colour]) for colour in (MUTED, SERIES[0], SERIES[1])} <= set(lines)
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert ink == rgb(colours[INK])


def test_names_are_shown_letter_by_letter(browser: Any, file: Path) -> None:
    with opened(browser, file, "desk", "light") as page:
        assert page.locator("h1").inner_text() == EVIL
        shown = page.locator("#figure-confusion .ytick text").all_text_contents()
        assert set(shown) == {name if len(name) <= 18 else name[:17] + "…" for name in NAMES}
        assert page.locator("#figure-confusion .heatmap-label").count() > len(NAMES)


def test_the_axis_turns_from_epochs_to_steps(browser: Any, file: Path) -> None:
    with opened(browser, file, "desk", "dark") as page:
        ends = "Math.max(...document.querySelector('#figure-0').calcdata[0].map((p) => p.x))"
        assert (page.evaluate(TURNED), page.evaluate(ends)) == ("epoch", 5)
        page.get_by_label("step").check()
        assert (page.evaluate(TURNED), page.evaluate(ends)) == ("step", 100)
        page.get_by_label("epoch").check()
        assert (page.evaluate(TURNED), page.evaluate(ends)) == ("epoch", 5)


def test_the_colours_follow_the_scheme_and_paper_is_light(browser: Any, file: Path) -> None:
    with opened(browser, file, "desk", "light") as page:

        def lines_once(ink: str) -> list[str]:
            until(page, f"({INK_OF})('#figure-0 .xtick text') === '{rgb(ink)}'")
            lines: list[str] = page.evaluate(LINES)
            return lines

        light = lines_once(INK)
        page.emulate_media(color_scheme="dark")
        dark = lines_once(DARK[INK])
        assert not set(light) & set(dark)
        page.emulate_media(media="print", color_scheme="dark")
        assert lines_once(INK) == light
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate(WIDTHS) == [640] * 4
        assert all(legend <= data + 1 for legend, data in page.evaluate(LEGENDS))
        page.emulate_media(media="screen", color_scheme="dark")
        assert lines_once(DARK[INK]) == dark
        assert page.locator("details[open]").count() == 0


def test_a_window_that_narrows_keeps_legends_off_the_data(browser: Any, file: Path) -> None:
    with opened(browser, file, "desk", "light") as page:
        for size in ("phone", "desk"):
            width, height = SIZES[size]
            page.set_viewport_size({"width": width, "height": height})
            until(page, FITS)
            assert all(legend <= data + 1 for legend, data in page.evaluate(LEGENDS))
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_the_numbers_are_there(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("noscript").count() == 1
    assert "47 of 50" in page.locator("table").first.inner_text()
    context.close()
