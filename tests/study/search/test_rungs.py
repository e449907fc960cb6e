"""Rungs, rooms and samplers: who goes on, with whose bits, and who proposes."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
import torch

import thalweg as tw
from thalweg.engine import Length, short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study.search import Rungs, build_space
from thalweg.study.search.room import END, Crew, Party, Room
from thalweg.study.search.rungs import updates_at
from thalweg.study.search.samplers import SAMPLERS, Sampler, check_sampler
from thalweg.study.search.worker import trial_spec

BASE = Spec().override(
    {
        "data": "digits", "model": "mlp", "hidden": (8,), "norm": "batch", "dropout": 0.2,
        "subset": 240, "val": 60, "batch_size": 60, "epochs": 4, "threads": 1,
    },
    short_keys(),
)  # fmt: skip
SPACE, START = build_space(BASE, "momentum-decay,adam,adam+lookahead", {"batch_size": [30, 60]})


def spec_of(optimizer: str, lr: float, batch_size: int = 60) -> Spec:
    values = {"optimizer": optimizer, f"{optimizer}.lr": lr, "batch_size": batch_size}
    return trial_spec(START, SPACE, values)


def alive(room: Room, party: Party) -> dict[int, dict[str, torch.Tensor]]:
    """The weights of the members of a wave, as they are now."""
    found = {}
    for number, crew in party.crews.items():
        (member,) = (m for m in crew.group.progress.everyone if m.number == number)
        found[number] = dict(crew.group.remains(member))
    return found


def train(room: Room) -> None:
    for _ in room.train():
        pass


def settle(room: Room) -> None:
    for _ in room.settle():
        pass


def test_who_survives_all_rungs_has_the_bits_of_its_run_alone() -> None:
    room, rates = Room("val_accuracy"), (0.001, 0.01, 0.1)
    names = ("momentum-decay", "adam", "adam+lookahead")
    first = {k: spec_of(names[k % 3], rates[k // 3], 30 + 30 * (k % 2)) for k in range(9)}
    a = room.enter(0, first, [1 / 4, 1 / 2])
    assert len(room.crews) == 2
    train(room)
    room.conclude(a, [1, 4, 5, 8])
    settle(room)
    second = {10 + k: spec_of(names[k % 3], 0.03, 30 + 30 * (k % 2)) for k in range(4)}
    b = room.enter(1, second, [1 / 4, 1 / 2])
    assert len(room.crews) == 2  # they joined those that train already
    assert {crew.group.cohort.members for crew in room.crews} == {4}
    kept = {0: [4, 5], 1: [10, 13]}
    while room.parties:
        train(room)
        party = room.next
        rung = party.left[0]
        scores = room.scores(party, rung)
        room.conclude(party, kept[party.number])
        settle(room)
        if party not in room.parties:
            assert set(kept[party.number]) <= set(scores)
            ends = {number: party.crews[number].ended[number] for number in kept[party.number]}
            assert set(ends.values()) == {"complete"}
    for party, specs in ((a, first), (b, second)):
        weights = alive(room, party)
        for number in kept[party.number]:
            alone = tw.train(spec=specs[number], out=False)
            for name, array in weights[number].items():
                assert torch.equal(array, alone.model.state_dict()[name]), (number, name)
            (own,) = alone.cohort.evaluate(alone.data.splits()["val"], slow=True)["accuracy"]
            assert party.crews[number].scores[number][END] == own


def test_rungs_within_an_epoch() -> None:
    room = Room("val_loss")
    one = spec_of("adam", 0.01).override({"epochs": 1})
    party = room.enter(0, {k: one.override({"seed": k}) for k in range(3)}, [1 / 4, 1 / 2])
    train(room)
    (crew,) = room.crews
    assert crew.group.cohort.updates == 1
    assert not crew.ready
    assert len(room.scores(party, 1 / 4)) == 3
    room.conclude(party, [1])
    settle(room)
    train(room)
    room.conclude(party, [1])
    train(room)
    room.conclude(party, [1])
    assert crew.ended == {0: "pruned", 1: "complete", 2: "pruned"}
    assert crew.epochs(0) == pytest.approx(0.25)
    assert crew.updates(1, END) == 4


def test_ends_of_their_own_and_members_that_diverge() -> None:
    room = Room("val_loss")
    early = spec_of("adam", 0.01).override({"until": "val_loss<100"})
    lost = spec_of("momentum-decay", 1e30).override({"until": "val_loss<0"})
    party = room.enter(0, {0: early, 1: lost}, [1 / 2])
    train(room)
    scores = room.scores(party, 1 / 2)
    assert list(scores) == [0]  # it has the score of its end
    assert party.alive == []
    room.conclude(party, [0])
    assert room.parties == []
    assert {n: crew.ended[n] for n, crew in party.crews.items()} == {0: "until", 1: "diverged"}


def test_everybody_may_be_sent_away() -> None:
    room = Room("val_accuracy")
    party = room.enter(0, {0: spec_of("adam", 0.01)}, [1 / 4])
    train(room)
    room.conclude(party, [])
    assert (room.parties, room.crews, room.members) == ([], [], 0)
    assert isinstance(party.crews[0], Crew)


def test_lengths_and_rungs() -> None:
    length = Length(batch_size=10, per_epoch=7, updates=21, evaluate_every=7)
    assert [updates_at(rung, length) for rung in (1 / 9, 1 / 3, 0.5, 1)] == [2, 7, 14, 21]
    assert [Rungs("none").of(wave) for wave in (0, 1)] == [[], []]
    assert Rungs(eta=2, count=1).of(0) == []
    with pytest.raises(SpecError, match="a pruner"):
        Rungs("halvin")
    with pytest.raises(SpecError, match="eta=2 and rungs=1 at least"):
        Rungs(eta=1)


def test_what_is_ranked_is_not_evaluated_besides() -> None:
    assert spec_of("adam", 0.1).evaluate == ()
    watched = BASE.override({"patience": 2, "evaluate_every": "2epochs"})
    spec = trial_spec(watched, SPACE, {"batch_size": 30})
    assert (spec.evaluate, spec.evaluate_every) == (("val",), "2epochs")


# ── samplers ─────────────────────────────────────────────────────────────────────────────────────


def proposals(name: str, told: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=Sampler(name, seed), direction="maximize")
    found = []
    for k in range(told):
        trial = study.ask()
        found.append(SPACE.suggest(trial))
        study.tell(trial, k / told)
    trials = [study.ask() for _ in range(4)]  # as a group
    return found + [SPACE.suggest(trial) for trial in trials]


@pytest.mark.parametrize("name", SAMPLERS)
def test_proposals_are_the_same_with_the_same_seed(name: str) -> None:
    first = proposals(name)
    assert proposals(name) == first
    assert proposals(name, seed=1) != first
    assert len({repr(values) for values in first}) >= len(first) - 1


def test_a_sampler_that_begins_again_goes_on() -> None:
    study = optuna.create_study(sampler=Sampler("random", 0))
    first = [SPACE.suggest(study.ask()) for _ in range(6)]
    study = optuna.create_study(sampler=Sampler("random", 0))
    again = [SPACE.suggest(study.ask()) for _ in range(3)]
    study.sampler = Sampler("random", 0)  # another process
    again += [SPACE.suggest(study.ask()) for _ in range(3)]
    assert again == first


def test_there_must_be_such_a_sampler() -> None:
    with pytest.raises(SpecError, match="did you mean tpe"):
        check_sampler("tpee")
