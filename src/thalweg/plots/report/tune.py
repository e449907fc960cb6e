"""From a search to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from thalweg.plots.forest import Entry, forest
from thalweg.plots.intervals import Interval, split_of, spoken, told
from thalweg.plots.parallel import Strand, parallel_axes
from thalweg.plots.report.about import About
from thalweg.plots.report.frame import Figure, bare, forest_width, render
from thalweg.plots.report.tables import Cell, Table
from thalweg.plots.report.words import duration
from thalweg.plots.search import (
    Attempt,
    importance_bars,
    search_history,
    search_rungs,
    search_slice,
)
from thalweg.plots.text import amount, falls, is_share, setting_text

STANDS = {
    "running": "Running: this page shows how far it had come.",
    "complete": "Complete: every trial was told, and the best ones ran on fresh seeds.",
    "interrupted": "Interrupted: it was saved, and can go on.",
    "killed": "Killed: what was told is kept, and it can go on from there.",
}
"""How a search stands, by its state."""

MOST_ROWS = 100
"""Trials that a page lists, the best ones."""

MOST_SLICES = 12
"""Things that were chosen that each have a figure, the most important ones."""


@dataclass(frozen=True)
class Contender:
    """One of the best trials, on fresh seeds.

    Args:
        number: The trial.
        value: What it came to on the validation split; None if it diverged on every seed.
        behind: How far it is behind the first, seed by seed.
        p: How often chance alone makes as large a difference to the first, corrected.
        diverged: Seeds that diverged.
    """

    number: int
    value: Interval | None
    behind: Interval | None = None
    p: float | None = None
    diverged: int = 0


@dataclass(frozen=True)
class TuneRecord:
    """What a report reads of a search.

    Args:
        about: What was run.
        metric: What decides, such as ``val_accuracy``.
        total: Trials that there are to be.
        space: What may be chosen, in words, by axis.
        how: How it is sought, in words.
        attempts: The trials, by number.
        epochs: Passes over the training samples of each trial.
        seconds: Seconds of training of each trial, its share of those of its group.
        took: Seconds of the whole search.
        shares: What share of the differences is due to each axis; empty if that is not known.
        seeds: The fresh seeds.
        verdict: Who won, in a sentence; empty while the search is not over.
        contenders: The best trials on fresh seeds, the best first.
        test: What the winner came to on the test split, by metric.
        recipe: The winner's spec in TOML.
    """

    about: About
    metric: str
    total: int
    space: Mapping[str, str]
    how: Sequence[str]
    attempts: Sequence[Attempt]
    epochs: Mapping[int, float]
    seconds: Mapping[int, float]
    took: float
    shares: Mapping[str, float] = field(default_factory=dict)
    seeds: Sequence[int] = ()
    verdict: str = ""
    contenders: Sequence[Contender] = ()
    test: Mapping[str, Interval] = field(default_factory=dict)
    recipe: str = ""

    def ranked(self) -> list[Attempt]:
        """Return the trials, the best first: those that came furthest before the others."""
        sign = -1.0 if falls(self.metric) else 1.0

        def key(each: Attempt) -> tuple[bool, float, float, int]:
            none = each.value is None
            done = 0.0 if each.state == "complete" else -self.epochs.get(each.number, 0.0)
            rank = 0.0 if each.value is None else -sign * each.value
            return none, float(each.state != "complete") and done, rank, each.number

        return sorted(self.attempts, key=key)


def tune_report(record: TuneRecord) -> str:
    """Return a page that says what was sought, what was found, and how that is known.

    Like that of a run, the page needs nothing but itself.

    Args:
        record: The search.

    Returns:
        HTML.
    """
    states = [each.state for each in record.attempts]
    facts = [
        ("trials", f"{len(states):,} of {record.total:,}", False),
        ("sent away", f"{states.count('pruned'):,}", False),
        ("diverged", f"{states.count('lost'):,}", False),
        ("epochs in all", f"{sum(record.epochs.values()):.6g}", False),
        ("time", duration(record.took) if record.took else "–", True),
    ]
    return render(
        "tune",
        about=record.about,
        stands=STANDS.get(record.about.state, record.about.stands),
        facts=facts,
        verdict=record.verdict,
        winner=_winner(record),
        test=[(spoken(name), told(name, value)) for name, value in record.test.items()],
        seeds=len(record.seeds),
        n_best=len(record.contenders),
        recipe=record.recipe,
        contenders=_contenders(record),
        standing=_forest(record),
        history=_figure(record, "history", "One trial after the other"),
        rungs=_figure(record, "rungs", "From rung to rung"),
        parallel=_parallel(record),
        importance=_importance(record),
        slices=_slices(record),
        space=_space(record),
        how=record.how,
        trials=_trials(record),
        shown=min(len(record.attempts), MOST_ROWS),
    )


def _winner(record: TuneRecord) -> list[tuple[str, str]]:
    """Return the winner's values, by axis."""
    if not record.contenders:
        return []
    number = record.contenders[0].number
    (own,) = (each for each in record.attempts if each.number == number)
    return [(name, _short(value)) for name, value in own.values.items()]


