"""From a word to an executor."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from thalweg.cluster.executor import Executor
from thalweg.cluster.processes import Processes
from thalweg.cluster.raying import Ray
from thalweg.errors import SpecError

KNOWN = "here, processes, processes:4, ray, or ray://host:10001"

On = str | Executor | None
"""Who does the work: a word, an executor of your own, or this process."""


def open_executor(on: On, threads: int | None = None) -> AbstractContextManager[Executor | None]:
    """Return who does the work, to be used in a ``with``; None is this process.

    Args:
        on: ``"here"``, ``"processes"`` (as many as there are processors), ``"processes:4"``,
            ``"ray"`` (the cluster that there is, as Ray finds it, or one of this machine alone),
            ``"ray://host:port"`` (Ray's client server there), or an executor, which stays open.
        threads: Threads of each worker. If None, processes divide the processors among them, and
            workers of a cluster have one.

    Raises:
        SpecError: It is none of these.
        ThalwegError: The cluster cannot be reached, or Ray is not installed.

    Example:
        >>> with open_executor("processes:2") as executor:
        ...     executor.workers
        2
    """
    if on is None or isinstance(on, Executor):
        return nullcontext(on)
    word, _, rest = on.partition(":")
    if on == "here":
        return nullcontext(None)
    if on == "processes":
        return Processes(None, threads)
    if word == "processes" and rest.isdecimal() and int(rest) > 0:
        return Processes(int(rest), threads)
    if on == "ray":
        return Ray(None, threads or 1)
    if on.startswith("ray://"):
        return Ray(on, threads or 1)
    raise SpecError(f"on={on!r}", KNOWN)
