"""What is told while a search goes on: a live table, lines, or JSON; and how it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from thalweg.cli.live import LiveTable, pointing, reporting
from thalweg.cli.parser import Namespace
from thalweg.cli.text import duration, metric, place, plural, typed
from thalweg.cli.tune_table import facts, print_tune, print_verdict, trial_facts, values_text

if TYPE_CHECKING:
    from thalweg.study import Tuning
    from thalweg.study.search.tuning import Happening

LINES = 6
"""Trials that the table shows."""


class Tally:
    """How a search stands: how many trials are over, which are the best, and what goes on.

    Args:
        tuning: The search.
        done: Trials that were over before.
    """

    def __init__(self, tuning: Tuning, done: int = 0) -> None:
        self.tuning, self.done, self.first = tuning, done, done
        self.pruned = self.lost = 0
        self.best: list[tuple[float, int, str, str]] = []
        self.what, self.began = "", time.monotonic()

    def __call__(self, happening: Happening) -> None:
        """Take note of what happened."""
        from thalweg.study.search.tuning import Final
        from thalweg.study.search.worker import Asked, Ranked, Told

        match happening:
            case Asked(wave=wave, trials=trials, again=again):
                again_ = ", again" if again else ""
                self.what = f"wave {wave + 1}: {plural(len(trials), 'trial')}{again_}"
            case Ranked(wave=wave, rung=rung, scores=scores, kept=kept):
                at = "at its end" if rung == 1 else f"after {100 * rung:.3g} % of its length"
                self.what = f"wave {wave + 1} {at}: {len(kept)} of {len(scores)} left"
            case Told(trial=trial):
                self.done += 1
                self.pruned += trial.state == "pruned"
                self.lost += trial.state == "lost"
                if trial.value is not None:
                    shown = metric(self.tuning.info.metric.partition("_")[2], trial.value)
                    entry = (self.tuning.sign * trial.value, trial.number, shown)
                    self.best.append((*entry, values_text(trial.values)))
                    self.best = sorted(self.best, reverse=True)[:LINES]
            case Final(series=series):
                over = f"{len(series.results)} of {plural(len(series.points), 'network')} over"
                self.what = f"the best on fresh seeds: {over}"

    def line(self) -> str:
        """Return how the search stands."""
        total = self.tuning.info.trials
        parts = [f"{self.done} of {plural(total, 'trial')}"]
        parts += [f"{n} {what}" for n, what in
                  ((self.pruned, "sent away"), (self.lost, "diverged")) if n]  # fmt: skip
        made = self.done - self.first
        if made > 0 and self.done < total:
            left = (time.monotonic() - self.began) * (total - self.done) / made
            parts.append(f"about {duration(left)} left")
        return f"{', '.join(parts)}; {self.what}"

    def rows(self) -> Iterator[list[str]]:
        """Yield a row for each of the best trials: its number, how good it is, its settings."""
        for _, number, value, settings in self.best:
            yield [str(number), value, settings]


class Lines:
    """A line on stderr when a wave begins or is ranked, and when the end begins."""

    def __init__(self, tally: Tally) -> None:
        self.tally, self.told = tally, ""

    def __call__(self, happening: Happening) -> None:
        """Print a line if there is something to say."""
        from thalweg.study.search.tuning import Final
        from thalweg.study.search.worker import Asked, Ranked

        self.tally(happening)
        if isinstance(happening, Asked | Ranked) or (
            isinstance(happening, Final) and not self.told.startswith("Final")
        ):
            self.told = type(happening).__name__
            best = self.tally.best
            so_far = f"; best so far: {best[0][2]}, trial {best[0][1]}" if best else ""
            print(f"{self.tally.line()}{so_far}", file=sys.stderr, flush=True)


class JsonLines:
    """One JSON object a line on stdout: waves, rungs and trials."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __call__(self, happening: Happening) -> None:
        """Tell of what happened, unless it is a step."""
        from thalweg.cli.telling import tell
        from thalweg.study.search.worker import Asked, Ranked, Told

        self.tally(happening)
        match happening:
            case Asked(wave=wave, trials=trials, again=again):
                asked = [{"trial": each.number, "values": dict(each.values)} for each in trials]
                tell("asked", wave=wave, again=again, trials=asked)
            case Ranked(wave=wave, rung=rung, scores=scores, kept=kept):
                told = {str(number): score for number, score in scores.items() if isfinite(score)}
                tell("ranked", wave=wave, rung=rung, scores=told, kept=kept)
            case Told(trial=trial):
                tell("trial", **trial_facts(trial))


def follow_tune(tuning: Tuning, events: Iterator[Happening], arguments: Namespace) -> int:
    """Search by going through the events, tell of them and of the winner; return the exit code.

    Raises:
        FileError: The folder or the database cannot be written any more.
    """
    from thalweg.cli.telling import tell

    folder, info = tuning.folder, tuning.info
    if arguments.json:
        where = None if folder is None else str(folder)
        told = {name: getattr(info, name) for name in ("space", "sampler", "pruner", "trials")}
        told |= {"metric": info.metric, "seeds": info.seeds, "study": info.study}
        tell("started", folder=where, **told, spec=tuning.base.model_dump(mode="json"))
    code = _go_through(tuning, events, arguments)
    if code:
        return code
    if arguments.json:
        where = None if folder is None else str(folder)
        tell("complete", folder=where, **facts(tuning))
    elif arguments.quiet:
        print_verdict(tuning)
    else:
        print_tune(tuning)
    if folder is not None and not (arguments.json or arguments.quiet):
        print(f"recorded in {place(folder)}", file=sys.stderr)
    return 0 if tuning.finalists else 1


def follow_help(tuning: Tuning, events: Iterator[Happening], arguments: Namespace) -> int:
    """Help with a search by going through the events, tell of them; return the exit code."""
    code = _go_through(tuning, events, arguments)
    if not code and not arguments.quiet and not arguments.json:
        print("no more trials: who began the search ends it", file=sys.stderr)
    return code


def _go_through(tuning: Tuning, events: Iterator[Happening], arguments: Namespace) -> int:
    """Go through the events; return 0, or the exit code of an interruption."""
    from thalweg.cli.telling import tell
    from thalweg.study import Interrupted

    folder, tally = tuning.folder, Tally(tuning)
    go_on = "another worker trains the rest"
    if folder is not None:
        go_on = f"thalweg resume {typed(folder)} goes on"
    titles = ("trial", tuning.info.metric, "settings")
    try:
        with pointing(folder, f"then {go_on}"), reporting(
            arguments, tally, lambda: JsonLines(tally), lambda: Lines(tally),
            lambda: LiveTable(tally, titles),
        ) as report:  # fmt: skip
            for happening in events:
                report(happening)
    except Interrupted as stop:
        if arguments.json:
            where = None if folder is None else str(folder)
            tell("interrupted", signal=stop.signal.name, folder=where, hint=go_on)
        print(f"thalweg: interrupted by {stop.signal.name}; saved: {go_on}", file=sys.stderr)
        return 128 + stop.signal
    return 0
