"""Series whose groups other processes train: the same bits, whoever dies; and one writer."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.cluster import Here, Processes
from thalweg.errors import DataError, SpecError
from thalweg.spec import Spec
from thalweg.study import go_on_sweep, plan_sweep
from thalweg.study.sweeps import scattered as module
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.sweeping import begin_sweep

SETTINGS = {
    "hidden": (8,), "norm": "batch", "dropout": 0.2, "subset": 240, "val": 60, "batch_size": 60,
    "steps": 40, "evaluate_every": "4steps", "record_states": 10, "threads": 1,
}  # fmt: skip
BASE = Spec().override({"data": "digits", "model": "mlp", **SETTINGS}, tw.engine.short_keys())
OVER = {"lr": [0.01, 0.1, 1e30], "batch_size": [30, 60]}


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    with Processes(2, threads=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def here() -> tw.Sweep:
    return tw.sweep("mlp", "digits", over=OVER, seeds=2, out=False, **SETTINGS)


def same(found: tw.Sweep, here: tw.Sweep) -> None:
    """Check that two sweeps have come to the same."""
    assert sorted(found.series.results) == sorted(here.series.results)
    for number, result in here.series.results.items():
        other = found.series.results[number]
        assert other.reason == result.reason
        assert other.metrics == pytest.approx(result.metrics, abs=0.0, rel=0.0, nan_ok=True)
        for name, array in here.series.weights[number].items():
            assert torch.equal(array, found.series.weights[number][name])
        states, others = here.states(number), found.states(number)
        assert states.steps == others.steps
        for mine, theirs in zip(states.theta, others.theta, strict=True):
            assert torch.equal(mine, theirs)
        both = [
            {k: v for k, v in each.course(number).items() if k != "seconds" and set(v) - {None}}
            for each in (found, here)
        ]
        assert both[0] == both[1]


def stop(events: Iterator[Any], when: Callable[[Any], Any], number: int = signal.SIGTERM) -> None:
    """Go through events, and let this process be asked to stop at one of them."""
    for _, event in events:
        if when(event):
            os.kill(os.getpid(), number)


def test_the_same_bits_although_a_worker_is_killed(two, here, tmp_path):
    series = plan_sweep(BASE, OVER, 2)
    folder, events = begin_sweep(series, BASE, two, out=tmp_path / "sweep", name="s")
    victims = list[int]()
    for _ in events:
        if not victims:
            victims = [each.process.pid for each in two._running if each.job is not None]
            os.kill(victims[0], signal.SIGKILL)
    same(tw.Sweep(series, BASE, folder), here)
    same(tw.load_sweep(folder), here)
    log = (folder / "log.txt").read_text()
    assert "is begun anew" in log
    assert "Processes with 1 threads each" in log
    assert not list(folder.glob("checkpoints/*/*"))


def test_an_interrupted_sweep_goes_on_anywhere(two, here, tmp_path):
    series = Series(plan_sweep(BASE, OVER, 2).points, largest=3)  # the third has to wait for one
    _, events = begin_sweep(series, BASE, two, out=tmp_path / "sweep")
    with pytest.raises(tw.Interrupted, match="goes on"):
        stop(events, lambda event: series.results, signal.SIGINT)
    back = tw.load_sweep(tmp_path / "sweep")
    done = sorted(back.series.results)
    assert 0 < len(done) < 12
    over = [numbers for numbers in back.series.groups if set(numbers) & set(done)]
    assert sorted(itertools.chain(*over)) == done
    found, events = go_on_sweep(tmp_path / "sweep", two)
    for index, _ in events:
        assert not set(back.series.groups[index]) & set(done)
    same(found, here)


def test_a_sweep_that_was_begun_here_goes_on_elsewhere(here, tmp_path):
    base = BASE.override({"checkpoint_every": "2steps"})
    _, events = begin_sweep(plan_sweep(base, OVER, 2), base, out=tmp_path / "s")
    with pytest.raises(tw.Interrupted):
        stop(events, lambda event: event.clock.step == 11)
    assert list((tmp_path / "s" / "checkpoints").glob("*/*"))
    found, events = go_on_sweep(tmp_path / "s", Here())
    for _ in events:
        pass
    same(found, here)
    assert not list((tmp_path / "s" / "checkpoints").glob("*/*"))


def test_what_came_from_python_goes_along(two):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.line = nn.Flatten(), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.line(self.flat(x)) * 2

    model, data = Own(), tw.load_data("digits", subset=120).split(val=20)
    own = {"loss": lambda outputs, y: nn.functional.cross_entropy(outputs, y) / 2}
    given = {"over": {"lr": [0.01, 0.1]}, "threads": 1, "steps": 3, "out": False, **own}
    there = tw.sweep(model, data, on=two, **given)
    for name, array in tw.sweep(model, data, **given).series.weights[1].items():
        assert torch.equal(array, there.series.weights[1][name])


def test_threads_are_those_of_the_workers(two):
    found = tw.sweep("mlp", "digits", over={"lr": [0.1]}, steps=1, hidden=(4,), on=two, out=False)
    assert found.base.threads == found.series.points[0].spec.threads == 1


@pytest.mark.slow
def test_data_that_do_not_go_along_are_loaded_there(two, monkeypatch):
    monkeypatch.setattr(module, "SENT", 100)
    over = {"subset": [60, 120], "lr": [0.1, 0.2]}
    given = {"over": over, "steps": 2, "hidden": (4,), "threads": 1, "out": False}
    found = tw.sweep("mlp", "digits", on=two, **given)
    for number, result in tw.sweep("mlp", "digits", **given).series.results.items():
        assert found.series.results[number].metrics == result.metrics


def test_other_data_are_refused(tmp_path, monkeypatch):
    series = plan_sweep(BASE, OVER, 1)
    _, events = begin_sweep(series, BASE, Here(), out=tmp_path / "sweep")
    with pytest.raises(tw.Interrupted):
        stop(events, lambda event: True)
    monkeypatch.setattr("thalweg.study.sweeps.gathered.fingerprint", lambda data: "other")
    _, events = go_on_sweep(tmp_path / "sweep", Here())
    with pytest.raises(DataError, match="data that are not those of"):
        next(events)


def test_a_race_elsewhere_has_the_verdict_of_one_here(two, tmp_path):
    given = {
        "optimizers": ["sgd", "adam"], "hidden": (8,), "seeds": 2, "steps": 8, "threads": 1,
        "subset": 240,
    }  # fmt: skip
    here = tw.race("mlp", "digits", out=False, **given)
    there = tw.race("mlp", "digits", out=tmp_path / "race", on=two, **given)
    assert there.trials == here.trials
    assert there.verdict == here.verdict
    assert tw.load_race(there.folder).verdict == here.verdict


def test_nobody_there(tmp_path):
    with pytest.raises(SpecError, match="on='nowhere'"):
        tw.sweep(data="digits", over={"lr": [1.0]}, on="nowhere", out=tmp_path / "sweep")
    assert not Path(tmp_path / "sweep").exists()
