"""Ctrl-C and SIGTERM: saved, said, and gone on from to the same bits."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import thalweg as tw
from thalweg.engine import Evaluated, Event, Finished, Run, Step, short_keys
from thalweg.spec import Spec
from thalweg.store import RunFolder
from thalweg.study import Interrupted, begin, go_on, resume, train
from thalweg.study.signals import SIGNALS, stop_on_signals

BOTH = [signal.SIGINT, signal.SIGTERM]


def events_of(settings: dict[str, Any], path: Path) -> tuple[Run, Iterator[Event]]:
    run = Run(Spec().override({"data": "digits", **settings}, short_keys()))
    return run, begin(run, out=path)


def send_at(events: Iterator[Event], here: Callable[[int, Event], bool], *numbers: int) -> None:
    """Go through the events, and send signals to this process where it is said."""
    for place, event in enumerate(events):
        if here(place, event):
            for number in numbers:
                os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _handlers_come_back() -> Iterator[None]:
    before = [signal.getsignal(each) for each in SIGNALS]
    yield
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory, settings, results) -> dict[str, str]:
    path = tmp_path_factory.mktemp("whole") / "run"
    train(data="digits", **settings, out=path)
    return results(path)


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("place", [0, 4, 5, 17])  # a step, one before an evaluation, that, the last
def test_a_signal_saves_the_run_and_says_how_to_go_on(
    tmp_path, settings, results, whole, number, place
):
    path = tmp_path / "run"
    run, events = events_of({**settings, "checkpoint_every": "never"}, path)
    with pytest.raises(Interrupted) as caught:
        send_at(events, lambda n, _: n == place, number)
    assert caught.value.signal == number
    assert caught.value.hint == f"saved; thalweg resume {path} goes on"
    assert str(caught.value).startswith(signal.Signals(number).name)
    folder = RunFolder.open(path)
    assert folder.state == "interrupted"
    assert list(folder.checkpoints()) == [run.cohort.updates]
    assert folder.steps()["step"][-1] == run.cohort.updates
    assert "interrupted" in (path / "log.txt").read_text()
    resume(path)
    assert results(path) | {"spec": ""} == whole | {"spec": ""}


def test_interrupted_again_and_again(tmp_path, settings, results, whole):
    path = tmp_path / "run"
    _, events = events_of(settings, path)
    for _ in range(6):
        with pytest.raises(Interrupted):
            send_at(events, lambda n, _: n == 2, signal.SIGTERM)
        assert RunFolder.open(path).state == "interrupted"
        _, events = go_on(path)
    for _ in events:
        pass
    assert results(path) == whole


def test_a_signal_during_an_evaluation_waits_for_its_end(tmp_path, digits):
    sent = []

    def counting(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if len(y) == len(digits.test) and not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)
        return outputs.mean((-2, -1))

    own = {"data": digits, "metrics": {"mean": counting}}
    options = {"hidden": (4,), "batch_size": 60, "epochs": 3, "checkpoint_every": "never"}
    with pytest.raises(Interrupted):
        train("mlp", **own, **options, out=tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    epoch = Run(folder.spec, **own).length.per_epoch
    assert folder.epochs()["step"] == [epoch]
    assert list(folder.checkpoints()) == [epoch]
    found = resume(tmp_path / "run", **own)
    same = train("mlp", **own, **options, out=False)
    assert found.history.epochs["test_mean"] == same.history.epochs["test_mean"]
    assert torch.equal(found.cohort.stack.theta, same.cohort.stack.theta)


def test_a_signal_after_the_last_evaluation_loses_nothing(tmp_path, settings, results, whole):
    path = tmp_path / "run"
    run, events = events_of(settings, path)
    end = run.length.updates
    with pytest.raises(Interrupted):
        send_at(events, lambda _, e: isinstance(e, Evaluated) and e.clock.step == end, 15)
    _, rest = go_on(path)
    assert [type(event) for event in rest] == [Finished]
    assert results(path) == whole


def test_a_signal_at_the_very_end_comes_too_late(tmp_path, settings, results, whole):
    path = tmp_path / "run"
    _, events = events_of(settings, path)
    send_at(events, lambda _, event: isinstance(event, Finished), signal.SIGTERM)
    assert results(path) == whole


def test_a_second_ctrl_c_stops_at_once(tmp_path, settings, results, whole):
    path = tmp_path / "run"
    run, events = events_of(settings, path)
    with pytest.raises(KeyboardInterrupt) as caught:
        send_at(events, lambda _, e: isinstance(e, Step) and e.clock.step == 6, 2, 2)
    assert not isinstance(caught.value, Interrupted)
    assert run.cohort.updates == 6
    events.close()
    assert RunFolder.open(path).state == "killed"
    resume(path)
    assert results(path) == whole


def test_interrupted_is_what_ctrl_c_raises():
    assert issubclass(tw.Interrupted, KeyboardInterrupt)
    assert not issubclass(tw.Interrupted, Exception)


def test_another_thread_trains_and_leaves_signals_alone(tmp_path, settings, results, whole):
    path, seen = tmp_path / "run", []
    before = [signal.getsignal(each) for each in SIGNALS]

    def work() -> None:
        _, events = events_of(settings, path)
        for _ in events:
            seen.append([signal.getsignal(each) for each in SIGNALS])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen
    assert all(each == before for each in seen)
    assert results(path) == whole


def test_an_ignored_signal_stays_ignored():
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signal is None
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.signal == signal.SIGTERM
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, kept)


def test_handlers_come_back_after_the_first_signal_and_at_the_end():
    before = [signal.getsignal(each) for each in SIGNALS]
    with stop_on_signals() as stop:
        assert [signal.getsignal(each) for each in SIGNALS] != before
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal is signal.SIGTERM
        assert [signal.getsignal(each) for each in SIGNALS] == before
    with pytest.raises(ZeroDivisionError), stop_on_signals():
        raise ZeroDivisionError
    assert [signal.getsignal(each) for each in SIGNALS] == before
