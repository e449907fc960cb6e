"""A run in words: all that is to know of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from thalweg.cli.facts import CLOCK, Facts, facts_of, flat, results
from thalweg.cli.table import print_table
from thalweg.cli.text import (
    counts,
    ending,
    is_share,
    metric,
    normalisation,
    place,
    plural,
    typed,
)
from thalweg.spec import Spec
from thalweg.store import GOES_ON, DataFacts, RunFolder, read_facts

SPLITS = ("running", "train", "val", "test")


def everything(run: RunFolder) -> dict[str, Any]:
    """Return all that is known of a run, as JSON has it.

    Raises:
        FileError: Its metrics or its best checkpoint are damaged.
    """
    facts = facts_of(run)
    return {
        "folder": str(run.path.absolute()),
        **run.info.model_dump(exclude={"format"}),
        **{key: facts[key] for key in CLOCK},
        "metrics": results(facts),
        "checkpoints": _steps(run),
        "best": _best(run),
        "spec": run.spec.model_dump(mode="json"),
        "environment": dict(run.environment),
    }


def print_run(run: RunFolder) -> None:
    """Print what a run was, how it stands, what it came to, and how to go on.

    Raises:
        FileError: Its metrics or its best checkpoint are damaged.
    """
    facts = facts_of(run)
    lines = dict(_lines(run, facts))
    width = max(map(len, lines)) + 2
    for title, text in lines.items():
        print(f"{title:{width}}{text}")
    if found := results(facts):
        print()
        _print_results(run, found)


def _lines(run: RunFolder, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield what is said of a run, each with its title."""
    data, spec = run.info.data, run.spec
    yield "run", run.name
    why = ending(run.state, spec)
    yield "state", run.state if run.state in {"complete", why} else f"{run.state}: {why}"
    yield "folder", place(run.path)
    if run.tags:
        yield "tags", ", ".join(run.tags)
    yield "began", run.created[:19].replace("T", " ")
    yield from told_data(data)
    own = f"; given in Python: {', '.join(run.info.own)}" if run.info.own else ""
    name = "its own" if "model" in run.info.own else spec.model.name
    yield "model", f"{name}, {run.parameters:,} parameters{own}"
    lr = facts["optimizer.lr"]
    yield "optimizer", spec.optimizer.name + (f", lr {lr:.4g}" if lr is not None else "")
    if settings := told_settings(spec):
        yield "settings", settings
    here = run.environment
    on = f"torch {here.get('torch', '?')}, {here.get('threads', '?')} threads"
    yield "made with", f"thalweg {here.get('thalweg', '?')}, {on}, on {here.get('machine', '?')}"
    if facts["step"] is not None:
        length = f"{plural(facts['epoch'], 'epoch')}, {plural(facts['step'], 'step')}"
        yield "trained", f"{length}, {facts['seconds']:.1f} s"
    yield "checkpoints", _checkpoints(run)
    yield from _next(run, facts)


def told_data(data: DataFacts) -> Iterator[tuple[str, str]]:
    """Yield what is said of data, each with its title."""
    kind = f"{len(data.classes)} classes" if data.classes else "regression"
    samples = ", ".join(f"{n:,} {split}" for split, n in data.samples.items())
    normalised = normalisation(data.mean, data.std)
    shape = "×".join(map(str, data.input_shape))
    yield "data", f"{data.name}: {shape}, {kind}; {samples}"
    if normalised:
        yield "normalised", normalised


def told_settings(spec: Spec) -> str:
    """Return the settings that are not the defaults, but for those that have their own line."""
    usual = dict(flat(Spec().model_dump(mode="json")))
    told = {"data.source", "model.name", "optimizer.name", "optimizer.lr"}
    return ", ".join(
        f"{key}={text_of(value)}"
        for key, value in flat(spec.model_dump(mode="json"))
        if key not in told and value != usual.get(key)
    )


def text_of(value: Any) -> str:
    """Return the value of a setting."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value)


def _checkpoints(run: RunFolder) -> str:
    steps, best = _steps(run), _best(run)
    listed = ", ".join(f"{step:,}" for step in steps)
    said = f"step{'s' if len(steps) > 1 else ''} {listed}" if steps else "none yet"
    if best is not None:
        said += f"; best at step {best['step']:,}"
        if best["value"] is not None:
            said += f", {run.spec.monitor} {_metric(run.spec.monitor, best['value'])}"
    return said


def _steps(run: RunFolder) -> list[int]:
    return list(run.checkpoints())


def _best(run: RunFolder) -> dict[str, Any] | None:
    """Return the step of the best checkpoint and what it was measured by; None if there is none."""
    file = run.path / "checkpoints" / "best.safetensors"
    if not file.exists():
        return None
    facts = read_facts(file)
    value = facts["members"][0]["last"].get(run.spec.monitor)
    return {"step": facts["updates"], "monitor": run.spec.monitor, "value": value}


def _next(run: RunFolder, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield how to go on."""
    folder, epoch = typed(run.path), facts["epoch"] or 1
    if run.state in GOES_ON:
        yield "to go on", f"thalweg resume {folder}"
    elif run.state not in {"running", "diverged"}:
        yield "to go on", f"thalweg resume {folder} --epochs {max(2, round(2 * epoch))}"
    yield "to repeat", f"thalweg train --spec {typed(run.path / 'spec.toml')}"


def _print_results(run: RunFolder, found: dict[str, float]) -> None:
    """Print the last evaluation: a row a split, a column a metric."""
    names = list(dict.fromkeys(key.partition("_")[2] for key in found))
    rows = []
    for split in SPLITS:
        cells = [found.get(f"{split}_{name}") for name in names]
        if any(cell is not None for cell in cells):
            n = run.samples.get(split)
            told = [_cell(name, value, n) for name, value in zip(names, cells, strict=True)]
            rows.append((split, f"{n:,}" if n else "–", *told))
    print_table(("last evaluation", "samples", *names), rows)


def _cell(name: str, value: float | None, n: int | None) -> str:
    if value is None:
        return "–"
    return counts(value, n) if n and is_share(name) else metric(name, value)


def _metric(key: str, value: float) -> str:
    return metric(key.partition("_")[2], value)
