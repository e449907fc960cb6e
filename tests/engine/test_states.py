from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg.engine import Evaluated, Group, Run, States, short_keys
from thalweg.spec import Spec


@given(st.integers(1, 5), st.integers(0, 12), st.integers(0, 60))
def test_states_are_evenly_spaced_and_within_their_budget(every, room, last):
    states = States(every, budget=room * 8)
    for step in range(last + 1):
        states.offer(step, torch.tensor([[step, -step]], dtype=torch.float32))
    assert len(states.theta) <= max(2, room)
    assert states.steps == list(range(0, last + 1, states.every))[: len(states.steps)]
    assert states.steps[-1] + states.every > last  # nothing that was due is missing
    for step, theta in zip(states.steps, states.theta, strict=True):
        assert theta.tolist() == [[step, -step]]
    assert states.every % every == 0
    assert (states.every // every).bit_count() == 1  # it only ever doubled


def test_states_are_copies():
    states, theta = States(1, budget=100), torch.zeros(1, 2)
    states.offer(0, theta)
    theta.fill_(1.0)
    assert torch.equal(states.theta[0], torch.zeros(1, 2))


@pytest.mark.parametrize("step", [0, 1, 10])
def test_zero_records_nothing(step):
    states = States(0, budget=1e9)
    states.offer(step, torch.zeros(1, 2))
    assert states.steps == list(states.theta) == []


def test_states_that_were_put_elsewhere_are_read_when_asked_for():
    states = States(2, budget=5 * 4)
    for step in range(4):
        states.offer(step, torch.full((1, 1), float(step)))
    elsewhere, read = states.loose, []
    assert (list(elsewhere), states.fresh) == ([0, 2], 2)
    states.shelve({step: lambda step=step: read.append(step) or elsewhere[step] for step in [0, 2]})
    for step in range(4, 9):
        states.offer(step, torch.full((1, 1), float(step)))
    assert (states.steps, list(states.loose), read) == ([0, 2, 4, 6, 8], [4, 6, 8], [])
    assert states.fresh == 3
    assert [each.item() for each in states.theta] == [0, 2, 4, 6, 8]
    assert read == [0, 2]
    assert [each.item() for each in states.theta[1:3]] == [2, 4]
    states.offer(10, torch.zeros(1, 1))
    assert (states.every, states.steps, list(states.loose)) == (4, [0, 4, 8], [4, 8])
    assert states.fresh == 2


def test_members_that_enter_or_are_taken_out_record_what_their_runs_would():
    keys = {"data": "digits", "subset": 96, "hidden": (8,), "batch_size": 32, "record_states": 1}
    base = Spec().override({**keys, "epochs": 4}, short_keys())
    specs = [base, base.override({"seed": 1}), base.override({"seed": 2, "record_states": 2})]
    group = Group(specs[:2])
    for event in group.events():
        if isinstance(event, Evaluated) and event.clock.step == 3:
            group.enter(specs[2:], [7])
        elif isinstance(event, Evaluated) and event.clock.step == 6:
            group.prune([1])
    ends = {0: 12, 1: 6, 7: 12}
    for number, spec in zip(ends, specs, strict=True):
        alone, own = Run(spec), group.states[number]
        for _ in alone.events():
            pass
        assert own.steps == [step for step in alone.states.steps if step <= ends[number]]
        for one, other in zip(own.theta, alone.states.theta, strict=False):
            assert torch.equal(one, other)
