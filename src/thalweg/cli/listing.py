"""The list of runs: which of them, in what order, and as what table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thalweg.cli.facts import Facts, facts_of, find_key, ordered, results
from thalweg.cli.filters import Filter
from thalweg.cli.table import print_table
from thalweg.cli.text import metric
from thalweg.errors import FileError
from thalweg.store import Damaged, survey_runs

COLUMNS = {
    "name": "name",
    "state": "state",
    "data": "data.source",
    "model": "model.name",
    "optimizer": "optimizer.name",
    "lr": "optimizer.lr",
    "epoch": "epoch",
    "result": "",
    "seconds": "seconds",
    "created": "created",
    "tags": "tags",
}
"""What the table shows, and the keys of the facts."""

DISPENSABLE = ("created", "seconds", "tags", "model", "data", "optimizer", "lr", "epoch")
"""Columns that a narrow terminal does without, the first one first."""


def select(
    root: Path,
    filters: Sequence[str] = (),
    tags: Sequence[str] = (),
    sort: str | None = None,
    *,
    reverse: bool = False,
) -> tuple[list[Facts], dict[str, FileError]]:
    """Return what is known of the runs of a folder that fit, and what is wrong with which.

    Args:
        root: The folder.
        filters: Conditions, all of which must hold.
        tags: Tags, all of which a run must have.
        sort: What to sort by; the time they began if None.
        reverse: The other way round.

    Raises:
        SpecError: A filter that cannot be read, or a key that no run has.
    """
    conditions = [Filter.parse(text) for text in filters]
    whole, damaged = survey_runs(root)
    known: list[Facts] = []
    for run in whole:
        try:
            known.append(facts_of(run))
        except FileError as error:
            damaged.append(Damaged(run.path, error))
    known += map(facts_of, damaged)
    chosen = [
        facts
        for facts in known
        if all(condition.holds(facts, known) for condition in conditions)
        and set(tags) <= set(facts.get("tags", ()))
    ]
    if sort is not None and known:
        find_key(sort, known)  # complain even if nothing is left to sort
        chosen = ordered(chosen, sort, reverse=reverse) if chosen else []
    elif reverse:
        chosen.reverse()
    return chosen, {str(each.path.absolute()): each.error for each in damaged}


def print_runs(chosen: Sequence[Facts]) -> None:
    """Print the table of runs."""
    titles = [title for title in COLUMNS if title != "tags" or any(f.get("tags") for f in chosen)]
    rows = [[_cell(title, facts) for title in titles] for facts in chosen]
    print_table(titles, rows, dispensable=DISPENSABLE)


def _cell(title: str, facts: Facts) -> str:
    if title == "result":
        return _result(facts)
    value = facts.get(COLUMNS[title])
    if value is None:
        return "–"
    match title:
        case "data":
            return Path(value).name
        case "lr" | "epoch":
            return f"{value:.6g}"
        case "seconds":
            return f"{value:.1f}"
        case "created":
            return str(value)[:16].replace("T", " ")
        case "tags":
            return ", ".join(value)
    return str(value)


def _result(facts: Facts) -> str:
    """Return the metric that says most: on the test split if it is there, and not the loss."""
    found = results(facts)
    for split in ("test", "val", "train", "running"):
        names = [key.removeprefix(f"{split}_") for key in found if key.startswith(f"{split}_")]
        for name in sorted(names, key=lambda name: name == "loss"):
            what = split if name == "accuracy" else f"{split} {name}"
            return f"{what} {metric(name, found[f'{split}_{name}'])}"
    return "–"
