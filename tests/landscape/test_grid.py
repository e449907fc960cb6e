"""Grids: each node has the number that it would have alone, in its place, however it came there."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.data import Split
from thalweg.errors import FileError, ModelError, SpecError
from thalweg.landscape import sheet as sheets
from thalweg.landscape.directions import Directions, own
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.keeping import load_surface, save_surface
from thalweg.landscape.random import random_directions
from thalweg.landscape.sheet import Sheet, split_first
from thalweg.store import write_checkpoint

from .nets import NETS, draw, samples

UNEVEN = [(-1.0, 1.0), (-0.5, 2.0)]


def last(ground: Ground, directions: Directions, *options, **more) -> Surface:
    *_, surface = survey(ground, directions, *options, **more)
    return surface


def network_at(net: nn.Module, theta: dict[str, Tensor]) -> nn.Module:
    """Return a copy with these parameters, as a plain loop would make it."""
    twin = copy.deepcopy(net).eval()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name in theta:
                parameter.copy_(theta[name])
    return twin


def point_by_point(ground: Ground, net: nn.Module, surface: Surface, split: Split):
    """Return losses and accuracies as a plain loop finds them."""
    x, y = split.x.double(), split.y
    losses, rights = torch.empty(surface.shape).double(), torch.empty(surface.shape).double()
    one, two = surface.directions.vectors
    for i, a in enumerate(surface.axes[0].tolist()):
        for j, b in enumerate(surface.axes[1].tolist()):
            twin = network_at(net, ground.named(surface.directions.origin + a * one + b * two))
            with torch.no_grad():
                outputs = twin(x)
            losses[i, j] = F.cross_entropy(outputs, y)
            rights[i, j] = (outputs.argmax(1) == y).double().mean()
    return losses, rights


# ── each node's number ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NETS)
def test_a_grid_that_is_not_square_equals_a_loop_over_its_points(name):
    net, split = draw(name), samples()
    ground = Ground(net, split, tile=3, chunk=20)
    surface = last(ground, random_directions(ground), (5, 8), UNEVEN)
    losses, rights = point_by_point(ground, net, surface, split)
    assert surface.shape == (5, 8)
    assert surface.whole
    assert torch.allclose(surface.values["loss"], losses, rtol=0, atol=1e-10)
    assert torch.allclose(surface.values["accuracy"], rights, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETS)
def test_the_node_at_the_reference_has_its_loss_to_the_bit(name, dtype):
    net, split = draw(name, dtype), samples()
    ground = Ground(net, split, tile=4)
    surface = last(ground, random_directions(ground), (4, 3))
    at = tuple(int(axis.abs().argmin()) for axis in surface.axes)
    assert [axis[i].item() for axis, i in zip(surface.axes, at, strict=True)] == [0, 0]
    direct = ground.evaluate(ground.theta.unsqueeze(0))
    assert surface.values["loss"][at] == direct["loss"][0] == surface.reference["loss"]
    assert surface.errors["loss"][at] == 0
    with torch.no_grad():
        outputs = copy.deepcopy(net).eval()(split.x.to(dtype))
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    assert abs(direct["loss"][0] - F.cross_entropy(outputs, split.y)) < tolerance


def test_a_quadratic_model_is_the_exact_paraboloid():
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(40, n, generator=generator).double() for n in (6, 2))
    ground = Ground(nn.Linear(6, 2).double(), Split(x, y, y))
    plane = random_directions(ground, normalise="none")
    surface = last(ground, plane, (7, 4), [(-3, 2), (-1, 5)])

    def outputs(flat: Tensor) -> Tensor:
        parts = ground.named(flat)
        return x @ parts["weight"].T + parts["bias"]

    r, u, v = outputs(ground.theta) - y, *(outputs(vector) for vector in plane.vectors)
    a, b = torch.meshgrid(*surface.axes, indexing="ij")

    def mean(p: Tensor, q: Tensor) -> Tensor:
        return (p * q).mean()

    exact = mean(r, r) + 2 * a * mean(r, u) + 2 * b * mean(r, v)
    exact = exact + a * a * mean(u, u) + b * b * mean(v, v) + 2 * a * b * mean(u, v)
    assert torch.allclose(surface.values["loss"], exact, rtol=1e-12, atol=1e-12)


def test_a_first_layer_that_moves_alone_before_a_linear_one_gives_a_parabola():
    x, y = samples(30).x.flatten(1).double(), torch.zeros(30, 1).double()
    net = nn.Sequential(nn.Linear(36, 4), nn.Linear(4, 1)).double()
    ground = Ground(net, Split(x, y, y))
    vector = torch.zeros_like(ground.theta)
    ground.named(vector)["0.weight"].copy_(torch.linspace(-1, 1, 144).view(4, 36))
    line = last(ground, own(ground.theta, [vector]), 9, (-2, 2))
    third = line.values["loss"].diff(n=3)
    assert split_first(net) is not None
    assert third.abs().max() < 1e-12 * line.values["loss"].max()


def test_a_volume_has_each_node_in_its_place():
    ground = Ground(draw("mlp"), samples(20), tile=7)
    volume = random_directions(ground, 3)
    surface = last(ground, volume, (3, 4, 5), [(-1, 1), (-1, 2), (-3, 1)])
    nodes = torch.cartesian_prod(*surface.axes)
    direct = ground.evaluate(volume.at(nodes))["loss"].view(3, 4, 5)
    assert torch.allclose(surface.values["loss"], direct, rtol=0, atol=1e-12)


class Root(nn.Module):
    """A network that has no value where its parameter is negative, and a pole at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w.sqrt() / self.w


