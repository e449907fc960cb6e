"""Lines between networks: the ends are the networks' own, and what is saved comes back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.errors import DataError, FileError, ModelError, SpecError
from thalweg.study import draw_slice, load_slice, slice_between, train
from thalweg.study.ground.slice_page import slice_figures, slice_page, slice_sheet, slice_words

OPTIONS = {"model": "mlp", "hidden": (8,), "lr": 0.05, "steps": 12, "batch_size": 60}
QUICK = {"resolution": 9, "subset": 100}


@pytest.fixture(scope="module")
def runs(digits):
    return [train(data=digits, seed=seed, out=False, **OPTIONS) for seed in range(2)]


@pytest.fixture(scope="module")
def normed(digits):
    return [train(data=digits, seed=seed, norm="batch", out=False, **OPTIONS) for seed in range(2)]


@pytest.mark.parametrize("resolution", [8, 9, 11, 33])
@pytest.mark.parametrize("beyond", [0.0, 0.25, 0.3])
def test_the_ends_have_the_networks_own_numbers(runs, resolution, beyond):
    line = slice_between(*runs, resolution=resolution, beyond=beyond, subset=None)
    for split, each in line.lines.items():
        found = line.barrier(split)
        for run, value in zip(runs, found.ends, strict=True):
            assert value == pytest.approx(run.evaluate(split)["loss"], rel=1e-4)
        t = each.axes[0]
        assert ((t >= -1e-9) & (t <= 1 + 1e-9)).sum() == resolution
    assert line.whole


def test_batch_normalisation_is_interpolated_and_so_the_ends_are_right(normed):
    line = slice_between(*normed, resolution=5, subset=None)
    assert line.lines["test"].statistics == "interpolated"
    ends = line.barrier("test").ends
    assert ends == pytest.approx([run.evaluate("test")["loss"] for run in normed], rel=1e-4)
    frozen = slice_between(*normed, resolution=5, subset=None, statistics="frozen")
    first, last = frozen.barrier("test").ends
    assert first == pytest.approx(ends[0])
    assert last != pytest.approx(ends[1], rel=1e-3)
    assert any("interpolated" in sentence for sentence in slice_words(line))


def test_a_network_to_itself_has_no_line(runs):
    with pytest.raises(ModelError, match="length zero"):
        slice_between(runs[0], runs[0])


def test_what_is_saved_comes_back_and_is_gone_on_with(runs, tmp_path):
    whole = slice_between(*runs, resolution=65, subset=100)
    drawing = draw_slice(*runs, resolution=65, subset=100, out=tmp_path)
    next(drawing)
    drawing.close()
    begun = load_slice(tmp_path)
    assert 0 < begun.done < begun.nodes == whole.nodes
    again = slice_between(*runs, resolution=65, subset=100, out=tmp_path)
    for split, line in load_slice(tmp_path).lines.items():
        assert torch.equal(line.values["loss"], whole.lines[split].values["loss"])
        assert torch.equal(line.values["loss"], again.lines[split].values["loss"])
    with pytest.raises(SpecError, match=r"another shape to go on from.*again=True"):
        slice_between(*runs, out=tmp_path, **QUICK)
    assert slice_between(*runs, out=tmp_path, again=True, **QUICK).nodes == 2 * 13


def test_the_networks_are_as_they_were():
    nets = [nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(2)]
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in nets]
    line = slice_between(*nets, data="circle", **QUICK)
    assert line.names == ("network 0", "network 1")
    for net, state in zip(nets, before, strict=True):
        assert net.training
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def test_it_is_drawn_and_told(runs, tmp_path):
    line = slice_between(*runs, **QUICK)
    assert set(slice_figures(line)) == {"loss", "accuracy"}
    assert slice_sheet(line).rows[0][:2] == ("train", "loss")
    page = slice_page(line, [("Again:", "thalweg slice a b")])
    assert "thalweg slice a b" in page
    line.write_page(tmp_path / "page.html")
    assert "Along the line" in (tmp_path / "page.html").read_text("utf-8")
    assert "Whole: every point was measured." in page
    assert "barrier" in " ".join(slice_words(line))
    convex = slice_between(
        nn.Linear(2, 2), nn.Linear(2, 2), data="circle", splits=["test"], **QUICK
    )
    assert "no barrier" in " ".join(slice_words(convex))


def test_an_unfinished_line_is_drawn_as_far_as_it_is(runs):
    drawing = draw_slice(*runs, resolution=65, subset=100)
    begun = next(drawing)
    assert not begun.whole
    assert "Unfinished" in slice_page(begun)
    assert slice_sheet(begun).rows == ()
    empty = type(begun)(begun.names, {}, 9)
    with pytest.raises(ModelError, match="hardly begun"):
        slice_figures(empty)


def test_what_does_not_fit_says_so(runs, tmp_path):
    with pytest.raises(SpecError, match="resolution=1"):
        slice_between(*runs, resolution=1)
    with pytest.raises(DataError, match="the splits"):
        slice_between(*runs, splits=["nix"])
    with pytest.raises(SpecError, match="the mae on test"):
        slice_between(*runs, **QUICK).barrier("test", "mae")
    with pytest.raises(FileError, match="no such file"):
        load_slice(tmp_path)
    (tmp_path / "slice.json").write_text("{}")
    with pytest.raises(FileError, match="tells of no slice"):
        load_slice(tmp_path)
