"""The pages of sweeps and races: what they say, and that nothing in them is markup by accident."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.plots import (
    Plane,
    RaceRecord,
    Setting,
    SweepRecord,
    Way,
    race_report,
    sweep_report,
)
from thalweg.plots.report.about import STATES
from thalweg.plots.report.race import listed_numbers
from thalweg.plots.report.sweep import MOST_ROWS

from .test_report import SCRIPT, Page, figures

Swept = Callable[..., SweepRecord]
Raced = Callable[..., RaceRecord]
EVIL = "</script><script>hacked = 1</script><img src=x onerror='hacked = 2'>"
TWO = {"lr": [0.01, 0.1, 1.0], "momentum": [0.0, 0.9]}


def numbers(column: Any) -> Any:
    """Return what Plotly packed."""
    shape = [int(n) for n in str(column.get("shape", "-1")).split(",")]
    return np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"]).reshape(shape)


def words(page: str) -> str:
    return " ".join(Page(page).text.split())


def test_a_sweep_over_two_axes(swept: Swept) -> None:
    page = sweep_report(swept(TWO))
    for phrase in (
        "first sweep",
        STATES["complete"],
        "The best test accuracy: 70.00 ± 1.00 %, with lr 0.1, momentum 0.9.",
        "It was chosen by the test split",
        "lr: 0.01, 0.1, 1",
        "1 of 3 diverged",
        "0 of 33 of 3 diverged––",
        "12.5 s",
        "thalweg sweep",
        "2.13.0",
    ):
        assert phrase in words(page)
    found = figures(page)
    assert list(found) == ["figure-heat", "figure-against", "figure-0"]
    shown = found["figure-heat"]["data"][0]["z"]
    expected = [[0.5, 0.5 + 0.8 / 6, 0.5 + 1.6 / 6], [0.5 + 0.4 / 6, 0.7, np.nan]]
    np.testing.assert_allclose(numbers(shown), expected)
    names = [trace["name"] for trace in found["figure-0"]["data"]]
    assert names[0] == "lr 0.1, momentum 0.9"
    assert names[-1] == "lr 1, momentum 0 (1 of 3 diverged)"


def test_the_figures_go_by_the_axes(swept: Swept) -> None:
    def drawn(axes: dict[str, list[Any]]) -> list[str]:
        return [name for name in figures(sweep_report(swept(axes))) if name != "figure-0"]

    assert drawn({"lr": [0.01, 0.1, 1.0]}) == ["figure-against"]
    assert drawn({"optimizer": ["adam", "sgd", "lost"]}) == ["figure-forest"]
    assert drawn({"optimizer": ["adam", "sgd"], "norm": ["a", "b"]}) == ["figure-heat"]
    many = {"lr": [0.01, 0.1], "a": [1, 2], "b": ["x", "y"]}
    assert drawn(many) == ["figure-parallel", "figure-forest"]
    names = {trace["name"] for trace in figures(sweep_report(swept(many)))["figure-0"]["data"]}
    assert "0.1 · 1 · y" in names
    assert drawn({"lr": [1, 2, 3], "k": list(range(9))}) == ["figure-heat", "figure-against"]
    assert drawn({"lr": list(range(8)), "k": list(range(9))}) == ["figure-heat"]
    assert drawn({}) == []


def test_what_the_best_setting_is_worth(swept: Swept, mean: Any) -> None:
    def said(*values: Any, metric: str = "val_loss", lost: int = 0) -> str:
        settings = [
            Setting({"lr": k}, {metric: value}, 3, 3, lost) for k, value in enumerate(values)
        ]
        return words(sweep_report(swept({}, settings=settings, metric=metric)))

    one = said(mean(0.5, 0.4, 0.6), mean(0.7, 0.55, 0.85), mean(0.9, 0.8, 1.0))
    assert "The best val loss: 0.5000 ± 0.1, with lr 0." in one
    assert "The intervals of 1 other setting reach its own: which of them is better" in one
    assert "test split" not in one
    assert "reach its own" not in said(mean(0.5, 0.4, 0.6), mean(0.7, 0.65, 0.75))
    assert "One seed each says nothing about chance" in said(mean(0.5), mean(0.4))
    assert "Every setting diverged on at least one seed" in said(mean(0.5), lost=1)
    accurate = said(mean(0.9, 0.8, 1.0), mean(0.7), metric="val_accuracy")
    assert "with lr 0" in accurate
    assert "reach its own" not in accurate


def test_a_sweep_of_which_nothing_came(swept: Swept, described: Any) -> None:
    waiting = [Setting({"lr": 0.1}, {}, 3, 0), Setting({"lr": 1.0}, {}, 3, 0)]
    about = described("sweep", state="killed", tags=())
    page = sweep_report(swept({}, about=about, metric="", settings=waiting))
    assert figures(page) == {}
    assert "Nothing was measured yet." in words(page)
    assert "3 not over" in words(page)
    assert "0 of 6 over" in words(page)
    assert "Tags" not in words(page)
    lost = [Setting({"lr": 0.1}, {}, 3, 3, 3)]
    page = sweep_report(swept({}, metric="test_loss", settings=lost))
    assert "Every member diverged." in words(page)
    assert list(figures(page)) == ["figure-against"]


def test_numbers_that_are_none_are_no_best(swept: Swept, mean: Any) -> None:
    settings = [
        Setting({"lr": 0.1}, {"test_loss": mean(float("nan"))}, 1, 1),
        Setting({"lr": 1.0}, {"test_loss": mean(2.0)}, 1, 1),
        Setting({"lr": 9.0}, {"test_accuracy": mean(0.5)}, 1, 1),
    ]
    page = sweep_report(swept({}, metric="test_loss", settings=settings))
    assert "The best test loss: 2.0000, with lr 1." in words(page)
    assert "NaN" not in "".join(text for kind, text in SCRIPT.findall(page) if "json" in kind)


def test_a_sweep_of_very_many_settings_lists_the_best(swept: Swept) -> None:
    n = MOST_ROWS + 5
    page = sweep_report(swept({"lr": list(range(n))}))
    assert f"The {MOST_ROWS} best of {n}" in words(page)
    assert [tag for tag, _ in Page(page).elements].count("tr") == 2 + MOST_ROWS + 1


def test_a_race(raced: Raced) -> None:
    page = race_report(raced())
    text = words(page)
    for phrase in (
        "first race",
        "Adam is the best.",
        "Decided by val accuracy after equally many epochs, over 5 seeds, in pairs",
        "corrected for the number of comparisons (Holm)",
        "sgd80.00 ± 1.00 %10.00 ± 5.00 points< 0.001",
        "lost–5 of 5 diverged–diverged more",
        "with seed 1004",
        "An update of each was timed alone, on this machine",
        "1.25 ms",
        "seeds 0–4",
        "adam0.190.00 ± 2.00 %0.01 to 131optimizer adam",
    ):
        assert phrase in text
    found = figures(page)
    assert list(found) == [
        "figure-0",
        "figure-1",
        "figure-standings",
        "figure-target",
        "figure-profile",
        "figure-tuning",
    ]
    values = numbers(found["figure-standings"]["data"][1]["x"])
    np.testing.assert_array_equal(values, [0.9, 0.8, np.nan])
    values = numbers(found["figure-target"]["data"][1]["x"])
    np.testing.assert_array_equal(values, [2.0, np.nan, np.nan])
    assert found["figure-1"]["layout"]["yaxis"]["title"]["text"] == "test loss"
    assert "diverged" in [trace.get("name") for trace in found["figure-tuning"]["data"]]
    costs = re.findall(r'name="axis" value="\d".*?> ([\w ]+)</label>', page)
    assert costs == ["epochs", "gradient evaluations", "seconds"]
    for name in list(found)[:5]:
        assert len(found[name]["layout"]["updatemenus"][0]["buttons"]) == 3


def test_a_race_that_was_not_tuned_has_no_verdict(raced: Raced) -> None:
    verdict = "no verdict: the learning rates were not tuned"
    page = race_report(raced(verdict=verdict, tuning={}, tuning_seeds=()))
    assert "No verdict: the learning rates were not tuned." in words(page)
    assert "one learning rate that nobody had tuned" in words(page)
    assert "They were not tuned." in words(page)
    assert "figure-tuning" not in figures(page)


def test_a_best_learning_rate_at_the_edge(raced: Raced) -> None:
    record = raced()
    tuning = {name: replace(own, at_edge=name != "lost") for name, own in record.tuning.items()}
    text = words(race_report(replace(record, tuning=tuning, verdict="no verdict")))
    assert "The best learning rate of adam and sgd was still at an end" in text
    assert "at an end of what was tried" in text


def test_one_seed_tells_nothing_apart(raced: Raced) -> None:
    assert "over one seed, which cannot" in words(race_report(raced(seeds=[0])))


def test_a_race_with_the_ground_that_it_went_over(raced: Raced) -> None:
    axis, T = np.linspace(-1, 1, 5), np.linspace(0, 0.5, 6)
    plane = Plane(axis, axis, axis[:, None] ** 2 + axis**2, "loss", "principal", (0.5, 0.2))
    ways = [Way(name, T, k * T, 1 - T, 10 * T, 0 * T) for k, name in enumerate(("adam", "sgd"))]
    page = race_report(raced(plane=plane, ways=ways))
    text, found = words(page), figures(page)
    assert "Where they went" in text
    assert "The loss under their ways" in text
    assert "Explained 50 + 20 %. Not in the plane" in text
    assert {"adam", "sgd"} <= {trace.get("name") for trace in found["figure-ground"]["data"]}
    assert not found["figure-ground"]["layout"]["title"].get("text")
    assert "Where they went" not in words(race_report(raced()))


def test_a_race_that_is_not_over(raced: Raced, described: Any) -> None:
    nothing = {key: {} for key in ("standings", "finals", "bands", "profile", "step_seconds")}
    about = described("race", state="interrupted", environment={}, commands=[])
    record = raced(verdict="", target="", about=about, **nothing)
    page = race_report(record)
    assert "This race is not over, so nobody has won." in words(page)
    assert list(figures(page)) == ["figure-tuning"]
    assert "Nothing was recorded." in words(page)
    assert "They were not tuned yet." in words(race_report(replace(record, tuning={})))


def test_a_race_that_all_lost(raced: Raced) -> None:
    record = raced()
    places = [replace(each, value=None, behind=None, p=None) for each in record.standings["epochs"]]
    page = race_report(
        replace(record, standings={"epochs": places}, profile={"epochs": {"adam": []}}, target="")
    )
    assert "figure-profile" not in figures(page)
    assert "figure-target" not in figures(page)
    record = raced(metric="val_loss", finals={})
    assert "0.1000 ± 0.05" in words(race_report(record))


def test_nothing_of_a_name_becomes_markup(swept: Swept, raced: Raced, described: Any) -> None:
    evil = {key: EVIL for key in ("name", "created", "state", "data", "spec_toml")}
    evil |= {"tags": (EVIL,), "environment": {EVIL: EVIL}, "commands": [(EVIL, EVIL)]}
    for axes in ({EVIL: [EVIL, "x"], "lr": [1, 2]}, {EVIL: [EVIL], "a": [1], "b": [1, 2, 3]}):
        record = swept(axes)
        check(sweep_report(record), sweep_report(replace(record, about=described("s", **evil))))
    names = (EVIL, "b", "c")
    record = raced(names, settings={EVIL: EVIL}, target=EVIL, verdict=EVIL)
    check(race_report(record), race_report(replace(record, about=described("race", **evil))))


def check(page: str, other: str) -> None:
    for text in (page, other):
        tags = [tag for tag, _ in Page(text).elements]
        assert "img" not in tags
        assert tags.count("script") == len(figures(text)) + 3
        for attributes, script in SCRIPT.findall(text):
            if "json" in attributes:
                assert "<" not in script
    assert EVIL in Page(other).text


def test_tables_have_heads_and_ids_are_one_of_a_kind(swept: Swept, raced: Raced) -> None:
    for page in (sweep_report(swept(TWO)), race_report(raced())):
        elements = Page(page).elements
        count = [tag for tag, _ in elements].count
        assert count("table") == count("caption") == count("thead")
        ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert all("scope" in attrs for tag, attrs in elements if tag == "th")


def test_seeds() -> None:
    assert [listed_numbers(n) for n in ([], [7], [0, 1], [2, 4, 6])] == ["", "7", "0, 1", "2, 4, 6"]
