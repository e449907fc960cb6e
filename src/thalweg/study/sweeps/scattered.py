"""A series whose groups are trained elsewhere: by other processes, or on a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from thalweg.cluster import Done, Executor, Lost, Told, Work
from thalweg.data import Data, Split
from thalweg.engine import Event, Group, History, States, Step
from thalweg.engine.history import CLOCK, Columns
from thalweg.engine.loading import load_all
from thalweg.spec import DataSpec, Spec
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.series import Result, Series
from thalweg.study.sweeps.size import SHARE, free_memory, largest_group

SENT = 2**32
"""Bytes of data that are sent along; what is beyond is loaded by the workers themselves."""


@dataclass(frozen=True)
class Outcome:
    """What became of a group.

    Args:
        results: Of its members, by their numbers.
        weights: Parameters and buffers as evaluated.
        states: Recorded parameters, of those that record them.
        epochs: What they said, by evaluation.
        columns: The columns that this may have.
        places: Where each parameter begins in a state, and its shape, by name.
    """

    results: Mapping[int, Result]
    weights: Mapping[int, Mapping[str, Tensor]]
    states: Mapping[int, States]
    epochs: Columns
    columns: Sequence[str]
    places: Mapping[str, tuple[int, list[int]]]


class Groups(Work):
    """Trains groups of a series: a job is the members of one, by their numbers.

    Args:
        own: What was given in Python rather than named: model, data, loss, metrics.
        loaded: Data that are there already.
        device: Where they train.
    """

    def __init__(
        self, own: Mapping[str, Any], loaded: Mapping[DataSpec, Data], device: str = "cpu"
    ) -> None:
        self.own, self.loaded = dict(own), dict(loaded)
        self.gpus = int(device.startswith("cuda"))
        self._last: dict[DataSpec, Data] = {}

    def do(self, job: Mapping[int, Point]) -> Generator[Event, None, Outcome]:
        points = cast(Sequence[Point], job)  # which a series asks for by their numbers alone
        series = Series(points, [list(job)], self.own)
        series.loaded = {**self._last, **self.loaded}
        series.device = next(iter(job.values())).spec.device
        group = series.begin(0)
        for _, event in series.descend(0):
            if not isinstance(event, Step):
                yield event
        self._last = {k: data for k, data in series.loaded.items() if k not in self.loaded}
        return Outcome(
            series.results,
            series.weights,
            {k: states for k, states in series.states.items() if states.steps},
            series.histories[0].epochs,
            epoch_columns(group),
            state_places(group),
        )


def epoch_columns(group: Group) -> list[str]:
    """Return the columns that a group's table of evaluations may have."""
    measured = ["loss", *group.cohort.metrics]
    splits = ("running", *group.data[0].splits())
    return ["member", *CLOCK, *(f"{split}_{name}" for split in splits for name in measured)]


def state_places(group: Group) -> dict[str, tuple[int, list[int]]]:
    """Return where each parameter begins in a recorded state, and its shape, by name."""
    places = group.cohort.stack.places.items()
    return {name: (place.start, list(place.shape)) for name, place in places}


class _Jobs(Sequence[Any]):
    """The groups that are left, as jobs; each is made when it is asked for."""

    def __init__(self, series: Series, left: Sequence[int]) -> None:
        self.series, self.left = series, left

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, place: Any) -> Any:
        numbers = self.series.groups[self.left[place]]
        return {number: self.series.points[number] for number in numbers}


@dataclass(frozen=True)
class Over:
    """A group is over: what became of it is in the series.

    Args:
        outcome: What came back.
    """

    outcome: Outcome


Happened = Event | Over | Lost | None


def scatter(series: Series, executor: Executor) -> Iterator[tuple[int, Happened]]:
    """Train the groups of a series that are left, several at a time, and yield what happens.

    Members have the bits that they have in this process at as many threads. Steps are not told.

    Args:
        series: The series.
        executor: Who trains.

    Yields:
        The group and what happened in it: an event, its end, or that its worker was lost and it is
        begun anew; with None, nothing happened for a while.

    Raises:
        ThalwegError: There is nobody to train, or workers are lost again and again.
    """
    left = [index for index in range(len(series.groups)) if not series.is_over(index)]
    loaded, own = data_to_send((point.spec for point in series.points), series.own)
    series.group = None  # what was begun here to look at it
    work = Groups(own, loaded, series.points[0].spec.device)
    for happening in executor.run(work, _Jobs(series, left)) if left else ():
        if isinstance(happening, Told):
            index = left[happening.job]
            series.histories[index].add(happening.what)
            yield index, happening.what
        elif isinstance(happening, Done):
            index, outcome = left[happening.job], happening.what
            series.results |= outcome.results
            series.weights |= outcome.weights
            series.states |= outcome.states
            series.histories[index].epochs = outcome.epochs
            yield index, Over(outcome)
        elif isinstance(happening, Lost):
            index = left[happening.job]
            series.histories[index] = History(by_member=True)
            yield index, happening
        else:
            yield -1, None


def events_of(series: Series, executor: Executor | None) -> Iterator[tuple[int, Event]]:
    """Train a series, here if there is no executor, and yield what happens, and in which group."""
    if executor is None:
        yield from series.events()
        return
    for index, event in scatter(series, executor):
        if event is not None and not isinstance(event, Over | Lost):
            yield index, event


def with_threads(spec: Spec, executor: Executor | None) -> Spec:
    """Return a spec that says how many threads its members train with, wherever that is.

    Example:
        >>> from thalweg.cluster import Processes
        >>> with_threads(Spec(), Processes(2, threads=3)).threads
        3
    """
    if executor is None or spec.threads is not None or not executor.threads:
        return spec
    return spec.model_copy(update={"threads": executor.threads})


def group_size(
    points: Sequence[Point],
    own: Mapping[str, Any],
    memory: float | None,
    executor: Executor | None,
) -> int:
    """Return how many members a group may have, so that all workers have one and enough memory.

    Args:
        points: What is to be trained.
        own: What was given in Python rather than named.
        memory: Bytes that a group may take; half of what is free, divided among the workers on this
            machine, if None.
        executor: Who trains; this process if None.

    Raises:
        SpecError: There is no memory for one.
    """
    if executor is None:
        return largest_group(points, own, memory)
    memory = share_of(executor, memory, points[0].spec.device)
    return min(largest_group(points, own, memory), -(-len(points) // executor.workers))


def share_of(executor: Executor, memory: float | None, device: str) -> float:
    """Return the bytes that each worker may take: a share of what is free, if that is not said."""
    return SHARE * free_memory(device) / executor.neighbours if memory is None else memory


def data_to_send(
    several: Iterable[Spec], given: Mapping[str, Any]
) -> tuple[dict[DataSpec, Data], dict[str, Any]]:
    """Return the data that are sent along, and what else was given in Python.

    Args:
        several: Specs of what is trained.
        given: What was given in Python rather than named, perhaps the data.
    """
    own, loaded = dict(given), dict[DataSpec, Data]()
    specs = {spec.data: spec for spec in several}
    if any(spec.device != "cpu" for spec in specs.values()):
        return {}, own
    for spec in specs.values():
        load_all([spec], own.get("data"), loaded)
        if _size(loaded.values()) > SENT:
            del loaded[spec.data]
            return loaded, own
    own.pop("data", None)
    return loaded, own


def _size(several: Any) -> int:
    """Return the bytes of data; what they share counts once."""
    splits: list[Split] = [split for data in several for split in data.splits().values()]
    tensors = [t for split in splits for t in (split.x, split.y, split.true_y)]
    return sum({t.data_ptr(): t.nbytes for t in tensors}.values())
