"""Where many went: each alone and all on one plane, of a sweep, a race or runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from thalweg.errors import DataError, SpecError
from thalweg.landscape import principal_components
from thalweg.nn import Stack
from thalweg.study import Sweep, load_landscape, load_race, load_sweep, race, sweep, walkers
from thalweg.study.ground.race_ground import race_ground
from thalweg.study.ground.ways import draw_ways, plan_ways, slug, thinned

SMALL: dict[str, Any] = {
    "model": "mlp", "data": "digits", "hidden": (8,), "subset": 240, "batch_size": 60, "steps": 12,
}  # fmt: skip
MAP: dict[str, Any] = {"resolution": 5, "subset": 100}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    over = [
        {"name": "GD", "optimizer": "sgd", "batch_size": "full", "lr": 0.1},
        {"name": "Adam, averaged", "optimizer": "adam", "wrap": ["swa"], "swa_start": 3},
        {"name": "slow", "record_states": 4},
    ]
    out = tmp_path_factory.mktemp("ways") / "sweep"
    return sweep(**SMALL, over=over, record_states=1, out=out)


def test_each_has_a_plane_and_all_have_one(found: Sweep, tmp_path: Path) -> None:
    lands = dict(draw_ways(found, out=tmp_path, **MAP))
    assert list(lands) == ["GD", "Adam, averaged", "slow", "all on one plane"]
    shared = lands["all on one plane"]
    assert shared.names == ("GD", "Adam, averaged", "slow")
    starts = [trail.coordinates[0].tolist() for trail in shared.trails]
    assert starts == [[0.0, 0.0]] * 3  # the weights that all began with
    assert [len(trail.steps) for trail in shared.trails] == [13, 14, 4]
    for name in ("GD", "slow"):  # its last state is the network
        assert lands[name].trails[0].coordinates[-1].tolist() == [0.0, 0.0]
    assert {path.name for path in tmp_path.iterdir()} == {"gd", "adam-averaged", "slow", "all"}
    again = load_landscape(tmp_path / "all")
    assert torch.equal(again.surface.values["loss"], shared.surface.values["loss"])


def test_the_plane_is_that_of_the_recorded_states(found: Sweep) -> None:
    states = [torch.cat(list(found.states(number).theta)) for number in (0, 2)]
    some = found.folder
    parts = plan_ways([f"{some}@0", f"{some}@2"], each=False)
    (land,) = [land for part in parts for land in part.draw(resolution=3, subset=60)][-1:]
    plane = principal_components(states, reference=0)
    assert torch.equal(land.surface.directions.vectors, plane.vectors)
    assert land.surface.directions.explained == plane.explained


def test_ways_have_an_end_that_was_evaluated_with_other_weights(found: Sweep) -> None:
    _, averaged, _ = walkers(found)
    way = thinned(averaged, 5)
    assert way.steps == [0, 3, 6, 9, 12, 12]
    assert torch.equal(way.states[-1], Stack([found.model(1)]).theta)
    assert torch.equal(way.states[-2], found.states(1).theta[-1])
    assert thinned(averaged, 99, start_from=10).steps == [10, 11, 12, 12]
    assert thinned(averaged, 5, start_from=12).steps == [12, 12]


def test_sweeps_and_races_are_who_is_in_them(found: Sweep, tmp_path: Path) -> None:
    names = ["GD", "Adam, averaged", "slow"]
    assert found.folder is not None
    for who in (found, load_sweep(found.folder), found.folder, str(found.folder)):
        assert [each.name for each in walkers(who)] == names
    unrecorded = sweep(**SMALL, over={"lr": [0.1, 0.2]}, record_states=3, out=False)
    assert [each.name for each in walkers(unrecorded)] == ["lr 0.1", "lr 0.2"]
    seeds = sweep(**SMALL, over=[{"name": "a", "lr": 0.1}], seeds=2, record_states=3, out=False)
    assert [each.name for each in walkers(seeds)] == ["a, seed 0", "a, seed 1"]
    with pytest.raises(SpecError, match=r"member 7; expected one of 3"):
        walkers(f"{found.folder}@7")


def test_ways_that_cannot_be_mapped(found: Sweep) -> None:
    bare = sweep(**SMALL, over={"lr": [0.1, 0.2]}, out=False)
    with pytest.raises(SpecError, match=r"lr 0.1 with 0 recorded states.* --record-states 1"):
        plan_ways(bare)
    with pytest.raises(SpecError, match="two of them at least from 13 on"):
        plan_ways(found, start_from=13)
    with pytest.raises(SpecError, match="names that tell them apart, none of them all"):
        plan_ways([found, found])
    alike = sweep(**SMALL, over=[{"name": "all"}], record_states=3, out=False)
    with pytest.raises(SpecError, match="none of them all"):
        plan_ways(alike)


def test_names_of_folders() -> None:
    assert slug("../..") == "way"
    assert slug("a/b: <c>") == "a-b-c"


# ── the ground of a race ─────────────────────────────────────────────────────────────────────────

RACE: dict[str, Any] = {**SMALL, "val": 60, "seeds": 2, "tune": False}


def test_a_race_measures_its_ground_once(tmp_path: Path) -> None:
    found = race(**RACE, optimizers=["sgd", "adam", "momentum"], out=tmp_path / "race")
    told: list[str] = []
    assert found.folder is not None
    land = race_ground(found, told.append)
    assert land is not None
    assert land.names == ("sgd", "adam", "momentum")
    assert land.surface.shape == (25, 25)
    assert told == ["measuring the ground that they went over: 25 × 25 networks …"]
    again = race_ground(load_race(found.folder), told.append)
    assert again is not None
    assert len(told) == 1
    assert torch.equal(again.surface.values["loss"], land.surface.values["loss"])
    (found.folder / "ways/all/surface.safetensors").write_bytes(b"")
    assert race_ground(found, told.append) is not None
    assert len(told) == 2


def test_who_diverged_is_not_on_the_ground(tmp_path: Path) -> None:
    wild = {"name": "wild", "optimizer": "sgd", "lr": 1e30}
    found = race(**RACE, optimizers=["adam", wild], out=tmp_path / "race")
    land = race_ground(found, lambda text: None)
    assert land is not None
    assert land.names == ("adam",)
    lost = race(**RACE, optimizers=[wild], out=tmp_path / "lost")
    assert race_ground(lost, lambda text: None) is None


def test_races_without_a_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    found = race(**RACE, optimizers=["adam"], ways=0, out=tmp_path / "none")
    assert race_ground(found, told.append) is None
    assert told == []
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    given = {key: value for key, value in RACE.items() if key != "hidden"} | {"model": own}
    found = race(**given, optimizers=["adam"], out=tmp_path / "own")
    assert race_ground(load_race(tmp_path / "own"), told.append) is None
    assert told == ["no map of where they went: the model came from Python"]
    found = race(**RACE, optimizers=["adam"], out=tmp_path / "gone")

    def other() -> None:
        raise DataError("other data", "those of the race")

    monkeypatch.setattr(found, "check_data", other)
    assert race_ground(found, told.append) is None
    assert told[-1] == "no map of where they went: got other data; expected those of the race."
