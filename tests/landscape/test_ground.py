"""The ground: points in and out, and the heights that direct evaluation finds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.data import Split, load_data
from thalweg.engine import Run, accuracy, short_keys
from thalweg.errors import DataError, ModelError, SpecError
from thalweg.landscape.ground import Ground
from thalweg.landscape.sizes import sizes
from thalweg.spec import Spec

from .nets import NETS, draw, samples

SETTINGS = {
    "data": "digits", "hidden": (8,), "norm": "batch", "dropout": 0.2, "steps": 12,
    "batch_size": 60, "record_states": 3, "lr": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Run:
    made = Run(Spec().override(SETTINGS, short_keys()), data=load_data("digits", subset=240))
    for _ in made.events():
        pass
    return made


def test_the_ground_under_a_run_is_the_loss_that_it_evaluates(run):
    for split in ("train", "test"):
        ground = Ground.of(run, split, subset=None)
        found = ground.evaluate(ground.theta.unsqueeze(0))
        for name, value in run.evaluate(split).items():
            assert abs(found[name][0] - value) < 1e-6
    assert torch.equal(ground.theta, ground.vector(run.states.theta[-1]))


def test_recorded_states_are_points(run):
    ground = Ground.of(run, subset=100)
    assert run.states.steps == [0, 3, 6, 9, 12]
    points = torch.stack([ground.vector(theta) for theta in run.states.theta])
    for theta, loss in zip(points, ground.evaluate(points)["loss"], strict=True):
        twin = ground.network_at(theta)
        with torch.no_grad():
            outputs = twin(ground.samples.x)
        assert abs(nn.functional.cross_entropy(outputs, ground.samples.y) - loss) < 1e-6
        assert torch.equal(ground.vector(twin), theta)


def test_a_subset_is_a_seeds_and_in_random_order(run):
    x = [Ground.of(run, subset=50, seed=seed).samples.x for seed in (1, 1, 2)]
    assert torch.equal(x[0], x[1])
    assert not torch.equal(x[0], x[2])
    assert len(Ground.of(run, subset=10_000).samples) == 240
    with pytest.raises(DataError, match="one that there is"):
        Ground.of(run, "tset")
    with pytest.raises(SpecError, match="at least one sample"):
        Ground.of(run, subset=0)


@pytest.mark.parametrize("name", NETS)
def test_states_go_in_and_come_out(name):
    net = draw(name)
    ground = Ground(net, samples())
    assert torch.equal(ground.vector(net), ground.theta)
    assert torch.equal(ground.vector(net.state_dict()), ground.theta)
    twin = ground.network_at(ground.vector(draw(name, seed=1)))
    others = draw(name, seed=1)
    for key, parameter in others.named_parameters():
        assert torch.equal(twin.get_parameter(key), parameter)
    for key, buffer in net.named_buffers():
        assert torch.equal(twin.get_buffer(key), buffer)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_point_has_its_bits_whoever_is_beside_it(name, dtype):
    ground = Ground(draw(name, dtype), samples(), tile=4)
    generator = torch.Generator().manual_seed(0)
    thetas = ground.theta + 0.1 * torch.randn(7, len(ground.theta), generator=generator)
    thetas = thetas.to(dtype)
    together = ground.evaluate(thetas)
    for k, theta in enumerate(thetas):
        alone = Ground(draw(name, dtype), samples(), tile=1).evaluate(theta.unsqueeze(0))
        assert together["loss"][k] == alone["loss"][0]
        assert together["accuracy"][k] == alone["accuracy"][0]


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_is_that_of_finite_differences(name):
    ground = Ground(draw(name), samples(), chunk=20)
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(len(ground.theta), generator=generator).double()
    loss, g = ground.gradient(ground.theta)
    ends = ground.evaluate(torch.stack([ground.theta + 1e-6 * v, ground.theta - 1e-6 * v]))["loss"]
    slope = sum((ground.named(g)[key] * ground.named(v)[key]).sum() for key in ground.places)
    assert abs(loss - ground.reference().values()["loss"][0]) < 1e-12
    assert abs((ends[0] - ends[1]) / 2e-6 - slope) < 1e-7


def test_any_loss_and_metric_may_be_measured():
    split = Split(*[torch.linspace(-1, 1, 30).view(30, 1)] * 3)
    net = nn.Linear(1, 1).double()
    metrics = {"worst": lambda outputs, y: (outputs - y).abs().amax((-2, -1))}
    ground = Ground(net, split, nn.L1Loss(), metrics, chunk=30)
    found = ground.evaluate(ground.theta.repeat(2, 1))
    with torch.no_grad():
        d = (net(split.x.double()) - split.y).abs()
    assert list(found) == ["loss", "worst"]
    assert torch.allclose(found["loss"], d.mean().expand(2))
    assert torch.allclose(found["worst"], d.max().expand(2))


def test_tokens_stay_whole_numbers():
    x = torch.arange(12).view(6, 2)
    net = nn.Sequential(nn.Embedding(12, 4), nn.Flatten(), nn.Linear(8, 3))
    ground = Ground(net, Split(x, x[:, 0] % 3, x[:, 0] % 3), dtype=torch.float64)
    with torch.no_grad():
        direct = nn.functional.cross_entropy(net(x), x[:, 0] % 3)
    assert abs(ground.reference().values()["loss"][0] - direct) < 1e-6
    assert ground.samples.x.dtype == torch.int64


def test_true_labels_are_kept_beside_noisy_ones():
    split = samples()
    noisy = Split(split.x, (split.y + 1) % 5, split.y)
    kept = Ground(draw("mlp"), noisy).samples
    assert torch.equal(kept.true_y, split.y)
    assert not torch.equal(kept.y, kept.true_y)


def test_chunks_are_all_about_as_large():
    ground = Ground(draw("mlp"), samples(41), chunk=40)
    assert [x.shape[1] for x, _ in ground.batches()] == [21, 20]
    assert sizes(3, width=10, parameters=10)[0] == 1


def test_what_is_of_another_network_is_refused():
    ground = Ground(draw("mlp"), samples())
    wider = nn.Sequential(nn.Flatten(), nn.Linear(36, 17), nn.ReLU(), nn.Linear(17, 5))
    with pytest.raises(ModelError, match=r"1\.weight is of shape"):
        ground.vector(wider)
    with pytest.raises(ModelError, match=r"3\.bias is missing"):
        ground.vector({k: v for k, v in draw("mlp").state_dict().items() if k != "3.bias"})
    with pytest.raises(ModelError, match="layout of a stack"):
        ground.vector(torch.zeros(5))
    for thetas in (torch.zeros(2, 5), torch.zeros(0, len(ground.theta)), ground.theta):
        with pytest.raises(ModelError, match="K at least 1"):
            ground.evaluate(thetas)
    with pytest.raises(DataError, match="no samples"):
        Ground(draw("mlp"), samples(0))
    with pytest.raises(SpecError, match="unknown metric"):
        Ground(draw("mlp"), samples(), metrics=["accuracyy"])
    with pytest.raises(SpecError, match="loss"):
        Ground(draw("mlp"), samples(), "cross")
    assert Ground(draw("mlp"), samples()).metrics == {"accuracy": accuracy}
