"""What a race is made of: its contestants, how they were tuned, and what came of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite, nan
from pathlib import Path
from typing import Any

from thalweg.cluster import Executor
from thalweg.engine import Event, Group, Length, short_keys
from thalweg.engine.history import CLOCK
from thalweg.engine.stop import Condition, Judge, lower_is_better
from thalweg.errors import DataError, FileError, SpecError
from thalweg.files import remove
from thalweg.spec import Spec
from thalweg.store import is_series
from thalweg.store.lock import locked
from thalweg.store.race import RaceInfo, read_race, write_race
from thalweg.study.races.alone import update_seconds
from thalweg.study.races.contestants import Contestant, contestant
from thalweg.study.races.ladders import Ladder, goes_on, mean_scores
from thalweg.study.races.standings import (
    Cost,
    Curve,
    Standing,
    Trace,
    common_target,
    curves,
    profile,
    standings,
    verdict,
)
from thalweg.study.signals import Interrupted, Stop, stop_on_signals
from thalweg.study.sweeps.grid import Point, half_decade
from thalweg.study.sweeps.recorded import begin_series, go_on_series, read_series
from thalweg.study.sweeps.scattered import events_of, group_size
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.sweeping import course
from thalweg.study.training import fingerprint

EVALUATIONS = 20
"""Evaluations of a run, from its beginning to its end."""

UNFINISHED = ("spec.toml", "environment.json")
"""What is in the folder of a part before it is one."""

Happening = tuple[str, Series, Event]
"""What happens in a race: in which part of it, in which series, and what."""


@dataclass(frozen=True)
class Trial:
    """One learning rate of one contestant, tried.

    Args:
        contestant: Its name.
        lr: The learning rate.
        round: Round of the tuning, from 0.
        seed: The seed.
        score: The metric on the validation split at the end; None if it diverged.
    """

    contestant: str
    lr: float
    round: int
    seed: int
    score: float | None


class Race:
    """A race, and what came of it.

    Args:
        info: What it is.
        base: The spec that all share.
        own: What was given in Python rather than named.
        path: Its folder; None if it is not recorded.
        memory: Bytes that the members may take at a time; half of what is free if None.
        executor: Who trains; this process if None.

    Attributes:
        contestants: Who takes part, by name.
        trials: What was tried to tune them.
        ladders: Learning rates of each, and how they scored; empty if they are not tuned.
        final: The race itself; None before.
        step_seconds: Seconds of an update of each contestant alone, measured on this machine.

    Raises:
        SpecError: Two contestants have one name, or one does not fit.
    """

    def __init__(
        self,
        info: RaceInfo,
        base: Spec,
        own: Mapping[str, Any],
        path: Path | None = None,
        memory: float | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.info, self.base, self.own, self.folder, self.memory = info, base, own, path, memory
        self.executor = executor
        everyone = [contestant(name, base) for name in info.contestants]
        self.contestants = {each.name: each for each in everyone}
        names = [each.name for each in everyone]
        if twice := [name for name in self.contestants if names.count(name) > 1]:
            hint = 'name one: {"name": "other", "optimizer": …}'
            raise SpecError(f"two contestants called {twice[0]!r}", "each once", hint)
        self.trials: list[Trial] = []
        self.ladders: dict[str, Ladder] = {}
        self.final: Series | None = None
        self.step_seconds: dict[str, float] = dict(info.step_seconds)

    # ── running it ───────────────────────────────────────────────────────────────────────────

    def events(self) -> Iterator[Happening]:
        """Tune, race, and yield what happens: in which part, of which series.

        What is in the folder already is not done again; the folder has one writer.

        Raises:
            ThalwegError: Another process writes to the folder, or it is damaged; the data are not
                those that the race began with.
            Interrupted: Ctrl-C or SIGTERM came; the race is saved.
        """
        if self.folder is None:
            yield from self._run(Stop())
            return
        with locked(self.folder), stop_on_signals() as stop:
            self.step_seconds |= read_race(self.folder)[0].step_seconds
            self._write("running")
            try:
                yield from self._run(stop)
            except Interrupted as error:
                self._write("interrupted")
                hint = f"saved; thalweg resume {self.folder} goes on"
                raise Interrupted(error.signal, hint) from None

    def look(self) -> None:
        """Read what is in the folder, and train nothing."""
        for _ in self._parts(None):
            raise AssertionError  # pragma: no cover - nothing happens

    def _run(self, stop: Stop) -> Iterator[Happening]:
        yield from self._parts(stop)
        for each in self.contestants.values():
            _obey(stop)
            if each.name not in self.step_seconds:
                alone = self._point(each, self.info.seeds, 0, self._chosen(each)).spec
                self.step_seconds[each.name] = update_seconds(Group([alone], **self.own))
        self._write("complete")

    def _write(self, state: str) -> None:
        """Take note of how the race stands, in its folder, too."""
        told = {"state": state, "step_seconds": dict(self.step_seconds)}
        self.info = self.info.model_copy(update=told)
        if self.folder is not None:
            write_race(self.folder, self.info)

    def check_data(self) -> None:
        """Check that the data are those that the race began with.

        Raises:
            DataError: They are others.
        """
        first = next(iter(self.contestants.values()))
        data = Group([first.spec(self.base)], **self.own).data[0]
        if fingerprint(data) != self.info.data.fingerprint:
            what = f"data that are not those of {self.folder or 'the race'}"
            raise DataError(what, f"{self.info.data.name} as it was")

    def _parts(self, stop: Stop | None) -> Iterator[Happening]:
        """Go through the parts of the race; without a ``stop`` only through those that are over."""
        self.trials, self.ladders, self.final = [], {}, None
        if self.info.tune and not (yield from self._tune(stop)):
            return
        points = [
            self._point(each, self.info.seeds, k, self._chosen(each))
            for each in self.contestants.values()
            for k in range(len(self.info.seeds))
        ]
        self.final = yield from self._part("final", points, stop)

    def _tune(self, stop: Stop | None) -> Generator[Happening, None, bool]:
        """Tune everybody, and return whether that is over."""
        ladders = {each.name: Ladder.around(each.lr) for each in self.contestants.values()}
        rounds, seeds = 0, self.info.tuning_seeds
        while goes_on(ladders.values(), rounds):
            wanted = [
                (each.name, place, k)
                for each in self.contestants.values()
                for place in ladders[each.name].propose()
                for k in range(len(seeds))
            ]
            points = [
                self._point(self.contestants[name], seeds, k, half_decade(place), tuning=True)
                for name, place, k in wanted
            ]
            series = yield from self._part(f"tuning-{rounds:02d}", points, stop)
            if series is None:
                return False
            self._note(series, rounds, wanted, ladders)
            self.ladders = ladders
            rounds += 1
        return True

    def _note(
        self,
        series: Series,
        rounds: int,
        wanted: Sequence[tuple[str, int, int]],
        ladders: Mapping[str, Ladder],
    ) -> None:
        """Take note of how the learning rates of a round scored."""
        sign = -1.0 if lower_is_better(self.info.metric) else 1.0
        scores = []
        for number, (name, place, k) in enumerate(wanted):
            result = series.results[number]
            value = None if result.diverged else result.metrics.get(self.info.metric)
            value = value if value is not None and isfinite(value) else None
            scores.append(float("-inf") if value is None else sign * value)
            seed = self.info.tuning_seeds[k]
            self.trials.append(Trial(name, half_decade(place), rounds, seed, value))
        places = [(name, place) for name, place, _ in wanted]
        for (name, place), score in mean_scores(places, scores).items():
            ladders[name].scores[place] = score

    def _part(
        self, part: str, points: Sequence[Point], stop: Stop | None
    ) -> Generator[Happening, None, Series | None]:
        """Train the members of a part, or read what became of them; None if it is to be left."""
        path = None if self.folder is None else self.folder / part
        if path is not None and is_series(path):
            folder, series = read_series(path, **self.own)
            if [dict(p.changes) for p in series.points] != [plain(p.changes) for p in points]:
                hint = "its folder was changed, or this is another version of thalweg"
                raise FileError(f"{path}, with other members", "those of this race", hint)
            if stop is None or folder.info.state == "complete":
                return series if folder.info.state == "complete" else None
            _obey(stop)
            _, series, events = go_on_series(path, self.executor, **self.own)
        elif stop is None:
            return None
        else:
            _obey(stop)
            largest = group_size(points, self.own, self.memory, self.executor)
            series = Series(points, own=self.own, largest=largest)
            events = events_of(series, self.executor)
            if path is not None:
                for name in UNFINISHED:
                    remove(path / name)
                _, events = begin_series(
                    series, self.base, kind="race", out=path, name=part, executor=self.executor
                )
        for _, event in events:
            yield part, series, event
        return series

    def _point(
        self,
        who: Contestant,
        seeds: Sequence[int],
        k: int,
        lr: float | None,
        *,
        tuning: bool = False,
    ) -> Point:
        """Return a member of the race, or of its tuning, by the place of its seed."""
        changes = {**who.changes, **self._evaluated(who, tuning=tuning), "seed": seeds[k]}
        if lr is not None:
            changes["optimizer.lr"] = lr
        if self.info.order == "shared":
            changes["order_seed"] = seeds[0]
        if k == 0 and not tuning:
            changes |= self._recorded(who)
        setting: dict[str, Any] = {"contestant": who.name}
        if lr is not None:
            setting["lr"] = lr
        return Point(self.base.override(changes, short_keys()), changes, setting)

    def _chosen(self, who: Contestant) -> float | None:
        return self.ladders[who.name].lr if who.name in self.ladders else None

    def _evaluated(self, who: Contestant, *, tuning: bool) -> dict[str, Any]:
        """Return when a run is evaluated, and on what: while tuning, not on the test split."""
        spec, splits = who.spec(self.base), self.info.data.samples
        every = self.base.evaluate_every
        if every == "1epoch":
            updates = Length.of(spec, splits["train"]).updates
            every = f"{max(1, -(-updates // EVALUATIONS))}steps"
        if not tuning:
            return {
                "evaluate": [name for name in ("val", "test") if name in splits],
                "evaluate_every": every,
            }
        if not Judge(spec).watched:  # nobody needs to know on the way
            every = f"{10**9}steps"
        return {"evaluate": ["val"], "evaluate_every": every, "evaluate_last": "chosen"}

    def _recorded(self, who: Contestant) -> dict[str, Any]:
        """Return what makes the first seed record its way, where the race's spec does not say."""
        spec = who.spec(self.base)
        if not self.info.ways or spec.record_states:
            return {}
        updates = Length.of(spec, self.info.data.samples["train"]).updates
        share = self.base.record_budget / len(self.contestants)
        return {"record_states": max(1, ceil(updates / self.info.ways)), "record_budget": share}

    # ── what came of it ──────────────────────────────────────────────────────────────────────

    @property
    def at_edge(self) -> list[str]:
        """Contestants whose best learning rate has no worse one on either side of it.

        One that diverged with every learning rate is none of them: it was tried with all.
        """
        return [name for name, own in self.ladders.items() if own.at_edge and not own.all_diverged]

    @property
    def tuned(self) -> bool:
        """Whether every contestant was tuned, and its best learning rate has worse neighbours."""
        return bool(self.ladders) and not self.at_edge

    def traces(self) -> dict[str, list[Trace]]:
        """Return the runs of each contestant, in the order of the seeds.

        Raises:
            SpecError: The race is not over.
        """
        series = self._finished()
        found: dict[str, list[Trace]] = {name: [] for name in self.contestants}
        scale = self._batches()
        for number, point in enumerate(series.points):
            name, columns = point.setting["contestant"], course(series, number)
            steps = columns["step"]
            costs: dict[Cost, list[float]] = {
                "epochs": columns["epoch"],
                "gradients": [scale[name] * each for each in columns["gradients"]],
                "seconds": [each * self.step_seconds[name] for each in steps],
            }
            values = {
                key: [nan if value is None else value for value in own]
                for key, own in sorted(columns.items())
                if key not in CLOCK and any(value is not None for value in own)
            }
            diverged = series.results[number].diverged
            found[name].append(Trace(point.spec.seed, costs, values, diverged))
        return found

    def _batches(self) -> dict[str, float]:
        """Return how many of the race's smallest batches one batch of each contestant is.

        By whole epochs, so that last batches that are short change nothing.
        """
        samples, counts = self.info.data.samples["train"], dict[str, int]()
        for name, each in self.contestants.items():
            spec = each.spec(self.base)
            size = Length.of(spec, samples).batch_size
            counts[name] = samples // size if spec.drop_last else ceil(samples / size)
        most = max(counts.values())
        return {name: most / count for name, count in counts.items()}

    def curves(self, metric: str | None = None, by: Cost = "epochs") -> dict[str, Curve]:
        """Return mean and interval of a metric along the race, for each contestant."""
        return curves(self.traces(), metric or self.info.metric, by)

    @property
    def target(self) -> Condition:
        """What is to be reached: what was asked for, or what half of the contestants reach."""
        if self.info.target is not None:
            return Condition.parse(self.info.target)
        return common_target(self.traces(), self.info.metric)

    def standings(self, metric: str | None = None, by: Cost = "epochs") -> list[Standing]:
        """Return how the contestants did at equal cost, the best first.

        Args:
            metric: What decides; the race's metric, on the validation split, if None.
            by: ``"epochs"``, ``"gradients"`` (evaluations, in batches; larger batches count for
                as many as they hold), or ``"seconds"`` as each would take alone.

        Raises:
            SpecError: The race is not over.
        """
        return standings(self.traces(), metric or self.info.metric, by, self.target)

    def profile(self, by: Cost = "epochs") -> dict[str, list[float]]:
        """Return performance ratios over targets of growing difficulty, and all seeds."""
        traces, metric = self.traces(), self.info.metric
        return profile(traces, _targets(traces, metric), by)

    @property
    def verdict(self) -> str:
        """Who won on the validation split at equal epochs; or that one cannot tell."""
        return verdict(self.standings(), tuned=self.tuned, at_edge=self.at_edge)

    def _finished(self) -> Series:
        if self.final is None or self.info.state != "complete":
            hint = (
                f"thalweg resume {self.folder} goes on" if self.folder else "go through its events"
            )
            raise SpecError("a race that is not over", "one that is", hint)
        return self.final


def _targets(traces: Mapping[str, Sequence[Trace]], metric: str) -> list[Condition]:
    """Return five targets: what the runs came to at their ends, from the worst to the best."""
    ends = sorted(t.values[metric][-1] for own in traces.values() for t in own if not t.diverged)
    if not ends:
        return []
    make = partial(Condition, metric, "<=" if lower_is_better(metric) else ">=")
    return [make(ends[round(k * (len(ends) - 1) / 4)]) for k in range(5)]


def plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes as JSON gives them back."""

    def one(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: one(inner) for key, inner in value.items()}
        return [one(each) for each in value] if isinstance(value, tuple | list) else value

    return {name: one(value) for name, value in changes.items()}


def _obey(stop: Stop) -> None:
    """Stop between two parts, if that was asked for."""
    if stop.signal is not None:
        raise Interrupted(stop.signal, "saved")
