"""A race as tables: who came how far at equal cost, how everybody was tuned, and who won."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thalweg.cli.sweep_table import interval_text
from thalweg.cli.table import print_table
from thalweg.cli.text import duration, metric, number, place, plural, typed

if TYPE_CHECKING:
    from thalweg.study import Interval, Race, Standing
    from thalweg.study.races.standings import Cost

TITLES: dict[Cost, str] = {
    "epochs": "at equal epochs",
    "gradients": "at equal gradient evaluations",
    "seconds": "at equal seconds",
}


def print_race(race: Race) -> None:
    """Print what came of a race that is complete: standings, tuning, verdict."""
    for cost, title in TITLES.items():
        print(f"{title}: {_budget(race, cost)}\n")
        titles, rows = _table(race, cost)
        print_table(titles, rows, dispensable=("to the target", "p", "diverged"))
        print()
    print_notes(race)
    print_tuning(race)
    print_verdict(race)


def print_race_folder(race: Race) -> None:
    """Print what a race was, how it stands, and what it came to or how to go on."""
    lines = dict(_lines(race))
    width = max(map(len, lines)) + 2
    for title, text in lines.items():
        print(f"{title:{width}}{text}")
    print()
    if race.info.state == "complete":
        print_race(race)
    else:
        print_tuning(race)
        if not race.info.tune:
            print("a race that is not tuned has no verdict")


def race_folder_facts(race: Race) -> dict[str, Any]:
    """Return all that is known of a race, as JSON has it."""
    whole = race.info.state == "complete"
    found = race.info.model_dump(mode="json") | {"kind": "race", "folder": str(race.folder)}
    found |= {"spec": race.base.model_dump(mode="json"), "trials": tuning_facts(race)}
    return found | (facts(race) if whole else {"verdict": None})


def _lines(race: Race) -> Iterator[tuple[str, str]]:
    """Yield what is said of a race, each with its title."""
    from thalweg.cli.describing import told_data, told_settings

    info, folder = race.info, race.folder
    assert folder is not None
    yield "race", info.name
    yield "state", info.state
    yield "folder", place(folder)
    if info.tags:
        yield "tags", ", ".join(info.tags)
    yield "began", info.created[:19].replace("T", " ")
    yield from told_data(info.data)
    own = f"; given in Python: {', '.join(info.own)}" if info.own else ""
    yield "model", f"{'its own' if 'model' in info.own else race.base.model.name}{own}"
    if settings := told_settings(race.base):
        yield "settings", settings
    yield "contestants", ", ".join(race.contestants)
    yield "seeds", ", ".join(map(str, info.seeds))
    yield "order", "shared by all" if info.order == "shared" else "each seed's own"
    if info.state != "complete":
        yield "to go on", f"thalweg resume {typed(folder)}"


def print_verdict(race: Race) -> None:
    """Print the verdict in a line."""
    print(f"verdict: {race.verdict}")


def print_notes(race: Race) -> None:
    """Print what the columns of the standings mean."""
    n = len(race.info.seeds)
    seeds = f"{n} seeds" if n > 1 else "1 seed, which has no intervals"
    print(f"{race.info.metric} decides; ± is the 95 % interval of a mean over {seeds}")
    if len(race.contestants) > 1:
        print("behind: how much worse than the first, seed by seed; p ≤ 0.05 is beyond doubt")
    target = race.target
    chosen = "" if race.info.target is not None else ", which half of them reach"
    bound = metric(target.metric.partition("_")[2], target.bound)
    print(f"the target: {target.metric} {target.comparison} {bound}{chosen}\n")


def print_tuning(race: Race) -> None:
    """Print how everybody was tuned, as far as that came."""
    if not race.ladders:
        what = "the learning rates are the rules' defaults" if not race.info.tune else "not yet"
        print(f"tuning: none; {what}\n")
        return
    rounds = 1 + max(trial.round for trial in race.trials)
    each = len(next(iter(race.ladders.values())).scores)
    seeds = plural(len(race.info.tuning_seeds), "seed")
    told = f"{plural(each, 'learning rate')} each, {seeds} each, in {plural(rounds, 'round')}"
    print(f"tuning: {told}\n")
    titles = ("contestant", "best lr", "tried", "is the best inside?", race.info.metric)
    print_table(titles, [list(_ladder(race, name)) for name in race.ladders])
    print()


def facts(race: Race) -> dict[str, Any]:
    """Return what came of a race that is complete, as JSON has it."""
    splits = _splits(race)
    found: dict[str, Any] = {"verdict": race.verdict, "tuned": race.tuned}
    found |= {"metric": race.info.metric, "target": str_of_target(race)}
    for cost in TITLES:
        found[cost] = [
            {
                "contestant": each.contestant,
                **{key: _interval(own.get(each.contestant)) for key, own in splits[cost].items()},
                "behind": _interval(each.behind),
                "p": each.p,
                "diverged": each.diverged,
                "lr": chosen_lr(race, each.contestant),
                "to_target": _interval(each.to_target),
                "reached": each.reached,
            }
            for each in race.standings(by=cost)
        ]
    return found


def tuning_facts(race: Race) -> list[dict[str, Any]]:
    """Return how everybody was tuned, as JSON has it."""
    return [
        {
            "contestant": trial.contestant, "lr": trial.lr, "round": trial.round,
            "seed": trial.seed, "score": trial.score,
        }
        for trial in race.trials
    ]  # fmt: skip


def chosen_lr(race: Race, name: str) -> float:
    """Return the learning rate that a contestant ran with."""
    ladder = race.ladders.get(name)
    return race.contestants[name].lr if ladder is None else ladder.lr


def str_of_target(race: Race) -> str:
    """Return the target in one word."""
    target = race.target
    return f"{target.metric}{target.comparison}{target.bound:.6g}"


def _splits(race: Race) -> dict[Cost, dict[str, dict[str, Interval | None]]]:
    """Return the metric on each split that was evaluated, by cost, split and contestant."""
    what = race.info.metric.partition("_")[2]
    names = [f"{split}_{what}" for split in ("val", "test") if split in race.info.data.samples]
    return {
        cost: {
            name: {each.contestant: each.value for each in race.standings(name, cost)}
            for name in names
        }
        for cost in TITLES
    }


def _table(race: Race, cost: Cost) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows of the standings at equal cost."""
    found, splits = race.standings(by=cost), _splits(race)[cost]
    titles = ["contestant", *splits, "behind", "p"]
    rows = [
        [
            each.contestant,
            *(_text(name, own.get(each.contestant)) for name, own in splits.items()),
            _text(race.info.metric, each.behind),
            _p_text(each),
        ]
        for each in found
    ]
    if cost == "epochs":
        titles += ["lr", "diverged", "to the target"]
        seconds = {each.contestant: each for each in race.standings(by="seconds")}
        for row, each in zip(rows, found, strict=True):
            row.append(f"{chosen_lr(race, each.contestant):.4g}")
            row.append(str(each.diverged))
            row.append(_to_target(race, each, seconds[each.contestant]))
    return titles, rows


