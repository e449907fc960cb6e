"""The work, done on a cluster by Ray (Moritz et al. 2018, arXiv:1712.05889), of which Core is used.

A job is one task; there is one more process, a mailbox, through which jobs tell how they get on.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
from thalweg.errors import SpecError, ThalwegError

REACH = 3.0
"""Seconds in which a cluster must let itself be reached."""

LOOK = 2.0
"""Seconds between two looks at which nodes there are."""

PATIENCE = 60.0
"""Seconds that a cluster may be without a node for a job: others may be about to start."""

PASSED_ON = ("MKL_CBWR", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "THALWEG_RUNTIME")
"""Variables of this process that decide how workers compute."""

_QUIET = {
    "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "5",  # three times: what listens there may not be Ray
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray's warning asks for
}


Letter = tuple[str, int, int, bytes]
"""In which run, which job, how much it had told before, and what it tells, pickled."""


@dataclass
class _Flight:
    """A task that was sent.

    Args:
        job: The place of its job.
        heard: How much it has told.
    """

    job: int
    heard: int = field(default=0)


class Ray(Executor):
    """Does jobs as tasks of Ray Core, on the nodes of a cluster.

    What all jobs have in common is put into Ray's object store once, from where each node has one
    copy, which its workers read in place. Every node must have the same versions of thalweg and
    torch.

    Args:
        address: ``ray://host:port``, Ray's client server; None takes the cluster that there is, as
            ``$RAY_ADDRESS`` or Ray itself knows it, and else starts one on this machine.
        threads: Threads, and processors, of each job.

    Raises:
        SpecError: The address is none.
        ThalwegError: Ray is not installed, nobody answers there within seconds, or no node has so
            many processors.
    """

    def __init__(self, address: str | None = None, threads: int = 1) -> None:
        super().__init__(threads)
        _check_address(address or os.environ.get("RAY_ADDRESS", ""))
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            hint = "pip install 'thalweg[cluster]'"
            raise ThalwegError("no Ray", "the package ray", hint) from None
        self.ray = ray
        self._mine = not ray.is_initialized()
        self._box: Any = None
        if self._mine:
            try:
                ray.init(
                    address,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except Exception as error:  # of many kinds
                raise _unreachable(address, str(error).strip().partition("\n")[0]) from None
        room = self._room()
        if room < threads:
            self.close()
            hint = "ray status shows what there is; threads=… is what each group takes"
            raise ThalwegError(
                f"a cluster whose largest node has {room:g} processors",
                f"one with {threads}", hint,
            )  # fmt: skip

    def close(self) -> None:
        if self._box is not None:
            with suppress(Exception):  # the cluster may be gone
                self.ray.kill(self._box)
            self._box = None
        if self._mine and self.ray.is_initialized():
            self.ray.shutdown()

    def _room(self) -> float:
        """Return how many processors the largest node has, and note what there are in all."""
        nodes = [each["Resources"] for each in self.ray.nodes() if each["Alive"]]
        own = [float(each.get("CPU", 0)) for each in nodes]
        self.workers = max(1, sum(int(each // self.threads) for each in own))
        return max(own, default=0.0)

    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        from thalweg.cluster.packing import dump, dumps

        ray = self.ray
        kit, key = ray.put(dump(work)), uuid.uuid4().hex
        own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        task = ray.remote(do).options(
            num_cpus=self.threads,
            num_gpus=work.gpus,
            max_retries=0,
            runtime_env={"env_vars": own} if own else None,
        )
        ledger, flights = Ledger(len(jobs)), dict[Any, _Flight]()
        self._room()
        heard = looked = roomy = time.monotonic()
        try:
            while ledger or flights:
                while ledger and len(flights) < 2 * self.workers:
                    job = ledger.next()
                    assert job is not None
                    sent = task.remote(
                        [kit], key, dumps(jobs[job]), job, self._mailbox(), self.threads
                    )
                    flights[sent] = _Flight(job)
                ready, _ = ray.wait(list(flights), timeout=TICK, fetch_local=False)
                happened = list[Happening]()
                if time.monotonic() - heard >= TICK:
                    heard = time.monotonic()
                    for run, job, place, letter in self._letters():
                        if run == key:
                            happened += _told(flights, job, place, letter)
                for sent in ready:
                    happened += self._landed(sent, flights.pop(sent), ledger)
                if time.monotonic() - looked >= LOOK:
                    looked = time.monotonic()
                    if self._room() >= self.threads:
                        roomy = looked
                    elif looked - roomy >= PATIENCE:
                        hint = "ray status shows what there is"
                        raise ThalwegError("a cluster whose nodes are gone", "one at least", hint)
                yield from happened or [Waiting()]
        except ConnectionError as error:
            raise _unreachable(None, str(error)) from None
        finally:
            with suppress(Exception):  # the cluster may be gone
                for sent in flights:
                    ray.cancel(sent, force=True)

    def _mailbox(self) -> Any:
        """Return the mailbox, which is on this node rather than on one that may leave."""
        if self._box is not None:
            return self._box
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self.ray.get_runtime_context().get_node_id()
        where = NodeAffinitySchedulingStrategy(here, soft=True)
        made = self.ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=where)
        self._box = made.remote()
        return self._box

    def _letters(self) -> list[Letter]:
        """Return what was told; there is another mailbox for jobs to come, if it is gone."""
        try:
            found: list[Letter] = self.ray.get(self._mailbox().take.remote(), timeout=REACH)
        except self.ray.exceptions.GetTimeoutError:
            return []
        except self.ray.exceptions.RayActorError:
            self._box = None
            return []
        return found

    def _landed(self, sent: Any, flight: _Flight, ledger: Ledger) -> list[Happening]:
        """Return what follows from a task that has ended: the rest of what it told, and its end.

        Raises:
            Exception: What the job has raised.
        """
        from thalweg.cluster.packing import load

        errors = self.ray.exceptions
        try:
            there, told = self.ray.get(sent)
        except errors.RayTaskError as error:
            why = str(error).strip().rpartition("\n")[2]
            hint = "thalweg and torch in the same versions on every node"
            raise ThalwegError(f"a worker that cannot begin: {why}", "one that can", hint) from None
        except errors.RayError as error:
            why = str(error).strip().partition("\n")[0]
            return [ledger.lose(flight.job, f"{type(error).__name__}: {why}")]
        _check_same(there)
        *before, (word, what) = [load(each) for each in told]
        if word == "failed":
            raise what
        rest: list[Happening] = [Told(flight.job, each) for _, each in before[flight.heard :]]
        return [*rest, Done(flight.job, what)]


class Mailbox:
    """Where jobs tell how they get on, until somebody asks."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def tell(self, *letter: Any) -> None:
        """Put a `Letter` in."""
        self.letters.append(letter)

    def take(self) -> list[Letter]:
        """Return all that is there, and be empty."""
        letters, self.letters = self.letters, []
        return letters


