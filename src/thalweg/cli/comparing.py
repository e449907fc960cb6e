"""Runs side by side: what differs in their specs, and what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thalweg.cli.describing import text_of
from thalweg.cli.facts import Facts, facts_of, flat, results
from thalweg.cli.table import print_table
from thalweg.cli.text import metric, place
from thalweg.store import RunFolder

VERSIONS = ("thalweg", "torch", "processor", "threads", "commit")
"""What is told of the environment where it differs."""


def names_of(runs: Sequence[RunFolder]) -> list[str]:
    """Return what to call runs side by side: their names, or their folders if names are alike."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [place(run.path) for run in runs]


def print_comparison(runs: Sequence[RunFolder]) -> None:
    """Print side by side what differs in the specs of runs, and what they came to.

    Raises:
        FileError: The metrics of one are damaged.
    """
    known = [facts_of(run) for run in runs]
    for facts, run in zip(known, runs, strict=True):
        facts |= {f"environment.{key}": run.environment.get(key) for key in VERSIONS}
    specs = list(dict.fromkeys(key for run in runs for key, _ in flat(run.spec.model_dump())))
    same = ["state", "epoch", "step", "seconds", "parameters"]
    differing = [*specs, *(f"environment.{key}" for key in VERSIONS)]
    differing = [key for key in differing if len({str(facts.get(key)) for facts in known}) > 1]
    measured = list(dict.fromkeys(key for facts in known for key in results(facts)))
    rows = [(key, *(_side(key, facts.get(key)) for facts in known)) for key in [*same, *differing]]
    rows += [(key.replace("_", " "), *(_result(key, facts) for facts in known)) for key in measured]
    print_table(("", *names_of(runs)), rows)
    if not differing:
        print("\nthe specs are the same")


def _side(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if key == "seconds":
        return f"{value:.1f}"
    return f"{value:,}" if key in {"step", "parameters"} else text_of(value)


def _result(key: str, facts: Facts) -> str:
    value = facts.get(key)
    return "–" if value is None else metric(key.partition("_")[2], value)
