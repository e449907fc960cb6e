"""What every executor does: each job once, whoever dies on the way; and nobody stays behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from thalweg.cluster import Done, Executor, Here, Lost, Processes, Told, Waiting, open_executor
from thalweg.errors import SpecError, ThalwegError

from .works import Sums, check

X = np.arange(100_000)


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    with Processes(2, threads=1) as executor:
        yield executor


@pytest.fixture(params=["here", "processes"])
def executor(request, two) -> Executor:
    return Here() if request.param == "here" else two


def test_each_job_is_done_once(executor):
    for jobs in ([3, 4, 5, 6, 7], [8], []):
        happened = list(executor.run(Sums(X), jobs))
        check(happened, jobs)
        assert sum(isinstance(each, Done) for each in happened) == len(jobs)


def test_what_a_job_raises_is_raised(executor):
    with pytest.raises(SpecError, match="got a bad job; expected a good one"):
        list(executor.run(Sums(X), [1, "bad", 2]))
    with pytest.raises(ValueError, match="worse than bad"):
        list(executor.run(Sums(X), ["worse"]))
    check(list(executor.run(Sums(X), [1, 2])), [1, 2])


def test_whoever_stops_asking_lets_go(executor):
    for happening in executor.run(Sums(X), [1, 2, 3]):
        assert isinstance(happening, Told | Waiting)
        break
    check(list(executor.run(Sums(X), [4])), [4])


def test_a_killed_worker_costs_the_job_that_it_had(two, tmp_path):
    jobs = [0, 1, 2, 3]
    happened = list(two.run(Sums(X, 0.05, tmp_path), jobs))
    check(happened, jobs)
    (lost,) = (each for each in happened if isinstance(each, Lost))
    assert lost.job == 1
    assert lost.why.endswith("SIGKILL")


def test_a_deadly_job_is_given_up():
    with Processes(1) as one, pytest.raises(ThalwegError, match=r"lost 4 times .*SIGKILL"):
        list(one.run(Sums(X), ["deadly"]))
    assert not one._running


def test_slow_jobs_leave_time_to_look_around(two):
    assert Waiting() in list(two.run(Sums(X, 0.5), [1]))


def test_words_for_executors():
    with open_executor("here") as none, open_executor(None) as nobody:
        assert none is nobody is None
    with open_executor("processes:3") as three:
        assert (three.workers, three.threads) == (3, 1)
    with open_executor("processes") as many, open_executor(many) as same:
        assert many is same
        assert many.workers * many.threads >= 1
    for wrong in ("prozesses", "processes:0", "processes:x", "ray:10001", "ray://host", "ray://:1"):
        with pytest.raises(SpecError, match="expected"):
            open_executor(wrong)
    with pytest.raises(SpecError, match="got 2 processes of 0 threads"):
        Processes(2, threads=0)


def test_a_cluster_that_is_not_there(monkeypatch):
    begin = time.monotonic()
    with pytest.raises(ThalwegError, match=r"cannot be reached at ray://127\.0\.0\.1:1 .*refused"):
        open_executor("ray://127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ThalwegError, match=r"Hint: on its head: ray start"):
        open_executor("ray")
    assert time.monotonic() - begin < 30  # importing Ray may take some of it


def test_without_ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ThalwegError, match=r"got no Ray; .*thalweg\[cluster\]"):
        open_executor("ray")


ORPHANS = """
import os, sys
from thalweg.cluster import Processes, Work
class Endless(Work):
    def do(self, job):
        yield os.getpid()
        while True:
            pass
if "alone" in sys.argv:
    for told in Processes(1).run(Endless(), [1]):
        print(getattr(told, "what", ""), flush=True)
"""


def test_workers_end_with_whoever_asked(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHANS)
    command = [sys.executable, str(script), "alone"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = next(int(line) for line in process.stdout if line.strip())
        assert Path(f"/proc/{number}").exists()
        process.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{number}").exists()
