"""What is told while a sweep goes on: a bar, lines, or JSON; and how it ends."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from thalweg.cli.live import pointing, reporting
from thalweg.cli.parser import Namespace
from thalweg.cli.sweep_table import (
    interval_text,
    leading,
    print_rows,
    row_facts,
    setting_text,
)
from thalweg.cli.text import duration, metric, place, plural, typed
from thalweg.engine import Evaluated, Event, Finished
from thalweg.errors import SpecError
from thalweg.spec import Spec

if TYPE_CHECKING:
    from thalweg.study import Estimate, Sweep

PAUSE = 0.1
"""Seconds between two drawings of the bar."""

SILENCE = 10.0
"""Seconds after which an evaluation is worth a line."""


class Tally:
    """How a sweep stands: who is over, who trains, who is best, and how long it will take.

    Args:
        sweep: The sweep.
        plan: What is left of it.
    """

    def __init__(self, sweep: Sweep, plan: Estimate) -> None:
        self.series, self.plan, self.began = sweep.series, plan, time.monotonic()
        results = self.series.results
        self.ended = set(results)
        self.lost = {n for n, each in results.items() if each.diverged}
        self.last = {n: dict(each.metrics) for n, each in results.items() if not each.diverged}
        self.training, self.shares = set[int](), dict[int, float]()

    def __call__(self, index: int, event: Event) -> None:
        """Take note of an event; a group that is begun anew elsewhere tells all of it again."""
        numbers = self.series.groups[index]
        if index not in self.shares:
            self.training |= {n for n in numbers if n not in self.ended}
        self.shares[index] = share_made(event, self.series.points[numbers[0]].spec)
        if isinstance(event, Evaluated):
            for row, number in enumerate(event.members):
                told = {name: values[row] for name, values in event.metrics.items()}
                self.last.setdefault(number, {}).update(
                    {name: value for name, value in told.items() if value is not None}
                )
        elif isinstance(event, Finished):
            self.ended |= set(event.members)
            self.training -= self.ended
            if self.ended.issuperset(numbers):
                self.shares[index] = 1.0
            if event.reason == "diverged":
                self.lost |= set(event.members)
                for number in event.members:
                    self.last.pop(number, None)

    @property
    def over(self) -> int:
        """How many are over."""
        return len(self.ended)

    @property
    def diverged(self) -> int:
        """How many of them diverged."""
        return len(self.lost)

    @property
    def finished(self) -> float:
        """What is done, in seconds of the estimate."""
        return sum(share * self.plan.by_group[index] for index, share in self.shares.items())

    @property
    def left(self) -> float:
        """Seconds that are left, by what the ones before took."""
        rest = max(0.0, self.plan.seconds - self.finished)
        return rest * (time.monotonic() - self.began) / max(self.finished, 1e-9)

    def best(self) -> str:
        """Return who is best so far, and how good; nothing if nobody was evaluated."""
        from thalweg.study.sweeps.sweeping import sign_of

        name = leading(list(dict.fromkeys(n for own in self.last.values() for n in own)))
        if name is None:
            return ""
        having = {number: own[name] for number, own in self.last.items() if name in own}
        number = max(having, key=lambda each: sign_of(name) * having[each])
        point, split = self.series.points[number], name.partition("_")
        who = f"{setting_text(point.setting)} seed {point.spec.seed}".strip()
        what = split[0] if split[2] == "accuracy" else f"{split[0]} {split[2]}"
        return f"best {who}: {what} {metric(split[2], having[number])}"

    def line(self) -> str:
        """Return all that in one line."""
        lost = f", {self.diverged} diverged" if self.diverged else ""
        parts = [f"{self.over} of {len(self.series.points)} over{lost}"]
        if self.training:
            parts.append(f"{len(self.training)} training")
        parts += [best] if (best := self.best()) else []
        if self.over < len(self.series.points):
            parts.append(f"{duration(self.left)} left")
        return "  ".join(parts)


def share_made(event: Event, spec: Spec) -> float:
    """Return about how much of its way a group has made at an event.

    Example:
        >>> from thalweg.engine import Clock
        >>> share_made(Finished(Clock(10, 0.5, 10, 1.0), "complete", {}), Spec(epochs=2))
        0.25
    """
    made = event.clock.step / spec.steps if spec.steps else event.clock.epoch / (spec.epochs or 1.0)
    return min(1.0, made)


class Lines:
    """A line on stderr when members are over, and now and then an evaluation."""

    def __init__(self, tally: Tally) -> None:
        self.tally, self.told = tally, time.monotonic()

    def __call__(self, index: int, event: Event) -> None:
        """Print a line if there is something to say."""
        self.tally(index, event)
        waited = time.monotonic() - self.told
        if isinstance(event, Finished) or (isinstance(event, Evaluated) and waited > SILENCE):
            print(self.tally.line(), file=sys.stderr, flush=True)
            self.told = time.monotonic()


class Bar:
    """A bar on stderr, drawn by the loop itself, at most ten times a second."""

    def __init__(self, tally: Tally) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.tally, self.drawn = tally, 0.0
        self.progress = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self.task = self.progress.add_task("", total=max(tally.plan.seconds, 1e-9))

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, index: int, event: Event) -> None:
        """Draw the bar if it is time to."""
        self.tally(index, event)
        now = time.monotonic()
        if now - self.drawn < PAUSE and not isinstance(event, Finished):
            return
        self.drawn = now
        room = shutil.get_terminal_size().columns - 22
        text = self.tally.line().replace("[", r"\[")[:room]
        self.progress.update(self.task, completed=self.tally.finished, description=text)
        self.progress.refresh()


class JsonLines:
    """One JSON object a line on stdout: what happens in the groups, and who is over."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __call__(self, index: int, event: Event) -> None:
        """Tell of an event, unless it is a step."""
        from thalweg.cli.telling import tell

        self.tally(index, event)
        points = self.tally.series.points
        clock = {name: getattr(event.clock, name) for name in event.clock.__slots__}
        if isinstance(event, Evaluated):
            values = {name: list(each) for name, each in event.metrics.items()}
            tell("evaluated", group=index, **clock, members=list(event.members), **values)
        elif isinstance(event, Finished):
            for row, number in enumerate(event.members):
                point = points[number]
                told = {name: values[row] for name, values in event.metrics.items()}
                who = {"setting": dict(point.setting), "seed": point.spec.seed}
                tell("finished", group=index, member=number, **who, reason=event.reason, **told)


