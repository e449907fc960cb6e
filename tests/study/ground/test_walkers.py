"""Who goes over the ground: every way to name a network means what it says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from thalweg.errors import FileError, ModelError, SpecError
from thalweg.study import race, sweep, train
from thalweg.study.ground.walkers import Walker, data_of, ground_of, walkers

OPTIONS = {"model": "mlp", "hidden": (8,), "lr": 0.05, "steps": 12, "batch_size": 60}


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walkers") / "first"
    return train(
        data="digits",
        subset=240,
        checkpoint_every="4steps",
        keep_last=9,
        record_states=2,
        out=folder,
        **OPTIONS,
    )


def weights(walker: Walker) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in walker.network.parameters()])


def test_a_run_a_folder_and_a_checkpoint(run) -> None:
    (whole,) = walkers(run)
    assert (whole.name, whole.at, whole.steps) == ("first", 12, [0, 2, 4, 6, 8, 10, 12])
    (named,) = walkers(str(run.folder))
    assert torch.equal(weights(named), weights(whole))
    early, pair, last = walkers([f"{run.folder}@4", (run.folder, 4), (run.folder, "last")])
    assert (early.name, early.at) == ("first@4", 4)
    assert torch.equal(weights(early), weights(pair))
    assert not torch.equal(weights(early), weights(whole))
    assert (last.name, last.at) == ("first", 12)
    assert (whole.lr, walkers(Walker("bare", run.model))[0].lr != 0) == (0.05, True)


def test_a_tuple_of_names_is_no_checkpoint(run) -> None:
    assert len(walkers((run.folder, run.folder))) == 2


def test_all_checkpoints_and_all_recorded_states(run) -> None:
    assert [each.at for each in walkers(f"{run.folder}@all")] == [4, 8, 12]
    states = walkers((run.folder, "states"))
    assert [each.name for each in states][:2] == ["first@0", "first@2"]
    assert torch.equal(weights(states[2]), weights(walkers(f"{run.folder}@4")[0]))
    assert torch.equal(weights(states[-1]), weights(walkers(run)[0]))


def test_states_without_statistics_are_no_networks(digits) -> None:
    bare = train(data=digits, out=False, **OPTIONS)
    with pytest.raises(SpecError, match="without recorded states"):
        list(walkers(bare)[0].along())
    normed = train(data=digits, norm="batch", record_states=4, out=False, **OPTIONS)
    with pytest.raises(SpecError, match="without BatchNorm's statistics"):
        list(walkers(normed)[0].along())


def test_members_of_a_sweep_and_of_a_race(tmp_path: Path) -> None:
    options = {"hidden": (8,), "steps": 8, "record_states": 4}
    found = sweep("mlp", "digits", over={"lr": [0.01, 0.1]}, seeds=2, out=tmp_path / "s", **options)
    everyone = walkers(str(found.folder))
    assert len(everyone) == 4
    assert {tuple(each.steps) for each in everyone} == {(0, 4, 8)}
    (third,) = walkers(f"{found.folder}@2")
    assert torch.equal(weights(third), weights(everyone[2]))
    assert third.at == 8
    with pytest.raises(SpecError, match="member 7"):
        walkers(f"{found.folder}@7")
    along = walkers(f"{found.folder}@2@states")
    assert [(each.name, each.at) for each in along] == [(f"s@2@{step}", step) for step in (0, 4, 8)]
    assert [each.lr for each in along[1:]] == [0.1, 0.1]
    assert len(walkers(f"{found.folder}@states")) == 12
    raced = race(
        "mlp", "digits", optimizers="sgd,adam", hidden=(8,), steps=8, tune=False, out=tmp_path / "r"
    )
    assert len(walkers(str(raced.folder))) >= 2


def test_what_varies_names_the_members_of_a_sweep_along_one_axis() -> None:
    options = {"hidden": (8,), "steps": 4, "epochs": None, "out": False}
    own = sweep("mlp", "digits", over={"lr": [0.01, 0.1]}, **options)
    assert [each.name for each in walkers(own)] == ["lr 0.01", "lr 0.1"]
    falling = sweep("mlp", "digits", over={"lr": [0.1]}, schedule="cosine", **options)
    (one,) = walkers(falling)
    assert math.isnan(one.lr)  # it changed on the way


def test_a_network_of_ones_own_is_measured_on_ones_own_data() -> None:
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    (one,) = walkers(net)
    with pytest.raises(SpecError, match="networks without data"):
        data_of([one])
    x, y = torch.rand(30, 2), torch.arange(30) % 2
    ground = ground_of([one], data=(x, y), loss=nn.CrossEntropyLoss())
    expected = nn.functional.cross_entropy(net(x), y).item()
    assert ground.reference().values()["loss"].item() == pytest.approx(expected)


def test_what_does_not_fit_says_so(run) -> None:
    with pytest.raises(SpecError, match="a int among the runs"):
        walkers([3])  # type: ignore[list-item]
    with pytest.raises(FileError, match="the checkpoint '5'"):
        walkers(f"{run.folder}@5")
    net = nn.Linear(3, 2)
    with pytest.raises(ModelError, match="network 0, of another architecture"):
        ground_of(walkers([net, run]))
