"""Go on with a run that was interrupted, from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thalweg.engine import Event, Run, Snapshot, short_keys
from thalweg.engine.history import CLOCK, Columns
from thalweg.engine.progress import Facts, check_facts
from thalweg.engine.ranks import Ranks, join_ranks, together
from thalweg.errors import DataError, FileError, ModelError, SpecError
from thalweg.files import inside, write_atomically
from thalweg.spec import Spec
from thalweg.store import (
    GOES_ON,
    Checkpoint,
    RunFolder,
    differences,
    environment,
    find_run,
    locate_series,
    read_checkpoint,
)
from thalweg.store.race import locate_race
from thalweg.store.tune import locate_tune
from thalweg.study.races.racing import Race, go_on_race
from thalweg.study.record import columns_of
from thalweg.study.search import Tuning, go_on_tune
from thalweg.study.sweeps.sweeping import Sweep, go_on_sweep
from thalweg.study.training import attend, check_logs, fingerprint, record

LONGER = ("epochs", "steps", "max_seconds", "until", "patience", "monitor")
"""Settings that may change when a run goes on."""


def resume(run: str | Path, **own: Any) -> Run | Sweep | Race | Tuning:
    """Go on with a run, a sweep or a race, to the result that it would have had, bit for bit.

    Args:
        run: Its folder, or its name in the folder of runs.
        **own: What the run was given in Python rather than by name: ``model``, ``data``, ``loss``,
            ``metrics``. And how much longer a run that is complete shall go on: ``epochs``,
            ``steps``, ``max_seconds``, ``until``, ``patience``, ``monitor``; a schedule then takes
            the new length for its own.

    Returns:
        The finished run, sweep or race.

    Raises:
        ThalwegError: There is no such run, it is damaged, another process is writing to it, it has
            ended, or what it was given is missing or not the same.
        Interrupted: Ctrl-C or SIGTERM came; the run is saved.

    Example:
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(16,), steps=20)
        >>> resume(run.folder, steps=30).history.steps["step"][-1]
        30
    """
    resumed: Run | Sweep | Race | Tuning
    events: Iterator[Any]
    if (path := locate_race(run)) is not None:
        resumed, events = go_on_race(path, **own)
    elif (path := locate_tune(run)) is not None:
        resumed, events = go_on_tune(path, **own)
    elif (path := locate_series(run)) is not None:
        resumed, events = go_on_sweep(path, **own)
    else:
        resumed, events = go_on(run, **own)
    for _ in events:
        pass
    return resumed


def go_on(run: str | Path, **own: Any) -> tuple[Run, Iterator[Event]]:
    """Bring a run back to where it was, and return it with the events to come.

    No other process can write to its folder until these have come, or are forgotten. Where
    ``torchrun`` has started several processes, they go on together, however many there were before.
    """
    ranks = join_ranks()
    with together(ranks):
        return _attend(run, ranks, **own) if ranks and ranks.rank else _go_on(run, ranks, **own)
    raise AssertionError  # pragma: no cover - who is together hides no error


def _attend(run: str | Path, ranks: Ranks, **own: Any) -> tuple[Run, Iterator[Event]]:
    """Bring a run back in a process that is not the first of several, and writes nothing."""
    folder = find_run(run)
    longer = {key: own.pop(key) for key in LONGER if key in own}
    spec = folder.spec.override(longer, short_keys()) if longer else folder.spec
    back = build(folder, spec, ranks=ranks, **own)
    if folder.checkpoints():
        restore(back, folder, folder.checkpoint("last"), end=bool(longer))
    return back, attend(back)


def _go_on(run: str | Path, ranks: Ranks | None, **own: Any) -> tuple[Run, Iterator[Event]]:
    """Bring a run back, in the only process or the first."""
    folder = find_run(run)
    longer = {key: own.pop(key) for key in LONGER if key in own}
    with ExitStack() as lock:
        lock.enter_context(folder.locked())
        folder = RunFolder.open(folder.path)  # as it is now that nobody else writes
        _check_state(folder, longer)
        spec = folder.spec.override(longer, short_keys()) if longer else folder.spec
        back, how = build(folder, spec, ranks=ranks, **own), ["resumed"]
        if files := folder.checkpoints():
            found, newest = folder.checkpoint("last"), files[max(files)]
            restore(back, folder, found, end=bool(longer))
            if found.file != newest:
                how.append(f"{newest.name} is damaged")
        if longer:
            _check_length(back)
            write_atomically(folder.path / "spec.toml", spec.to_toml())
        how += differences(dict(folder.environment), environment())
        return back, record(back, folder, "; ".join(how), lock.pop_all())
    raise AssertionError  # pragma: no cover - a lock hides no error


def _check_state(folder: RunFolder, longer: Mapping[str, Any]) -> None:
    """Check that a run can go on.

    Raises:
        SpecError: It diverged, or it has ended and shall not become longer.
    """
    if folder.info.state == "diverged":
        hint = (
            "start another from a checkpoint: --weights, with a smaller lr; "
            f"thalweg show {folder.path}"
        )
        raise SpecError(f"{folder.path}, which diverged", "a run that can go on", hint)
    if folder.info.state not in {"running", *GOES_ON} and not longer:
        hint = "to go on longer: epochs=…, on the command line --epochs …"
        raise SpecError(
            f"{folder.path}, which has ended ({folder.state})", "a run that was interrupted", hint
        )


def _check_length(run: Run) -> None:
    """Check that a run that is to go on longer has something left to do.

    Raises:
        SpecError: It has trained for as long already.
    """
    done, length = run.cohort.updates, run.length
    if done >= length.updates:
        raise SpecError(
            f"{length.updates / length.per_epoch:.6g} epochs, {length.updates} steps, in all",
            f"more than the {done / length.per_epoch:.6g} epochs, {done} steps, behind it",
            "the length counts from the beginning of the run",
        )


def load_run(run: str | Path, checkpoint: str = "last", **own: Any) -> Run:
    """Bring a run back as it was at a checkpoint, to look at it.

    Args:
        run: Its folder, or its name in the folder of runs.
        checkpoint: ``last``, ``best``, or the number of a step.
        **own: What the run was given in Python rather than by name, as for `resume`.

    Returns:
        The run with its history, and with the network as it was.

    Raises:
        ThalwegError: There is no such run or checkpoint, it is damaged, or what the run was given
            is missing or not the same.

    Example:
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(16,), steps=20)
        >>> load_run(run.folder).evaluate("test") == run.evaluate("test")
        True
    """
    folder = find_run(run)
    back = build(folder, folder.spec, **own)
    restore(back, folder, folder.checkpoint(checkpoint))
    return back


def build(folder: RunFolder, spec: Spec, *, ranks: Ranks | None = None, **own: Any) -> Run:
    """Build a run anew from its folder, as it was before the first step.

    Raises:
        ThalwegError: What it was given in Python is missing, or the data are not the same.
    """
    missing = sorted(set(folder.info.own) - own.keys())
    if missing:
        hint = f"in Python: {', '.join(f'{name}=…' for name in missing)}"
        raise SpecError(
            f"{folder.path}, whose {missing[0]} came from Python",
            f"the same {missing[0]} again",
            hint,
        )
    unknown = sorted(own.keys() - {*folder.info.own, "data"})
    if unknown:
        raise SpecError(
            f"a {unknown[0]} for {folder.path}", "only what the run was given in Python"
        )
    try:
        check_logs(spec)
        run = Run(spec, ranks=ranks, **own)
    except (SpecError, ModelError, DataError) as error:
        if own or spec != folder.spec:
            raise
        raise FileError(
            f"{folder.path / 'spec.toml'} with {error.got}", error.expected, error.hint
        ) from None
    if fingerprint(run.data) != folder.info.data.fingerprint:
        raise DataError(
            f"data that are not those of {folder.path}", f"{folder.info.data.name} as it was",
            "the files behind its name have changed" if "data" not in own else "",
        )  # fmt: skip
    run.folder = folder.path
    return run


def restore(run: Run, folder: RunFolder, found: Checkpoint, *, end: bool = False) -> None:
    """Put a run where a checkpoint was taken, its history and recorded states too.

    Args:
        run: The run, as it was before the first step.
        folder: Its folder.
        found: The checkpoint.
        end: Whether to forget that the run had come to its end.

    Raises:
        FileError: The metrics or the states on the disk do not reach to the checkpoint, or a file
            is damaged.
        ModelError: The checkpoint is of another model or rule.
    """
    changes: dict[str, Any] = {}
    try:
        facts = check_facts(Snapshot(found.arrays, found.facts))
        if end:
            changes["members"] = [
                {**one.model_dump(), "reason": None, "made": None} for one in facts.members
            ]
        every, states = _states(run, folder, facts)
        changes["states_every"] = every
        steps, epochs = (_rows(run, folder, facts, name) for name in ("steps", "epochs"))
        run.restore(Snapshot(found.arrays, {**found.facts, **changes}), states)
    except ModelError as error:
        raise ModelError(f"{found.file}, {error.got}", error.expected, error.hint) from None
    run.history.steps, run.history.epochs = steps, epochs


def _rows(run: Run, folder: RunFolder, facts: Facts, name: str) -> Columns:
    """Read a table as it was at a checkpoint; splits that had not been evaluated are left out.

    Raises:
        FileError: It does not reach that far, or is of another run.
    """
    columns = folder.steps() if name == "steps" else folder.epochs()
    path, count = folder.path / "metrics" / name, facts.rows.get(name, 0)
    expected = columns_of(run)[name]
    if columns and list(columns) != expected:
        raise FileError(f"{path} with columns {list(columns)}", f"columns {expected}")
    steps = columns.get("step", [])[:count]
    if len(steps) < count:
        raise FileError(f"{path} with {len(steps)} rows", f"the {count} of its checkpoint")
    whole = name != "steps" or (count == facts.updates and steps == list(range(1, count + 1)))
    if not whole or any(step > facts.updates for step in steps):
        raise FileError(f"{path} with other rows than those of its run", "a row for every step")
    kept = {key: columns.get(key, [])[:count] for key in expected}
    return {n: v for n, v in kept.items() if n in CLOCK or any(each is not None for each in v)}


def _states(run: Run, folder: RunFolder, facts: Facts) -> tuple[int, dict[int, Tensor]]:
    """Read the recorded path up to a checkpoint.

    After an older checkpoint than the last, every second state may be gone: a run on its way there
    would drop them, too.

    Returns:
        The interval between them, and flat parameters, (K, P), by step.

    Raises:
        FileError: The first one is missing, or one is damaged or of another model.
    """
    every, files, states = facts.states_every, folder.states(), dict[int, Tensor]()
    if not every:
        return 0, states
    while not all(step in files for step in range(0, facts.updates + 1, every)):
        if every > facts.updates:
            raise FileError(f"{folder.path / 'states'} without step 0", "the states of its run")
        every *= 2
    for step in range(0, facts.updates + 1, every):
        found = read_checkpoint(inside(folder.path, f"states/{files[step].name}"))
        theta = torch.zeros_like(run.cohort.stack.theta)
        views = run.cohort.parameters(theta)
        kinds = [{n: (a.shape, a.dtype) for n, a in of.items()} for of in (found.arrays, views)]
        if kinds[0] != kinds[1]:
            raise FileError(f"{found.file}, a state of another model", "a state of this run")
        for name, array in found.arrays.items():
            views[name].copy_(array)
        states[step] = theta
    return every, states