def _p_text(standing: Standing) -> str:
    """Return the p-value of a contestant that was compared with the best."""
    if standing.p is None or (standing.behind is None and not standing.diverged):
        return "–"
    return "<0.001" if standing.p < 0.001 else f"{standing.p:.3f}"


def _to_target(race: Race, epochs: Standing, seconds: Standing) -> str:
    if epochs.to_target is None or seconds.to_target is None:
        return f"{epochs.reached} of {len(race.info.seeds)} seeds"
    took = seconds.to_target.mean
    time = duration(took) if took >= 10 else f"{took:.3g} s"
    return f"{epochs.to_target.mean:.3g} epochs, {time}"


def _budget(race: Race, cost: Cost) -> str:
    from thalweg.study.races.standings import equal_budget

    budget = equal_budget(race.traces(), cost)
    if cost == "epochs":
        return plural(budget, "epoch")
    if cost == "gradients":
        return f"{budget:,.0f} batches"
    return f"{budget:.3g} s, as each would take alone"


def _ladder(race: Race, name: str) -> Iterator[str]:
    """Yield the cells of a contestant's tuning."""
    from thalweg.study.sweeps.grid import half_decade

    ladder = race.ladders[name]
    yield name
    yield f"{ladder.lr:.4g}"
    low, high = half_decade(min(ladder.scores)), half_decade(max(ladder.scores))
    yield f"{low:g} to {high:g}"
    yield "all diverged" if ladder.all_diverged else "no" if ladder.at_edge else "yes"
    best = ladder.scores[ladder.best]
    value = abs(best)
    yield metric(race.info.metric.partition("_")[2], value) if math.isfinite(best) else "–"


def _text(name: str, interval: Interval | None) -> str:
    return "–" if interval is None else interval_text(name, interval)


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    half = interval.half if math.isfinite(interval.half) else None
    return {"mean": interval.mean, "half": half, "n": interval.n}


def score_text(race: Race, value: float | None) -> str:
    """Return a value of the metric that decides.

    Args:
        race: The race.
        value: The value; None if there is none.
    """
    if value is None or not math.isfinite(value):
        return "–"
    what = race.info.metric.partition("_")[2]
    return metric(what, value) if what else number(value)
