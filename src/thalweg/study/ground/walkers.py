"""Who has gone over the ground: runs, checkpoints, members of series, the user's networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from thalweg.data import Data, load_data
from thalweg.engine import Group, Metric, Run
from thalweg.engine.build import build_rule
from thalweg.errors import FileError, ModelError, SpecError
from thalweg.landscape import Ground
from thalweg.landscape.ground import draw
from thalweg.nn import Stack
from thalweg.plots.text import setting_text
from thalweg.spec import DataSpec, Spec
from thalweg.store import RunFolder, locate_run, locate_series
from thalweg.store.race import locate_race
from thalweg.study.races.contest import Race
from thalweg.study.resuming import load_run
from thalweg.study.sweeps.recorded import check_own, read_series
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.sweeping import Sweep

Loss = str | Callable[[Tensor, Tensor], Tensor]
"""A loss's name, or a callable (outputs, labels) → mean loss."""


@dataclass(frozen=True, eq=False)
class Walker:
    """A network, and the states that it went through.

    Args:
        name: What it is called.
        network: Where it is; it is copied wherever it is used.
        states: Flat parameters in the layout of a stack, (P,) or (1, P) each; none if nobody
            recorded them.
        steps: Updates made until each.
        at: Updates behind the network.
        rates: The learning rate of each of them, if known.
        data: What it was trained on, if known.
        loss: What it was trained for, if known.
        metrics: What is measured of it; what the labels suggest if None.
        folder: Where it is recorded, if it is.
    """

    name: str
    network: nn.Module
    states: Sequence[Tensor] = ()
    steps: Sequence[int] = ()
    at: int = 0
    rates: Sequence[float] = ()
    data: Data | None = None
    loss: Loss | None = None
    metrics: Mapping[str, Metric] | None = field(default=None, repr=False)
    folder: Path | None = None

    @classmethod
    def of(cls, run: Run, name: str) -> Walker:
        """Return what a run is: its network as evaluated, its recorded states, its own ground.

        Args:
            run: The run.
            name: What to call it.
        """
        return cls(
            name,
            run.model,
            run.states.theta,
            run.states.steps,
            run.cohort.updates,
            run.history.steps.get("lr", []),
            run.data,
            run.cohort.loss,
            run.cohort.metrics,
            run.folder,
        )

    @property
    def lr(self) -> float:
        """The learning rate of the last update; not a number if it is not known."""
        return self.rates[self.at - 1] if 0 < self.at <= len(self.rates) else math.nan

    def along(self) -> Iterator[Walker]:
        """Yield the network as it was at each recorded state.

        Raises:
            SpecError: There are none, or BatchNorm's statistics were not recorded with them.
        """
        if not self.states:
            hint = "train with record_states=10, on the command line --record-states 10"
            raise SpecError(f"{self.name} without recorded states", "some", hint)
        if any(name.endswith("running_var") for name, _ in self.network.named_buffers()):
            got = f"{self.name}, whose states were recorded without BatchNorm's statistics"
            raise SpecError(got, "checkpoints", "NAME@all is all of them")
        stack = Stack([self.network])
        for step, theta in zip(self.steps, self.states, strict=True):
            with stack.weights(theta.reshape(1, -1).to(stack.theta)):
                network = stack.export()
            name = f"{self.name}@{step}"
            yield replace(self, name=name, network=network, at=step, states=(), steps=())


NAMED = ("last", "best", "all", "states")
"""What may be behind an ``@`` beside the number of a step."""

One = Run | Sweep | Race | str | Path | nn.Module | Walker | tuple[str | Path, str | int]
"""Who may go over the ground: see `walkers`."""


def walkers(who: One | Sequence[One]) -> list[Walker]:
    """Return one or several as walkers.

    Args:
        who: Any of: a run; its folder or its name; that with a checkpoint behind an ``@``
            (``"first@120"``, ``"first@best"``) or as a pair of both, or with all of its checkpoints
            (``"first@all"``) or recorded states (``"first@states"``); a sweep or a race, of which
            those members are meant that recorded states, or all if none did, or with a number
            behind an ``@`` that one, and of these, too, ``@states`` are all recorded ones; a
            network.

    Raises:
        SpecError: There are none.
        ThalwegError: One cannot be read.

    Example:
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(8,), steps=4, checkpoint_every="2steps")
        >>> [each.at for each in walkers([run, f"{run.folder}@2", (run.folder, 2)])]
        [4, 2, 2]
    """
    alone = isinstance(who, Run | Sweep | Race | str | Path | nn.Module | Walker) or _is_pair(who)
    several: list[Any] = [who] if alone else list(who)  # type: ignore[arg-type]
    if not several:
        raise SpecError("no runs", "one at least")
    return [each for number, one in enumerate(several) for each in _read(one, number)]


def ground_of(
    found: Sequence[Walker],
    split: str = "train",
    subset: int | None = None,
    *,
    seed: int = 0,
    data: Any = None,
    loss: Loss | None = None,
    metrics: Any = None,
) -> Ground:
    """Return the ground under walkers: the last one's network, samples and loss.

    Args:
        found: Networks of one architecture. What the last one does not know of samples and loss,
            those before it may.
        split: ``"train"``, ``"val"`` or ``"test"``.
        subset: How many of its samples, drawn by ``seed``; None takes all.
        seed: Of that draw.
        data: Samples instead: anything that `load_data` takes.
        loss: A loss instead.
        metrics: Metrics instead.

    Raises:
        SpecError: Nobody knows of any samples.
        DataError: There is no such split.
        ModelError: The networks are of several architectures.
    """
    samples = draw(data_of(found, data).splits(), split, subset, seed=seed)
    for each in reversed(found):
        loss = each.loss if loss is None else loss
        metrics = each.metrics if metrics is None else metrics
    ground = Ground(found[-1].network, samples, loss, metrics)
    for each in found:
        try:
            ground.vector(each.network)
        except ModelError as error:
            got = f"{each.name}, of another architecture ({error.got})"
            raise ModelError(got, f"that of {found[-1].name}") from None
    return ground


