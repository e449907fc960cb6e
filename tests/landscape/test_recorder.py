"""Sharpness along training: right where it looks, and nowhere in the way."""

from __future__ import annotations

import math

import pytest
import torch

from thalweg.data import load_data
from thalweg.engine import Run, Step, short_keys
from thalweg.errors import SpecError
from thalweg.landscape.recorder import SharpnessRecorder
from thalweg.spec import Spec

from .curved import dense


def make(**settings):
    base = {"data": "digits", "hidden": (6,), "steps": 10, "optimizer": "sgd", "lr": 0.1}
    return Run(Spec().override({**base, **settings}, short_keys()))


def record(run, every=5, **options):
    recorder = SharpnessRecorder(every, generator=torch.Generator().manual_seed(0), **options)
    events = list(recorder.watch(run))
    return recorder, events


def test_watched_runs_take_the_same_steps():
    alone = make(optimizer="adam", lr=0.01)
    expected = [event for event in alone.events() if isinstance(event, Step)]
    run = make(optimizer="adam", lr=0.01)
    state = torch.get_rng_state()
    _, events = record(run, 3)
    steps = [event for event in events if isinstance(event, Step)]
    assert torch.equal(run.cohort.stack.theta, alone.cohort.stack.theta)
    assert [step.metrics["loss"].item() for step in steps] == [
        step.metrics["loss"].item() for step in expected
    ]
    assert torch.equal(torch.get_rng_state(), state)


def test_readings_are_the_largest_eigenvalue():
    run = make(steps=10)
    recorder, _ = record(run, tolerance=1e-5)
    x, y = run.data.train.x.double(), run.data.train.y
    D = dense(run.model.double(), run.cohort.loss, x, y)
    last = recorder.readings[-1]
    assert last.step == 10
    assert last.converged
    assert last.sharpness == pytest.approx(torch.linalg.eigvalsh(D)[-1].item(), rel=1e-3)
    assert last.residual <= 1e-5 * last.sharpness * 2


def test_readings_come_at_their_interval_beside_the_limit():
    recorder, _ = record(make(steps=11, lr=0.25), every=4)
    assert [reading.step for reading in recorder.readings] == [0, 4, 8]
    assert math.isnan(recorder.readings[0].limit)
    assert [reading.limit for reading in recorder.readings[1:]] == [8.0, 8.0]
    still, _ = record(make(steps=4, lr=0.0), every=4)
    assert still.readings[-1].limit == math.inf


def test_runs_that_go_on_begin_where_they_are():
    run = make(steps=8)
    events = run.events()
    while next(events).clock.step < 4:
        pass
    half = run.snapshot()
    other = make(steps=8)
    other.restore(half)
    recorder, _ = record(other, every=2)
    assert [reading.step for reading in recorder.readings] == [6, 8]


def test_few_samples_are_the_first():
    run = make(steps=1)
    recorder, _ = record(run, every=1, samples=40, tolerance=1e-5)
    x, y = run.data.train.x[:40].double(), run.data.train.y[:40]
    D = dense(run.model.double(), run.cohort.loss, x, y)
    assert recorder.readings[-1].sharpness == pytest.approx(
        torch.linalg.eigvalsh(D)[-1].item(), rel=1e-3
    )


def test_gradient_descent_goes_to_the_edge_of_stability():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=g)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    facts = {
        "model": "mlp", "hidden": (24, 24), "activation": "tanh", "optimizer": "sgd", "lr": 0.1,
        "batch_size": 40, "steps": 1500, "loss": "mse", "seed": 0,
    }  # fmt: skip
    data = load_data({"train": (x, y), "test": (x, y)})
    run = Run(Spec().override(facts, short_keys()), data=data)
    recorder, _ = record(run, every=100)
    first, last = recorder.readings[0], recorder.readings[-5:]
    assert first.sharpness < 0.5 * 20
    for reading in last:
        assert reading.limit == pytest.approx(20)
        assert 0.8 * 20 < reading.sharpness < 1.3 * 20


def test_an_eigenvalue_that_overtakes_is_seen():
    run = make(steps=2)
    recorder, _ = record(run, every=2, tolerance=1e-3)
    x, y = run.data.train.x.double(), run.data.train.y
    values, vectors = torch.linalg.eigh(dense(run.model.double(), run.cohort.loss, x, y))
    recorder._vector = vectors[:, -2]  # where a search would stay
    recorder._read(run, 2, 1.0)
    assert recorder.readings[-1].sharpness == pytest.approx(values[-1].item(), rel=1e-3)


def test_runs_that_diverge_are_left_to_say_so():
    recorder, events = record(make(steps=5, lr=1e30), every=1)
    assert type(events[-1]).__name__ == "Finished"
    assert events[-1].reason == "diverged"
    last = recorder.readings[-1]
    assert math.isnan(last.sharpness)
    assert not last.converged


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 1, "samples": 0}])
def test_options_out_of_range(options):
    with pytest.raises(SpecError):
        SharpnessRecorder(**options, generator=torch.Generator())
