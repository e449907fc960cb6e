from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thalweg.plots import Record, report
from thalweg.plots.report.tables import MOST_ROWS, by_class, evaluations, final_metrics
from thalweg.plots.report.words import STATES, commands, listed

Written = Callable[..., Record]
Learning = Callable[[int], Any]

SCRIPT = re.compile(r"<script( [^>]*)?>(.*?)</script>", re.DOTALL)


class Page(HTMLParser):
    """The page's text without its scripts and styles, its elements, and the text in clocks."""

    EMPTY = frozenset({"meta", "img", "br", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.timeless = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append((tag, "clock" in (dict(attrs).get("class") or "").split()))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] in ("script", "style"):
            return
        self.text += data
        if not any(clock for _, clock in self.open):
            self.timeless += data


def figures(page: str) -> dict[str, Any]:
    found = {}
    for attributes, text in SCRIPT.findall(page):
        if match := re.search(r'id="(figure-\w+)-json"', attributes):
            found[match[1]] = json.loads(text)
    return found


def test_a_whole_run(written: Written) -> None:
    page = Page(report(written()))
    words = " ".join(page.text.split())
    for phrase in (
        "first try",
        STATES["complete"],
        "demo",
        "2026-01-31 12:00:05+01:00",
        "1,234",
        "Samples: 100 train and 50 test.",
        "Of 50 test samples 48 are right, 96.00 %.",
        "2 of 2 mistakes",
        "thalweg train --spec 'runs/first try/spec.toml'",
        "thalweg resume 'runs/first try' --epochs 10",
        'source = "digits"',
        "2.13.0",
        "Every evaluation (5)",
    ):
        assert phrase in words
    captions = [attrs["alt"] for tag, attrs in page.elements if tag == "img"]
    assert captions == ["zero → two, 98 %", "one → two, 50 %"]


def test_the_figures_hold_the_numbers(written: Written) -> None:
    run = written()
    found = figures(report(run))
    assert list(found) == ["figure-0", "figure-1", "figure-lr", "figure-confusion"]
    loss = {trace["name"]: trace for trace in found["figure-0"]["data"]}
    assert set(loss) == {"batch", "mean of 9", "running", "train", "test"}
    assert found["figure-1"]["layout"]["yaxis"]["title"]["text"] == "accuracy"
    by_step = found["figure-0"]["layout"]["updatemenus"][0]["buttons"][1]["args"][0]["x"]
    assert run.epochs()["step"] in by_step
    for figure in found.values():
        assert figure["layout"].get("width") is None


def test_it_is_one_file_without_a_network(written: Written) -> None:
    page = report(written())
    elements = Page(page).elements
    addresses = [
        attrs[key] or ""
        for _, attrs in elements
        for key in ("src", "href", "action", "srcset")
        if key in attrs
    ]
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert sum(tag == "script" for tag, _ in elements) == len(SCRIPT.findall(page))
    assert page.count("plotly.js v") == 1
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [attrs["content"] or "" for _, attrs in elements if "http-equiv" in attrs]
    assert policy.startswith("default-src 'none'; img-src data: blob:;")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_tables_have_heads_and_figures_captions(written: Written) -> None:
    elements = Page(report(written())).elements
    count = [tag for tag, _ in elements].count
    assert count("table") == count("caption") == count("thead") == 4
    assert count("figure") == count("figcaption") == 6
    assert all("scope" in attrs for tag, attrs in elements if tag == "th")
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert key not in attrs or attrs[key] in ids


def test_nothing_of_the_run_becomes_markup(written: Written) -> None:
    evil = "</script><script>alert(1)</script><!-- & \u2028 <img src=x onerror=alert(2)>"
    plain = report(written())
    steps, epochs = written().tables  # type: ignore[attr-defined]
    page = report(
        written(
            path=Path(evil),
            name=evil,
            tags=(evil,),
            created=evil,
            state=evil,
            spec_toml=evil,
            environment={evil: evil},
            classes=(evil, f"{evil}2", "two"),
            samples={"test": 50, evil: 1},
            tables=(steps | {evil: steps["loss"]}, epochs | {f"test_{evil}": epochs["test_loss"]}),
        )
    )
    names = [tag for tag, _ in Page(page).elements]
    more = 2 * ["script"]  # the metric of that name has a figure, and each figure its numbers
    assert names.count("script") <= [tag for tag, _ in Page(plain).elements].count("script") + len(
        more
    )
    assert names.count("img") == 2
    assert not any("onerror" in attrs for _, attrs in Page(page).elements)
    assert evil in Page(page).text
    for attributes, text in SCRIPT.findall(page):
        if "json" in attributes:
            assert "<" not in text
    confusion = figures(page)["figure-confusion"]["data"][0]
    assert all("<" not in name for name in confusion["x"])


def test_only_clocks_differ_between_two_runs_of_a_spec(
    written: Written, learning: Learning
) -> None:
    steps, epochs = learning(5)
    slower = tuple(
        table | {"seconds": [1.7 * s + 3 for s in table["seconds"]]} for table in (steps, epochs)
    )
    one = report(written())
    other = report(written(created="2027-02-03T04:05:06+00:00", tables=slower))
    assert one == report(written())
    assert one != other
    assert Page(one).timeless == Page(other).timeless
    assert figures(one) == figures(other)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_words(written: Written, state: str) -> None:
    text = Page(report(written(state=state))).text
    assert STATES[state] in text
    assert ("diverged after step" in report(written(state=state))) == (state == "diverged")


def test_a_run_without_rows(written: Written) -> None:
    run = written(state="running", tables=({"step": []}, {}), said=None, wrong=None, tags=())
    page = report(run)
    text = Page(page).text
    for phrase in (
        "It was not evaluated yet.",
        "No update was recorded yet, so there are no curves.",
        "Predictions are written when a run ends, and this one has not.",
    ):
        assert phrase in text
    assert figures(page) == {}
    assert "Tags" not in text


def test_steps_alone(written: Written, learning: Learning) -> None:
    steps, _ = learning(1)
    page = report(written(state="killed", tables=(steps, {}), said=None, wrong=None))
    assert list(figures(page)) == ["figure-0", "figure-1", "figure-lr"]
    text = " ".join(Page(page).text.split())
    assert "It was not evaluated." in text
    assert "thalweg resume 'runs/first try'" in text
    assert "--epochs" not in text


def test_evaluations_alone(written: Written, learning: Learning) -> None:
    _, epochs = learning(1)
    found = figures(report(written(tables=({}, epochs))))
    assert [trace["name"] for trace in found["figure-0"]["data"]] == ["running", "train", "test"]
    assert len(found["figure-lr"]["data"]) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ()}, "This is a regression"),
        ({"samples": {"train": 9}}, "There is no test split"),
        ({"state": "interrupted"}, "when a run ends"),
        ({"state": "diverged"}, "A run that diverged makes no predictions."),
        ({}, "No predictions were recorded."),
    ],
)
def test_why_there_are_no_predictions(
    written: Written, changes: dict[str, Any], words: str
) -> None:
    page = report(written(said=None, wrong=None, **changes))
    assert words in Page(page).text
    assert "figure-confusion" not in figures(page)
    assert "Its worst mistakes" not in page


