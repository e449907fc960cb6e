"""A search as tables: the winner, the finalists, the best of each optimizer, the rungs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from thalweg.cli.sweep_table import interval_text
from thalweg.cli.table import print_table
from thalweg.cli.text import duration, metric, number, place, plural, typed
from thalweg.plots.text import setting_text

if TYPE_CHECKING:
    from thalweg.study import Interval, Tuning
    from thalweg.study.search import Trial


def print_tune(tuning: Tuning) -> None:
    """Print what came of a search that is complete."""
    print_leaders(tuning)
    finalists = tuning.finalists
    if not finalists:
        print_verdict(tuning)
        return
    name = tuning.info.metric
    n = len(tuning.info.seeds)
    print(f"the best {plural(len(finalists), 'trial')} on {plural(n, 'fresh seed')}\n")
    rows = []
    for each in finalists:
        behind = each.standing.behind
        rows.append([
            str(each.trial.number),
            _interval_text(name, each.value),
            _interval_text(name, behind),
            "–" if each.standing.p is None else f"{each.standing.p:.3f}",
            str(each.standing.diverged),
            _values(each.trial),
        ])  # fmt: skip
    print_table(["trial", name, "behind", "p", "diverged", "settings"], rows, ("p", "diverged"))
    print()
    print_verdict(tuning)


def print_leaders(tuning: Tuning) -> None:
    """Print how many trials there were, and the best of each optimizer."""
    states = [trial.state for trial in tuning.trials]
    counts = [(states.count("pruned"), "sent away"), (states.count("lost"), "diverged")]
    counts += [(states.count("running"), "not over")]
    told = ", ".join(f"{n} {what}" for n, what in counts if n)
    epochs = sum(trial.epochs for trial in tuning.trials)
    parts = [f"{plural(len(states), 'trial')}{': ' * bool(told)}{told}", plural(epochs, "epoch")]
    if tuning.info.seconds:
        parts.append(duration(tuning.info.seconds))
    print(f"{'; '.join(parts)}\n")
    leaders = tuning.leaders()
    if not leaders:
        return
    name = tuning.info.metric
    rows = [[str(t.number), _value_text(tuning, t.value), _values(t)] for t in leaders]
    what = "the best trial of each" if len(leaders) > 1 else "the best trial"
    print(f"{what}, on the seed of the search\n")
    print_table(["trial", name, "settings"], rows)
    print()


def print_verdict(tuning: Tuning) -> None:
    """Print who won, what it came to on the test split, and where its spec is."""
    print(f"verdict: {tuning.verdict}")
    if not tuning.finalists:
        return
    winner, name = tuning.winner, tuning.info.metric
    print(f"winner: trial {winner.trial.number}, {_values(winner.trial)}")
    print(f"{name} {_interval_text(name, winner.value)}, chosen by it")
    test = tuning.test()
    told = [
        f"{key} {interval_text(key, value)}"
        for key, value in sorted(test.items(), key=lambda item: item[0] != _test_name(tuning))
    ]
    seeds = plural(len(tuning.info.seeds), "fresh seed")
    if told:
        print(f"{', '.join(told)}, looked at once; over {seeds}")
    if tuning.folder is not None:
        file = typed(tuning.folder / "winner.toml")
        print(f"to train it: thalweg train --spec {file}")


def print_tune_folder(tuning: Tuning) -> None:
    """Print what a search is, how it stands, and what it came to or how to go on."""
    lines = dict(_lines(tuning))
    width = max(map(len, lines)) + 2
    for title, text in lines.items():
        print(f"{title:{width}}{text}")
    print()
    if tuning.info.state == "complete":
        print_tune(tuning)
    else:
        print_leaders(tuning)


def facts(tuning: Tuning) -> dict[str, Any]:
    """Return what came of a search that is complete, as JSON has it."""
    finalists = tuning.finalists
    found: dict[str, Any] = {
        "verdict": tuning.verdict,
        "metric": tuning.info.metric,
        "finalists": [
            {
                **trial_facts(each.trial),
                "fresh": _interval(each.value),
                "behind": _interval(each.standing.behind),
                "p": each.standing.p,
                "diverged": each.standing.diverged,
            }
            for each in finalists
        ],
        "winner": None,
    }
    if finalists:
        found["winner"] = tuning.winner.trial.number
        found["test"] = {name: _interval(value) for name, value in tuning.test().items()}
        found["spec"] = tuning.spec.model_dump(mode="json")
    return found


def trial_facts(trial: Trial) -> dict[str, Any]:
    """Return what is known of a trial, as JSON has it."""
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": trial.value,
        "values": dict(trial.values),
        "scores": {str(step): _finite(value) for step, value in trial.scores.items()},
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "reason": trial.reason,
        "wave": trial.wave,
        "begun": trial.begun,
    }


def tune_folder_facts(tuning: Tuning) -> dict[str, Any]:
    """Return all that is known of a search, as JSON has it."""
    found = tuning.info.model_dump(mode="json") | {"kind": "tune", "folder": str(tuning.folder)}
    found |= {"base": tuning.base.model_dump(mode="json")}
    found |= {"results": [trial_facts(trial) for trial in tuning.trials]}
    whole = tuning.info.state == "complete"
    return found | (facts(tuning) if whole else {"verdict": None})


def _lines(tuning: Tuning) -> Iterator[tuple[str, str]]:
    """Yield what is said of a search, each with its title."""
    from thalweg.cli.describing import told_data, told_settings

    info, folder = tuning.info, tuning.folder
    assert folder is not None
    yield "search", info.name
    yield "state", info.state
    yield "folder", place(folder)
    if info.tags:
        yield "tags", ", ".join(info.tags)
    yield "began", info.created[:19].replace("T", " ")
    yield from told_data(info.data)
    own = f"; given in Python: {', '.join(info.own)}" if info.own else ""
    yield "model", f"{'its own' if 'model' in info.own else tuning.base.model.name}{own}"
    if settings := told_settings(tuning.base):
        yield "settings", settings
    for axis in tuning.space.axes:
        yield axis.name, str(axis.domain)
    yield "sampler", info.sampler
    rungs = ", ".join(f"{rung:.3g}" for rung in tuning.rungs.of(0))
    yield "pruner", f"{info.pruner}{f', after {rungs} of the length' if rungs else ''}"
    yield "study", f"{info.study} in {info.storage or place(folder / 'study.db')}"
    if info.state != "complete":
        yield "to go on", f"thalweg resume {typed(folder)}"


def _values(trial: Trial) -> str:
    return values_text(trial.values)


def values_text(values: Mapping[str, Any]) -> str:
    """Return the values of a trial in short.

    Example:
        >>> values_text({"optimizer": "adam", "adam.lr": 0.00123456, "batch_size": 32})
        'adam, lr 0.001235, batch_size 32'
    """
    parts = []
    for name, value in values.items():
        if name == "optimizer":
            parts.append(str(value))
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else setting_text(value)
        parts.append(f"{name.removeprefix(str(values.get('optimizer')) + '.')} {shown}")
    return ", ".join(parts)


def _value_text(tuning: Tuning, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    what = tuning.info.metric.partition("_")[2]
    return metric(what, value) if what else number(value)


def _test_name(tuning: Tuning) -> str:
    return f"test_{tuning.info.metric.partition('_')[2]}"


def _interval_text(name: str, interval: Interval | None) -> str:
    return "–" if interval is None else interval_text(name, interval)


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"mean": interval.mean, "half": _finite(interval.half), "n": interval.n}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
