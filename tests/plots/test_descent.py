from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.plots import descent, save
from thalweg.plots.descent import moments

NAN = float("nan")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LABEL = 'document.querySelector(".slider-label").textContent'


def heads(figure: Any) -> list[Any]:
    """Return the last of each way's three moving traces."""
    return [t for t in figure.data if t.legendgroup and t.showlegend is not False]


def test_frames_go_forward_and_every_run_only_where_it_was(bowl: Any, way: Any) -> None:
    one, other = way(), way([-1, -0.5, 0, 0.2], [0, 0, 0, 0], steps=[0, 2, 3, 6])
    figure = descent(bowl(), [one, other])
    times = [int(step.label) for step in figure.layout.sliders[0].steps]
    assert times == [0, 1, 2, 3, 6]
    seen = [len(frame.data[1].x) for frame in figure.frames]
    assert seen == [1, 2, 3, 3, 3]
    assert [frame.data[2].x.tolist() for frame in figure.frames] == [
        [1.5],
        [1],
        [0.5],
        [0.5],
        [0.5],
    ]
    assert [frame.data[5].x[0] for frame in figure.frames] == [-1, -1, -0.5, 0, 0.2]
    for frame in figure.frames:
        assert [figure.data[k].legendgroup for k in frame.traces] == 3 * ["way 0"] + 3 * ["way 1"]
        assert len(frame.data) == len(frame.traces)


def test_the_film_is_at_its_end_at_first(bowl: Any, way: Any) -> None:
    figure = descent(bowl(), [way()], title="race")
    (slider,) = figure.layout.sliders
    assert slider.active == len(figure.frames) - 1
    assert [head.x.tolist() for head in heads(figure)] == [[0.5]]
    assert [step.args[0] for step in slider.steps] == [(frame.name,) for frame in figure.frames]
    play, pause = figure.layout.updatemenus[0].buttons
    assert play.args[0] is None
    assert play.args[1]["fromcurrent"]
    assert list(pause.args[0]) == [None]


def test_thousands_of_states_make_a_hundred_frames(bowl: Any, way: Any) -> None:
    t = np.linspace(0, 1, 3001)
    figure = descent(bowl(), [way(t, t**2), way(-t, t)])
    assert len(figure.frames) == 100
    labels = [int(step.label.replace(",", "")) for step in figure.layout.sliders[0].steps]
    assert (labels[0], labels[-1]) == (0, 3000)
    assert (np.diff(labels) > 0).all()
    assert max(len(frame.data[1].x) for frame in figure.frames) < 500
    for frame, label in zip(figure.frames, labels, strict=True):
        assert frame.data[2].x[0] == t[label]


def test_runs_of_very_different_lengths_go_by_their_shares(bowl: Any, way: Any) -> None:
    figure = descent(bowl(), [way(), way(steps=[0, 500, 1000])])
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0 %", "50 %", "100 %"]
    assert slider.currentvalue.prefix == "share of each way: "
    for frame in figure.frames:
        assert frame.data[2].x.tolist() == frame.data[5].x.tolist()


def test_a_run_that_starts_late_or_has_no_place(bowl: Any, way: Any) -> None:
    late, lost = way(steps=[5, 6, 8]), way([1, NAN, NAN], [1, NAN, NAN], steps=[0, 3, 6])
    figure = descent(bowl(), [late, lost, way([NAN], [NAN])])
    assert figure.frames[0].data[2].x.tolist() == [1.5]
    assert [frame.data[5].x.tolist() for frame in figure.frames] == [[1]] * len(figure.frames)
    assert figure.frames[0].data[8].x.tolist() == []


def test_the_same_ground_as_of_a_contour_with_starts_and_exits(bowl: Any, way: Any) -> None:
    figure = descent(bowl(), [way([0, 99], [0, 0])])
    assert figure.data[0].type == "contour"
    symbols = [t.marker.symbol for t in figure.data if t.legendgroup == "way 0"]
    assert symbols[-1] == "x"
    assert symbols[-2] == "circle"
    assert not descent(bowl(), []).frames[0].data


def test_moments_hold_both_ends() -> None:
    found = moments([np.arange(1000.0), np.array([0.5])])
    assert len(found) == 100
    assert (found[0], found[-1]) == (0, 999)


def test_it_plays_and_pauses_offline(bowl: Any, way: Any, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    t = np.linspace(0, 1, 200)
    file = tmp_path / "race.html"
    save(descent(bowl(), [way(t, t**2)]), file)
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector(".slider-label")
        assert page.evaluate(LABEL) == "step 199"
        page.get_by_text("play", exact=True).click()
        page.wait_for_function(f'{LABEL} !== "step 199"')
        page.get_by_text("pause", exact=True).click()
        page.wait_for_timeout(300)
        stopped = page.evaluate(LABEL)
        page.wait_for_timeout(500)
        assert page.evaluate(LABEL) == stopped
        assert page.locator(".contourlayer path").count() > 3
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
