"""A line between two networks drawn, and told on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thalweg.errors import ModelError
from thalweg.landscape import Surface, barrier
from thalweg.plots.plane import Mark
from thalweg.plots.report.chapters import Chapter, Sheet, chapters_page
from thalweg.plots.slices import Profile, slices
from thalweg.plots.text import amount, falls
from thalweg.study.ground.slicing import Slice

ENDS = 1e-9
"""How near to an end the highest point is one."""


def slice_figures(line: Slice) -> dict[str, Any]:
    """Return a picture of each metric along the line, by its name.

    Args:
        line: The line; of an unfinished one the finest complete lattice is drawn.

    Raises:
        ModelError: Nothing was measured yet.
    """
    seen = {split: each.lattice() for split, each in line.lines.items() if _has_begun(each)}
    if not seen:
        raise ModelError("a line that has hardly begun", "one with a coarse picture")
    first, last = line.names
    marks = [Mark(first, 0.0), Mark(last, 1.0)]
    return {
        metric: slices(
            [
                Profile(
                    split,
                    each.axes[0].numpy(),
                    each.values[metric].numpy(),
                    each.errors[metric].numpy(),
                )
                for split, each in seen.items()
            ],
            metric=metric,
            along=f"from {first} to {last}",
            marks=marks,
        )
        for metric in next(iter(seen.values())).values
    }


def slice_page(line: Slice, commands: Sequence[tuple[str, str]] = ()) -> str:
    """Return a page with the pictures of a line and what they show, which needs no network.

    Args:
        line: The line, finished or not.
        commands: What can be done again or further, each with its command.

    Raises:
        ModelError: Nothing was measured yet.
    """
    figures = slice_figures(line)
    facts = [
        (f"barrier on {split}", amount("loss", barrier(each).height))
        for split, each in line.lines.items()
        if each.whole
    ]
    state = "Whole: every point was measured." if line.whole else "Unfinished: a coarse picture."
    chapters = [
        Chapter("What it shows", slice_words(line)),
        Chapter("Along the line", figures=list(figures.items()), height="28rem"),
        Chapter("In numbers", tables=[slice_sheet(line)]),
    ]
    title = f"From {line.names[0]} to {line.names[1]}"
    return chapters_page(title, state, facts, chapters, commands)


def slice_sheet(line: Slice) -> Sheet:
    """Return the table of a line: both ends, what is between, and the barrier, by split."""
    rows = []
    for split, each in line.lines.items():
        if not each.whole:
            continue
        for metric in each.values:
            between = barrier(each, metric)
            first, last = between.ends
            height, at = (
                (amount(metric, between.height), f"{between.at:.3f}") if falls(metric) else ("", "")
            )
            rows.append(
                (split, metric, amount(metric, first), amount(metric, last), height, at,
                 f"{each.samples:,}")
            )  # fmt: skip
    head = ("split", "metric", line.names[0], line.names[1], "barrier", "at", "samples")
    return Sheet("Both ends, and the barrier between them", head, tuple(rows))


def slice_words(line: Slice) -> list[str]:
    """Return what a line shows, in sentences."""
    first, last = line.names
    words = [
        f"At 0 are the weights of {first}, at 1 those of {last}, and between them mixtures of both."
    ]
    for split, each in line.lines.items():
        if not each.whole:
            continue
        found = barrier(each)
        above = each.errors["loss"].nan_to_num(0).max().item()
        if ENDS < found.at < 1 - ENDS:
            words.append(
                f"On {split} the loss rises by {amount('loss', found.height)} above the mean of "
                f"both ends, at {found.at:.3f}: the barrier."
            )
        else:
            words.append(
                f"On {split} nothing between the two is higher than the higher end: no barrier. "
                f"That end is {amount('loss', found.height)} above the mean of both."
            )
        words.append(
            f"On {split} the bands are standard errors of the differences to {first}, which all "
            f"points share the samples of; the largest is {amount('loss', above)}."
        )
    how = {each.statistics for each in line.lines.values()}
    if how != {"frozen"}:
        words.append(f"BatchNorm's statistics are {', '.join(sorted(how))}.")
    return words


def _has_begun(line: Surface) -> bool:
    try:
        line.lattice()
    except ModelError:
        return False
    return True
