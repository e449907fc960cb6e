"""What is told while a race goes on: a live table, lines, or JSON; and how it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from thalweg.cli.live import LiveTable, pointing, reporting
from thalweg.cli.parser import Namespace
from thalweg.cli.race_table import facts, print_race, print_verdict, score_text, tuning_facts
from thalweg.cli.text import duration, place, plural, typed
from thalweg.engine import Diverged, Evaluated, Event, Step

if TYPE_CHECKING:
    from thalweg.study import Race
    from thalweg.study.sweeps.series import Series

SILENCE = 10.0
"""Seconds after which an evaluation is worth a line."""


class Tally:
    """How a race stands: in which part it is, who is alive, and how good everybody is.

    Args:
        race: The race.
    """

    def __init__(self, race: Race) -> None:
        self.race, self.part, self.epoch = race, "", 0.0
        self.series: Series | None = None

    def __call__(self, part: str, series: Series, event: Event) -> None:
        """Take note of an event."""
        if part != self.part:
            self.part, self.series, self.began = part, series, time.monotonic()
            over = series.results.values()
            self.values = {r.number: r.metrics.get(self.race.info.metric) for r in over}
            self.lost = {each.number for each in over if each.diverged}
            self.first: float | None = None
        self.epoch = event.clock.epoch
        if isinstance(event, Evaluated):
            own = event.metrics.get(self.race.info.metric)
            if own is not None:
                self.values |= dict(zip(event.members, own, strict=True))
        elif isinstance(event, Diverged):
            self.lost |= set(event.members)
        self.share = self._share(event)
        if self.first is None:  # a part that is gone on with has a share already
            self.first = self.share

    @property
    def title(self) -> str:
        """The part that goes on."""
        round_ = self.part.partition("-")[2]
        return f"tuning, round {int(round_) + 1}" if round_ else "the race"

    @property
    def left(self) -> str:
        """How long this part will take still."""
        made = self.share - (self.first or 0.0)
        if made <= 0:
            return ""
        return f"about {duration((time.monotonic() - self.began) * (1 - self.share) / made)} left"

    def line(self) -> str:
        """Return how the part stands."""
        assert self.series is not None
        n = len(self.series.points)
        lost = f", {len(self.lost)} diverged" if self.lost else ""
        parts = [f"{self.title}: {plural(n, 'network')}{lost}", f"{100 * self.share:.0f} %"]
        return ", ".join([*parts, *filter(None, [self.left])])

    def rows(self) -> Iterator[list[str]]:
        """Yield a row for each contestant: alive, best learning rate so far, how good it is."""
        assert self.series is not None
        numbers: dict[str, list[int]] = {name: [] for name in self.race.contestants}
        for number, point in enumerate(self.series.points):
            numbers[point.setting["contestant"]].append(number)
        for name, own in numbers.items():
            alive = [number for number in own if number not in self.lost]
            told = [v for number in alive if (v := self.values.get(number)) is not None]
            ladder = self.race.ladders.get(name)
            if self.part == "final":
                score = fmean(told) if told else None
            else:
                score = None if ladder is None else abs(ladder.scores[ladder.best])
            lr = "–" if ladder is None else f"{ladder.lr:.4g}"
            yield [name, f"{len(alive)} of {len(own)}", lr, score_text(self.race, score)]

    def _share(self, event: Event) -> float:
        """Return how much of the part is done."""
        assert self.series is not None
        group, over = self.series.group, len(self.series.results)
        if group is not None:
            members = group.progress.everyone
            updates = max(member.length.updates for member in members)
            over += len(members) * min(1.0, event.clock.step / updates)  # type: ignore[assignment]
        return over / len(self.series.points)


class Lines:
    """A line on stderr when a part begins and ends, and now and then in between."""

    def __init__(self, tally: Tally) -> None:
        self.tally, self.told, self.part = tally, time.monotonic(), ""

    def __call__(self, part: str, series: Series, event: Event) -> None:
        """Print a line if there is something to say."""
        self.tally(part, series, event)
        if part != self.part:
            self.part = part
            self._say(f"{self.tally.title}: {plural(len(series.points), 'network')}{self._best()}")
        elif not isinstance(event, Step) and time.monotonic() - self.told > SILENCE:
            self._say(self.tally.line())

    def _best(self) -> str:
        ladders = self.tally.race.ladders
        told = ", ".join(f"{name} {own.lr:.4g}" for name, own in ladders.items())
        return f"; best so far: {told}" if told else ""

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        self.told = time.monotonic()


class JsonLines:
    """One JSON object a line on stdout: what happens, and to whom."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __call__(self, part: str, series: Series, event: Event) -> None:
        """Tell of an event, unless it is a step."""
        from thalweg.cli.telling import tell

        self.tally(part, series, event)
        if isinstance(event, Step):
            return
        clock = {name: getattr(event.clock, name) for name in event.clock.__slots__}
        who = [series.points[number] for number in event.members]
        told = {
            "part": part, **clock,
            "contestants": [point.setting["contestant"] for point in who],
            "lr": [point.setting.get("lr") for point in who],
            "seeds": [point.spec.seed for point in who],
        }  # fmt: skip
        if isinstance(event, Diverged):
            tell("diverged", **told)
            return
        values = {name: list(own) for name, own in event.metrics.items()}
        if isinstance(event, Evaluated):
            tell("evaluated", **told, **values)
        else:
            tell("finished", **told, reason=event.reason, **values)


def follow_race(
    race: Race, events: Iterator[tuple[str, Series, Event]], arguments: Namespace
) -> int:
    """Race by going through the events, tell of them and of the verdict; return the exit code.

    Raises:
        FileError: The folder cannot be written any more.
    """
    from thalweg.cli.telling import tell
    from thalweg.study import Interrupted

    tally, folder = Tally(race), race.folder
    titles = ("contestant", "alive", "best lr so far", race.info.metric)
    if arguments.json:
        info = race.info
        told = {"contestants": list(race.contestants), "seeds": info.seeds, "metric": info.metric}
        spec = race.base.model_dump(mode="json")
        where = None if folder is None else str(folder)
        tell("started", folder=where, **told, tuning_seeds=info.tuning_seeds, spec=spec)
    hint = "" if folder is None else f"thalweg resume {typed(folder)} goes on"
    try:
        with pointing(folder, f"then {hint}"), reporting(
            arguments, tally, lambda: JsonLines(tally), lambda: Lines(tally),
            lambda: LiveTable(tally, titles),
        ) as report:  # fmt: skip
            for part, series, event in events:
                report(part, series, event)
    except Interrupted as stop:
        if arguments.json:
            told = {"part": tally.part, "signal": stop.signal.name, "folder": str(folder)}
            tell("interrupted", **told, hint=hint)
        what = f"interrupted in {tally.title} by {stop.signal.name}"
        print(f"thalweg: {what}; saved: {hint}", file=sys.stderr)
        return 128 + stop.signal
    conclude(race, arguments)
    if folder is not None and not (arguments.json or arguments.quiet):
        print(f"recorded in {place(folder)}", file=sys.stderr)
    assert race.final is not None
    return 1 if all(each.diverged for each in race.final.results.values()) else 0


def conclude(race: Race, arguments: Namespace) -> None:
    """Print what came of a race that is complete."""
    from thalweg.cli.telling import tell

    if arguments.json:
        for trial in tuning_facts(race):
            tell("trial", **trial)
        folder = None if race.folder is None else str(race.folder)
        tell("complete", folder=folder, **facts(race))
    elif arguments.quiet:
        print_verdict(race)
    else:
        print_race(race)