def test_why_there_are_no_pictures(written: Written) -> None:
    right = np.zeros(9, int)
    said = {"true": right, "predicted": right}
    assert "every sample of the test split was classified right" in report(
        written(said=said, wrong=None)
    )
    assert "no images of one or three channels" in report(written(wrong=None))
    wrong = written().mistakes() or {}
    points = dict(wrong) | {"images": np.zeros((2, 2))}
    assert "no images of one or three channels" in report(written(wrong=points))


def test_many_classes_are_folded(written: Written) -> None:
    g = np.random.default_rng(0)
    said = {"true": g.integers(0, 40, 999), "predicted": g.integers(0, 40, 999)}
    page = report(written(said=said, classes=tuple(f"class {k}" for k in range(40))))
    assert "<summary>By class (40)</summary>" in page
    assert "text" not in figures(page)["figure-confusion"]["data"][0]


# ── tables and words ─────────────────────────────────────────────────────────────────────────────


def test_final_metrics_tell_the_last_and_the_best() -> None:
    epochs = {
        "step": [1, 2, 3],
        "epoch": [1.0, 2.0, 3.0],
        "running_loss": [3.0, 2.0, 1.0],
        "val_loss": [0.5, 0.25, None],
        "test_loss": [0.5, float("nan"), float("nan")],
        "test_accuracy": [0.5, 0.9, 0.9],
    }
    table = final_metrics(epochs, ["loss", "accuracy"], {"val": 8, "test": 10})
    rows = {name: [(cell.text, cell.note) for cell in cells] for name, cells in table.rows}
    assert rows == {
        "running": [("", ""), ("1.0000", ""), ("", "")],
        "val": [("8", ""), ("0.2500", "at epoch 2; its best"), ("", "")],
        "test": [
            ("10", ""),
            ("not a finite number", ""),
            ("90.00 %", "9 of 10; its best"),
        ],
    }


def test_evaluations_are_listed_but_not_endlessly(learning: Learning) -> None:
    _, epochs = learning(3)
    table = evaluations(epochs | {"val_loss": [None] * 3})
    assert table.head[:5] == ("step", "epoch", "lr", "running loss", "running accuracy")
    assert "val loss" not in table.head
    assert table.head[-1] == "time"
    name, cells = table.rows[0]
    assert (name, cells[0].text, cells[-1].clock) == ("20", "1", True)
    assert all(len(cells) == len(table.head) - 1 for _, cells in table.rows)
    n = MOST_ROWS + 50
    many = {name: list(range(n)) for name in ("step", "epoch", "gradients", "seconds", "lr")}
    assert [name for name, _ in evaluations(many).rows] == [str(k) for k in range(50, n)]


def test_a_class_without_samples_has_no_share() -> None:
    (_, (samples, right, said)), *_ = by_class(np.zeros((2, 2), int), ["a", "b"]).rows
    assert (samples.text, right.text, said.text) == ("0", "", "")


@pytest.mark.parametrize(
    ("state", "further"),
    [
        ("interrupted", "thalweg resume 'runs/first try'"),
        ("time", "thalweg resume 'runs/first try' --epochs 6"),
        ("running", None),
        ("diverged", None),
    ],
)
def test_only_commands_that_work_are_named(
    written: Written, state: str, further: str | None
) -> None:
    again, *more = [command for _, command in commands(written(state=state), epochs=3)]
    assert again == "thalweg train --spec 'runs/first try/spec.toml'"
    assert more == ([further] if further else [])


def test_nothing_listed() -> None:
    assert (listed([]), listed(["a", "b"])) == ("", "a and b")
