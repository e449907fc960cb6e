"""A race: optimizers against each other, tuned alike, then run on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from thalweg.cluster import Executor, open_executor
from thalweg.cluster.opening import On
from thalweg.data import Data
from thalweg.engine import Group
from thalweg.engine.loading import load_all
from thalweg.engine.stop import Condition
from thalweg.errors import FileError, SpecError, nearest
from thalweg.spec import Spec
from thalweg.store import claim_path
from thalweg.store.race import create_race, locate_race, new_race_info, read_race
from thalweg.study.races.contest import Happening, Race, Trial
from thalweg.study.races.contestants import Name, contestant, everyone, own_settings
from thalweg.study.sweeps.scattered import with_threads
from thalweg.study.training import data_facts, settle, told_of

__all__ = ["Race", "Trial", "begin_race", "go_on_race", "load_race", "race"]

VALIDATION = 0.1
"""The share of the training samples that decide, where the data have no validation split."""

TUNING = 1000
"""The seeds of tuning begin so far from those of the race."""


WAYS = 40
"""States that each contestant records of its way, by default."""


def race(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: str | Sequence[Name],
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
    on: On = "here",
    ways: int = WAYS,
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
        optimizers: Who takes part: names (see `contestant`), or settings of your own; ``"all"`` is
            every registered rule.
        seeds: How many seeds, or which.
        tune: Whether to tune; an untuned race has no verdict.
        tuning_seeds: Seeds that each learning rate is tried with; the mean decides.
        order: ``"shared"``: all see the samples in one order; ``"own"``: each seed has its own.
        metric: What decides; ``val_accuracy``, or ``val_loss`` for a regression, if None.
        target: What is to be reached, such as ``val_accuracy>=0.9``; what half of them reach, if
            None. It decides nothing.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        metrics: As for `train`.
        memory: Bytes that the members may take at a time; half of what is free if None.
        on: Who trains, as for `thalweg.study.sweep`.
        ways: About how many states each contestant records of its way, with the first seed, for a
            map of the ground; all together take ``record_budget`` at most. 0 records none. They
            change nothing else.
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
    asked = (spec or Spec()).threads if "threads" not in settings else settings["threads"]
    with open_executor(on, asked) as executor:
        found, events = begin_race(
            model, data, optimizers=optimizers, seeds=seeds, tune=tune, tuning_seeds=tuning_seeds,
            order=order, metric=metric, target=target, spec=spec, loss=loss, metrics=metrics,
            memory=memory, executor=executor, ways=ways, out=out, name=name, tags=tags, **settings,
        )  # fmt: skip
        for _ in events:
            pass
        return found


def begin_race(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    optimizers: str | Sequence[Name],
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
    executor: Executor | None = None,
    ways: int = WAYS,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> tuple[Race, Iterator[Happening]]:
    """Prepare a race as `race` does, and return it with the events to come."""
    base, own = settle(spec, settings, model=model, data=data, loss=loss, metrics=metrics)
    base = with_threads(base, executor)
    if mine := own_settings(settings):
        hint = 'in Python {"name": "heavy", "optimizer": "momentum", "momentum": 0.99} is one'
        raise SpecError(f"{mine[0]}={settings[mine[0]]!r} for all", "contestants' own", hint)
    base = base.model_copy(update={"optimizer": Spec().optimizer})
    if order not in {"shared", "own"}:
        raise SpecError(f"order={order!r}", "shared or own")
    wanted = list(range(base.seed, base.seed + seeds)) if isinstance(seeds, int) else [*seeds]
    if type(ways) is not int or ways < 0:
        raise SpecError(f"ways={ways!r}", "a number of states, or 0")
    if not wanted or len(set(wanted)) < len(wanted) or min(wanted) < 0 or tuning_seeds < 1:
        got = f"seeds={seeds!r}, tuning_seeds={tuning_seeds}"
        raise SpecError(got, "one at least of each, and each once")
    names = everyone(optimizers)
    first = contestant(names[0], base)
    (samples,) = load_all([base], own.get("data"))
    if samples.val is None:
        if "data" not in told_of(own, base):
            own.pop("data", None)  # the spec says it, and can say this, too
        if not isinstance(own.get("data"), Data):
            base = base.override({"data.val": VALIDATION})
    own = _with_validation(own)
    group = Group([first.spec(base)], **own)
    splits = [name for name in ("val", "test") if name in group.data[0].splits()]
    measured = ["loss", *group.cohort.metrics]
    chosen = metric or ("val_accuracy" if "accuracy" in measured else "val_loss")
    _check_metric("metric", chosen, [f"val_{each}" for each in measured])
    if target is not None:
        known = [f"{split}_{each}" for split in splits for each in measured]
        _check_metric("target", _condition(target).metric, known)
    start = max(wanted) + TUNING
    info = new_race_info(
        name=name or (Path(out).name if out else "race"),
        tags=list(tags),
        own=sorted(told_of(own, base)),
        data=data_facts(group.data[0]),
        contestants=names,
        seeds=wanted,
        order=order,
        tune=tune,
        tuning_seeds=list(range(start, start + tuning_seeds)),
        metric=chosen,
        target=target,
        ways=ways,
    )
    found = Race(info, base, own, None, memory, executor)
    if out is not False:
        path = (claim_path(base, name or "race") if out is None else Path(out)).absolute()
        found.folder, found.info = path, info.model_copy(update={"name": name or path.name})
        create_race(path, found.info, base)
    return found, found.events()


def go_on_race(
    race: str | Path, memory: float | None = None, executor: Executor | None = None, **own: Any
) -> tuple[Race, Iterator[Happening]]:
    """Bring a race back from its folder, and return it with the events to come.

    Args:
        race: Its folder, or its name in the folder of runs.
        memory: Bytes that the members may take at a time; half of what is free if None.
        executor: Who trains what is left; this process if None.
        **own: What it was given in Python rather than by name.

    Raises:
        ThalwegError: There is none, it is damaged, or complete; what it was given is missing, or
            not the same.
    """
    path = _folder(race)
    info, base = read_race(path)
    if info.state == "complete":
        got = f"{path}, which has ended ({info.state})"
        raise SpecError(got, "a race that was interrupted", f"thalweg show {path}")
    if missing := sorted(set(info.own) - own.keys()):
        hint = f"in Python: {', '.join(f'{name}=…' for name in missing)}"
        raise SpecError(f"{path}, whose {missing[0]} came from Python", "the same again", hint)
    if unknown := sorted(own.keys() - {*info.own, "data"}):
        raise SpecError(f"{unknown[0]}=… for the race {path}", "only what it was given in Python")
    found = Race(info, base, _with_validation(own), path, memory, executor)
    found.check_data()
    return found, found.events()


def load_race(race: str | Path, **own: Any) -> Race:
    """Bring a race back from its folder; nothing is trained.

    Args:
        race: Its folder, or its name in the folder of runs.
        **own: What it was given in Python rather than by name; without it, there is all but the
            networks.

    Returns:
        The race. One that is not complete has ``trials`` and ``ladders`` as far as they came.

    Raises:
        FileError: There is none, or it is damaged.

    Example:
        >>> first = race("mlp", "digits", optimizers="sgd", hidden=(8,), steps=20, tune=False)
        >>> load_race(first.folder).verdict
        'no verdict: the learning rates were not tuned'
    """
    path = _folder(race)
    info, base = read_race(path)
    found = Race(info, base, _with_validation(own), path)
    found.look()
    if info.state == "complete" and found.final is None:
        hint = "the parts of a race are folders in its own"
        raise FileError(f"{path}, complete but without one of its parts", "all of them", hint)
    return found


def _with_validation(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given in Python, with a validation split of its `Data`."""
    data = own.get("data")
    if isinstance(data, Data) and data.val is None:
        return {**own, "data": data.split(val=VALIDATION)}
    return dict(own)


def _folder(race: str | Path) -> Path:
    return (locate_race(race) or Path(race)).absolute()


def _condition(target: str) -> Condition:
    try:
        return Condition.parse(target)
    except SpecError as error:
        hint = "as in val_accuracy>=0.9, or with <=, > or <"
        raise SpecError(f"target={target!r}", error.expected, hint) from None


def _check_metric(key: str, metric: str, known: Sequence[str]) -> None:
    if metric not in known:
        hint = nearest(metric, known)
        what = "one on the validation split" if key == "metric" else "one that is measured"
        raise SpecError(
            f"{key} with {metric!r}" if key == "target" else f"{key}={metric!r}", what, hint
        )
