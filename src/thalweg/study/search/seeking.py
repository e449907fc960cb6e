"""Tune: find the best settings, from a space, a sampler, rungs and a budget."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from thalweg.cluster import Executor, open_executor
from thalweg.cluster.opening import On
from thalweg.data import Data
from thalweg.engine import Group
from thalweg.engine.length import Length
from thalweg.engine.loading import load_all
from thalweg.errors import FileError, SpecError, nearest
from thalweg.files import claim_folder, write_atomically
from thalweg.spec import Spec
from thalweg.store import claim_path, environment
from thalweg.store.documents import to_json
from thalweg.store.tune import (
    TuneInfo,
    locate_tune,
    parse_tune,
    read_tune,
    write_tune,
)
from thalweg.study.races.contestants import Name, own_settings
from thalweg.study.search.ranges import build_space
from thalweg.study.search.rungs import Rungs
from thalweg.study.search.samplers import check_sampler
from thalweg.study.search.storage import (
    close_storage,
    find_study,
    make_study,
    open_storage,
    without_password,
)
from thalweg.study.search.tuning import Happening, Tuning, open_tuning
from thalweg.study.sweeps.scattered import with_threads
from thalweg.study.training import data_facts, settle, told_of

VALIDATION = 0.1
"""The share of the training samples that decide, where the data have no validation split."""

STORAGE = "THALWEG_STORAGE"
"""The environment variable that has the address of the database, with its password."""


def tune(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: str | Sequence[Name] | None = None,
    over: Mapping[str, Any] | None = None,
    schedules: str | Sequence[str] | None = None,
    trials: int = 64,
    sampler: str = "tpe",
    pruner: str = "halving",
    eta: int = 3,
    rungs: int = 3,
    group: int | None = None,
    best: int = 3,
    seeds: int | Sequence[int] = 5,
    metric: str | None = None,
    storage: str | None = None,
    workers: int = 1,
    on: On = "here",
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    memory: float | None = None,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> Tuning:
    """Find the best settings.

    Trials are proposed in waves and train side by side. A wave is ranked at each rung by the
    validation split; the best 1/η go on from where they stand, and new trials take the places of
    the others. At the end the best trials are run again on fresh seeds; the winner is chosen by the
    validation split, and it alone is evaluated on the test split, once.

    Args:
        model: As for `train`.
        data: As for `train`. Without a validation split, a tenth of the training samples is one.
        optimizers: Contestants as of a race, of which each has numbers of its own: see
            `build_space`.
        over: What else may be chosen, by key: ``"1e-4..1"``, a `Range`, a list of values, or a
            mapping with ``when``.
        schedules: Schedules to choose from, step by step, or ``all`` that do not react to what is
            measured; numbers that one needs suit the length of a run.
        trials: How many settings are tried.
        sampler: Who proposes: ``tpe``, ``cmaes``, ``gp``, ``qmc``, ``random`` or ``grid``.
        pruner: How trials are sent away: ``halving``, ``hyperband``, or ``none``.
        eta: One of so many goes on from a rung.
        rungs: How many rungs there are, with the end of training.
        group: Trials that are proposed at a time; what suits the sampler and the memory if None.
        best: How many trials are run again.
        seeds: On how many fresh seeds, or which.
        metric: What decides; ``val_accuracy``, or ``val_loss`` for a regression, if None.
        storage: Address of a PostgreSQL database that remembers the trials, such as
            ``postgresql+psycopg://user@host/database``; a SQLite file in the folder if None.
        workers: Processes that train at once, this one among them.
        on: Who trains, as for `thalweg.study.sweep`; a wave is trained by one worker.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        metrics: As for `train`.
        memory: Bytes that the members may take at a time; half of what is free if None.
        out: Folder to record the search in, new or empty. None makes one in the folder of runs;
            False records nothing.
        name: Name of the search, and of Optuna's study.
        tags: Words to find it by.
        **settings: Settings that all share, as for `train`.

    Returns:
        The search: ``winner``, ``spec``, ``verdict``, ``test()``, ``trials``.

    Raises:
        ThalwegError: A key or a setting does not exist, does not fit, or the folder or the database
            cannot be written.
        Interrupted: Ctrl-C or SIGTERM came; the search is saved, and `resume` goes on with it.

    Example:
        >>> found = tune("mlp", "digits", optimizers="sgd,adam", trials=8, hidden=(16,), epochs=3)
        >>> found.spec.optimizer.name, found.winner.value.n, sorted(found.test())
        ('adam', 5, ['test_accuracy', 'test_loss'])
    """
    with open_executor(on, settings.get("threads")) as executor:
        found, events = begin_tune(
            model, data, optimizers=optimizers, over=over, schedules=schedules, trials=trials,
            sampler=sampler, pruner=pruner, eta=eta, rungs=rungs, group=group, best=best,
            seeds=seeds, metric=metric, storage=storage, workers=workers, executor=executor,
            spec=spec, loss=loss, metrics=metrics, memory=memory, out=out, name=name, tags=tags,
            **settings,
        )  # fmt: skip
        for _ in events:
            pass
    return found


def begin_tune(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: str | Sequence[Name] | None = None,
    over: Mapping[str, Any] | None = None,
    schedules: str | Sequence[str] | None = None,
    trials: int = 64,
    sampler: str = "tpe",
    pruner: str = "halving",
    eta: int = 3,
    rungs: int = 3,
    group: int | None = None,
    best: int = 3,
    seeds: int | Sequence[int] = 5,
    metric: str | None = None,
    storage: str | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    memory: float | None = None,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> tuple[Tuning, Iterator[Happening]]:
    """Prepare a search as `tune` does, and return it with the events to come."""
    base, own = settle(spec, settings, model=model, data=data, loss=loss, metrics=metrics)
    base = with_threads(base, executor)
    if optimizers is not None and (mine := own_settings(settings)):
        hint = 'in Python {"name": "heavy", "optimizer": "momentum", "momentum": 0.99} is one'
        raise SpecError(f"{mine[0]}={settings[mine[0]]!r} for all", "optimizers' own", hint)
    check_sampler(sampler)
    _ = Rungs(pruner, eta, rungs)
    for what, count in {"trials": trials, "best": best, "workers": workers, "group": group}.items():
        if count is not None and count < 1:
            raise SpecError(f"{what}={count}", "1 at least")
    fresh = [base.seed + 1 + k for k in range(seeds)] if isinstance(seeds, int) else [*seeds]
    if not fresh or len(set(fresh)) < len(fresh) or min(fresh) < 0 or base.seed in fresh:
        hint = f"fresh ones: the trials have {base.seed}"
        raise SpecError(f"seeds={seeds!r}", "one at least, and each once", hint)
    told = told_of(own, base)
    if workers > 1 and told:
        got = f"workers={workers} with a {min(told)} from Python"
        raise SpecError(got, "what has a name", "other processes do not have it")
    if workers > 1 and executor is not None:
        got = f"workers={workers} and an executor"
        raise SpecError(got, "one of the two", "processes:N has N workers")
    if workers > 1 and out is False:
        raise SpecError(f"workers={workers} without a record", "a folder in which they meet")
    address = None if storage is None else without_password(storage)
    base, own = _with_validation(base, own)
    updates = _updates(base, own) if schedules else None
    space, base = build_space(base, optimizers, over, schedules, updates)
    group_of_one = Group([base], **own)
    measured = [f"val_{each}" for each in ("loss", *group_of_one.cohort.metrics)]
    chosen = metric or ("val_accuracy" if "val_accuracy" in measured else "val_loss")
    if chosen not in measured:
        hint = nearest(chosen, measured)
        raise SpecError(f"metric={chosen!r}", "one on the validation split", hint)
    grid = space.grid() if sampler == "grid" else []
    info = TuneInfo.new(
        name=name or (Path(out).name if out else "tune"),
        tags=list(tags),
        own=sorted(told_of(own, base)),
        data=data_facts(group_of_one.data[0]),
        space=space.to_json(),
        sampler=sampler,
        pruner=pruner,
        eta=eta,
        rungs=rungs,
        trials=min(trials, len(grid)) if grid else trials,
        group=group,
        metric=chosen,
        best=best,
        seeds=fresh,
        storage=address,
        study=name or "tune",
    )
    path = None
    if out is not False:
        path = (claim_path(base, name or "tune") if out is None else Path(out)).absolute()
        claim_folder(path)
        info = info.model_copy(update={"name": name or path.name, "study": name or path.name})
    found = Tuning(info, base, own, path, memory, storage, workers, executor)
    try:
        _make(found, storage, grid[: info.trials])
    except BaseException:
        if path is not None and storage is not None:
            with suppress(OSError):
                path.rmdir()
        raise
    if path is not None:
        write_atomically(path / "spec.toml", base.to_toml())
        here = environment()
        if storage is not None and address is not None:  # it may have a password
            here["command"] = here["command"].replace(storage, address)
        write_atomically(path / "environment.json", to_json(here))
        write_tune(path, info)  # last: a folder is a search once it is whole
    return found, found.events()


def _make(found: Tuning, storage: str | None, grid: Sequence[Mapping[str, Any]]) -> None:
    """Make the study of a search that begins now."""
    info = found.info
    kept, locks = open_storage(found.folder, storage, info.study)
    try:
        direction: Literal["minimize", "maximize"] = "minimize" if found.sign < 0 else "maximize"
        study = make_study(kept, info.study, direction, info.metric)
        told = {"info": info.model_dump(), "spec": found.base.to_toml()}
        study.set_user_attr("thalweg", told)
        for values in grid:
            study.enqueue_trial(dict(values))
    finally:
        locks.close()
        if found.folder is None and storage is None:
            found.keep(kept)
        else:
            close_storage(kept)


def _with_validation(base: Spec, own: Mapping[str, Any]) -> tuple[Spec, dict[str, Any]]:
    """Return the spec, and what it cannot say, with a validation split."""
    mine = dict(own)
    (samples,) = load_all([base], mine.get("data"))
    if samples.val is None:
        if "data" not in told_of(mine, base):
            mine.pop("data", None)  # the spec says it, and can say this, too
        if not isinstance(mine.get("data"), Data):
            base = base.override({"data.val": VALIDATION})
    if isinstance(mine.get("data"), Data) and mine["data"].val is None:
        mine["data"] = mine["data"].split(val=VALIDATION)
    return base, mine


def _updates(base: Spec, own: Mapping[str, Any]) -> int:
    """Return the length of a run."""
    (samples,) = load_all([base], own.get("data"))
    return Length.of(base, len(samples.train)).updates


def go_on_tune(
    search: str | Path,
    *,
    workers: int = 1,
    executor: Executor | None = None,
    storage: str | None = None,
    memory: float | None = None,
    **own: Any,
) -> tuple[Tuning, Iterator[Happening]]:
    """Bring a search back from its folder, and return it with the events to come.

    Args:
        search: Its folder, or its name in the folder of runs.
        workers: Processes that train at once.
        executor: Who trains what is left; this process, with such workers, if None.
        storage: Address of the database, if it needs a password.
        memory: Bytes that the members may take at a time; half of what is free if None.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or complete; what it was given is missing, or
            not the same.
    """
    path = _folder(search)
    info, _ = read_tune(path)
    if info.state == "complete":
        got = f"{path}, which has ended ({info.state})"
        raise SpecError(got, "a search that was interrupted", f"thalweg show {path}")
    _check_own(path, info.own, own)
    url = storage or os.environ.get(STORAGE)
    found = open_tuning(
        path, _validated(own), workers=workers, executor=executor, storage=url, memory=memory
    )
    found.check_data()
    return found, found.events()


def join_tune(
    search: str | Path, *, storage: str | None = None, memory: float | None = None, **own: Any
) -> tuple[Tuning, Iterator[Happening]]:
    """Help with a search that another process began, and return it with the events to come.

    Args:
        search: Its folder, or its name in the folder of runs; or, with the address of a database,
            the name of its study, if its folder cannot be seen from here.
        storage: Address of the database; that of the folder if None.
        memory: Bytes that the members may take at a time; half of what is free if None.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, or it is damaged; what it was given is missing, or others.
    """
    url = storage or os.environ.get(STORAGE)
    path = locate_tune(search)
    if path is None and url is not None:
        kept, locks = open_storage(None, url, str(search))
        try:
            told = find_study(kept, str(search)).user_attrs.get("thalweg")
        finally:
            locks.close()
            close_storage(kept)
        if not isinstance(told, dict):
            raise FileError(f"the study {str(search)!r}, which is no search", "one of thalweg's")
        info, base = parse_tune(told.get("info"), str(told.get("spec")), str(search))
        _check_own(Path(search), info.own, own)
        found = Tuning(info, base, _validated(own), None, memory, url)
    else:
        folder = (path or Path(search)).absolute()
        found = open_tuning(folder, _validated(own), memory=memory, storage=url)
        _check_own(folder, found.info.own, own)
    found.check_data()
    return found, found.help()


def load_tuning(search: str | Path, *, storage: str | None = None, **own: Any) -> Tuning:
    """Bring a search back from its folder; nothing is trained.

    Args:
        search: Its folder, or its name in the folder of runs.
        storage: Address of the database, if it needs a password.
        **own: What it was given in Python rather than by name; without it, there is all but the
            networks.

    Raises:
        FileError: There is none, it is damaged, or its database does not answer.

    Example:
        >>> over = {"lr": "0.01..1"}
        >>> first = tune("mlp", "digits", over=over, trials=3, best=1, hidden=(8,), epochs=1)
        >>> load_tuning(first.folder).verdict == first.verdict
        True
    """
    url = storage or os.environ.get(STORAGE)
    found = open_tuning(_folder(search), _validated(own), storage=url)
    found.look()
    return found


def _validated(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given in Python, with a validation split of its `Data`."""
    data = own.get("data")
    if isinstance(data, Data) and data.val is None:
        return {**own, "data": data.split(val=VALIDATION)}
    return dict(own)


def _check_own(path: Path, needed: Sequence[str], own: Mapping[str, Any]) -> None:
    """Check that what a search was given in Python is there again.

    Raises:
        SpecError: Something is missing, or too much.
    """
    if missing := sorted(set(needed) - own.keys()):
        hint = f"in Python: {', '.join(f'{name}=…' for name in missing)}"
        raise SpecError(f"{path}, whose {missing[0]} came from Python", "the same again", hint)
    if unknown := sorted(own.keys() - {*needed, "data"}):
        got = f"{unknown[0]}=… for the search {path}"
        raise SpecError(got, "only what it was given in Python")


def _folder(search: str | Path) -> Path:
    return (locate_tune(search) or Path(search)).absolute()
