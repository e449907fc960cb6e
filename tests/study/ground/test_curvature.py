"""Curvature of runs: what is measured is right, saved, gone on with, drawn and told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from thalweg.errors import FileError, SpecError
from thalweg.landscape import Hessian
from thalweg.store import write_checkpoint
from thalweg.study import draw_curvature, load_curvature, measure_curvature, train
from thalweg.study.ground.curvature_page import (
    curvature_figures,
    curvature_page,
    curvature_sheets,
    curvature_words,
)

OPTIONS = {"model": "mlp", "hidden": (4,), "lr": 0.05, "steps": 12, "batch_size": 60}
QUICK = {"k": 2, "subset": 80, "probes": 2, "lanczos": 10, "products": 12}


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curvature") / "first"
    return train(
        data="digits", subset=240, optimizer="sgd", checkpoint_every="4steps", keep_last=9,
        record_states=6, out=folder, **OPTIONS,
    )  # fmt: skip


def test_it_is_that_of_the_dense_hessian():
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(48, 3, generator=g, dtype=torch.float64), torch.arange(48) % 2
    before = {key: value.clone() for key, value in net.state_dict().items()}
    found = measure_curvature(
        net, data=(x, y), loss=nn.CrossEntropyLoss(), k=3, tolerance=1e-8, subset=None
    )
    (bend,) = found.bends
    values = torch.linalg.eigvalsh(Hessian(net, nn.CrossEntropyLoss(), [(x, y)]).dense())
    assert torch.allclose(bend.eigenvalues, values.flip(0)[:3])
    assert bend.smallest[0] == pytest.approx(values[0].item(), abs=1e-6)
    assert bend.trace[0] == pytest.approx(values.sum().item(), abs=4 * bend.trace[1] + 1e-6)
    assert bend.loss == pytest.approx(nn.functional.cross_entropy(net(x), y).item())
    assert math.isnan(bend.limit)
    assert found.whole
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_along_training_the_limit_is_that_of_each_step(run):
    found = measure_curvature(f"{run.folder}@states", **QUICK | {"probes": 0, "products": 0})
    assert [(bend.name, bend.step) for bend in found.bends] == [
        ("first@0", 0), ("first@6", 6), ("first@12", 12),
    ]  # fmt: skip
    assert math.isnan(found.bends[0].limit)
    assert found.bends[1].limit == 2 / 0.05
    assert all(bend.trace is None and bend.density is None for bend in found.bends)
    assert set(curvature_figures(found)) == {"stability"}
    assert "sharpness by step" in curvature_page(found)


def test_only_what_is_asked_for_is_measured(run, tmp_path):
    found = measure_curvature(run.folder, out=tmp_path, what=["largest"], subset=80, k=1)
    (bend,) = found.bends
    assert found.whole
    assert bend.smallest is bend.trace is bend.density is bend.box is bend.noise is None
    assert bend.sharpness == measure_curvature(run.folder, subset=80, k=1).bends[0].sharpness
    assert load_curvature(tmp_path).options == found.options
    with pytest.raises(SpecError, match=r"what='larges'; .*did you mean largest"):
        measure_curvature(run.folder, what=["larges"])
    with pytest.raises(SpecError, match="nothing to measure"):
        measure_curvature(run.folder, what=["trace"], products=0)


def test_what_is_saved_comes_back_and_is_gone_on_with(run, tmp_path):
    who = [f"{run.folder}@4", run.folder]
    whole = measure_curvature(who, **QUICK)
    drawing = draw_curvature(who, out=tmp_path, **QUICK)
    for _ in range(9):
        next(drawing)
    drawing.close()
    assert load_curvature(tmp_path).parts == (12, 8)
    rest = list(draw_curvature(who, out=tmp_path, **QUICK))
    assert len(rest) == 5  # what was there, and four measurements
    for mine, theirs in zip(whole.bends, load_curvature(tmp_path).bends, strict=True):
        for key, value in vars(mine).items():
            other = getattr(theirs, key)
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other)
            elif key == "density":
                assert torch.equal(value.nodes, other.nodes)
                assert (value.size, value.products) == (other.size, other.products)
            else:
                assert value == other
    with pytest.raises(SpecError, match="of other networks or options"):
        measure_curvature(run, out=tmp_path, **QUICK)
    assert measure_curvature(run, out=tmp_path, again=True, **QUICK).whole


def test_it_is_drawn_and_told(run, tmp_path):
    found = measure_curvature([f"{run.folder}@4", run.folder], **QUICK)
    assert set(curvature_figures(found)) == {"spectrum-0", "spectrum-1", "stability"}
    largest, sums = curvature_sheets(found)
    assert [row[:2] for row in largest.rows] == [
        ("first@4", "1"), ("first@4", "2"), ("first", "1"), ("first", "2"),
    ]  # fmt: skip
    assert [row[0] for row in sums.rows] == ["first@4", "first"]
    told = " ".join(curvature_words(found))
    assert "2 / lr is 40" in told
    assert "gradient noise scale" in told
    page = curvature_page(found, [("Again:", "thalweg curvature first")])
    assert "Curvature of first@4 and first" in page
    assert "thalweg curvature first" in page
    found.write_page(tmp_path / "page.html")
    assert "The spectrum" in (tmp_path / "page.html").read_text("utf-8")


def test_what_was_not_measured_yet_is_left_out(run):
    first, *_, last = draw_curvature(run, **QUICK)
    assert curvature_figures(first) == {}
    assert math.isnan(first.bends[0].sharpness)
    assert "Unfinished: 0 of 6 measurements." in curvature_page(first)
    assert set(curvature_figures(last)) == {"spectrum"}


@pytest.mark.no_cover
def test_a_search_that_gave_up_says_so(run):
    options = {"tolerance": 1e-30, "k": 1, "subset": 20, "what": ["largest"]}
    found = measure_curvature(run, **options)
    assert "gave up" in " ".join(curvature_words(found))


def test_few_samples_have_no_noise_and_a_flat_loss_no_spectrum(run):
    assert measure_curvature(run, **QUICK | {"subset": 10}).bends[0].noise is None
    x = torch.ones(40, 2)
    flat = measure_curvature(
        nn.Linear(2, 1), data=(x, x[:, :1]), loss=lambda o, y: o.mean(), **QUICK
    )
    assert curvature_figures(flat) == {}


def test_what_does_not_fit_says_so(run, tmp_path):
    with pytest.raises(SpecError, match="kk=…"):
        measure_curvature(run, kk=3)
    with pytest.raises(SpecError, match="k=0"):
        measure_curvature(run, k=0)
    with pytest.raises(FileError, match="no such file"):
        load_curvature(tmp_path)
    write_checkpoint(tmp_path / "curvature.safetensors", {"a": torch.ones(1)}, {})
    with pytest.raises(FileError, match="holds no curvature"):
        load_curvature(tmp_path)
