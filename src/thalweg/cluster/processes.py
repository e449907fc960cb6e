"""The work, done by other processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from thalweg.cluster.executor import (
    TICK,
    Done,
    Executor,
    Happening,
    Ledger,
    Told,
    Waiting,
    Work,
)
from thalweg.errors import SpecError

START = "from thalweg.cluster.worker import main; main()"

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say with how many threads a process begins."""


class Processes(Executor):
    """Does jobs in several processes, which share the processors and one copy of the data.

    The processes are started when there is something to do, and are used again. One that dies is
    replaced. They end with this one, whatever ends it.

    Args:
        count: How many; one for each processor if None.
        threads: Threads of each; as many as let all processors be busy if None.

    Raises:
        SpecError: There are fewer than one.

    Example:
        >>> from thalweg.cluster import Work
        >>> class Squares(Work):
        ...     def do(self, job):
        ...         yield from ()
        ...         return job * job
        >>> with Processes(2) as executor:
        ...     done = [each for each in executor.run(Squares(), [5, 7]) if isinstance(each, Done)]
        >>> sorted(each.what for each in done)
        [25, 49]
    """

    def __init__(self, count: int | None = None, threads: int | None = None) -> None:
        cores = len(os.sched_getaffinity(0))
        count = cores if count is None else count
        threads = max(1, cores // max(1, count)) if threads is None else threads
        if count < 1 or threads < 1:
            raise SpecError(f"{count} processes of {threads} threads", "one of one at least")
        super().__init__(threads)
        self.workers = self.neighbours = count
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._running: list[_Process] = []
        self._works = 0

    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        from thalweg.cluster.packing import dumps, load
        from thalweg.cluster.worker import write_work

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="thalweg-")
        self._works += 1
        place = Path(self._folder.name) / str(self._works)
        write_work(place, work)
        ledger = Ledger(len(jobs))
        try:
            while ledger or any(each.job is not None for each in self._running):
                while ledger and (worker := self._idle()) is not None:
                    job = ledger.next()
                    assert job is not None
                    worker.ask(place, job, dumps(jobs[job]))
                busy = {each.connection: each for each in self._running if each.job is not None}
                ready = wait(list(busy), TICK)
                if not ready:
                    yield Waiting()
                for connection in ready:
                    worker = busy[connection]  # type: ignore[index]
                    job = worker.job
                    assert job is not None
                    try:
                        word, what = load(worker.connection.recv_bytes())
                    except (EOFError, OSError):
                        self._running.remove(worker)
                        yield ledger.lose(job, worker.end())
                        continue
                    if word == "told":
                        yield Told(job, what)
                        continue
                    worker.job = None
                    if word == "failed":
                        raise what
                    yield Done(job, what)
        finally:
            for worker in [each for each in self._running if each.job is not None]:
                self._running.remove(worker)
                worker.end()

    def _idle(self) -> _Process | None:
        """Return a process that has nothing to do; None if there are enough that have."""
        for each in self._running:
            if each.job is None:
                return each
        if len(self._running) >= self.workers:
            return None
        assert self._folder is not None
        self._running.append(_Process(self._folder.name, self.threads))
        return self._running[-1]

    def close(self) -> None:
        for each in self._running:
            each.end()
        self._running.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class _Process:
    """A process that does jobs.

    It has a session of its own, so that Ctrl-C is heard by the one that asked for the jobs alone.
    """

    def __init__(self, folder: str, threads: int) -> None:
        self.connection, there = Pipe()
        path = os.pathsep.join(each or os.getcwd() for each in sys.path)
        number = str(there.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, number, folder],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what is printed there must not come between what is printed here
            pass_fds=[there.fileno()],
            env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(COUNTS, str(threads))},
            start_new_session=True,
        )
        there.close()
        self.job: int | None = None
        self._place: Path | None = None

    def ask(self, place: Path, number: int, job: bytes) -> None:
        """Ask for a job; that the process is gone is known when it does not answer."""
        self.job = number
        with suppress(OSError):
            if place != self._place:
                self.connection.send(("work", str(place)))
                self._place = place
            self.connection.send(("job", job))

    def end(self) -> str:
        """End it, and say how it ended."""
        self.process.kill()  # before it hears that nobody listens, and removes the work of all
        code = self.process.wait()
        self.connection.close()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"process {self.process.pid} ended with {name}"