def test_what_is_not_finite_stays_as_it_came():
    x = torch.ones(2, 1)
    ground = Ground(Root(), Split(x, x, x), tile=2)
    line = own(0 * ground.theta, [torch.eye(len(ground.theta))[0]])
    surface = last(ground, line, 7, (-3, 3))
    w, loss = surface.axes[0], surface.values["loss"]
    assert loss[w <= 0].isnan().all()
    assert torch.allclose(loss[w > 0], (1 / w[w > 0].sqrt() - 1) ** 2, atol=1e-6)
    assert surface.done.all()


def test_numbers_too_large_for_their_type_are_infinite_and_leave_their_neighbours_alone():
    ground = Ground(draw("mlp", torch.float32), samples(20), tile=4)
    plane = random_directions(ground)
    far = last(ground, plane, (3, 3), (-1e30, 1e30))
    alone = ground.evaluate(plane.at(torch.tensor([[0.0, 0.0]])))
    assert far.values["loss"][1, 1] == alone["loss"][0]
    assert not far.values["loss"][0, 0].isfinite()


# ── the order of the work ────────────────────────────────────────────────────────────────────────


def surfaces(ground: Ground, **options) -> list[Surface]:
    return list(survey(ground, random_directions(ground), (9, 6), UNEVEN, **options))


