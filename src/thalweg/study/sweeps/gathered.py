"""What groups that were trained elsewhere bring home, written down by this process alone."""

from __future__ import annotations

import time
from collections.abc import ItemsView, Iterator, Mapping

from torch import Tensor

from thalweg.cluster import Executor, Lost
from thalweg.engine import Event, History
from thalweg.engine.history import Columns
from thalweg.errors import DataError
from thalweg.store import SeriesFolder, Table
from thalweg.study.signals import Interrupted, stop_on_signals
from thalweg.study.sweeps.results import results_table
from thalweg.study.sweeps.scattered import Outcome, Over, scatter
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.writing import MOST_OF_THE_TIME
from thalweg.study.training import fingerprint


def record_scattered(
    series: Series, folder: SeriesFolder, how: str, executor: Executor
) -> Iterator[tuple[int, Event]]:
    """Train the groups that are left elsewhere, write down what comes back, and yield what happens.

    A group is written when it is over, whole; those that are under way when this process stops are
    trained anew by whoever goes on. The table of the results is written now and then, as a
    whole.

    Raises:
        ThalwegError: The folder cannot be written, the data are not those that the series began
            with, or there is nobody to train.
        Interrupted: Ctrl-C or SIGTERM came; what came back is saved.
    """
    with folder.locked(), stop_on_signals() as stop:
        group = series.group or series.build(0)
        if fingerprint(group.data[0]) != folder.info.data.fingerprint:
            raise DataError(f"data that are not those of {folder.path}", "those that it began with")
        folder = folder.change(state="running")
        folder.log(f"{how}, {type(executor).__name__} with {executor.threads} threads each")
        book = _Book(series, folder)
        try:
            for index, event in scatter(series, executor):
                if isinstance(event, Over):
                    book.write(index, event.outcome)
                elif isinstance(event, Lost):
                    folder.log(f"group {index} is begun anew: {event.why}")
                elif event is not None:
                    yield index, event
                if stop.signal is not None:
                    hint = f"saved; thalweg resume {folder.path} goes on"
                    raise Interrupted(stop.signal, hint)
        except Interrupted:
            book.close()
            folder.change(state="interrupted")
            folder.log("interrupted")
            raise
        finally:
            book.close()
        folder.change(state="complete")
        folder.log("complete")


class _Weights(Mapping[str, Tensor]):
    """What a member has come to, read from the folder when it is asked for."""

    def __init__(self, folder: SeriesFolder, index: int, number: int) -> None:
        self._folder, self._index, self._number = folder, index, number

    def _read(self) -> Mapping[str, Tensor]:
        return self._folder.weights(self._index)[self._number]

    def __getitem__(self, name: str) -> Tensor:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def items(self) -> ItemsView[str, Tensor]:
        return self._read().items()


class _Evaluations(History):
    """What the members of a group said, read from the folder when it is asked for."""

    def __init__(self, folder: SeriesFolder, index: int) -> None:
        self._folder, self._index = folder, index
        super().__init__(by_member=True)

    @property
    def epochs(self) -> Columns:
        """As of `History`."""
        return self._folder.metrics(self._index) or self._nothing

    @epochs.setter
    def epochs(self, columns: Columns) -> None:
        self._nothing = columns


class _Book:
    """Writes down the groups of a series that are over.

    Args:
        series: The series.
        folder: Its folder, which this process has locked.
    """

    def __init__(self, series: Series, folder: SeriesFolder) -> None:
        self.series, self.folder = series, folder
        self._open, self._written, self._cost = False, time.monotonic(), 0.0

    def write(self, index: int, outcome: Outcome) -> None:
        """Write a group, and the table of all results if that is due.

        Raises:
            FileError: Something cannot be written; a group is over once its results are there.
        """
        folder = self.folder
        table = Table(folder.metrics_folder(index), list(outcome.columns))
        table.forget(0)
        table.write(outcome.epochs)
        for number, states in outcome.states.items():
            files = folder.states(number)
            files.forget()
            files.write(states.loose, outcome.places)
        folder.write_weights(index, outcome.weights)
        for number in outcome.weights:  # of thousands of groups, these would fill the memory
            self.series.weights[number] = _Weights(folder, index, number)
        self.series.histories[index] = _Evaluations(folder, index)
        self._open = True
        if time.monotonic() - self._written >= MOST_OF_THE_TIME * self._cost:
            self.close()
        folder.remove_checkpoints(index)

    def close(self) -> None:
        """Write the table of all results, if there are new ones.

        Raises:
            FileError: It cannot be written.
        """
        if not self._open:
            return
        begin = time.monotonic()
        self.folder.write_results(results_table(self.series))
        self._open, self._written = False, time.monotonic()
        self._cost = self._written - begin