def follow_sweep(
    sweep: Sweep, events: Iterator[tuple[int, Event]], plan: Estimate, arguments: Namespace
) -> int:
    """Train by going through the events, tell of them, print the table, and return the exit code.

    Raises:
        FileError: The folder cannot be written any more.
    """
    from thalweg.cli.telling import tell
    from thalweg.study import Interrupted

    tally, folder = Tally(sweep, plan), sweep.folder
    hint = "" if folder is None else f"thalweg resume {typed(folder)} goes on"
    try:
        with (
            pointing(folder, f"then {hint}"),
            reporting(
                arguments, tally, lambda: JsonLines(tally), lambda: Lines(tally), lambda: Bar(tally)
            ) as report,
        ):
            for index, event in events:
                report(index, event)
    except Interrupted as stop:
        over = len(sweep.series.results)
        if arguments.json:
            told = {"over": over, "signal": stop.signal.name, "folder": str(folder), "hint": hint}
            tell("interrupted", **told)
        every = plural(len(sweep.series.points), "member")
        what = f"interrupted after {over:,} of {every} by {stop.signal.name}"
        print(f"thalweg: {what}; saved: {hint}", file=sys.stderr)
        return 128 + stop.signal
    conclude(sweep, as_json=arguments.json)
    if folder is not None and not (arguments.json or arguments.quiet):
        print(f"recorded in {place(folder)}", file=sys.stderr)
    return 1 if all(each.diverged for each in sweep.series.results.values()) else 0


def conclude(sweep: Sweep, *, as_json: bool) -> None:
    """Print the table of a sweep that is over, and which setting is the best; or its answer."""
    from thalweg.cli.study import print_answer
    from thalweg.cli.telling import tell
    from thalweg.study import study_of

    if (study := study_of(sweep)) is not None:
        return print_answer(study, as_json=as_json)
    best = best_setting(sweep)
    if as_json:
        for row in sweep.table():
            tell("row", **row_facts(row))
        folder = None if sweep.folder is None else str(sweep.folder.absolute())
        tell("complete", folder=folder, members=len(sweep.series.points), best=best)
        return None
    print_rows(sweep)
    if best is not None and len(sweep.table()) > 1:
        print(f"best by {best['metric']}: {best['text']}")


def best_setting(sweep: Sweep) -> dict[str, Any] | None:
    """Return the best setting by the metric that says most; None if there is none."""
    name = leading(sweep.metrics)
    if name is None:
        return None
    try:
        row = sweep.best(name)
    except SpecError:  # all diverged
        return None
    text = f"{setting_text(row.setting)}, {interval_text(name, row.means[name])}"
    return {"metric": name, "setting": dict(row.setting), "text": text}


def tell_plan(sweep: Sweep, plan: Estimate, arguments: Namespace) -> None:
    """Say what is to come, before it does."""
    from thalweg.cli.telling import tell

    if arguments.json:
        told = {"members": plan.members, "groups": plan.groups, "seconds": plan.seconds}
        settings: list[Mapping[str, Any]] = [row.setting for row in sweep.table()]
        spec, axes = sweep.base.model_dump(mode="json"), sweep.axes
        tell("planned", **told, bytes=plan.bytes, axes=axes, settings=settings, spec=spec)
    elif not arguments.quiet:
        groups = f"in {plural(plan.groups, 'group')}, each one program"
        size = f"{max(1, round(plan.bytes / 2**20)):,} MB at most"
        specs = [point.spec for point in sweep.series.points]
        sooner = any(spec.until or spec.patience or spec.max_seconds for spec in specs)
        about = f"{'at most ' * sooner}about {duration(plan.seconds)} and the evaluations"
        text = f"{plural(plan.members, 'member')} {groups}; {size}; {about}"
        print(text, file=sys.stderr, flush=True)
