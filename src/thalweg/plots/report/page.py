"""From a run to its page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.plots.columns import Columns, metrics_of, rows_of, values
from thalweg.plots.confusion import READABLE, confusion, confusion_matrix
from thalweg.plots.curves import learning_rate, training_curves
from thalweg.plots.mistakes import captions_of
from thalweg.plots.pixels import to_png
from thalweg.plots.report.frame import Figure, bare, render
from thalweg.plots.report.record import Record
from thalweg.plots.report.tables import MOST_ROWS, by_class, evaluations, final_metrics
from thalweg.plots.report.words import (
    STATES,
    commands,
    duration,
    no_mistakes,
    no_predictions,
)

SIDE_BY_SIDE = 12
"""Classes up to which their table has room beside the confusion matrix."""


def report(run: Record) -> str:
    """Return a page that says what a run was and what became of it.

    The page needs nothing but itself: no network, no other file. It follows the reader's light or
    dark scheme, and fits a phone and paper. Whatever is missing is said to be. What the clock
    decides stands in elements of the class ``clock``; all else is the same whenever the page of
    the same numbers is made.

    Args:
        run: A run, such as a run folder.

    Returns:
        HTML.

    Raises:
        ThalwegError: The record is damaged.
    """
    steps, epochs = run.steps(), run.epochs()
    metrics = metrics_of(steps, epochs)
    table = epochs if rows_of(epochs) else steps
    last = {name: column[-1] for name, column in _furthest(steps, epochs).items() if len(column)}
    predictions = run.predictions()
    counts = _counts(run, predictions)
    facts = [
        ("epochs", f"{last['epoch']:.6g}" if last else "0", False),
        ("steps", f"{last['step']:,}" if last else "0", False),
        ("training time", duration(last["seconds"]) if "seconds" in last else "–", True),
        ("parameters", f"{run.parameters:,}", False),
    ]
    return render(
        "page",
        run=run,
        state=STATES.get(run.state, run.state),
        facts=facts,
        samples=[f"{n:,} {split}" for split, n in run.samples.items() if n],
        final=final_metrics(epochs, metrics, run.samples),
        curves=_curves(run, steps, epochs, metrics) if rows_of(table) else [],
        confusion=None if counts is None else _confusion(run, predictions, counts),
        classes=None if counts is None else by_class(counts, run.classes),
        readable=len(run.classes) <= READABLE,
        side_by_side=len(run.classes) <= SIDE_BY_SIDE,
        no_predictions=no_predictions(run),
        pictures=_pictures(run),
        no_pictures="" if counts is None else no_mistakes(_wrong(counts)),
        wrong=0 if counts is None else _wrong(counts),
        tested=0 if counts is None else int(counts.sum()),
        evaluations=evaluations(epochs) if rows_of(epochs) else None,
        n_evaluations=rows_of(epochs),
        most_rows=MOST_ROWS,
        commands=commands(run, float(last.get("epoch", 0))),
    )


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


def _curves(run: Record, steps: Columns, epochs: Columns, metrics: list[str]) -> list[Figure]:
    figures = []
    for place, metric in enumerate(metrics):
        figure = training_curves(steps, epochs, metric, diverged=run.state == "diverged")
        caption = figure.layout.meta["caption"]
        title = metric[:1].upper() + metric[1:]
        figures.append(Figure(f"figure-{place}", title, caption, bare(figure)))
    rate = learning_rate(steps, epochs)
    caption = "Of each update." if rows_of(steps) else "At each evaluation."
    return [*figures, Figure("figure-lr", "Learning rate", caption, bare(rate), "240px")]


def _confusion(
    run: Record, predictions: Mapping[str, NDArray[Any]] | None, counts: NDArray[np.int64]
) -> Figure:
    assert predictions is not None
    figure = confusion_matrix(predictions["true"], predictions["predicted"], run.classes)
    C, total = len(counts), int(counts.sum())
    right = total - _wrong(counts)
    caption = (
        f"Of {total:,} test samples {right:,} are right, {100 * right / max(total, 1):.2f} %. "
        "Blue: right, by its share of the true class. "
        "Orange: wrong, by the logarithm of that share."
    )
    least = 100 + 25 * C if C <= READABLE else 300
    height = f"clamp({least}px, 90vw, {figure.layout.height}px)"
    return Figure(
        "figure-confusion", "Confusion matrix", caption, bare(figure), height, f"{least}px"
    )


def _pictures(run: Record) -> list[tuple[str, list[str]]]:
    """Return the mistakes as data URIs, with the lines of their captions."""
    mistakes = run.mistakes()
    if (
        mistakes is None
        or mistakes["images"].ndim != 4
        or mistakes["images"].shape[1] not in (1, 3)
    ):
        return []
    captions = captions_of(
        mistakes["true"], mistakes["predicted"], mistakes["probability"], run.classes
    )
    uris = [
        f"data:image/png;base64,{base64.b64encode(png).decode()}"
        for png in to_png(mistakes["images"])
    ]
    return [(uri, text.split("\n")) for uri, text in zip(uris, captions, strict=True)]


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────


def _counts(
    run: Record, predictions: Mapping[str, NDArray[Any]] | None
) -> NDArray[np.int64] | None:
    if predictions is None or not run.classes or not len(predictions["true"]):
        return None
    return confusion(predictions["true"], predictions["predicted"], len(run.classes))


def _wrong(counts: NDArray[np.int64]) -> int:
    return int(counts.sum() - np.trace(counts))


def _furthest(steps: Columns, epochs: Columns) -> Columns:
    """Return the table that came furthest."""
    return max((epochs, steps), key=lambda table: max(values(table, "step"), default=-1.0))
