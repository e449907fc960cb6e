"""From a race to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thalweg.plots.against import Line, metric_against
from thalweg.plots.bands import Band, band_curves
from thalweg.plots.contour import contour
from thalweg.plots.forest import Entry, forest
from thalweg.plots.intervals import Interval, split_of, spoken, told
from thalweg.plots.plane import Plane, Way
from thalweg.plots.profile import performance_profile
from thalweg.plots.report.about import About
from thalweg.plots.report.frame import Figure, bare, forest_width, render
from thalweg.plots.report.tables import Cell, Table
from thalweg.plots.text import is_share, setting_text


@dataclass(frozen=True)
class Place:
    """How a contestant did at a budget.

    Args:
        name: The contestant.
        value: What decides, over the seeds that did not diverge; None if there is none.
        behind: How much worse than the first it was, seed by seed.
        seeds: How many seeds it ran with.
        diverged: How many of them diverged.
        to_target: Cost until the target; None unless all seeds reached it.
        reached: Seeds that reached the target.
        p: How often chance alone makes as large a difference to the first, corrected for the
            number of comparisons; 0 if it diverged on more seeds than the first.
    """

    name: str
    value: Interval | None
    behind: Interval | None
    seeds: int
    diverged: int = 0
    to_target: Interval | None = None
    reached: int = 0
    p: float | None = None


@dataclass(frozen=True)
class Tuned:
    """How a contestant was tuned.

    Args:
        line: What was tried and how it did, against the learning rate; and what was chosen.
        runs: How many runs that took.
        at_edge: Whether the chosen one has no worse neighbour on one side.
    """

    line: Line
    runs: int
    at_edge: bool


@dataclass(frozen=True)
class RaceRecord:
    """What a report reads of a race.

    Args:
        about: What was run.
        metric: What decides, such as ``val_accuracy``.
        contestants: Their names, in the order of their colours.
        seeds: Seeds of the race.
        tuning_seeds: Seeds of the tuning.
        settings: What each contestant changes, as text.
        verdict: Who won, in a sentence; empty while the race is not over.
        tuning: How each contestant was tuned; empty if none was.
        step_seconds: Seconds of an update of each alone, measured.
        target: What is to be reached, such as ``val_accuracy>=0.9``.
        standings: How they did at equal cost, the best first, by cost; the first cost decides.
        finals: Each metric at that cost, by contestant.
        bands: Means along the race, by metric.
        profile: Performance ratios by cost, by contestant.
        plane: The ground that they went over, if it was measured.
        ways: Where each went on it, in the order of the contestants.
    """

    about: About
    metric: str
    contestants: Sequence[str]
    seeds: Sequence[int]
    tuning_seeds: Sequence[int] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    tuning: Mapping[str, Tuned] = field(default_factory=dict)
    step_seconds: Mapping[str, float] = field(default_factory=dict)
    target: str = ""
    standings: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    finals: Mapping[str, Mapping[str, Interval | None]] = field(default_factory=dict)
    bands: Mapping[str, Sequence[Band]] = field(default_factory=dict)
    profile: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    plane: Plane | None = None
    ways: Sequence[Way] = ()


def race_report(record: RaceRecord) -> str:
    """Return a page that says who raced, who won, and how that is known.

    Like that of a run, the page needs nothing but itself.

    Args:
        record: The race.

    Returns:
        HTML.
    """
    first = next(iter(record.standings.values()), ())
    facts = [
        ("contestants", f"{len(record.contestants)}", False),
        ("seeds", f"{len(record.seeds)}", False),
        ("runs of tuning", f"{sum(each.runs for each in record.tuning.values())}", False),
        ("runs of the race", f"{len(record.contestants) * len(record.seeds)}", False),
        ("diverged", f"{sum(each.diverged for each in first)}", False),
    ]
    return render(
        "race",
        about=record.about,
        facts=facts,
        verdict=record.verdict,
        why=_why(record),
        standings=_standings_table(record),
        standing=_forest(record),
        costs=list(record.standings),
        curves=_curves(record),
        tuning=_tuning(record),
        tuned=_tuning_table(record),
        seeds=listed_numbers(record.seeds),
        tuning_seeds=listed_numbers(record.tuning_seeds),
        target=_target(record),
        profile=_profile(record),
        ground=_ground(record),
        seconds=_seconds(record),
    )


def listed_numbers(numbers: Sequence[int]) -> str:
    """Return whole numbers, with a dash for those in a row.

    Example:
        >>> listed_numbers([0, 1, 2, 3]), listed_numbers([3, 5])
        ('0–3', '3, 5')
    """
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}–{numbers[-1]}"
    return ", ".join(map(str, numbers))


def _why(record: RaceRecord) -> list[str]:
    """Say what the verdict rests on."""
    if not record.verdict:
        return []
    n = len(record.seeds)
    what = spoken(record.metric)
    if not record.tuning:
        return [
            "Each ran with one learning rate that nobody had tuned to this task, so that who is "
            "ahead may only say whose learning rate fits. What follows shows the runs as they were."
        ]
    edge = [name for name, own in record.tuning.items() if own.at_edge]
    if edge:
        names = " and ".join(filter(None, [", ".join(edge[:-1]), edge[-1]]))
        return [
            f"The best learning rate of {names} was still at an end of what had been tried, so "
            "that a better one may lie beyond it."
        ]
    pairs = "one seed, which cannot tell them apart" if n == 1 else f"{n} seeds, in pairs"
    return [
        f"Decided by {what} after equally many epochs, over {pairs}: on each seed all began with "
        "the same weights wherever their networks are the same. The test split decided nothing.",
        "A difference counts if chance alone would make one as large in at most 5 % of cases "
        "(Student's test on the pairs), corrected for the number of comparisons (Holm).",
    ]


def _standings_table(record: RaceRecord) -> Table | None:
    if not record.standings:
        return None
    places = next(iter(record.standings.values()))
    others = [name for name in record.finals if name != record.metric]
    others.sort(key=lambda name: (split_of(name)[1] != split_of(record.metric)[1], name))
    rows = []
    for place in places:
        note = f"{place.diverged} of {place.seeds} diverged" if place.diverged else ""
        cells = [Cell(told(record.metric, place.value) if place.value else "", note)]
        cells += [Cell(_behind(record.metric, place)), Cell(_p(place.p))]
        cells += [Cell(told(name, record.finals[name].get(place.name))) for name in others]
        rows.append((place.name, tuple(cells)))
    head = ("contestant", spoken(record.metric), "behind the first", "p", *map(spoken, others))
    return Table(head, tuple(rows))


def _behind(metric: str, place: Place) -> str:
    if place.behind is None:
        return ""
    if is_share(split_of(metric)[1]):
        return told("accuracy", place.behind).replace(" %", " points")
    return told(metric, place.behind)


def _p(p: float | None) -> str:
    if p is None:
        return ""
    if p == 0:
        return "diverged more"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _forest(record: RaceRecord) -> Figure | None:
    if not record.standings:
        return None
    rows = {
        cost: [
            Entry(
                p.name, p.value, p.behind, f"{p.diverged} of {p.seeds} diverged" * (p.diverged > 0)
            )
            for p in places
        ]
        for cost, places in record.standings.items()
    }
    figure = forest(rows, record.metric)
    caption = (
        "Left: mean and 95 % interval over the seeds. Right: how much worse than the first it was, "
        "seed by seed; an interval that touches the dashed line may be chance. What counts for the "
        "verdict is stricter: it is corrected for the number of comparisons."
    )
    height = f"{figure.layout.height}px"
    width = forest_width(record.contestants, panels=2)
    return Figure("figure-standings", f"{_title(record.metric)} at equal cost", caption,
                  bare(figure), height, width)  # fmt: skip


def _curves(record: RaceRecord) -> list[Figure]:
    found = []
    for place, (metric, bands) in enumerate(record.bands.items()):
        caption = "Means over the seeds that did not diverge, with 95 % bands."
        figure = bare(band_curves(bands, metric))
        found.append(Figure(f"figure-{place}", _title(metric), caption, figure, "420px"))
    return found


def _tuning(record: RaceRecord) -> Figure | None:
    if not record.tuning:
        return None
    lines = [own.line for own in record.tuning.values()]
    figure = metric_against(lines, "learning rate", record.metric)
    caption = "A ring marks what was chosen; a cross at the foot of the figure: it diverged."
    return Figure("figure-tuning", f"{_title(record.metric)} against the learning rate", caption,
                  bare(figure), "460px")  # fmt: skip


def _tuning_table(record: RaceRecord) -> Table | None:
    if not record.tuning:
        return None
    rows = []
    for name, own in record.tuning.items():
        line = own.line
        at = [k for k, x in enumerate(line.x) if x == line.chosen]
        best = told(record.metric, line.y[at[0]]) if at and line.y[at[0]] else "–"
        edge = "at an end of what was tried" if own.at_edge else ""
        tried = f"{setting_text(min(line.x))} to {setting_text(max(line.x))}" if line.x else ""
        cells = (
            Cell(setting_text(line.chosen), edge),
            Cell(best),
            Cell(tried),
            Cell(f"{own.runs}"),
            Cell(f"{sum(line.diverged)}"),
            Cell(record.settings.get(name, "")),
        )
        rows.append((name, cells))
    head = ("contestant", "learning rate", spoken(record.metric), "tried", "runs", "diverged",
            "settings")  # fmt: skip
    return Table(head, tuple(rows))


def _target(record: RaceRecord) -> Figure | None:
    if not record.standings or not record.target:
        return None
    rows = {
        cost: [
            Entry(p.name, p.to_target, note=f"reached by {p.reached} of {p.seeds} seeds")
            for p in sorted(places, key=_soonest)
        ]
        for cost, places in record.standings.items()
    }
    figure = forest(rows, "{cost} until the target")
    caption = (
        f"Mean and 95 % interval of what it cost until {record.target} was measured first. There "
        "is a mean only where every seed reached it."
    )
    title = f"How soon {record.target} was reached"
    height = f"{figure.layout.height}px"
    width = forest_width(record.contestants)
    return Figure("figure-target", title, caption, bare(figure), height, width)


def _soonest(place: Place) -> tuple[float, int]:
    return (place.to_target.mean if place.to_target else float("inf"), -place.reached)


def _profile(record: RaceRecord) -> Figure | None:
    if not any(ratios for own in record.profile.values() for ratios in own.values()):
        return None
    figure = performance_profile(record.profile)
    caption = (
        "A problem is a seed with one of five targets, from what the worst run came to to what the "
        "best did. The height at 1 says on how many problems a contestant was the soonest, the "
        "height at the right on how many it got there at all (Dolan & Moré 2002)."
    )
    return Figure("figure-profile", "How often within a multiple of the soonest", caption,
                  bare(figure), "420px")  # fmt: skip


def _ground(record: RaceRecord) -> Figure | None:
    if record.plane is None:
        return None
    figure = contour(record.plane, record.ways)
    figure.update_layout(title_text="", margin_t=24)
    title = f"The {spoken(record.plane.metric)} under their ways"
    return Figure(
        "figure-ground", title, figure.layout.meta["caption"], bare(figure), "560px", "720px"
    )


def _seconds(record: RaceRecord) -> Table | None:
    if not record.step_seconds:
        return None
    rows = [
        (name, (Cell(f"{1000 * seconds:.3g} ms", clock=True),))
        for name, seconds in record.step_seconds.items()
    ]
    return Table(("contestant", "an update alone"), tuple(rows), frozenset({"an update alone"}))


def _title(metric: str) -> str:
    text = spoken(metric)
    return text[:1].upper() + text[1:]
