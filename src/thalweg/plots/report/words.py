"""What a report says in words: how a run stands, what is missing, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from thalweg.plots.report.record import Record

STATES = {
    "running": "Running: this page shows how far it had come.",
    "complete": "Complete: it trained for its whole length.",
    "until": "Stopped as asked: the condition of its specification came true.",
    "patience": "Stopped as asked: the metric that was watched got no better.",
    "time": "Stopped as asked: its time was up.",
    "diverged": "Diverged: a loss was no finite number, and the update after it was not made.",
    "interrupted": "Interrupted: it was saved, and can go on.",
    "killed": "Killed: it ended without a word, and can go on from its last checkpoint.",
}
"""How a run stands, by its state."""

_UNFINISHED = {"running", "interrupted", "killed"}


def no_predictions(run: Record) -> str:
    """Say why there are no predictions for the test split."""
    if not run.classes:
        return "This is a regression: there are no classes that could be confused."
    if not run.samples.get("test"):
        return "There is no test split, so nothing was predicted."
    if run.state in _UNFINISHED:
        return "Predictions are written when a run ends, and this one has not."
    if run.state == "diverged":
        return "A run that diverged makes no predictions."
    return "No predictions were recorded."


def no_mistakes(mistakes: int) -> str:
    """Say why there are no pictures of mistakes, of which there are so many."""
    if not mistakes:
        return "There is none: every sample of the test split was classified right."
    return "The samples are no images of one or three channels, so there are no pictures."


def commands(run: Record, epochs: float) -> list[tuple[str, str]]:
    """Return what can be done again or further, each with its command.

    Args:
        run: The run.
        epochs: How many it has trained for.
    """
    folder = shlex.quote(str(run.path))
    spec = shlex.quote(str(run.path / "spec.toml"))
    again = [("Train it again from the start:", f"thalweg train --spec {spec}")]
    if run.state in {"interrupted", "killed"}:
        return [*again, ("Go on from its last checkpoint:", f"thalweg resume {folder}")]
    if run.state in {"running", "diverged"}:
        return again
    longer = max(2, round(2 * epochs))
    return [
        *again,
        (f"Go on to {longer} epochs:", f"thalweg resume {folder} --epochs {longer}"),
    ]


def duration(seconds: float) -> str:
    """Return a time in seconds, or in minutes, or in hours.

    Example:
        >>> duration(10.24), duration(125), duration(3725)
        ('10.2 s', '2 min 05 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def listed(words: Sequence[str]) -> str:
    """Return words with commas, and an and before the last.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
