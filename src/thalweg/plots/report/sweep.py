"""From a sweep to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from thalweg.plots.against import Line, metric_against
from thalweg.plots.bands import Band, band_curves
from thalweg.plots.forest import Entry, forest
from thalweg.plots.heat import Cell, heat_map
from thalweg.plots.intervals import Interval, split_of, spoken, told
from thalweg.plots.parallel import Strand, parallel_axes
from thalweg.plots.report.about import About
from thalweg.plots.report.frame import Figure, bare, forest_width, render
from thalweg.plots.report.tables import Cell as TableCell
from thalweg.plots.report.tables import Table
from thalweg.plots.report.words import duration
from thalweg.plots.scales import is_number, ordered
from thalweg.plots.text import falls, setting_text

MOST_ROWS = 200
"""Settings that a page lists, the best ones."""

MOST_CURVES = 6
"""Settings whose curves are drawn, the best ones."""

MOST_LINES = 7
"""Values of the second axis that each have a line."""


@dataclass(frozen=True)
class Setting:
    """One setting of a sweep, over its seeds.

    Args:
        values: Its values by axis.
        means: Each metric at the end, over the seeds that did not diverge.
        members: How many seeds it has.
        over: How many of them are over.
        diverged: How many diverged.
        courses: Means by evaluation, by metric; without a name.
    """

    values: Mapping[str, Any]
    means: Mapping[str, Interval]
    members: int
    over: int
    diverged: int = 0
    courses: Mapping[str, Band] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called."""
        return ", ".join(f"{k} {setting_text(v)}" for k, v in self.values.items()) or "as it is"

    @property
    def short(self) -> str:
        """What it is called where there is little room: of three values and more no axes."""
        if len(self.values) < 3:
            return self.name
        return " · ".join(map(setting_text, self.values.values()))

    @property
    def note(self) -> str:
        """How many seeds are missing from its means."""
        lost = [f"{self.diverged} of {self.members} diverged"] if self.diverged else []
        wait = self.members - self.over
        return ", ".join([*lost, *([f"{wait} not over"] if wait else [])])


@dataclass(frozen=True)
class SweepRecord:
    """What a report reads of a sweep.

    Args:
        about: What was run.
        metric: What the settings are ranked by, such as ``val_accuracy``; empty if nothing was
            measured.
        settings: The settings, in the order of the grid.
        groups: How many programs trained them.
        seconds: Time of training, of all members together.
    """

    about: About
    metric: str
    settings: Sequence[Setting]
    groups: int
    seconds: float

    @property
    def axes(self) -> list[str]:
        """What varies."""
        return list(dict.fromkeys(key for each in self.settings for key in each.values))

    @property
    def metrics(self) -> list[str]:
        """What was measured, what ranks the settings first, without means over batches."""
        names = dict.fromkeys(name for each in self.settings for name in each.means)
        kept = [name for name in names if split_of(name)[0] != "running"]
        return sorted(kept, key=lambda name: name != self.metric)

    def ranked(self) -> list[Setting]:
        """Return the settings that were measured, the best first; those that diverged go behind."""
        sign = -1.0 if falls(self.metric) else 1.0
        measured = [each for each in self.settings if self._mean(each) is not None]
        return sorted(
            measured, key=lambda each: (each.diverged, -sign * each.means[self.metric].mean)
        )

    def _mean(self, setting: Setting) -> float | None:
        found = setting.means.get(self.metric)
        return found.mean if found is not None and isfinite(found.mean) else None


def sweep_report(record: SweepRecord) -> str:
    """Return a page that says what a sweep was and what came of it.

    Like that of a run, the page needs nothing but itself.

    Args:
        record: The sweep.

    Returns:
        HTML.
    """
    ranked = record.ranked()
    lost = sum(each.diverged for each in record.settings)
    members = sum(each.members for each in record.settings)
    over = sum(each.over for each in record.settings)
    facts = [
        ("settings", f"{len(record.settings):,}", False),
        ("members", f"{members:,}" if over == members else f"{over:,} of {members:,} over", False),
        ("diverged", f"{lost:,}", False),
        ("programs", f"{record.groups:,}", False),
        ("training time", duration(record.seconds), True),
    ]
    return render(
        "sweep",
        about=record.about,
        facts=facts,
        result=_result(record, ranked),
        varied=[
            (axis, ", ".join(map(setting_text, found))) for axis, found in _values(record).items()
        ],
        settings=_table(record, ranked),
        caption=_caption(len(record.settings)),
        figures=_figures(record, ranked),
        curves=_curves(record, ranked),
    )


