"""Figures and the page of a search: what is drawn is what was given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from thalweg.plots.report import About, Contender, TuneRecord, tune_report
from thalweg.plots.search import (
    Attempt,
    importance_bars,
    search_history,
    search_rungs,
    search_slice,
)


def attempt(number: int, value: float | None, state: str = "complete", **values: Any) -> Attempt:
    scores = {} if value is None else {1.0: value / 2, 3.0: value}
    if state == "pruned":
        scores.pop(3.0, None)
    return Attempt(number, values, state, value, scores, str(values.get("optimizer", "")))


TRIED = [
    attempt(0, 0.5, optimizer="sgd", **{"sgd.lr": 0.1}),
    attempt(1, 0.3, "pruned", optimizer="sgd", **{"sgd.lr": 1e-4}),
    attempt(2, None, "lost", optimizer="sgd", **{"sgd.lr": 10.0}),
    attempt(3, 0.9, optimizer="adam", **{"adam.lr": 1e-3, "adam.beta1": 0.912345}),
    attempt(4, None, "running", optimizer="adam", **{"adam.lr": 1e-2, "adam.beta1": 0.5}),
    attempt(5, 0.8, optimizer="adam", **{"adam.lr": 1e-2, "adam.beta1": 0.5}),
]


def test_the_history_climbs() -> None:
    figure = search_history(TRIED, "val_accuracy")
    best, whole, away = figure.data
    assert (list(best.x), list(best.y)) == ([0, 3, 5, 5], [0.5, 0.9, 0.9, 0.9])
    assert (list(whole.x), list(away.x)) == ([0, 3, 5], [1])
    figure = search_history(TRIED, "val_loss")
    assert list(figure.data[0].y) == [0.5, 0.5, 0.5, 0.5]
    assert len(search_history(TRIED[2:3], "val_accuracy").data) == 0


def test_slices_are_of_kinds() -> None:
    figure = search_slice(TRIED, "optimizer", "val_accuracy")
    assert [trace.name for trace in figure.data] == ["sgd", "adam"]
    assert not figure.layout.showlegend
    assert list(figure.data[0].marker.symbol) == ["circle", "circle-open"]
    figure = search_slice(TRIED, "sgd.lr", "val_accuracy")
    assert (figure.layout.xaxis.type, figure.layout.showlegend) == ("log", True)
    many = [attempt(k, 0.5, lr=1e-5 * 1.7**k * (1 + k % 3)) for k in range(20)]
    assert search_slice(many, "lr", "val_accuracy").layout.xaxis.type == "log"
    even = [attempt(k, 0.5, beta=k**4 / 20**4) for k in range(20)]
    assert search_slice(even, "beta", "val_accuracy").layout.xaxis.type == "linear"
    assert len(search_slice(TRIED, "nothing", "val_accuracy").data) == 0


def test_rungs_have_gaps_between_trials() -> None:
    away, whole = search_rungs(TRIED, "val_accuracy").data
    assert list(away.x) == [1.0, None]
    assert list(whole.x) == [1.0, 3.0, None] * 3


def test_importance_is_sorted() -> None:
    bars = importance_bars({"a": 0.2, "b": 0.7, "c": 0.1}).data[0]
    assert (list(bars.y), list(bars.x)) == (["c", "a", "b"], [0.1, 0.2, 0.7])


@pytest.fixture
def record() -> TuneRecord:
    about = About("search", "mine <b>", ["try"], "2026-01-01T10:00:00", "complete", "Data: x.",
                  "epochs = 1", {"python": "3"}, [("Train it:", "thalweg train")])  # fmt: skip
    value = SimpleNamespace(mean=0.9, low=0.88, high=0.92)
    behind = SimpleNamespace(mean=0.1, low=0.0, high=0.2)
    return TuneRecord(
        about, "val_accuracy", 6, {"optimizer": "sgd, adam", "sgd.lr": "0.1 to 1"}, ["By chance."],
        TRIED, {k: 3.0 for k in range(6)}, {k: 0.5 for k in range(6)}, 12.0,
        {"adam.lr": 0.7, "adam.beta1": 0.3}, [1, 2], "trial 3 is the best",
        [Contender(3, value), Contender(0, value, behind, 0.0001, 1), Contender(5, None)],
        {"test_accuracy": value}, "epochs = 1",
    )  # fmt: skip


def test_a_page_of_a_search_that_is_over(record: TuneRecord) -> None:
    page = tune_report(record)
    assert "mine &lt;b&gt;" in page
    for said in ("Trial 3 is the best.", "90.00 ± 2.00 %", "looked at this once", "&lt; 0.001",
                 "1 of 2 diverged", "adam.beta1 0.9123", "every trial was told",
                 "The 3 best trials ran again on 2 fresh seeds"):  # fmt: skip
        assert said in page, said
    figures = ("best", "history", "rungs", "parallel", "importance", "slice-0", "slice-2")
    assert all(f'id="figure-{name}"' in page for name in figures)
    assert 'id="figure-slice-3"' not in page  # lr is one axis for all


def test_a_page_of_a_search_that_is_not_over(record: TuneRecord) -> None:
    about = replace(record.about, state="interrupted")
    page = tune_report(
        replace(record, about=about, verdict="", contenders=[], test={}, recipe="", shares={},
                attempts=[], took=0.0)
    )  # fmt: skip
    assert "This search is not over" in page
    assert "No trial has been measured yet" in page
    assert "figure-" not in page.partition("<body>")[2].partition("<script>")[0]


def test_one_finalist_one_axis_one_rung(record: TuneRecord) -> None:
    tried = [replace(attempt(k, 0.1 * k, lr=0.1 * k), scores={1.0: 0.1}) for k in range(3)]
    loss = SimpleNamespace(mean=0.5, low=0.4, high=0.6)
    page = tune_report(
        replace(record, attempts=tried, metric="val_loss", seeds=[1], shares={},
                contenders=[Contender(2, loss, loss)], test={})
    )  # fmt: skip
    assert "The best trial ran again on 1 fresh seed," in page
    assert "There is no test split" in page
    assert 'id="figure-parallel"' not in page
    assert 'id="figure-rungs"' not in page
    page = tune_report(replace(record, verdict="no verdict: x", contenders=[]))
    assert "No verdict: x." in page
