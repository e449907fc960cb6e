"""The one face of whoever does the work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from thalweg.errors import ThalwegError

TICK = 0.2
"""Seconds after which an executor says that nothing has happened."""

RETRIES = 3
"""How often a job is begun anew whose worker was lost."""


class Work(ABC):
    """What is done with every job: the same for all, sent once to each node.

    It is pickled with all that it has, tensors without a copy for each worker; what is defined in a
    notebook or a script goes along. It must leave its tensors as they are.

    Attributes:
        gpus: Graphics processors that a job needs.
    """

    gpus: int = 0

    @abstractmethod
    def do(self, job: Any) -> Generator[Any, None, Any]:
        """Do one job: yield what is to be told on the way, and return what comes of it.

        What comes of a job must depend on the job alone: it may be done twice.
        """


@dataclass(frozen=True, slots=True)
class Told:
    """A job is under way, and something was told.

    Args:
        job: Which.
        what: What.
    """

    job: int
    what: Any


@dataclass(frozen=True, slots=True)
class Done:
    """A job is over; everything that it had to tell was told.

    Args:
        job: Which.
        what: What came of it.
    """

    job: int
    what: Any


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, and with it what it had done of a job, which is begun anew.

    Args:
        job: Which.
        why: What is known of it.
    """

    job: int
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has happened for a while."""


Happening = Told | Done | Lost | Waiting


class Executor(ABC):
    """Does jobs, one or several at a time.

    An executor is a context: leaving it ends what it has started, at once.

    Args:
        threads: Threads of each worker. A member of a cohort has the bits of its run alone at as
            many.

    Attributes:
        workers: How many jobs are done at a time.
        neighbours: How many of them share this machine's memory.
    """

    def __init__(self, threads: int) -> None:
        self.threads, self.workers, self.neighbours = threads, 1, 1

    @abstractmethod
    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        """Do jobs, in any order, and yield what happens, also that nothing does.

        Every job is done once as far as anybody sees: for each there is one `Done`. A worker that
        is lost costs the job that it had; it is begun anew on another, a few times. Whoever stops
        asking lets go of the jobs that are under way.

        Args:
            work: What is done with each.
            jobs: To be told apart by their places.

        Raises:
            ThalwegError: There is nobody to do it, or the worker of one job was lost again and
                again.
            Exception: What a job has raised.
        """

    def close(self) -> None:  # noqa: B027 - most have something to end, not all
        """End what was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class Ledger:
    """Which jobs are waiting, and how often each was lost.

    Args:
        count: How many there are.

    Example:
        >>> ledger = Ledger(2)
        >>> ledger.next(), ledger.next(), ledger.next()
        (0, 1, None)
        >>> ledger.lose(0, "its worker died")
        Lost(job=0, why='its worker died')
        >>> ledger.next()
        0
    """

    def __init__(self, count: int) -> None:
        self._waiting, self._lost = deque(range(count)), Counter[int]()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> int | None:
        """Return a job to do; None if all are under way or over."""
        return self._waiting.popleft() if self._waiting else None

    def lose(self, job: int, why: str) -> Lost:
        """Take a job back whose worker was lost; it is the next.

        Raises:
            ThalwegError: It was lost too often.
        """
        self._lost[job] += 1
        if self._lost[job] > RETRIES:
            raise ThalwegError(
                f"a job whose workers were lost {self._lost[job]} times ({why})",
                "a worker that lives",
                "there may be too little memory; memory=… makes smaller groups",
            )
        self._waiting.appendleft(job)
        return Lost(job, why)
