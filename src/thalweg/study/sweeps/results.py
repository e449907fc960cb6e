"""What came of the members of a series, as a table, and back."""

from __future__ import annotations

from functools import partial
from typing import Any

from thalweg.engine import States
from thalweg.errors import FileError
from thalweg.store import SeriesFolder
from thalweg.study.sweeps.series import Result, Series

FACTS = ("number", "group", "reason", "steps", "epochs", "gradients", "seconds")
"""The first columns of the results; then come the seed, the axes, and the metrics."""


def results_table(series: Series) -> dict[str, list[Any]]:
    """Return the members that are over as columns, in the order of their numbers.

    Returns:
        ``number``, ``group``, ``reason``, ``steps``, ``epochs``, ``gradients``, ``seconds``,
        ``seed``, one column for each axis, and one for each metric; None where there is none.
    """
    group_of = {n: index for index, numbers in enumerate(series.groups) for n in numbers}
    results = [series.results[number] for number in sorted(series.results)]
    columns: dict[str, list[Any]] = {
        "number": [r.number for r in results],
        "group": [group_of[r.number] for r in results],
        "reason": [str(r.reason) for r in results],
        "steps": [r.steps for r in results],
        "epochs": [r.epochs for r in results],
        "gradients": [r.gradients for r in results],
        "seconds": [r.seconds for r in results],
        "seed": [series.points[r.number].spec.seed for r in results],
    }
    axes = dict.fromkeys(key for point in series.points for key in point.setting)
    for key in axes:
        columns[axis_column(key)] = [series.points[r.number].setting.get(key) for r in results]
    for name in dict.fromkeys(name for r in results for name in r.metrics):
        columns[name] = [r.metrics.get(name) for r in results]
    return columns


def axis_column(key: str) -> str:
    """Return the column of a setting: its key, unless a fact is called so.

    Example:
        >>> axis_column("lr"), axis_column("steps")
        ('lr', 'over_steps')
    """
    return f"over_{key}" if key in FACTS else key


def restore_results(series: Series, folder: SeriesFolder) -> None:
    """Fill in the results of the groups that are over."""
    columns = folder.results()
    if not columns:
        return
    axes = {axis_column(key) for point in series.points for key in point.setting}
    metrics = [name for name in columns if name not in {*FACTS, "seed", *axes}]
    try:
        for row, number in enumerate(columns["number"]):
            facts = {name: columns[name][row] for name in FACTS if name not in {"number", "group"}}
            measured = {n: float(columns[n][row]) for n in metrics if columns[n][row] is not None}
            _ = series.points[number], int(facts["steps"]), float(facts["seconds"])
            series.results[number] = Result(number=number, metrics=measured, **facts)
    except (KeyError, IndexError, TypeError, ValueError):
        file = folder.path / "results.parquet"
        raise FileError(f"{file} (damaged)", "what a series writes") from None
    for index, numbers in enumerate(series.groups):
        if series.is_over(index):
            columns, own = folder.metrics(index), folder.weights(index)
            if set(own) != set(numbers):
                file = folder.path / f"weights/group-{index:03d}.safetensors"
                raise FileError(f"{file} of other members", f"those of group {index}")
            if "member" in columns:
                series.histories[index].epochs = columns
            elif any(series.results[number].metrics for number in numbers):
                raise FileError(f"{folder.metrics_folder(index)} (missing)", "what it measured")
            series.weights |= own
            for number in numbers:
                _restore_states(series, folder, number)


def _restore_states(series: Series, folder: SeriesFolder, number: int) -> None:
    """Bring back where the states are that a member recorded; whoever removed them has none.

    Raises:
        FileError: Some of them are missing, or a file is damaged.
    """
    spec, files = series.points[number].spec, folder.states(number)
    steps = files.steps() if spec.record_states else []
    every = steps[1] if len(steps) > 1 else spec.record_states
    if steps != list(range(0, len(steps) * every, max(1, every))):
        got = f"{folder.path / 'states'} with steps {steps} of member {number}"
        raise FileError(got, "evenly spaced ones from 0 on")
    states = States(spec.record_states, spec.record_budget * 2**20)
    states.refill(every, {step: partial(files.read, step) for step in steps})
    series.states[number] = states
