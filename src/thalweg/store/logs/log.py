"""What a log is: rows go in once, whatever happens to the process that writes them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from thalweg.errors import ThalwegError
from thalweg.store.logs.names import metric_name

FAILED = frozenset({"diverged"})
STOPPED = frozenset({"interrupted", "killed"})
"""The states that are no success; all others are."""


class Row(NamedTuple):
    """What is known of one moment.

    Attributes:
        step: Updates made.
        time: When, in seconds since 1970.
        values: Metrics by their names in the log.
    """

    step: int
    time: float
    values: dict[str, float]


class Log(ABC):
    """A run written, as it goes, to where people already look.

    A process may end at any time, and another go on with the run from an earlier step. Both may
    write the same rows; all rows from the first may be written again, and should be, for what the
    first process could not write is then made up for. A value is taken once: what was recorded is
    read back from the log itself, by metric, and nothing up to there is written again.

    Nothing is opened before the first row.

    Args:
        folder: The folder of the run.
        name: What the run is called.
        tags: Words to find it by.
        spec: What is run: nested settings.
    """

    kind: ClassVar[str]
    """The name of this sort of log."""

    def __init__(
        self,
        folder: Path,
        name: str,
        tags: tuple[str, ...] = (),
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.name, self.tags, self.spec = folder, name, tuple(tags), dict(spec or {})
        self._recorded: dict[str, int] | None = None
        self._passed: dict[str, int] = {}

    @classmethod
    @abstractmethod
    def check(cls) -> None:
        """Check that the client library is installed.

        Raises:
            ThalwegError: It is not.
        """

    def write(self, table: str, rows: Mapping[str, Sequence[Any]]) -> None:
        """Write the rows that are not in the log yet.

        When it returns, another process would find them, even if this one is killed.

        Args:
            table: ``steps`` or ``epochs``.
            rows: Columns of equal length: ``step``, which rises, and others of numbers, or of None
                where there is none.

        Raises:
            SpecError: There is no such table.
            ThalwegError: The rows could not be written. The next call tries again.
        """
        steps = rows["step"]
        columns = {name: rows[key] for key in rows if (name := metric_name(table, key))}
        new = range(bisect_right(steps, self._passed.get(table, -1)), len(steps))
        if not new:
            return
        times = _times(rows.get("seconds"), len(steps))
        with self._failures():
            recorded = dict(self._opened())
            fresh = []
            for i in new:
                values = {
                    name: float(column[i])
                    for name, column in columns.items()
                    if column[i] is not None and steps[i] > recorded.get(name, -1)
                }
                if values:
                    fresh.append(Row(int(steps[i]), times[i], values))
                    recorded |= dict.fromkeys(values, int(steps[i]))
            if fresh:
                self._append(fresh)
            self._recorded, self._passed[table] = recorded, int(steps[-1])

    def close(self, state: str) -> None:
        """Say how the run ended, and let go of the log.

        Args:
            state: ``complete``, ``diverged``, ``interrupted`` and so on.

        Raises:
            ThalwegError: It could not be written.
        """
        with self._failures():
            self._opened()
            self._finish(state)
            self._recorded = None

    @abstractmethod
    def _open(self) -> dict[str, int]:
        """Make the log or find it again; return the last step of each metric in it."""

    @abstractmethod
    def _append(self, rows: Sequence[Row]) -> None:
        """Write rows, in order, so that what is read back is a beginning of each metric."""

    @abstractmethod
    def _finish(self, state: str) -> None:
        """Write how the run ended, and close what is open."""

    def _opened(self) -> dict[str, int]:
        if self._recorded is None:
            self._recorded = self._open()
        return self._recorded

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Restate what goes wrong, and forget what was known of the log: it may be half true."""
        try:
            yield
        except Exception as error:  # servers, disks and clients fail in any way
            self._recorded, self._passed = None, {}
            if isinstance(error, ThalwegError):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise ThalwegError(
                f"{self.kind}: {reason or type(error).__name__}", "a log that takes rows"
            ) from error


def _times(seconds: Sequence[float] | None, count: int) -> Sequence[float]:
    """Return when each row was made, if the last one was made now."""
    now = time.time()
    if seconds is None or not count:
        return [now] * count
    return [now - (seconds[-1] - then) for then in seconds]
