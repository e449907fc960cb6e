"""A race: optimizers against each other, tuned alike, then run on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from thalweg.data import Data
from thalweg.engine import Event, Group, Length, short_keys
from thalweg.engine.stop import Condition, lower_is_better
from thalweg.errors import FileError, SpecError
from thalweg.spec import Spec
from thalweg.store import claim_path
from thalweg.store.lock import locked
from thalweg.store.race import RaceInfo, new_race_info, read_race, write_race
from thalweg.store.series import is_series
from thalweg.study.contestants import Contestant, contestant
from thalweg.study.grid import Point, half_decade
from thalweg.study.recorded import begin_series, go_on_series, open_series
from thalweg.study.series import Series
from thalweg.study.signals import Interrupted
from thalweg.study.size import largest_group, step_seconds
from thalweg.study.standings import (
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
from thalweg.study.training import settle, told_of
from thalweg.study.tuning import Ladder, goes_on, mean_scores

EVALUATIONS = 20
"""Evaluations of a run, from its beginning to its end."""

TUNING = 1000
"""The seeds of tuning begin so far from those of the race."""

TIMED = 20
"""Updates of each contestant alone, by which its seconds are measured."""


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

    Attributes:
        contestants: Who takes part, by name.
        trials: What was tried to tune them.
        ladders: Learning rates of each, and how they scored; empty if they are not tuned.
        final: The race itself.
        step_seconds: Seconds of an update of each contestant alone, measured on this machine.
    """

    def __init__(
        self,
        info: RaceInfo,
        base: Spec,
        own: Mapping[str, Any],
        path: Path | None = None,
        memory: float | None = None,
    ) -> None:
        self.info, self.base, self.own, self.folder, self.memory = info, base, own, path, memory
        everyone = [contestant(name, base) for name in info.contestants]
        self.contestants = {each.name: each for each in everyone}
        if len(self.contestants) < len(everyone) or not everyone:
            raise SpecError(f"contestants {info.contestants}", "one at least, and each once")
        self.trials: list[Trial] = []
        self.ladders: dict[str, Ladder] = {}
        self.final: Series | None = None
        self.step_seconds: dict[str, float] = dict(info.step_seconds)

    # ── running it ───────────────────────────────────────────────────────────────────────────

    def events(self) -> Iterator[tuple[str, Series, Event]]:
        """Tune, race, and yield what happens: in which part, of which series.

        What is in the folder already is not done again.
        """
        if self.info.tune:
            yield from self._tune()
        points = [
            self._point(each, seed, self.info.seeds[0], self._chosen(each), self._racing(each))
            for each in self.contestants.values()
            for seed in self.info.seeds
        ]
        yield from self._run("final", points)
        for each in self.contestants.values():
            if each.name not in self.step_seconds:
                alone = self._spec(each, self._chosen(each), self._racing(each))
                group = Group([alone], **self.own)
                self.step_seconds[each.name] = step_seconds(group, TIMED)
        self.info = self.info.model_copy(
            update={"state": "complete", "step_seconds": self.step_seconds}
        )
        if self.folder is not None:
            write_race(self.folder, self.info)

    def _tune(self) -> Iterator[tuple[str, Series, Event]]:
        self.ladders = {each.name: Ladder.around(each.lr) for each in self.contestants.values()}
        rounds = 0
        while goes_on(self.ladders.values(), rounds):
            wanted = [
                (each.name, place, seed)
                for each in self.contestants.values()
                for place in self.ladders[each.name].propose()
                for seed in self.info.tuning_seeds
            ]
            points = [
                self._point(
                    self.contestants[name],
                    seed,
                    self.info.tuning_seeds[0],
                    half_decade(place),
                    self._tuning(),
                )
                for name, place, seed in wanted
            ]
            yield from self._run(f"tuning-{rounds:02d}", points)
            self._note(rounds, wanted)
            rounds += 1

    def _note(self, rounds: int, wanted: Sequence[tuple[str, int, int]]) -> None:
        """Take note of how the learning rates of a round scored."""
        assert self.final is not None
        sign = -1.0 if lower_is_better(self.info.metric) else 1.0
        scores = []
        for number, (name, place, seed) in enumerate(wanted):
            result = self.final.results[number]
            value = None if result.diverged else result.metrics.get(self.info.metric)
            scores.append(float("-inf") if value is None else sign * value)
            self.trials.append(Trial(name, half_decade(place), rounds, seed, value))
        places = [(name, place) for name, place, _ in wanted]
        for (name, place), score in mean_scores(places, scores).items():
            self.ladders[name].scores[place] = score
        self.final = None

    def _run(self, part: str, points: Sequence[Point]) -> Iterator[tuple[str, Series, Event]]:
        """Train the members of a part of the race, or read what has become of them."""
        path = None if self.folder is None else self.folder / part
        if path is not None and is_series(path):
            folder, series = open_series(path, **self.own)
            if [dict(p.changes) for p in series.points] != [_plain(p.changes) for p in points]:
                raise FileError(f"{path}, with other members", "those of this race")
            events: Iterator[tuple[int, Event]] = iter(())
            if folder.info.state != "complete":
                _, series, events = go_on_series(path, **self.own)
        else:
            largest = largest_group(points, self.own, self.memory)
            series = Series(points, own=self.own, largest=largest)
            events = series.events()
            if path is not None:
                _, events = begin_series(series, self.base, kind="race", out=path, name=part)
        self.final = series
        for _, event in events:
            yield part, series, event

    def _point(
        self, who: Contestant, seed: int, order: int, lr: float | None, more: Mapping[str, Any]
    ) -> Point:
        """Return a member of the race, or of its tuning."""
        changes = {**who.changes, **more, "seed": seed}
        if lr is not None:
            changes["optimizer.lr"] = lr
        if self.info.order == "shared":
            changes["order_seed"] = order
        setting: dict[str, Any] = {"contestant": who.name}
        if lr is not None:
            setting["lr"] = lr
        return Point(self.base.override(changes, short_keys()), changes, setting)

    def _spec(self, who: Contestant, lr: float | None, more: Mapping[str, Any]) -> Spec:
        return self._point(who, self.info.seeds[0], self.info.seeds[0], lr, more).spec

    def _chosen(self, who: Contestant) -> float | None:
        return self.ladders[who.name].lr if who.name in self.ladders else None

    def _tuning(self) -> dict[str, Any]:
        """Return the settings of tuning: the test split is not looked at."""
        return {"evaluate": ["val"], "evaluate_every": f"{10**9}steps", "evaluate_last": "chosen"}

    def _racing(self, who: Contestant) -> dict[str, Any]:
        """Return the settings of the race itself: evaluations at equal distances."""
        if self.base.evaluate_every != "1epoch":
            return {"evaluate": ["val", "test"]}
        spec = who.spec(self.base)
        length = Length.of(spec, self._samples(spec))
        every = max(1, -(-length.updates // EVALUATIONS))
        return {"evaluate": ["val", "test"], "evaluate_every": f"{every}steps"}

    def _samples(self, spec: Spec) -> int:
        if self._train is None:
            self._train = len(Group([spec], **self.own).data[0].train)
        return self._train

    _train: int | None = None

    # ── what came of it ──────────────────────────────────────────────────────────────────────

    @property
    def tuned(self) -> bool:
        """Whether every contestant was tuned, and its best learning rate has worse neighbours."""
        return bool(self.ladders) and not any(each.at_edge for each in self.ladders.values())

    def traces(self) -> dict[str, list[Trace]]:
        """Return the runs of each contestant, in the order of the seeds."""
        series = self._finished()
        found: dict[str, list[Trace]] = {name: [] for name in self.contestants}
        columns = [history.epochs for history in series.histories]
        rows: dict[int, list[tuple[int, int]]] = {}
        for index, table in enumerate(columns):
            for row, number in enumerate(table["member"]):
                rows.setdefault(number, []).append((index, row))
        for number, point in enumerate(series.points):
            name, own = point.setting["contestant"], rows.get(number, [])

            def column(key: str, own: Sequence[tuple[int, int]] = own) -> list[float]:
                return [
                    float("nan") if (v := columns[index].get(key, [])) == [] else _number(v[row])
                    for index, row in own
                ]

            steps = column("step")
            metrics = dict.fromkeys(key for i, _ in own for key in columns[i] if "_" in key)
            found[name].append(
                Trace(
                    point.spec.seed,
                    {
                        "epochs": column("epoch"),
                        "gradients": column("gradients"),
                        "seconds": [n * self.step_seconds.get(name, 0.0) for n in steps],
                    },
                    {key: column(key) for key in metrics},
                    series.results[number].diverged,
                )
            )
        return found

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
            by: ``"epochs"``, ``"gradients"`` (evaluations, in batches), or ``"seconds"`` as each
                would take alone.
        """
        return standings(self.traces(), metric or self.info.metric, by, self.target)

    def profile(self, by: Cost = "epochs") -> dict[str, list[float]]:
        """Return performance ratios over targets of growing difficulty, and all seeds."""
        traces, metric = self.traces(), self.info.metric
        return profile(traces, _targets(traces, metric), by)

    @property
    def verdict(self) -> str:
        """Who won on the validation split at equal epochs; or that one cannot tell."""
        return verdict(self.standings(), tuned=self.tuned)

    def _finished(self) -> Series:
        if self.final is None or self.info.state != "complete":
            raise SpecError("a race that is not over", "one that is", "thalweg resume goes on")
        return self.final


def race(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: Sequence[str | Mapping[str, Any]],
    seeds: int | Sequence[int] = 5,
    tune: bool = True,
    tuning_seeds: int = 1,
    order: Literal["shared", "own"] = "shared",
    metric: str | None = None,
    target: str | None = None,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    memory: float | None = None,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> Race:
    """Let optimizers race, fairly.

    Each is tuned with the same number of runs: its learning rate, on a half-decade grid that is
    widened until everybody's best is not at its edge, by the metric on the validation split. Then
    all run with fresh seeds, in pairs: the same initial weights and the same order of the samples.
    The test split is looked at in these runs alone, and decides nothing.

    Args:
        model: As for `train`.
        data: As for `train`. Without a validation split, a tenth of the training samples is one.
        optimizers: Who takes part: see `contestant`.
        seeds: How many seeds, or which.
        tune: Whether to tune; an untuned race has no verdict.
        tuning_seeds: Seeds that each learning rate is tried with; the mean decides.
        order: ``"shared"``: all see the samples in one order; ``"own"``: each seed has its own.
        metric: What decides; ``val_accuracy``, or ``val_loss`` for a regression, if None.
        target: What is to be reached, such as ``val_accuracy>=0.9``; what half of them reach, if
            None.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        metrics: As for `train`.
        memory: Bytes that the members may take at a time; half of what is free if None.
        out: Folder to record the race in, new or empty. None makes one in the folder of runs; False
            records nothing.
        name: Name of the race.
        tags: Words to find it by.
        **settings: Settings that all share, as for `train`.

    Returns:
        The race: ``verdict``, ``standings()``, ``curves()``.

    Raises:
        ThalwegError: A contestant or a setting does not exist, does not fit, or the folder cannot
            be written.
        Interrupted: Ctrl-C or SIGTERM came; the race is saved, and `resume` goes on with it.

    Example:
        >>> found = race("mlp", "digits", optimizers=["sgd", "adam"], hidden=(16,), seeds=3)
        >>> found.tuned, len(found.standings()), "adam" in found.verdict
        (True, 2, True)
    """
    found, events = begin_race(
        model, data, optimizers=optimizers, seeds=seeds, tune=tune, tuning_seeds=tuning_seeds,
        order=order, metric=metric, target=target, spec=spec, loss=loss, metrics=metrics,
        memory=memory, out=out, name=name, tags=tags, **settings,
    )  # fmt: skip
    for _ in events:
        pass
    return found


def begin_race(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: Sequence[str | Mapping[str, Any]],
    seeds: int | Sequence[int] = 5,
    tune: bool = True,
    tuning_seeds: int = 1,
    order: Literal["shared", "own"] = "shared",
    metric: str | None = None,
    target: str | None = None,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    memory: float | None = None,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> tuple[Race, Iterator[tuple[str, Series, Event]]]:
    """Prepare a race as `race` does, and return it with the events to come."""
    base, own = settle(spec, settings, model=model, data=data, loss=loss, metrics=metrics)
    has_val = isinstance(data, Data) and data.val is not None
    if base.data.val is None and not has_val:
        base = base.override({"data.val": 0.1})
    first = Group([contestant(optimizers[0], base).spec(base)] if optimizers else [base], **own)
    known = [f"val_{each}" for each in ("loss", *first.cohort.metrics)]
    chosen = metric or (known[1] if len(known) > 1 and known[1] == "val_accuracy" else known[0])
    if chosen not in known:
        raise SpecError(f"metric={chosen!r}", f"one on the validation split: {', '.join(known)}")
    if target is not None:
        Condition.parse(target)
    wanted = list(range(base.seed, base.seed + seeds)) if isinstance(seeds, int) else [*seeds]
    if not wanted or tuning_seeds < 1:
        raise SpecError(f"seeds={seeds!r}, tuning_seeds={tuning_seeds}", "one at least of each")
    path = None
    if out is not False:
        path = (claim_path(base, name or "race") if out is None else Path(out)).absolute()
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileError(f"{path}, which is not empty", "an empty or a new folder")
    start = max(wanted) + TUNING
    info = new_race_info(
        name=name or (path.name if path else "race"),
        tags=list(tags),
        own=sorted(told_of(own, base)),
        contestants=[each if isinstance(each, str) else dict(each) for each in optimizers],
        seeds=wanted,
        order=order,
        tune=tune,
        tuning_seeds=list(range(start, start + tuning_seeds)),
        metric=chosen,
        target=target,
    )
    found = Race(info, base, own, path, memory)
    if path is not None:
        (path / "spec.toml").write_text(base.to_toml(), "utf-8")
        write_race(path, info)
    return found, _events(found)


def go_on_race(
    path: str | Path, memory: float | None = None, **own: Any
) -> tuple[Race, Iterator[tuple[str, Series, Event]]]:
    """Bring a race back from its folder, and return it with the events to come, if there are any.

    Args:
        path: Its folder.
        memory: Bytes that the members may take at a time; half of what is free if None.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or what it was given is missing.
    """
    folder = Path(path).absolute()
    info = read_race(folder)
    missing = sorted(set(info.own) - own.keys())
    if missing:
        hint = f"in Python: {', '.join(f'{name}=…' for name in missing)}"
        raise SpecError(f"{path}, whose {missing[0]} came from Python", "the same again", hint)
    base = Spec.from_toml((folder / "spec.toml").read_text("utf-8"))
    found = Race(info, base, own, folder, memory)
    return found, _events(found)


def load_race(path: str | Path, **own: Any) -> Race:
    """Bring a race back from its folder; what is left of it is run.

    Args:
        path: Its folder.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or what it was given is missing.
        Interrupted: Ctrl-C or SIGTERM came; the race is saved.
    """
    found, events = go_on_race(path, **own)
    for _ in events:
        pass
    return found


def _events(found: Race) -> Iterator[tuple[str, Series, Event]]:
    """Run a race; its folder has one writer."""
    if found.folder is None:
        yield from found.events()
        return
    with locked(found.folder):
        try:
            yield from found.events()
        except Interrupted as error:
            write_race(found.folder, found.info.model_copy(update={"state": "interrupted"}))
            raise Interrupted(
                error.signal, f"saved; thalweg resume {found.folder} goes on"
            ) from None


def _targets(traces: Mapping[str, Sequence[Trace]], metric: str) -> list[Condition]:
    """Return five targets: what the runs came to at their ends, from the worst to the best."""
    ends = sorted(t.values[metric][-1] for own in traces.values() for t in own if not t.diverged)
    if not ends:
        return []
    make = partial(Condition, metric, "<=" if lower_is_better(metric) else ">=")
    return [make(ends[round(k * (len(ends) - 1) / 4)]) for k in range(5)]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes as JSON gives them back."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(each) for each in value] if isinstance(value, tuple | list) else value

    return {name: plain(value) for name, value in changes.items()}