def _values(record: SweepRecord) -> dict[str, list[Any]]:
    return {
        axis: ordered([each.values[axis] for each in record.settings if axis in each.values])
        for axis in record.axes
    }


def _result(record: SweepRecord, ranked: Sequence[Setting]) -> list[str]:
    """Say which setting is the best, and how far that can be relied on."""
    if not ranked:
        lost = all(each.over and each.diverged == each.over for each in record.settings)
        return ["Every member diverged." if lost else "Nothing was measured yet."]
    best = ranked[0]
    if best.diverged:
        return ["Every setting diverged on at least one seed, so none is called the best."]
    metric = spoken(record.metric)
    mean = best.means[record.metric]
    said = [f"The best {metric}: {told(record.metric, mean)}, with {best.name}."]
    if not isfinite(mean.high):
        said.append("One seed each says nothing about chance: another may turn the order round.")
    else:
        sign = -1.0 if falls(record.metric) else 1.0
        edge = mean.low if sign > 0 else mean.high
        near = sum(
            not each.diverged and sign * (_far(each.means[record.metric], sign) - edge) >= 0
            for each in ranked[1:]
        )
        if near:
            verb = "is" if near == 1 else "are"
            said.append(
                f"The intervals of {near} other setting{'s' * (near > 1)} reach its own: which of "
                f"them {verb} better is not sure."
            )
    if split_of(record.metric)[0] == "test":
        said.append(
            "It was chosen by the test split, so new samples may do worse; a validation split "
            "(val) leaves the test split out of the choice."
        )
    return said


def _far(interval: Interval, sign: float) -> float:
    """Return the better end of an interval, or its mean if it has none."""
    end = interval.high if sign > 0 else interval.low
    return end if isfinite(end) else interval.mean


def _table(record: SweepRecord, ranked: Sequence[Setting]) -> Table:
    """Return a row for each setting, the best first."""
    metrics, axes = record.metrics, record.axes
    others = [each for each in record.settings if each not in ranked]
    rows = []
    for setting in [*ranked, *others][:MOST_ROWS]:
        values = [setting_text(setting.values[a]) if a in setting.values else "" for a in axes]
        cells = [TableCell(text) for text in values[1:]]
        good = setting.over - setting.diverged
        cells.append(TableCell(f"{good} of {setting.members}", setting.note))
        cells += [TableCell(told(name, setting.means.get(name))) for name in metrics]
        rows.append((values[0] if values else "as it is", tuple(cells)))
    head = (*(axes or ["setting"]), "seeds", *map(spoken, metrics))
    return Table(head, tuple(rows))


def _caption(n: int) -> str:
    which = f"The {MOST_ROWS} best of {n:,}" if n > MOST_ROWS else "The best first"
    return f"{which}; means at the end over the seeds that did not diverge, with 95 % intervals"


def _figures(record: SweepRecord, ranked: Sequence[Setting]) -> list[Figure]:
    """Return what shows the metric over the settings."""
    measured = any(each.means or each.diverged for each in record.settings)
    if not record.metric or not measured:
        return []
    metric, axes, values = record.metric, record.axes, _values(record)
    found = []
    numeric = [axis for axis in axes if all(map(is_number, values[axis]))]
    if len(axes) == 2:
        x, y = sorted(axes, key=lambda axis: (axis not in numeric, -len(values[axis])))
        found.append(_heat(record, x, y, values))
    if len(axes) >= 3:
        strands = [Strand(e.values, e.means.get(metric), e.diverged) for e in record.settings]
        figure = parallel_axes(strands, metric)
        caption = (
            "A line is a setting, and where it crosses an axis is its value there. The colours are "
            "fifths of the settings, from the worst to the best; orange and dotted: diverged on "
            "every seed."
        )
        title = f"{_title(metric)} over all settings"
        width = f"{90 + 130 * len(axes)}px"
        found.append(Figure("figure-parallel", title, caption, bare(figure), "480px", width))
    if numeric and len(axes) <= 2:
        axis = max(numeric, key=lambda each: len(values[each]))
        (other,) = [each for each in axes if each != axis] or [""]
        if len(values.get(other, [""])) <= MOST_LINES:
            found.append(_against(record, axis, other, values))
    if ranked and (not (len(axes) == 2 or numeric) or len(axes) >= 3):
        found.append(_forest(record, ranked))
    return found