@pytest.mark.parametrize("name", ["mlp", "convolutions", "owned"])
def test_interrupted_equals_uninterrupted_whatever_the_tiles(name, tmp_path):
    net, split = draw(name, torch.float32), samples()
    whole = surfaces(Ground(net, split, tile=8))[-1]
    some = surfaces(Ground(net, split, tile=5))[3]
    assert 0 < some.done.sum() < 54
    save_surface(some, tmp_path / "some.safetensors")
    start = load_surface(tmp_path / "some.safetensors")
    ground = Ground(net, split, tile=3)
    rest = surfaces(ground, start=start)
    assert len(rest) == -(-(54 - int(some.done.sum())) // 3)
    for what, grid in whole.values.items():
        assert torch.equal(rest[-1].values[what], grid)
        assert torch.equal(rest[-1].errors[what], whole.errors[what])
    assert len(surfaces(ground, start=rest[-1])) == 1


def test_a_survey_about_a_reference_that_has_no_loss_can_be_gone_on_with(tmp_path):
    x = torch.full((2, 1), torch.nan)
    ground = Ground(nn.Linear(1, 1), Split(x, x, x), tile=2)
    plane = random_directions(ground, 1)
    save_surface(next(survey(ground, plane, 5)), tmp_path / "some.safetensors")
    rest = last(ground, plane, 5, start=load_surface(tmp_path / "some.safetensors"))
    assert rest.whole
    assert rest.values["loss"].isnan().all()


def test_a_picture_appears_at_once_and_sharpens():
    ground = Ground(draw("mlp"), samples(20), tile=30)
    seen = list(survey(ground, random_directions(ground), 17))
    finest = seen[-1]
    sides = [each.lattice().shape[0] for each in seen]
    assert sides[0] == 5
    assert sides == sorted(sides)
    assert sides[-1] == 17
    for each in seen:
        picture = each.lattice()
        assert picture.whole
        assert 0 in picture.axes[0]
        i, j = (torch.searchsorted(finest.axes[d], picture.axes[d]) for d in (0, 1))
        assert torch.equal(picture.values["loss"], finest.values["loss"][i][:, j])
        assert torch.equal(each.values["loss"].isnan(), ~each.done)


def test_there_is_no_picture_before_the_coarsest_nodes():
    first = next(survey(Ground(draw("mlp"), samples(20), tile=2), _plane(), 9))
    with pytest.raises(ModelError, match="hardly begun"):
        first.lattice()


def _plane() -> Directions:
    return random_directions(Ground(draw("mlp"), samples(20)))


@pytest.mark.parametrize("name", ["mlp", "deep-bn", "convolutions", "residual"])
@pytest.mark.parametrize("statistics", ["frozen", "estimated"])
def test_the_first_layer_may_be_computed_once_for_all(name, statistics, monkeypatch):
    ground = Ground(draw(name), samples(), tile=6)
    plane = random_directions(ground)
    nodes = torch.tensor([[0.0, 0.0], [0.5, -1.0], [2.0, 0.25]]).double()
    once, each = (Sheet(ground, plane, statistics, linear=way) for way in (True, False))
    assert split_first(ground.network) is not None
    fast, plain = once.means(nodes).by_name["loss"], each.means(nodes).by_name["loss"]
    assert torch.allclose(fast, plain, rtol=0, atol=1e-12)
    assert torch.equal(fast, once.means(nodes).by_name["loss"])  # now from what it remembers
    monkeypatch.setattr(sheets, "REMEMBERED", 0)
    forgetful = Sheet(ground, plane, statistics, linear=True)
    for _ in range(2):
        assert torch.equal(fast, forgetful.means(nodes).by_name["loss"])


def test_what_is_no_chain_with_a_linear_layer_first_is_not_split():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    frozen = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    frozen[0].weight.requires_grad_(False)
    hooked = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    hooked[0].register_forward_hook(lambda module, inputs, output: output.square())
    others = [nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3)), nn.Linear(3, 3)]
    others += [nn.Sequential(nn.Flatten()), nn.Sequential(nn.Linear(3, 3), nn.Tanh())]
    assert [split_first(net) for net in [tied, frozen, hooked, *others]] == [None] * 7


@pytest.mark.parametrize("what", ["tied", "frozen", "hooked"])
def test_such_networks_are_measured_all_the_same(what):
    net = draw("mlp")
    if what == "tied":
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 36), nn.Tanh(), nn.Linear(36, 36)).double()
        net[3].weight = net[1].weight
    elif what == "frozen":
        net[1].weight.requires_grad_(False)
    else:
        net[1].register_forward_hook(lambda module, inputs, output: output.square())
    ground = Ground(net, samples(), tile=4)
    surface = last(ground, random_directions(ground), (3, 4))
    losses, _ = point_by_point(ground, net, surface, samples())
    assert torch.allclose(surface.values["loss"], losses, rtol=0, atol=1e-10)


# ── statistics ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["deep-bn", "convolutions"])
def test_estimated_statistics_are_averages_over_batches_at_each_point(name):
    net, split = draw(name), samples(60)
    ground = Ground(net, split, tile=3, chunk=20)
    surface = last(ground, random_directions(ground), (2, 3), (0, 1), statistics="estimated")
    for i, j in [(0, 0), (1, 2)]:
        at = surface.axes[0][i], surface.axes[1][j]
        theta = surface.directions.at(torch.stack(at).unsqueeze(0))[0]
        twin = network_at(net, ground.named(theta))
        for layer in twin.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None
                layer.train()
        with torch.no_grad():
            for part in split.x.double().split(20):
                twin(part)
            loss = F.cross_entropy(twin.eval()(split.x.double()), split.y)
        assert abs(surface.values["loss"][i, j] - loss) < 1e-10
    assert surface.statistics == "estimated"


def test_estimated_statistics_make_the_scale_before_a_normalisation_meaningless():
    net = draw("deep-bn")
    ground = Ground(net, samples(60))
    vector = torch.zeros_like(ground.theta)
    ground.named(vector)["1.weight"].copy_(net[1].weight)
    ground.named(vector)["1.bias"].copy_(net[1].bias)
    line = own(ground.theta, [vector])
    estimated = last(ground, line, 5, (0, 3), statistics="estimated").values["loss"]
    frozen = last(ground, line, 5, (0, 3)).values["loss"]
    assert estimated.max() - estimated.min() < 1e-3
    assert frozen.max() - frozen.min() > 1e-2