_works: dict[str, Work] = {}
"""The work that this process, a worker, does; the last one alone."""


def do(
    kit: Sequence[Any], key: str, job: bytes, number: int, mailbox: Any, threads: int
) -> tuple[dict[str, str], list[bytes]]:
    """Do a job, in a worker.

    Args:
        kit: A reference to the work, in a list, so that it is not read where it is known.
        key: Its name.
        job: The job, pickled.
        number: Its place among the jobs.
        mailbox: Where to tell how it gets on.
        threads: Threads to take.

    Returns:
        On what it was done, and all that was told, its end last.
    """
    import ray
    import torch

    from thalweg.cluster.packing import load
    from thalweg.cluster.worker import answers
    from thalweg.runtime import keep_large_blocks

    keep_large_blocks()  # and nothing else: products are to be as in the process that asks
    torch.set_num_threads(threads)
    if key not in _works:
        _works.clear()
        data, buffers = ray.get(kit[0])
        _works[key] = load(data, buffers)
    told = list[bytes]()
    for answer in answers(_works[key], job):
        told.append(answer)
        if load(answer)[0] == "told":
            mailbox.tell.remote(key, number, len(told) - 1, answer)
    return versions(), told


def versions() -> dict[str, str]:
    """Return what must be the same on all nodes."""
    import torch

    own = sys.modules[__name__.partition(".")[0]]
    return {"thalweg": str(vars(own)["__version__"]), "torch": torch.__version__}


def _told(flights: dict[Any, _Flight], job: int, place: int, letter: bytes) -> list[Happening]:
    """Return what a letter says, unless it is of a task that is over, or was told before."""
    from thalweg.cluster.packing import load

    for flight in flights.values():
        if flight.job == job and flight.heard == place:
            flight.heard += 1
            return [Told(job, load(letter)[1])]
    return []


def _check_same(there: dict[str, str]) -> None:
    """Check that a job was done with what would have done it here.

    Raises:
        ThalwegError: It was not.
    """
    for name, mine in versions().items():
        if there[name] != mine:
            hint = "results are the same bits with the same versions alone"
            raise ThalwegError(f"a node with {name} {there[name]}", f"{mine}, as here", hint)


def _check_address(address: str) -> None:
    """Check that somebody listens at an address, ``host:port`` with or without ``ray://``.

    Raises:
        SpecError: It is no address.
        ThalwegError: Nobody does.
    """
    if address in {"", "auto", "local"}:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise SpecError(f"on={address!r}", "ray://host:port", "Ray's client server has port 10001")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _unreachable(address, reason) from None


def _unreachable(address: str | None, why: str) -> ThalwegError:
    got = f"a cluster that cannot be reached{f' at {address}' if address else ''} ({why})"
    return ThalwegError(got, "Ray, running", "on its head: ray start --head; ray status shows it")
