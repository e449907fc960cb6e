"""Groups of specs: each place once, equal programs together, as few as can be."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.engine import Group, short_keys
from thalweg.engine.build import build_rule
from thalweg.engine.partition import OWN, partition, program
from thalweg.engine.slices import kind
from thalweg.errors import SpecError
from thalweg.spec import Spec

BASE = Spec().override({"hidden": (4,), "steps": 2}, short_keys())
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 3),
        "batch_size": st.sampled_from([8, 16, "full"]),
        "optimizer": st.sampled_from(["sgd", "adam", "muon"]),
        "lr": st.sampled_from([0.01, 0.1]),
        "hidden": st.sampled_from([(4,), (8,), (4, 4)]),
        "init": st.sampled_from(["default", "he-normal"]),
        "dropout": st.sampled_from([0.0, 0.1, 0.5]),
        "l2": st.sampled_from([0.0, 1e-3]),
        "steps": st.integers(1, 9),
        "label_noise": st.sampled_from([0.0, 0.5]),
    },
).map(lambda changes: BASE.override(changes, short_keys()))


@given(st.lists(SPECS, min_size=1, max_size=12), st.none() | st.integers(1, 5))
@settings(deadline=None, max_examples=80)
def test_each_place_is_in_one_group_of_one_program(specs, largest):
    groups = partition(specs, largest)
    assert sorted(place for group in groups for place in group) == list(range(len(specs)))
    for group in groups:
        assert group
        assert len({program(specs[place]) for place in group}) == 1
        assert len(group) <= (largest or len(specs))
        kinds = [kind(build_rule(specs[place])) for place in group]
        assert len([key for key, _ in groupby(kinds)]) == len(set(kinds))  # neighbours


@given(st.lists(SPECS, min_size=1, max_size=12))
@settings(deadline=None, max_examples=80)
def test_equal_programs_are_together(specs):
    groups = partition(specs)
    assert len(groups) == len({program(spec) for spec in specs})
    firsts = [group[0] for group in groups]
    assert (
        firsts == [min(group) for group in groups]
        or len({kind(build_rule(spec)) for spec in specs}) > 1
    )


@given(st.lists(SPECS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=10)
def test_a_group_can_be_built(specs):
    for group in partition(specs):
        assert len(Group([specs[place] for place in group]).progress.members) == len(group)


def test_a_rule_that_looks_again_shares_its_group_with_none_of_another_kind():
    sam = BASE.override({"wrap": "sam"}, short_keys())
    assert partition([BASE, sam, BASE, sam]) == [[0, 2], [1, 3]]


def test_a_foreign_rule_is_alone():
    foreign = BASE.override({"optimizer": "torch.optim.RMSprop", "lr": 0.01}, short_keys())
    assert partition([foreign, foreign, BASE, BASE]) == [[0], [1], [2, 3]]


def test_what_is_wrong_is_known_before_anything_is_built():
    wrong = BASE.override({"optimizer": "agdam"})
    with pytest.raises(SpecError, match="agdam"):
        partition([BASE, wrong])


def test_what_each_has_for_itself_are_settings():
    assert set(Spec.model_fields) >= OWN
    assert torch.get_default_dtype() == torch.float32