# ── what the samples leave unknown ───────────────────────────────────────────────────────────────


def test_standard_errors_are_those_of_the_paired_differences():
    net, split = draw("mlp"), samples(40)
    ground = Ground(net, split, chunk=1)
    plane = random_directions(ground)
    surface = last(ground, plane, (3, 3))
    x = split.x.double()
    with torch.no_grad():
        each = [
            F.cross_entropy(network_at(net, ground.named(theta))(x), split.y, reduction="none")
            for theta in (ground.theta, plane.at(torch.tensor([[1.0, -1.0]]).double())[0])
        ]
    d = each[1] - each[0]
    assert abs(surface.errors["loss"][2, 0] - d.std() / 40**0.5) < 1e-12


def test_one_chunk_tells_no_spread():
    ground = Ground(draw("mlp"), samples(10), chunk=10)
    assert last(ground, random_directions(ground), (2, 2), (0, 1)).errors["loss"].isnan().all()


# ── what peers get wrong ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("statistics", ["frozen", "estimated"])
@pytest.mark.parametrize("name", NETS)
def test_the_users_network_and_generators_are_left_alone(name, statistics):
    net = draw(name)
    next(net.children()).train(False)
    before = copy.deepcopy(net)
    modes = [module.training for module in net.modules()]
    state = torch.get_rng_state()
    ground = Ground(net, samples())
    last(ground, random_directions(ground), (3, 4), statistics=statistics)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    for (key, kept), found in zip(
        before.state_dict().items(), net.state_dict().values(), strict=True
    ):
        assert torch.equal(kept, found), key


def test_two_networks_that_compute_the_same_have_the_same_surface():
    net = draw("mlp")
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin[1].weight.mul_(8)
        twin[1].bias.mul_(8)
        twin[3].weight.div_(8)
    for normalise in ("filter", "layer"):
        one, other = (Ground(each, samples()) for each in (net, twin))
        found = [
            last(ground, random_directions(ground, normalise=normalise, seed=3), (5, 4))
            for ground in (one, other)
        ]
        losses = [surface.values["loss"] for surface in found]
        assert torch.allclose(*losses, rtol=0, atol=1e-12)
    raw = [
        last(ground, random_directions(ground, normalise="none", seed=3), (5, 4)).values["loss"]
        for ground in (one, other)
    ]
    assert not torch.allclose(*raw, atol=1e-2)


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (3, 3, 3)}, "for 2 directions"),
        ({"shape": 1}, "two or more"),
        ({"shape": 2}, "one of them at 0"),
        ({"extent": [(-1, 1)]}, "2 times two"),
        ({"extent": (1, -1)}, "numbers that rise"),
        ({"extent": (-1, float("inf"))}, "numbers that rise"),
        ({"statistics": "interpolated"}, "between checkpoints"),
    ],
)
def test_a_survey_that_cannot_be_says_why(options, words):
    ground = Ground(draw("mlp"), samples(20))
    with pytest.raises(SpecError, match=words):
        next(survey(ground, _plane(), **options))


def test_directions_and_surfaces_of_something_else_are_refused(tmp_path):
    ground, other = Ground(draw("mlp"), samples(20)), Ground(draw("residual"), samples(20))
    with pytest.raises(ModelError, match="directions of"):
        next(survey(ground, random_directions(other)))
    plane = random_directions(ground)
    start = last(ground, plane, (3, 3))
    others = [
        (ground, plane, {"shape": (3, 4)}, "shape"),
        (ground, plane, {"shape": (3, 3), "extent": (-2, 2)}, "axes"),
        (ground, plane, {"shape": (3, 3), "statistics": "estimated"}, "statistics"),
        (ground, random_directions(ground, seed=1), {"shape": (3, 3)}, "directions"),
        (Ground(draw("mlp"), samples(21)), plane, {"shape": (3, 3)}, "number of samples"),
        (Ground(draw("mlp"), samples(20, seed=1)), plane, {"shape": (3, 3)}, "reference"),
        (Ground(draw("mlp"), samples(20), metrics=[]), plane, {"shape": (3, 3)}, "metrics"),
    ]
    for there, along, options, what in others:
        with pytest.raises(ModelError, match=f"another {what}"):
            next(survey(there, along, start=start, **options))
    write_checkpoint(Path(tmp_path, "a.safetensors"), {"w": torch.ones(1)}, {})
    with pytest.raises(FileError, match="holds no surface"):
        load_surface(tmp_path / "a.safetensors")