def data_of(found: Sequence[Walker], data: Any = None) -> Data:
    """Return the data that walkers are measured on: the last ones that are known.

    Args:
        found: The walkers.
        data: Others instead: anything that `load_data` takes.

    Raises:
        SpecError: Nobody knows of any.
    """
    if data is not None:
        return load_data(data)
    known = [each.data for each in found if each.data is not None]
    if not known:
        raise SpecError("networks without data", "data=…", "anything that load_data takes")
    return known[-1]


def _is_pair(who: Any) -> bool:
    """Tell whether this is a run's folder with a checkpoint."""
    if not (isinstance(who, tuple) and len(who) == 2 and isinstance(who[0], str | Path)):
        return False
    which = who[1]
    return isinstance(which, int) or which in NAMED or str(which).isdecimal()


def _read(one: Any, number: int) -> Iterator[Walker]:
    """Yield what one of them stands for."""
    if isinstance(one, Walker):
        yield one
    elif isinstance(one, Run):
        yield Walker.of(one, one.folder.name if one.folder is not None else f"run {number}")
    elif isinstance(one, nn.Module):
        yield Walker(f"network {number}", one)
    elif isinstance(one, Sweep):
        yield from _of_series(one.series, f"sweep {number}", one.folder)
    elif isinstance(one, Race):
        yield from _of_series(one.final, f"race {number}", one.folder)
    elif _is_pair(one):
        yield from _at(locate_run(one[0]), str(one[1]))
    elif isinstance(one, str | Path):
        yield from _named(one)
    else:
        expected = "a run, its folder or name, a pair of that and a checkpoint, or a network"
        raise SpecError(f"a {type(one).__name__} among the runs", expected)


def _named(name: str | Path) -> Iterator[Walker]:
    """Yield what a name stands for, with or without a checkpoint behind it."""
    whole, which = str(name), ""
    if not Path(whole).exists() and "@" in whole:
        whole, _, which = whole.rpartition("@")
        if which == "states":
            for walker in _named(whole):
                yield from walker.along()
            return
    series = locate_race(whole)
    series = series / "final" if series is not None else locate_series(whole)
    if series is None:
        yield from _at(locate_run(whole), which or "last")
    else:
        yield from _members(series, which)


def _at(folder: Path, which: str) -> Iterator[Walker]:
    """Yield a run at a checkpoint, at all of them, or at all of its recorded states."""
    if which == "all":
        for step in RunFolder.open(folder).checkpoints():
            yield from _at(folder, str(step))
    elif which == "states":
        yield from Walker.of(load_run(folder), folder.name).along()
    else:
        short = folder.name if which == "last" else f"{folder.name}@{which}"
        yield Walker.of(load_run(folder, which), short)


def _members(path: Path, which: str) -> Iterator[Walker]:
    """Yield the members of a series in a folder, or one of them."""
    folder, series = read_series(path)
    if series.weights:
        check_own(folder, series.own)
    yield from _of_series(series, path.name, path, which)


def members(series: Series, numbers: Iterable[int], name: str, path: Path | None) -> list[Walker]:
    """Return members of a series that are over.

    Args:
        series: The series.
        numbers: Which.
        name: What to call the series.
        path: Its folder.
    """
    numbers, loaded = list(numbers), dict[DataSpec, Data]()
    groups = {n: Group([series.points[n].spec], loaded=loaded, **series.own) for n in numbers}
    return [
        Walker(
            series.called(number, numbers) or _called(series, number) or f"{name}@{number}",
            group.network(series.weights[number]),
            series.states[number].theta,
            series.states[number].steps,
            at=series.results[number].steps,
            rates=_rates(series.points[number].spec, series.results[number].steps),
            data=group.data[0],
            loss=group.cohort.loss,
            metrics=group.cohort.metrics,
            folder=path,
        )
        for number, group in groups.items()
    ]


def _called(series: Series, number: int) -> str:
    """Return what tells a member of a sweep with one axis and one seed from the others."""
    alike = [point for point in series.points if point.setting == series.points[number].setting]
    pairs = list(series.points[number].setting.items())
    return f"{pairs[0][0]} {setting_text(pairs[0][1])}" if len(pairs) == len(alike) == 1 else ""


def _rates(spec: Spec, steps: int) -> list[float]:
    """Return the learning rate of each step, if it never changed."""
    lr = build_rule(spec).hyper().get("lr")
    return [lr] * steps if spec.schedule.name == "constant" and isinstance(lr, float) else []


def _of_series(
    series: Series | None, name: str, path: Path | None, which: str = ""
) -> Iterator[Walker]:
    """Yield the members of a series that are over, or one of them; rather those that recorded."""
    there = {} if series is None else {str(number): number for number in series.weights}
    if series is None or not there:
        raise FileError(f"{path or name}, of which no member is over", "one at least")
    if which and which not in there:
        raise SpecError(f"member {which}", f"one of {len(there)} that are over")
    recorded = [number for number in there.values() if series.states[number].steps]
    numbers = [there[which]] if which else recorded or list(there.values())
    yield from members(series, numbers, name, path)
