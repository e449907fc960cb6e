"""The report of whatever a folder holds: a run, a sweep, or a race."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

from thalweg.engine.history import CLOCK
from thalweg.plots.against import Line
from thalweg.plots.bands import Band
from thalweg.plots.report import (
    About,
    Place,
    RaceRecord,
    Setting,
    SweepRecord,
    Tuned,
    race_report,
    report,
    sweep_report,
)
from thalweg.plots.report.words import listed
from thalweg.plots.text import setting_text
from thalweg.store import SeriesFolder, find_run, is_series, locate_series
from thalweg.store.info import DataFacts
from thalweg.store.race import locate_race
from thalweg.store.tune import locate_tune
from thalweg.study.ground.landscape_page import plane_of, ways_of
from thalweg.study.ground.race_ground import race_ground
from thalweg.study.intervals import Interval, mean_interval
from thalweg.study.questions import study_of
from thalweg.study.races.contest import Race
from thalweg.study.races.racing import load_race
from thalweg.study.races.standings import COSTS
from thalweg.study.search.page import page_of
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.recorded import read_series
from thalweg.study.sweeps.sweeping import Row, Sweep, course

COST_NAMES = {"epochs": "epochs", "gradients": "gradient evaluations", "seconds": "seconds"}
"""What the costs of a race are called."""


def report_of(
    name: str | Path, tell: Callable[[str], None] = lambda text: None
) -> tuple[Path, str]:
    """Return the folder of a run, a sweep or a race, and the page that tells of it.

    Nothing is trained. The ground that a race went over is measured the first time, and kept in its
    folder.

    Args:
        name: Its folder, or its name in the folder of runs.
        tell: Is told what takes a few seconds.

    Raises:
        FileError: There is none such, or it is damaged.

    Example:
        >>> from thalweg.study import sweep
        >>> found = sweep(data="digits", over={"lr": [0.01, 0.1]}, hidden=(8,), steps=20)
        >>> folder, page = report_of(found.folder)
        >>> folder == found.folder, f"<h1>{folder.name}</h1>" in page
        (True, True)
    """
    if (race := locate_race(name)) is not None:
        found = load_race(race)
        return race, race_report(_with_ground(found, race_record(found), tell))
    if (search := locate_tune(name)) is not None:
        return search, page_of(search)
    if (series := locate_series(name)) is not None:
        folder, members = read_series(series)
        sweep = Sweep(members, folder.spec, series)
        if (study := study_of(sweep)) is not None:
            return series, study.page()
        return series, sweep_report(sweep_record(sweep, folder))
    run = find_run(name)
    return run.path, report(run)


# ── sweeps ───────────────────────────────────────────────────────────────────────────────────────


def sweep_record(sweep: Sweep, folder: SeriesFolder) -> SweepRecord:
    """Return what the report of a sweep reads.

    Args:
        sweep: The sweep.
        folder: Where it is recorded.
    """
    series, info = sweep.series, folder.info
    settings = [
        Setting(
            row.setting,
            row.means,
            len(row.numbers),
            row.over,
            row.diverged,
            _courses(sweep, row),
        )
        for row in sweep.table()
    ]
    about = About(
        "sweep", info.name, info.tags, info.created, info.state, _told_data(info.data),
        folder.spec.to_toml(), folder.environment, _sweep_commands(sweep, folder),
    )  # fmt: skip
    seconds = sum(result.seconds for result in series.results.values())
    return SweepRecord(about, _main(sweep.metrics), settings, len(series.groups), seconds)


def _main(metrics: Sequence[str]) -> str:
    """Return what to rank settings by: accuracy rather than loss, and rather not on the test split.

    Example:
        >>> _main(["running_loss", "test_loss", "test_accuracy"]), _main([])
        ('test_accuracy', '')
    """
    wanted = [f"{split}_{what}" for split in ("val", "test", "train", "running")
              for what in ("accuracy", "loss")]  # fmt: skip
    return next((name for name in wanted if name in metrics), "")


def _courses(sweep: Sweep, row: Row) -> dict[str, Band]:
    """Return means by evaluation over the seeds of a setting that did not diverge, by metric."""
    results = sweep.series.results
    good = [n for n in row.numbers if n in results and not results[n].diverged]
    tables = [course(sweep.series, number) for number in good]
    length = min((len(table["step"]) for table in tables), default=0)
    names = dict.fromkeys(name for table in tables for name in table if name not in CLOCK)
    return {name: _band(tables, name, length) for name in names if length}


def _band(tables: Sequence[Mapping[str, Sequence[Any]]], name: str, length: int) -> Band:
    """Return the band of a metric over the first evaluations of some tables."""
    columns = [
        [v for table in tables if (v := table.get(name, [None] * length)[k]) is not None]
        for k in range(length)
    ]
    at = [k for k, column in enumerate(columns) if column and all(map(isfinite, column))]
    own = [mean_interval(columns[k]) for k in at]
    x = {key: [tables[0][key][k] for k in at] for key in ("epoch", "step")}
    return Band("", x, [i.mean for i in own], [i.low for i in own], [i.high for i in own])


def _sweep_commands(sweep: Sweep, folder: SeriesFolder) -> list[tuple[str, str]]:
    """Return how to go on with a sweep, and how to train it again."""
    path, commands = shlex.quote(str(folder.path)), list[tuple[str, str]]()
    if folder.info.state in {"interrupted", "killed"} and folder.info.kind == "sweep":
        commands.append(("Go on from its last checkpoint:", f"thalweg resume {path}"))
    if folder.info.own:
        return [*commands, *_given(folder.info.own, folder.environment)]
    points = sweep.series.points
    seeds = list(dict.fromkeys(point.spec.seed for point in points))
    settings = list({repr(dict(p.setting)): _asked(p) for p in points}.values())
    axes = {key: _distinct([s[key] for s in settings if key in s]) for key in sweep.axes}
    is_grid = (
        "name" not in axes
        and [dict(zip(axes, each, strict=True)) for each in product(*axes.values())] == settings
    )
    over: Any = axes if is_grid else settings
    first = folder.spec.seed
    counted = seeds == list(range(first, first + len(seeds)))
    own = len({point.spec.order_seed for point in points}) > 1 or (
        len(seeds) > 1 and points[0].spec.order_seed is None
    )
    spec = str(folder.path / "spec.toml")
    typed = [_typed(key, values) for key, values in axes.items()]
    if is_grid and counted and None not in typed:
        words = ["thalweg", "sweep", "--spec", spec]
        words += [word for each in typed for word in ("--over", str(each))]
        words += ["--seeds", str(len(seeds))] + ["--order", "own"] * own
        return [*commands, ("Train it again from the start:", shlex.join(words))]
    how = ", order='own'" if own else ""
    lines = [
        "from pathlib import Path",
        "import thalweg",
        "from thalweg.spec import Spec",
        f"spec = Spec.from_toml(Path({spec!r}).read_text())",
        f"thalweg.sweep(spec=spec, over={over!r}, seeds={seeds!r}{how})",
    ]
    return [*commands, ("Train it again from the start, in Python:", "\n".join(lines))]


def _asked(point: Point) -> dict[str, Any]:
    """Return a setting as it was asked for, with what is behind its name."""
    if "name" not in point.setting:
        return dict(point.setting)
    own = {key: v for key, v in point.changes.items() if key not in {"seed", "order_seed"}}
    return {**point.setting, **own}


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _typed(key: str, values: Sequence[Any]) -> str | None:
    """Return an axis as typed on the command line; None if it cannot be.

    Example:
        >>> _typed("lr", [0.1, 1.0]), _typed("hidden", [[8], [16, 16]]), _typed("schedule", [{}])
        ('lr=0.1,1.0', 'hidden=[8];[16, 16]', None)
    """
    if all(isinstance(value, list | tuple) for value in values):
        return f"{key}=" + ";".join(str(list(value)) for value in values)
    plain = (str, int, float)
    if all(isinstance(v, plain) and not isinstance(v, bool) for v in values):
        texts = [value if isinstance(value, str) else repr(value) for value in values]
        if not any(set(text) & set(",;[") or ".." in text for text in texts):
            return f"{key}=" + ",".join(texts)
    return None


# ── races ────────────────────────────────────────────────────────────────────────────────────────


def race_record(race: Race) -> RaceRecord:
    """Return what the report of a race reads; of one that is not over, how far it has come.

    Args:
        race: The race, recorded in a folder.
    """
    info, folder = race.info, race.folder
    assert folder is not None
    about = About(
        "race", info.name, info.tags, info.created, info.state, _told_data(info.data),
        race.base.to_toml(), _environment(folder), _race_commands(race, folder),
    )  # fmt: skip
    record = RaceRecord(
        about,
        info.metric,
        list(race.contestants),
        info.seeds,
        info.tuning_seeds if info.tune else (),
        {name: _changed(each.changes) for name, each in race.contestants.items()},
        tuning={name: _tuned(race, name) for name in race.ladders},
        step_seconds=race.step_seconds,
    )
    return record if info.state != "complete" else _with_results(race, record)


def _with_results(race: Race, record: RaceRecord) -> RaceRecord:
    """Return the record with what came of the race."""
    traces = race.traces()
    measured = dict.fromkeys(key for own in traces.values() for t in own for key in t.values)
    names = [key for key in measured if key.startswith(("val_", "test_"))]
    names.sort(key=lambda key: key.partition("_")[2] != race.info.metric.partition("_")[2])
    names.sort(key=lambda key: key != race.info.metric)
    standings, profile = {}, {}
    for cost in COSTS:
        standings[COST_NAMES[cost]] = [
            Place(
                each.contestant, each.value, each.behind, len(traces[each.contestant]),
                each.diverged, each.to_target, each.reached, each.p,
            )
            for each in race.standings(by=cost)
        ]  # fmt: skip
        profile[COST_NAMES[cost]] = race.profile(cost)
    target = race.target
    return replace(
        record,
        verdict=race.verdict,
        target=f"{target.metric}{target.comparison}{target.bound:.6g}",
        standings=standings,
        finals={n: {s.contestant: s.value for s in race.standings(n)} for n in names},
        bands={name: _bands(race, name, record) for name in names},
        profile=profile,
    )


def _with_ground(race: Race, record: RaceRecord, tell: Callable[[str], None]) -> RaceRecord:
    """Return the record with the ground that the race went over, if it is over and was measured."""
    land = race_ground(race, tell) if race.info.state == "complete" else None
    return record if land is None else replace(record, plane=plane_of(land), ways=ways_of(land))


def _bands(race: Race, metric: str, record: RaceRecord) -> list[Band]:
    by_cost = {COST_NAMES[cost]: race.curves(metric, cost) for cost in COSTS}
    first = by_cost["epochs"]
    lost = {name: sum(t.diverged for t in own) for name, own in race.traces().items()}
    return [
        Band(
            name,
            {cost: found[name].x for cost, found in by_cost.items()},
            curve.mean,
            curve.low,
            curve.high,
            f"{lost[name]} of {len(record.seeds)} diverged" if lost[name] else "",
        )
        for name, curve in first.items()
    ]


def _tuned(race: Race, name: str) -> Tuned:
    """Return how a contestant was tuned."""
    own = [trial for trial in race.trials if trial.contestant == name]
    rates = sorted({trial.lr for trial in own})
    means: list[Interval | None] = []
    for lr in rates:
        scores = [trial.score for trial in own if trial.lr == lr and trial.score is not None]
        means.append(mean_interval(scores) if scores else None)
    lost = [sum(trial.score is None for trial in own if trial.lr == lr) for lr in rates]
    chosen = race.ladders[name].lr
    return Tuned(Line(name, rates, means, lost, chosen), len(own), name in race.at_edge)


def _environment(folder: Path) -> Mapping[str, str]:
    """Return what a race ran on; empty before its first part."""
    for part in (folder / "final", *sorted(folder.glob("tuning-*"))):
        if is_series(part):
            return SeriesFolder.open(part).environment
    return {}


def _changed(changes: Mapping[str, Any]) -> str:
    """Return what a contestant changes, in short.

    Example:
        >>> _changed({"optimizer": {"name": "adam", "wrap": ("ema",)}, "batch_size": "full"})
        'optimizer adam, wrap [ema]; batch_size full'
    """
    return "; ".join(f"{key} {_inner(value)}" for key, value in changes.items())


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            text
            for key, own in value.items()
            if (text := _inner(own) if key == "name" else f"{key} {_inner(own)}".strip())
        )
    return setting_text(value)


def _race_commands(race: Race, folder: Path) -> list[tuple[str, str]]:
    """Return how to go on with a race, and how to run it again."""
    info, commands = race.info, list[tuple[str, str]]()
    if info.state in {"interrupted", "killed"}:
        resume = f"thalweg resume {shlex.quote(str(folder))}"
        commands.append(("Go on from its last checkpoint:", resume))
    if info.own:
        return [*commands, *_given(info.own, _environment(folder))]
    names = [name for name in info.contestants if isinstance(name, str)]
    first = race.base.seed
    counted = info.seeds == list(range(first, first + len(info.seeds)))
    if counted and len(names) == len(info.contestants) and "," not in "".join(names):
        words = ["thalweg", "race", "--spec", str(folder / "spec.toml")]
        words += ["--optimizers", ",".join(names), "--seeds", str(len(info.seeds))]
        words += ["--tuning-seeds", str(len(info.tuning_seeds))] if info.tune else ["--no-tune"]
        words += ["--order", info.order, "--metric", info.metric]
        words += ["--target", info.target] if info.target else []
        return [*commands, ("Run it again from the start:", shlex.join(words))]
    facts = {
        "optimizers": info.contestants,
        "seeds": info.seeds,
        "tune": info.tune,
        "tuning_seeds": len(info.tuning_seeds),
        "order": info.order,
        "metric": info.metric,
        "target": info.target,
    }
    told = ", ".join(f"{key}={value!r}" for key, value in facts.items())
    lines = [
        "from pathlib import Path",
        "import thalweg",
        "from thalweg.spec import Spec",
        f"spec = Spec.from_toml(Path({str(folder / 'spec.toml')!r}).read_text())",
        f"thalweg.race(spec=spec, {told})",
    ]
    return [*commands, ("Run it again from the start, in Python:", "\n".join(lines))]


def _given(own: Sequence[str], environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return how to repeat what was given its model or its data in Python."""
    words = f"Its {listed(own)} came from Python: run again what made it."
    command = environment.get("command")
    return [(words, command)] if command else []


def _told_data(data: DataFacts) -> str:
    counts = [f"{n:,} {split}" for split, n in data.samples.items() if n]
    return f"Data: {data.name}; {', '.join(counts)} samples."
