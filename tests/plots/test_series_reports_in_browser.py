"""The pages of sweeps and races in a real browser: drawn, quiet, offline, in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.plots import Plane, RaceRecord, SweepRecord, Way, race_report, sweep_report
from thalweg.plots.theme import DARK, INK

from .test_report_in_browser import (
    EVIL,
    FITS,
    INK_OF,
    LEGENDS,
    SIZES,
    browser,
    opened,
    rgb,
    until,
)

__all__ = ["browser"]

DRAWN = """[...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector(".main-svg"))
  .length"""
# Texts of one axis that stand on one another, a pixel of leeway; slanted ones are left out.
OVERLAPS = """[...document.querySelectorAll(".plot")].flatMap((plot) =>
  [".xtick", ".ytick", ".x2tick"].flatMap((kind) => {
    const all = [...plot.querySelectorAll(`${kind} text`)];
    if (all.some((text) => /rotate\\(-/.test(text.getAttribute("transform")))) return [];
    const boxes = all.map((text) => [text.textContent, text.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], k) => boxes.slice(k + 1).filter(([, b]) =>
      a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1
    ).map(([other]) => [plot.id, kind, one, other]));
  }))"""
# Ticks and titles that the figure cuts off.
CUT = """[...document.querySelectorAll(".plot")].flatMap((plot) => {
  const whole = plot.querySelector(".main-svg").getBoundingClientRect();
  return [...plot.querySelectorAll("[class*=tick] text, [class*=title] text, .legendtext")]
    .map((text) => [plot.id, text.textContent, text.getBoundingClientRect()])
    .filter(([, , box]) => box.left < whole.left - 1 || box.right > whole.right + 1
      || box.bottom > whole.bottom + 1)
    .map(([id, text]) => [id, text]);
})"""
LONG = "an optimizer with a long name"
SWEEPS: dict[str, dict[str, list[Any]]] = {
    "one": {"lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1]},
    "two": {"lr": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0], "momentum": [0.0, 0.5, 0.9, 0.99]},
    "words": {EVIL: ["adam", LONG, EVIL], "lr": [0.001, 0.01]},
    "three": {
        "lr": [0.01, 0.1, 1.0],
        "batch_size": [32, 128],
        "hidden": [[8], [200, 100]],
        "n": [1],
    },
    "many": {"lr": [10.0 ** (k / 4) for k in range(-16, 4)], "seed": list(range(20))},
}


@pytest.fixture(scope="module")
def pages(
    swept: Callable[..., SweepRecord],
    raced: Callable[..., RaceRecord],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / f"{name}.html" for name in (*SWEEPS, "race", "untuned")}
    for name, axes in SWEEPS.items():
        files[name].write_text(sweep_report(swept(axes)), "utf-8")
    files["race"].write_text(race_report(raced((LONG, EVIL, "c"), verdict=EVIL)), "utf-8")
    files["untuned"].write_text(race_report(raced(tuning={}, target="")), "utf-8")
    return files


@pytest.mark.parametrize(
    ("size", "scheme"),
    [("phone", "dark"), pytest.param("desk", "light", marks=pytest.mark.slow)],
)
def test_they_are_drawn_whole_and_nothing_covers_anything(
    browser: Any, pages: dict[str, Path], size: str, scheme: str
) -> None:
    for name, file in pages.items():
        with opened(browser, file, size, scheme) as page:
            assert page.evaluate(DRAWN) == page.locator(".plot").count() > 0, name
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            assert all(legend <= data + 1 for legend, data in page.evaluate(LEGENDS)), name
            assert page.evaluate(OVERLAPS) == [], name
            assert page.evaluate(CUT) == [], name
            colours = DARK if scheme == "dark" else {INK: INK}
            assert page.evaluate(INK_OF, ".xtick text") == rgb(colours[INK]), name


BESIDE = """[
    document.querySelector("#figure-ground .legend").getBoundingClientRect().left,
    document.querySelector("#figure-ground .nsewdrag").getBoundingClientRect().right,
]"""


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_ground_of_a_race_has_its_legend_beside_it(
    browser: Any, raced: Callable[..., RaceRecord], size: str, tmp_path: Path
) -> None:
    axis, T = np.linspace(-1, 1, 5), np.linspace(0, 0.5, 6)
    plane = Plane(axis, axis, axis[:, None] ** 2 + axis**2, "loss", "principal", (0.5, 0.2))
    ways = [Way(f"{LONG} {k}", T, k / 8 * T, 1 - T, 10 * T, 0 * T) for k in range(8)]
    file = tmp_path / "mapped.html"
    file.write_text(race_report(raced(plane=plane, ways=ways)), "utf-8")
    with opened(browser, file, size, "light") as page:
        assert page.evaluate(DRAWN) == page.locator(".plot").count() == 7
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        legend, data = page.evaluate(BESIDE)
        assert legend > data
        assert page.evaluate(OVERLAPS) == []


def test_all_figures_of_a_race_turn_to_the_cost(browser: Any, pages: dict[str, Path]) -> None:
    with opened(browser, pages["race"], "desk", "light") as page:
        title = "document.querySelector('#{}').layout.xaxis.title.text".format
        names = ["figure-0", "figure-1"]
        page.get_by_label("seconds").check()
        assert {page.evaluate(title(name)) for name in names} == {"seconds"}
        assert page.evaluate(title("figure-target")) == "seconds until the target"
        assert page.evaluate(title("figure-profile")) == "times the least seconds"
        ticks = "document.querySelector('#figure-standings').layout.yaxis.ticktext[0]"
        assert page.evaluate(ticks).startswith("&lt;/script")
        page.get_by_label("epochs").check()
        assert page.evaluate(title("figure-0")) == "epochs"
        assert page.evaluate(ticks) == LONG


def test_paper_is_light_and_a_window_may_narrow(browser: Any, pages: dict[str, Path]) -> None:
    for name in ("two", "race"):
        with opened(browser, pages[name], "desk", "dark") as page:
            page.emulate_media(media="print", color_scheme="dark")
            until(page, f"({INK_OF})('.xtick text') === '{rgb(INK)}'")
            assert page.locator("details:not([open])").count() == 0
            assert page.evaluate(OVERLAPS) == []
            page.emulate_media(media="screen", color_scheme="dark")
            width, height = SIZES["phone"]
            page.set_viewport_size({"width": width, "height": height})
            until(page, FITS)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.evaluate(CUT) == []
