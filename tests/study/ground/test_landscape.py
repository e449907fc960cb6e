"""Landscapes of runs: what is mapped, and what comes back from the disk."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch
from torch import nn

from thalweg.errors import FileError, ModelError, SpecError
from thalweg.store import write_parquet
from thalweg.study import train
from thalweg.study.ground import landscape as study
from thalweg.study.ground.landscape import draw_landscape, load_landscape, map_landscape
from thalweg.study.ground.landscape_page import (
    extremes,
    landscape_figures,
    landscape_page,
    landscape_sheets,
    landscape_words,
)

OPTIONS = {"model": "mlp", "hidden": (8,), "lr": 0.05, "steps": 12, "batch_size": 60}
QUICK = {"resolution": (4, 5), "subset": 100}


@pytest.fixture(scope="module")
def runs(digits, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return [
        train(data=digits, seed=seed, record_states=2, out=root / f"{seed}", **OPTIONS)
        for seed in range(2)
    ]


def test_several_runs_share_a_plane_and_have_their_own_heights(runs):
    land = map_landscape(runs, **QUICK)
    assert land.surface.directions.kind == "principal components"
    assert land.surface.shape == (4, 5)
    assert land.names == ("0", "1")
    assert [each.steps for each in land.trails] == [(0, 2, 4, 6, 8, 10, 12)] * 2
    assert land.trails[1].residuals[-1] == 0
    assert abs(land.trails[1].values["loss"][-1] - land.surface.reference["loss"]) < 1e-6
    assert len(land.surface.directions.null) == 2


def test_a_run_may_be_its_folder(tmp_path):
    run = train("mlp", "digits", hidden=(8,), steps=9, record_states=3, out=tmp_path / "a")
    one, other = (map_landscape(each, **QUICK).surface for each in (run, run.folder))
    assert torch.equal(one.values["loss"], other.values["loss"])


def test_what_is_saved_comes_back(runs, tmp_path):
    land = map_landscape(runs, out=tmp_path / "land", **QUICK)
    again = load_landscape(tmp_path / "land")
    assert again.names == land.names
    for name, grid in land.surface.values.items():
        assert torch.equal(again.surface.values[name], grid)
    for mine, theirs in zip(land.trails, again.trails, strict=True):
        assert mine.steps == theirs.steps
        assert torch.equal(mine.coordinates, theirs.coordinates)
        assert torch.equal(mine.residuals, theirs.residuals)
        assert mine.statistics == theirs.statistics
        for name, values in mine.values.items():
            assert torch.equal(values, theirs.values[name])


@pytest.mark.parametrize("every", [0.0, 1e9])
def test_an_interrupted_map_goes_on_to_the_same_bits(runs, tmp_path, monkeypatch, every):
    whole = map_landscape(runs, resolution=17, subset=100)
    monkeypatch.setattr(study, "EVERY", every)
    drawing = draw_landscape(runs, resolution=17, subset=100, out=tmp_path)
    done = next(int(land.surface.done.sum()) for land in drawing if land.surface.done.sum() > 70)
    drawing.close()
    assert load_landscape(tmp_path).surface.done.sum() == done < 17 * 17
    rest = list(draw_landscape(runs, resolution=17, subset=100, out=tmp_path))
    assert rest[0].surface.done.sum() > done
    assert torch.equal(rest[-1].surface.values["loss"], whole.surface.values["loss"])
    assert load_landscape(tmp_path).surface.whole


@pytest.mark.parametrize("kind", ["principal", "gradient"])
def test_a_picture_of_fewer_nodes_is_kept_gone_on_with_and_told(runs, tmp_path, kind):
    options = {"kind": kind, "resolution": 65, "subset": 100, "tolerance": 0.2}
    whole = map_landscape(runs, **options)
    drawing = draw_landscape(runs, out=tmp_path, **options)
    for _, _land in zip(range(2), drawing, strict=False):
        pass
    drawing.close()
    begun = load_landscape(tmp_path).surface
    assert begun.tolerance == 0.2
    *_, land = draw_landscape(runs, out=tmp_path, **options)
    assert torch.equal(land.surface.done, whole.surface.done)
    again = load_landscape(tmp_path)
    assert again.surface.complete
    assert not again.surface.whole
    assert torch.equal(
        again.surface.picture().values["loss"], whole.surface.picture().values["loss"]
    )
    count = int(again.surface.done.sum())
    page = landscape_page(again)
    assert f"Whole: {count:,} of {again.surface.done.numel():,} nodes were measured" in page
    assert "by more than 20 % of the step to the next: off by at most" in page
    for figure in landscape_figures(again).values():
        told = str(figure.layout.meta) + str(figure.layout.xaxis.title.text)
        assert f"easured at {count:,} of" in told


def test_runs_without_states_have_other_planes(digits):
    ends = [train(data=digits, seed=seed, out=False, **OPTIONS) for seed in range(2)]
    line = map_landscape(ends, resolution=5, subset=100)
    assert line.surface.directions.kind == "line between checkpoints"
    assert [each.coordinates.round(decimals=6).tolist() for each in line.trails] == [[[0]], [[1]]]
    alone = map_landscape(ends[0], **QUICK)
    assert alone.surface.directions.kind.startswith("random")
    assert alone.trails[0].steps == (12,)
    with pytest.raises(SpecError, match="without recorded states"):
        map_landscape(ends, kind="principal")


def test_batch_normalisation_has_its_statistics_said(digits):
    run = train(data=digits, norm="batch", record_states=4, out=False, **OPTIONS)
    land = map_landscape(run, statistics="estimated", **QUICK)
    assert (land.surface.statistics, land.trails[0].statistics) == ("estimated", "estimated")
    assert map_landscape(run, **QUICK).surface.statistics == "frozen"


def test_what_does_not_fit_says_so(runs, digits, tmp_path):
    wider = train(data=digits, out=False, **{**OPTIONS, "hidden": (9,)})
    with pytest.raises(ModelError, match="run 0, of another architecture"):
        map_landscape([wider, runs[0]], kind="random")
    with pytest.raises(SpecError, match="no runs"):
        map_landscape([])
    with pytest.raises(SpecError, match="did you mean random"):
        map_landscape(runs, kind="ramdom")
    map_landscape(runs, out=tmp_path, **QUICK)
    with pytest.raises(SpecError, match=r"another shape to go on from.*--again"):
        map_landscape(runs, out=tmp_path, resolution=5, subset=100)
    assert map_landscape(runs, out=tmp_path, again=True, resolution=5, subset=100).surface.whole
    with pytest.raises(SpecError, match="metric='nix'"):
        landscape_figures(load_landscape(tmp_path), "nix")
    (tmp_path / "trails.parquet").unlink()
    with pytest.raises(FileError, match="no such file"):
        load_landscape(tmp_path)
    write_parquet(tmp_path / "trails.parquet", pa.table({"run": [0]}))
    with pytest.raises(FileError, match="holds no trails"):
        load_landscape(tmp_path)


@pytest.mark.parametrize(
    ("kind", "known", "said"),
    [
        ("pca", "principal", "recorded states lie farthest apart"),
        ("random", "random", "Two random directions"),
        ("hessian", "hessian", "eigenvalues"),
        ("step", "step", "the update that was made"),
        ("gradient", "gradient", "learning rate of one step"),
        ("between", "between", "mixtures of their weights"),
    ],
)
def test_every_kind_is_mapped_drawn_and_told(runs, kind, known, said, tmp_path):
    land = map_landscape(runs, kind=kind, resolution=5, subset=100)
    assert land.kind == known
    at_origin = tuple(int(axis.abs().argmin()) for axis in land.surface.axes)
    value = land.surface.values["loss"][at_origin].item()
    assert value == pytest.approx(land.surface.reference["loss"], rel=1e-5)
    figures = landscape_figures(land, "accuracy")
    flat = land.surface.directions.count == 1
    assert set(figures) == ({"slice"} if flat else {"contour", "surface", "descent"})
    assert said in " ".join(landscape_words(land))
    directions, ways = landscape_sheets(land)
    assert len(directions.rows) == land.surface.directions.count
    assert [row[0] for row in ways.rows] == ["0", "1"]
    page = landscape_page(land, commands=[("Again:", "thalweg landscape 0 1")])
    assert "Whole: every node was measured." in page
    assert "thalweg landscape 0 1" in page
    land.write_page(tmp_path / "page.html", "accuracy")
    assert "accuracy from above" in (tmp_path / "page.html").read_text("utf-8") or flat


def test_the_reference_is_the_state_that_was_asked_for(runs):
    first = map_landscape(runs[0], reference=0, resolution=3, subset=100)
    assert first.trails[0].coordinates[0].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert first.surface.reference["loss"] == pytest.approx(first.trails[0].values["loss"][0])
    with pytest.raises(SpecError, match="the state 0 of 7 recorded states"):
        map_landscape(runs, kind="step", reference=0, resolution=3)
    with pytest.raises(SpecError, match="the state 70 of 7 recorded states"):
        map_landscape(runs, kind="step", reference=70, resolution=3)


def test_a_network_of_ones_own_is_as_it_was():
    net = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x, y = torch.randn(64, 2), torch.arange(64) % 2
    for kind in ("random", "hessian", "gradient"):
        land = map_landscape(
            net, data=(x, y), loss=nn.CrossEntropyLoss(), kind=kind, resolution=3, subset=None
        )
        assert land.names == ("network 0",)
    expected = nn.functional.cross_entropy(net.eval()(x), y).item()
    assert land.surface.reference["loss"] == pytest.approx(expected, rel=1e-5)
    net.train()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_checkpoints_of_one_run_are_walkers_of_their_own(tmp_path):
    options = {"hidden": (8,), "steps": 8, "checkpoint_every": "4steps"}
    run = train("mlp", "digits", out=tmp_path / "a", **options)
    land = map_landscape([(run.folder, 4), f"{run.folder}@8"], resolution=5, subset=100)
    assert (land.names, land.kind) == (("a@4", "a@8"), "between")
    assert [each.steps for each in land.trails] == [(4,), (8,)]


def test_an_unfinished_map_is_drawn_as_far_as_it_is(runs):
    drawing = draw_landscape(runs, resolution=17, subset=100)
    begun = next(drawing)
    page = landscape_page(begun)
    assert "Unfinished: 64 of 289 nodes were measured" in page
    low, high = extremes(begun)
    assert low < high


def test_what_is_not_finite_and_what_is_missing_is_said(digits):
    alone = train(data=digits, out=False, **OPTIONS)
    land = map_landscape(alone, resolution=3, subset=100, extent=(-1e30, 1e30))
    told = " ".join(landscape_words(land))
    assert "not finite" in told
    assert "No way is drawn" in told
    assert set(landscape_figures(land)) == {"contour", "surface"}


def test_statistics_between_networks_are_interpolated_unless_asked(digits):
    ends = [train(data=digits, seed=s, norm="batch", out=False, **OPTIONS) for s in range(2)]
    land = map_landscape(ends, resolution=5, subset=100)
    assert land.surface.statistics == "interpolated"
    assert "BatchNorm" in " ".join(landscape_words(land))