def _contenders(record: TuneRecord) -> Table | None:
    if not record.contenders:
        return None
    rows = []
    values = {each.number: each for each in record.attempts}
    for each in record.contenders:
        lost = f"{each.diverged} of {len(record.seeds)} diverged" if each.diverged else ""
        p = "" if each.p is None else "< 0.001" if each.p < 0.001 else f"{each.p:.3f}"
        own = values[each.number]
        first = "" if own.value is None else amount(split_of(record.metric)[1], own.value)
        cells = (
            Cell(told(record.metric, each.value) if each.value else "", lost),
            Cell(_behind(record.metric, each.behind)),
            Cell(p),
            Cell(first),
            Cell(_text(own.values)),
        )
        rows.append((f"trial {each.number}", cells))
    head = ("", spoken(record.metric), "behind the first", "p", "as a trial", "settings")
    return Table(head, tuple(rows))


def _behind(metric: str, behind: Interval | None) -> str:
    if behind is None:
        return ""
    if is_share(split_of(metric)[1]):
        return told("accuracy", behind).replace(" %", " points")
    return told(metric, behind)


def _forest(record: TuneRecord) -> Figure | None:
    if len(record.contenders) < 2:
        return None
    entries = [Entry(f"trial {each.number}", each.value, each.behind) for each in record.contenders]
    figure = forest({"seeds": entries}, record.metric)
    caption = (
        "Left: mean and 95 % interval over the fresh seeds. Right: how much worse than the first, "
        "seed by seed; an interval that touches the dashed line may be chance."
    )
    height = f"{figure.layout.height}px"
    width = forest_width([entry.name for entry in entries], panels=2)
    return Figure(
        "figure-best", "The best trials on fresh seeds", caption, bare(figure), height, width
    )


def _figure(record: TuneRecord, what: str, title: str) -> Figure | None:
    known = [each for each in record.attempts if each.value is not None]
    if not known:
        return None
    if what == "history":
        caption = "Filled: it came to its end. Hollow: it was sent away at a rung, before its end."
        figure = search_history(record.attempts, record.metric)
    else:
        if all(len(each.scores) < 2 for each in known):
            return None
        caption = "Each line is a trial, each mark a rung at which its wave was ranked."
        figure = search_rungs(record.attempts, record.metric)
    return Figure(f"figure-{what}", title, caption, bare(figure), "420px")


def _parallel(record: TuneRecord) -> Figure | None:
    known = [each for each in record.attempts if each.value is not None and each.values]
    axes = dict.fromkeys(name for each in known for name in _bare(each))
    if len(axes) < 2 or len(known) < 2:
        return None
    strands = [Strand(_bare(each), _exact(each.value)) for each in known]
    figure = parallel_axes(strands, record.metric)
    caption = (
        "A line for each trial, by what it came to: those that were sent away did so early. What "
        "several optimizers have, each in a range of its own, shares an axis; a line has a gap "
        "where there was nothing to choose."
    )
    width = f"{110 * len(axes)}px" if len(axes) > 3 else "0"
    return Figure(
        "figure-parallel", "What was chosen together", caption, bare(figure), "480px", width
    )


def _bare(each: Attempt) -> dict[str, Any]:
    """Return the values of a trial by names that do not begin with its kind, with few digits."""
    return {
        name.removeprefix(f"{each.kind}."): float(f"{v:.4g}") if isinstance(v, float) else v
        for name, v in each.values.items()
    }


def _text(values: Mapping[str, Any]) -> str:
    """Return the values of a trial in short."""
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else setting_text(value)


def _exact(value: float | None) -> Any:
    return SimpleNamespace(mean=value, low=float("-inf"), high=float("inf"))


def _importance(record: TuneRecord) -> Figure | None:
    if not record.shares:
        return None
    figure = importance_bars(record.shares)
    caption = (
        "Share of the differences between trials at the first rung that is due to each (fANOVA). "
        "What only some trials have is judged among these."
    )
    height = f"{figure.layout.height}px"
    return Figure("figure-importance", "What made a difference", caption, bare(figure), height)


def _slices(record: TuneRecord) -> list[Figure]:
    bare_ones = [replace(each, values=_bare(each)) for each in record.attempts]
    known = [each for each in bare_ones if each.value is not None]
    axes = list(dict.fromkeys(name for each in known for name in each.values))
    shares = dict.fromkeys(axes, 0.0)
    for name, share in record.shares.items():
        short = name if name in shares else name.rpartition(".")[2]
        shares[short] = max(share, shares.get(short, 0.0))
    axes.sort(key=lambda name: -shares[name])
    found = []
    for place, name in enumerate(axes[:MOST_SLICES]):
        figure = search_slice(bare_ones, name, record.metric)
        caption = "Hollow: it was sent away before its end."
        title = f"{spoken(record.metric)[:1].upper()}{spoken(record.metric)[1:]} against {name}"
        found.append(Figure(f"figure-slice-{place}", title, caption, bare(figure), "340px"))
    return found


def _space(record: TuneRecord) -> Table:
    rows = tuple((name, (Cell(text),)) for name, text in record.space.items())
    return Table(("what", "values"), rows)


def _trials(record: TuneRecord) -> Table | None:
    if not record.attempts:
        return None
    states = {"complete": "came to its end", "pruned": "sent away", "lost": "diverged",
              "running": "not over"}  # fmt: skip
    what = split_of(record.metric)[1]
    rows = []
    for each in record.ranked()[:MOST_ROWS]:
        cells = (
            Cell("" if each.value is None else amount(what, each.value)),
            Cell(states[each.state]),
            Cell(f"{record.epochs.get(each.number, 0):.3g}"),
            Cell(f"{record.seconds.get(each.number, 0):.3g} s", clock=True),
            Cell(_text(each.values)),
        )
        rows.append((str(each.number), cells))
    head = ("trial", spoken(record.metric), "state", "epochs", "seconds", "settings")
    return Table(head, tuple(rows), frozenset({"seconds"}))
