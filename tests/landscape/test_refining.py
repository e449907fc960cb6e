"""Pictures that cost less: what is measured, what is interpolated, and how good that is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from thalweg.cluster import Processes
from thalweg.data import Split
from thalweg.errors import ModelError, SpecError
from thalweg.landscape.directions import Directions, own
from thalweg.landscape.filling import fill, known
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.keeping import load_surface, save_surface
from thalweg.landscape.lattice import axis, levels
from thalweg.landscape.random import random_directions
from thalweg.landscape.refining import refine, spread
from thalweg.plots.levels import levels_of

from .nets import draw, samples

few = settings(deadline=None, max_examples=15)
UNEVEN = [(-1.0, 1.0), (-0.5, 2.0)]


def last(ground: Ground, directions: Directions, *options, **more) -> Surface:
    *_, surface = survey(ground, directions, *options, **more)
    return surface


def measured(far: Tensor, axes: list[Tensor], tolerance: float) -> Tensor:
    """Return what is measured of a loss that is known everywhere."""
    done = torch.zeros(far.shape, dtype=torch.bool)
    while len(missing := refine(axes, {"loss": far}, done, tolerance).missing):
        assert not done.flatten()[missing].any()
        done.view(-1)[missing] = True
    return done


def away(picture: Tensor, far: Tensor) -> np.ndarray:
    """Return how far a picture is from what it should be, in steps between contours."""
    seen = levels_of(far.numpy(), "loss")
    return np.abs(seen.drawn(picture.numpy()) - seen.drawn(far.numpy())) / seen.step


def same(one: Surface, other: Surface) -> None:
    """Check that two surfaces have the same bits, of values and of what was measured."""
    assert torch.equal(one.done, other.done)
    for a, b in [(one.values, other.values), (one.errors, other.errors)]:
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name].nan_to_num(7), b[name].nan_to_num(7)) for name in a)


# ── what is between nodes ────────────────────────────────────────────────────────────────────────


@few
@given(shape=st.lists(st.integers(2, 40), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_lattices_are_nested_from_end_to_end_and_keep_what_was_known(shape, seed):
    axes = [axis(-1.0, 2.0, max(3, n)) for n in shape]
    found = levels(axes)
    everything = [torch.arange(len(each)) for each in axes]
    assert all(torch.equal(a, b) for a, b in zip(found[-1], everything, strict=True))
    for coarse, fine in itertools.pairwise(found):
        for along, a, b in zip(axes, coarse, fine, strict=True):
            assert {0, len(along) - 1, int(along.abs().argmin())} <= set(a.tolist())
            assert set(a.tolist()) <= set(b.tolist())
        before, after = ([x[i] for x, i in zip(axes, each, strict=True)] for each in (coarse, fine))
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn([len(each) for each in before], generator=generator).double()
        there = [torch.searchsorted(b, a) for a, b in zip(coarse, fine, strict=True)]
        assert torch.equal(
            fill(values, before, after)[torch.meshgrid(*there, indexing="ij")], values
        )


def test_products_of_cubics_are_interpolated_exactly_even_at_uneven_ends():
    x, y = axis(-1.0, 2.0, 13), axis(-2.0, 0.5, 10)
    coarse = [x[[0, 2, 4, 6, 8, 10, 12]], y[[0, 1, 3, 5, 7, 9]]]

    def far(a: Tensor, b: Tensor) -> Tensor:
        return (a**3 - a)[:, None] * (2 * b**3 + b**2 - 1)

    assert torch.allclose(fill(far(*coarse), coarse, [x, y]), far(x, y), rtol=0, atol=1e-12)


def test_what_is_not_finite_stays_among_its_neighbours():
    x = torch.arange(17, dtype=torch.float64)
    values = x[::2].clone()
    values[5] = torch.nan
    found = fill(values, [x[::2].contiguous()], [x])
    assert found.isnan().nonzero().flatten().tolist() == [9, 10, 11]
    assert torch.allclose(found[~found.isnan()], x[~found.isnan()])
    values[4:6] = torch.inf
    assert known(values, [x[::2]], [x]).logical_not().nonzero().flatten().tolist() == [8, 9, 10]


def test_a_neighbourhood_does_not_go_round_the_ends():
    nodes = torch.zeros(5, 2, dtype=torch.bool)
    nodes[4, 0] = True
    assert spread(nodes, 2).nonzero().tolist() == [[i, j] for i in (2, 3, 4) for j in (0, 1)]


# ── which nodes are measured ─────────────────────────────────────────────────────────────────────


def test_a_parabola_is_measured_at_a_few_nodes_and_drawn_whole():
    x, y = axis(-1.0, 2.0, 65), axis(-2.0, 2.0, 40)
    far = 1 + x[:, None] ** 2 + 3 * y**2 + x[:, None] * y
    done = measured(far, [x, y], 0.1)
    assert 0.02 < done.double().mean() < 0.15
    found = refine([x, y], {"loss": far}, done, 0.1)
    assert torch.allclose(found.values["loss"], far)


def test_a_ravine_is_measured_along_its_floor():
    x = axis(-1.0, 1.0, 65)
    far = 0.01 + (x[:, None] - x).abs() + 0.1 * (x[:, None] + x) ** 2
    done = measured(far, [x, x], 0.1)
    near = (x[:, None] - x).abs() < 0.02
    assert done[near].double().mean() > 0.9
    assert done[~near].double().mean() < 0.5
    found = refine([x, x], {"loss": far}, done, 0.1)
    assert away(found.values["loss"], far).max() < 0.2


def test_a_spike_is_seen_from_its_foot():
    x = axis(-1.0, 1.0, 129)
    bowl = 1 + x[:, None] ** 2 + x**2
    far = bowl + 50 * torch.exp(-((x[:, None] - 0.3) ** 2 + (x - 0.3) ** 2) / 0.008)
    done = measured(far, [x, x], 0.1)
    assert done.double().mean() < 0.4
    found = refine([x, x], {"loss": far}, done, 0.1).values["loss"]
    assert away(found, far).max() < 0.5


def test_a_region_without_a_loss_is_not_measured_but_at_its_edge():
    x = axis(-1.0, 1.0, 65)
    far = torch.where(x[:, None] + 0.3 * x > 0.4, torch.inf, 1 + x[:, None] ** 2 + x**2)
    far[:20, :20] = torch.nan
    done = measured(far, [x, x], 0.1)
    assert done.double().mean() < 0.4
    found = refine([x, x], {"loss": far}, done, 0.1).values["loss"]
    assert torch.equal(found.isfinite(), far.isfinite())
    assert away(found, far)[far.isfinite()].max() < 0.1


@pytest.mark.parametrize("value", [0.0, 3.0, torch.nan, torch.inf])
def test_a_plain_is_measured_at_few_nodes(value):
    x = axis(-1.0, 1.0, 65)
    far = torch.full((65, 65), value, dtype=torch.float64)
    done = measured(far, [x, x], 0.1)
    assert done.double().mean() < 0.1
    found = refine([x, x], {"loss": far}, done, 0.1).values["loss"]
    assert torch.equal(found.isnan(), far.isnan())
    assert torch.equal(found.nan_to_num(7), far.nan_to_num(7))


def test_nothing_interpolated_is_beyond_what_was_measured():
    x = axis(-1.0, 1.0, 41)
    far, right = 1 + x.square(), (x > 0.01).double()
    done = measured(far, [x], 0.5)
    found = refine([x], {"loss": far, "accuracy": right}, done, 0.5)
    assert not done.all()
    assert found.values["accuracy"].min() == 0
    assert found.values["accuracy"].max() == 1
    assert found.off("accuracy").isfinite().all()
    assert len(found.off("nix")) == 0


@few
@given(
    shape=st.lists(st.integers(3, 30), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    tolerance=st.floats(0.02, 1.0),
)
def test_of_a_quadratic_the_picture_is_as_good_as_its_checks_say(shape, seed, tolerance):
    generator = torch.Generator().manual_seed(seed)
    axes = [axis(-1.0, 2.0, n) for n in shape]
    nodes = torch.cartesian_prod(*axes).view(-1, len(shape))
    root = torch.randn(len(shape), len(shape), generator=generator).double()
    far = 0.1 + (nodes @ root + 0.2).square().sum(1).view(shape)
    done = measured(far, axes, tolerance)
    assert done[tuple(int(each.abs().argmin()) for each in axes)]
    found = refine(axes, {"loss": far}, done, tolerance)
    error = away(found.values["loss"], far).max()
    assert error <= max(found.off("loss").tolist(), default=0) + tolerance
    assert error < 1e-5 or len(found.off("loss"))
    assert done.flatten()[far.argmin()]


# ── surveys ──────────────────────────────────────────────────────────────────────────────────────


@few
@given(seed=st.integers(0, 10**6), shape=st.tuples(st.integers(3, 12), st.integers(3, 12)))
def test_no_tolerance_is_the_whole_grid(seed, shape):
    ground = Ground(draw("mlp", torch.float32, seed), samples(20), tile=7)
    plane = random_directions(ground, seed=seed)
    whole = last(ground, plane, shape, UNEVEN)
    none = last(ground, plane, shape, UNEVEN, tolerance=0.0)
    same(whole, none)
    assert none.picture().whole
    some = last(ground, plane, shape, UNEVEN, tolerance=1e-12)
    same(whole, last(ground, plane, shape, UNEVEN, start=some))


@pytest.mark.parametrize("name", ["mlp", "convolutions", "deep-bn"])
def test_a_network_has_the_same_picture_for_a_part_of_the_nodes(name):
    ground = Ground(draw(name), samples(40), tile=16)
    plane = random_directions(ground)
    whole = last(ground, plane, (33, 25), UNEVEN)
    some = last(ground, plane, (33, 25), UNEVEN, tolerance=0.1)
    assert some.complete
    assert not some.whole
    assert some.done.double().mean() < 0.7
    for what, values in whole.values.items():
        assert torch.equal(some.values[what][some.done], values[some.done])
        assert some.values[what][~some.done].isnan().all()
    picture = some.picture()
    assert picture.shape == (33, 25)
    error = away(picture.values["loss"], whole.values["loss"])
    assert error[some.done.numpy()].max() == 0
    assert np.median(error) < 0.05
    assert np.median(error[~some.done.numpy()]) < 3 * some.off().median().item() + 0.01
    assert error.max() < 3 * max(0.1, some.off().max().item())
    assert picture.errors["loss"].min() >= 0


@few
@given(
    shape=st.lists(st.integers(3, 24), min_size=1, max_size=2),
    tiles=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cut=st.integers(0, 20),
    tolerance=st.sampled_from([0.02, 0.1, 0.5]),
)
def test_interrupted_equals_uninterrupted(shape, tiles, cut, tolerance):
    one, other = (Ground(draw("mlp", torch.float32), samples(20), tile=n) for n in tiles)
    plane = random_directions(one, len(shape))
    found = list(survey(one, plane, shape, (-1, 2), tolerance=tolerance))
    start = found[min(cut, len(found) - 1)]
    same(last(other, plane, shape, (-1, 2), tolerance=tolerance, start=start), found[-1])
    assert [each.complete for each in found] == [False] * (len(found) - 1) + [True]


def test_a_tolerance_is_kept_and_may_be_lowered(tmp_path):
    ground = Ground(draw("mlp", torch.float32), samples(20), tile=16)
    plane = random_directions(ground)
    coarse = last(ground, plane, 33, tolerance=1.0)
    save_surface(coarse, tmp_path / "some.safetensors")
    start = load_surface(tmp_path / "some.safetensors")
    assert start.tolerance == 1.0
    assert start.complete
    fine, alone = (last(ground, plane, 33, tolerance=0.05, start=each) for each in (start, None))
    assert (alone.done <= fine.done).all()
    assert torch.equal(fine.values["loss"][alone.done], alone.values["loss"][alone.done])
    assert last(ground, plane, 33, start=fine).whole


def test_processes_find_the_same_bits():
    ground = Ground(draw("mlp", torch.float32), samples(20), tile=8)
    plane = random_directions(ground)
    with Processes(2, threads=1) as executor:
        one = last(ground, plane, 21, tolerance=0.1, executor=executor)
    same(one, last(ground, plane, 21, tolerance=0.1))


def test_a_picture_appears_at_once_and_sharpens():
    ground = Ground(draw("mlp"), samples(20), tile=16)
    seen = list(survey(ground, random_directions(ground), 33, tolerance=0.1))
    with pytest.raises(ModelError, match="hardly begun"):
        seen[0].picture()
    shapes = [each.picture().shape[0] for each in seen[4:]]
    assert shapes == sorted(shapes)
    assert shapes[-1] == 33
    assert len(set(shapes)) > 2
    for each in seen[4:]:
        picture = each.picture()
        i, j = (torch.searchsorted(each.axes[d], picture.axes[d]) for d in (0, 1))
        done = picture.done
        assert torch.equal(each.values["loss"][i][:, j][done], picture.values["loss"][done])
        assert picture.values["loss"].isfinite().all()
        anew = replace(each)
        assert torch.equal(anew.missing, each.missing)
        assert torch.equal(anew.picture().values["loss"], picture.values["loss"])


def test_a_volume_is_refined():
    x, y = torch.randn(40, 3).double(), torch.zeros(40, 2).double()
    ground = Ground(nn.Linear(3, 2).double(), Split(x, y, y), tile=64)
    volume = random_directions(ground, 3, normalise="none")
    whole = last(ground, volume, (17, 9, 12))
    some = last(ground, volume, (17, 9, 12), tolerance=0.1)
    assert some.done.double().mean() < 0.6
    assert torch.allclose(some.picture().values["loss"], whole.values["loss"])


class Root(nn.Module):
    """A network that has no value where its parameter is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w.sqrt()


def test_what_is_not_finite_is_blank():
    x = torch.ones(2, 1)
    ground = Ground(Root(), Split(x, x, x), tile=2)
    line = own(0 * ground.theta, [torch.eye(len(ground.theta))[0]])
    whole = last(ground, line, 65, (-3, 3))
    some = last(ground, line, 65, (-3, 3), tolerance=0.1)
    assert some.done.sum() < 50
    seen = some.picture().values["loss"]
    assert torch.equal(seen.isnan(), whole.values["loss"].isnan())


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf])
def test_a_tolerance_that_is_none_says_so(tolerance):
    ground = Ground(draw("mlp"), samples(20))
    with pytest.raises(SpecError, match="a share of a step"):
        next(survey(ground, random_directions(ground), 5, tolerance=tolerance))
