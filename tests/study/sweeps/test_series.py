"""A series is the runs that it is made of, bit for bit."""

from __future__ import annotations

import pytest
import torch

from thalweg.engine import Evaluated, short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study import train
from thalweg.study.sweeps.grid import grid
from thalweg.study.sweeps.series import Series

BASE = Spec().override(
    {"hidden": (8,), "steps": 9, "subset": 96, "val": 60, "evaluate_every": "3steps"}, short_keys()
)


def test_members_are_their_runs():
    over = {"batch_size": [32, 48], "optimizer": ["sgd", "adam"], "lr": [0.1, 1e30]}
    series = Series(grid(BASE, over, 2))
    said = [event for _, event in series.events() if isinstance(event, Evaluated)]
    assert len(series.groups) == 2
    assert said
    for number, point in enumerate(series.points):
        run, result = train(spec=point.spec, out=False), series.results[number]
        assert (result.reason, result.diverged) == (run.reason, run.diverged)
        assert result.steps == run.cohort.updates
        if not run.diverged:
            assert result.metrics == run.metrics
            assert result.epochs == pytest.approx(result.steps / (96 // point.spec.batch_size))
        state = run.model.state_dict()
        for name, array in series.network(number).state_dict().items():
            assert torch.equal(array, state[name])


def test_members_record_the_states_that_their_runs_would():
    over = [
        {"lr": 0.1, "record_states": 1},
        {"lr": 1e30, "record_states": 1, "optimizer": "adam"},  # soon leaves
        {"lr": 0.1, "record_states": 1, "record_budget": 0.012},  # every second state leaves
        {"lr": 0.1, "record_states": 4, "batch_size": 48},
        {"lr": 0.1, "record_states": 2, "steps": 5},
        {"lr": 0.1},
    ]
    series = Series(grid(BASE, over, 2))
    for _ in series.events():
        pass
    assert len(series.groups) == 2
    for number, point in enumerate(series.points):
        alone, own = train(spec=point.spec, out=False).states, series.states[number]
        assert own.steps == alone.steps
        assert own.every == alone.every
        for one, other in zip(own.theta, alone.theta, strict=True):
            assert torch.equal(one, other)
    lengths = [len(series.states[number].steps) for number in range(0, 12, 2)]
    assert lengths[0] == 10
    assert lengths[1] < lengths[2] < 10
    assert lengths[3:] == [3, 3, 0]


def test_groups_load_what_they_share_once(monkeypatch):
    from thalweg.engine import loading

    loads: list[object] = []
    original = loading.load_data

    def load(*given, **options):
        loads.append(given)
        return original(*given, **options)

    monkeypatch.setattr(loading, "load_data", load)
    series = Series(grid(BASE, {"batch_size": [8, 16, 32]}, 2))
    for _ in series.events():
        pass
    assert len(loads) == 1
    assert len(series.results) == 6
    series = Series(grid(BASE, {"subset": [48, 96]}, 1))
    for _ in series.events():
        pass
    assert len(loads) == 3
    assert len(series.loaded) == 1  # that of the last group


def test_a_series_has_members():
    with pytest.raises(SpecError, match="got a series without members"):
        Series([])
