from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg.engine import States


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
    assert list(elsewhere) == [0, 2]
    states.shelve({step: lambda step=step: read.append(step) or elsewhere[step] for step in [0, 2]})
    for step in range(4, 9):
        states.offer(step, torch.full((1, 1), float(step)))
    assert (states.steps, list(states.loose), read) == ([0, 2, 4, 6, 8], [4, 6, 8], [])
    assert [each.item() for each in states.theta] == [0, 2, 4, 6, 8]
    assert read == [0, 2]
    assert [each.item() for each in states.theta[1:3]] == [2, 4]
    states.offer(10, torch.zeros(1, 1))
    assert (states.every, states.steps, list(states.loose)) == (4, [0, 4, 8], [4, 8])