def _heat(record: SweepRecord, x: str, y: str, values: Mapping[str, Sequence[Any]]) -> Figure:
    cells = [
        Cell(e.values.get(x), e.values.get(y), e.means.get(record.metric), e.diverged)
        for e in record.settings
    ]
    figure = heat_map(cells, (x, y), record.metric)
    unit = ", in percent" if "accuracy" in record.metric else ""
    caption = (
        f"Mean over the seeds that did not diverge{unit}; the bluer, the better. Framed: the best "
        "of those that never diverged. Orange with ×: every seed diverged; 2 ×: two did."
    )
    width = f"{90 + 36 * len(values[x])}px"
    title = f"{_title(record.metric)} by {x} and {y}"
    height = f"{figure.layout.height}px"
    return Figure("figure-heat", title, caption, bare(figure), height, width)


def _against(
    record: SweepRecord, axis: str, other: str, values: Mapping[str, Sequence[Any]]
) -> Figure:
    lines = []
    ranked = record.ranked()
    best = ranked[0].values if ranked and not ranked[0].diverged else {}
    for value in values.get(other, [None]):
        own = [e for e in record.settings if axis in e.values and e.values.get(other) == value]
        chosen = best.get(axis) if best and best.get(other) == value else None
        lines.append(
            Line(
                f"{other} {setting_text(value)}" if other else spoken(record.metric),
                [e.values[axis] for e in own],
                [e.means.get(record.metric) for e in own],
                [e.diverged for e in own],
                chosen,
            )
        )
    figure = metric_against(lines, axis, record.metric)
    caption = (
        "Means over the seeds that did not diverge, with 95 % intervals; the axis may cut wide "
        "ones. A ring marks the best; a cross at the foot: a seed at least diverged."
    )
    title = f"{_title(record.metric)} against {axis}"
    return Figure("figure-against", title, caption, bare(figure), "420px")


def _forest(record: SweepRecord, ranked: Sequence[Setting]) -> Figure:
    most = 12
    rows = [Entry(e.short, e.means[record.metric], note=e.note) for e in ranked[:most]]
    figure = forest({"": rows}, record.metric)
    caption = f"{_key(record)}Means over the seeds that did not diverge, with 95 % intervals."
    title = "The settings" if len(ranked) <= most else f"The {most} best settings"
    height = f"{figure.layout.height}px"
    width = forest_width([entry.name for entry in rows])
    return Figure("figure-forest", title, caption, bare(figure), height, width)


def _curves(record: SweepRecord, ranked: Sequence[Setting]) -> list[Figure]:
    chosen = [each for each in ranked if each.courses][:MOST_CURVES]
    wanted = dict.fromkeys(
        name
        for name in [record.metric, *record.metrics]
        if any(len(each.courses[name].mean) > 1 for each in chosen if name in each.courses)
    )
    found = []
    for place, name in enumerate(wanted):
        bands = [
            Band(each.short, own.x, own.mean, own.low, own.high, each.note)
            for each in chosen
            if (own := each.courses.get(name)) is not None
        ]
        which = f"The {MOST_CURVES} best settings. " if len(ranked) > MOST_CURVES else ""
        caption = f"{which}{_key(record)}Means over the seeds, with 95 % bands."
        figure = bare(band_curves(bands, name))
        found.append(Figure(f"figure-{place}", _title(name), caption, figure, "420px"))
    return found


def _key(record: SweepRecord) -> str:
    """Return what the values in short names are."""
    return f"Names: {' · '.join(record.axes)}. " if len(record.axes) > 2 else ""


def _title(metric: str) -> str:
    text = spoken(metric)
    return text[:1].upper() + text[1:]
