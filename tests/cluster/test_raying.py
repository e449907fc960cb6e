"""What a cluster answers when something is wrong with it, on one that is made up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thalweg.cluster import Done, Lost, Ray, Told, Waiting, raying
from thalweg.cluster.packing import dump, dumps, load
from thalweg.cluster.raying import Mailbox, do, versions
from thalweg.cluster.worker import answers
from thalweg.errors import SpecError, ThalwegError

from .works import Sums

X = np.arange(10)


class TaskError(Exception):
    """Stands for RayTaskError."""


class LostError(Exception):
    """Stands for RayError."""


class LateError(Exception):
    """Stands for GetTimeoutError."""


class DeadError(LostError):
    """Stands for RayActorError."""


class Cluster(SimpleNamespace):
    """A cluster that does tasks when their results are asked for."""

    def __init__(self) -> None:
        super().__init__(
            nodes=lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}],
            exceptions=SimpleNamespace(
                RayTaskError=TaskError, RayError=LostError, GetTimeoutError=LateError,
                RayActorError=DeadError,
            ),
            put=lambda thing: thing,
            kill=lambda actor: None,
            cancel=lambda sent, force: None,
            is_initialized=lambda: True,
            options={},
        )  # fmt: skip
        self.sent: list[Callable[[], Any]] = []

    def remote(self, function: Any) -> Any:
        def options(**given: Any) -> Any:
            self.options = given

            def remote(*arguments: Any) -> Callable[[], Any]:
                self.sent.append(lambda: function(*arguments))
                return self.sent[-1]

            return SimpleNamespace(remote=remote)

        return SimpleNamespace(options=options)

    def wait(self, sent: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return sent[:1], sent[1:]

    def get(self, sent: Any, timeout: float | None = None) -> Any:
        return sent() if callable(sent) else sent


@pytest.fixture
def made(monkeypatch) -> Ray:
    """An executor on such a cluster, with a mailbox in this process."""
    found = Ray.__new__(Ray)
    found.threads, found.workers, found.neighbours = 1, 1, 1
    found.ray, found._mine = Cluster(), False
    box = Mailbox()
    found._box = SimpleNamespace(
        tell=SimpleNamespace(remote=box.tell), take=SimpleNamespace(remote=lambda: box.take)
    )
    monkeypatch.setitem(sys.modules, "ray", found.ray)
    monkeypatch.setattr(raying, "TICK", 0.0)
    return found


def test_jobs_tell_what_they_have_told(made, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    happened = list(made.run(Sums(X), [1, 2]))
    assert [each for each in happened if isinstance(each, Told)] == [
        Told(job, f"{word} {job + 1}") for job in (0, 1) for word in ("begins", "ends")
    ]
    assert [each.job for each in happened if isinstance(each, Done)] == [0, 1]
    assert made.ray.options["runtime_env"]["env_vars"]["MKL_CBWR"] == "AVX2"
    with pytest.raises(SpecError, match="got a bad job"):
        list(made.run(Sums(X), ["bad"]))


def test_letters_are_read_once():
    box = Mailbox()
    box.tell("run", 0, 0, b"letter")
    assert box.take() == [("run", 0, 0, b"letter")]
    assert box.take() == []
    flights = {"sent": raying._Flight(3)}
    letter = dumps(("told", "news"))
    assert raying._told(flights, 3, 0, letter) == [Told(3, "news")]
    assert raying._told(flights, 3, 0, letter) == []  # again
    assert raying._told(flights, 4, 0, letter) == []  # of a job that is over


def test_what_a_worker_sends_is_of_its_versions(made):
    box = SimpleNamespace(tell=SimpleNamespace(remote=lambda *letter: None))
    there, told = do([dump(Sums(X))], "key", dumps(5), 0, box, 1)
    assert there == versions()
    assert [load(each)[0] for each in told] == ["told", "told", "done"]
    original = made.ray.get

    def get(sent: Any, timeout: float | None = None) -> Any:
        found = original(sent)
        result = isinstance(found, tuple) and isinstance(found[0], dict)
        return ({**versions(), "torch": "1.0"}, found[1]) if result else found

    made.ray.get = get
    with pytest.raises(ThalwegError, match=r"got a node with torch 1\.0; expected .*, as here"):
        list(made.run(Sums(X), [1]))


def test_tasks_that_are_lost_are_sent_again(made):
    original, failing = made.ray.get, [LostError("a node died\nmore"), DeadError("gone")]

    def get(sent: Any, timeout: float | None = None) -> Any:
        if failing and timeout is None:
            raise failing.pop()
        return original(sent)

    made.ray.get = get
    happened = list(made.run(Sums(X), [1]))
    assert [each.why for each in happened if isinstance(each, Lost)] == [
        "DeadError: gone", "LostError: a node died",
    ]  # fmt: skip
    assert isinstance(happened[-1], Done)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TaskError("Traceback\nModuleNotFoundError: thalweg"), "cannot begin: ModuleNotFound"),
        (ConnectionError("no route"), r"cannot be reached \(no route\)"),
    ],
)
def test_workers_that_cannot_begin(made, error, expected):
    def get(sent: Any, timeout: float | None = None) -> Any:
        if timeout is None:
            raise error
        return []

    made.ray.get = get
    with pytest.raises(ThalwegError, match=expected):
        list(made.run(Sums(X), [1]))


def test_a_mailbox_may_be_late_or_gone(made):
    for error in (LateError(), DeadError()):

        def get(sent: Any, timeout: float | None = None, error: Exception = error) -> Any:
            raise error

        made.ray.get = get
        assert made._letters() == []
    assert made._box is None


def test_nodes_that_are_gone(made, monkeypatch):
    monkeypatch.setattr(raying, "LOOK", 0.0)
    monkeypatch.setattr(raying, "PATIENCE", 0.0)
    made.ray.wait = lambda sent, **_: ([], sent)
    events = made.run(Sums(X), [1])
    assert next(events) == Waiting()
    made.ray.nodes = lambda: [{"Alive": False, "Resources": {"CPU": 1.0}}]
    with pytest.raises(ThalwegError, match="got a cluster whose nodes are gone"):
        list(events)


def test_a_cluster_that_does_not_let_in(monkeypatch):
    def init(*_: Any, **__: Any) -> None:
        raise RuntimeError("Version mismatch: 3.11\nmore")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    fake = SimpleNamespace(init=init, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", fake)
    with pytest.raises(ThalwegError, match=r"cannot be reached \(Version mismatch: 3\.11\)"):
        Ray()


def test_answers_are_pickled():
    assert [load(each) for each in answers(Sums(X), dumps(1))][:2] == [
        ("told", "begins 1"), ("told", "ends 1"),
    ]  # fmt: skip
    word, error = load(list(answers(Sums(X), dumps("worse")))[-1])
    assert word == "failed"
    assert str(error) == "worse than bad"
