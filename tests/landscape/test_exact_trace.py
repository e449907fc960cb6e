"""Traces of piecewise linear networks, against dense Hessians; and who is told to estimate."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from thalweg.errors import ModelError
from thalweg.landscape import exact_trace as module
from thalweg.landscape.exact_trace import exact_trace
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.objective import Objective
from thalweg.landscape.trace import trace
from thalweg.nn import build_loss

from .curved import dense, samples

EXACT = {
    "mlp": lambda: [nn.Flatten(), nn.Linear(18, 5), nn.ReLU(), nn.Linear(5, 4), nn.Linear(4, 3)],
    "no bias": lambda: [nn.Flatten(), nn.Linear(18, 5, bias=False), nn.ReLU6(), nn.Linear(5, 3)],
    "in place": lambda: [nn.Flatten(), nn.Linear(18, 5), nn.LeakyReLU(inplace=True),
                         nn.Linear(5, 3)],
    "log-softmax": lambda: [nn.Flatten(), nn.Linear(18, 4), nn.ReLU(), nn.Linear(4, 3),
                            nn.LogSoftmax(-1)],
    "chain in a chain": lambda: [nn.Flatten(), nn.Sequential(nn.Linear(18, 4), nn.Hardtanh()),
                                 nn.Dropout(0.5), nn.Linear(4, 3)],
    "convolution": lambda: [nn.Conv2d(2, 3, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Flatten(), nn.Linear(12, 3)],
    "convolutions": lambda: [nn.Conv2d(2, 2, 2, stride=(1, 2), bias=False), nn.ReLU(),
                             nn.Conv2d(2, 3, (2, 1), padding="valid"), nn.Flatten(),
                             nn.Linear(3, 3)],
    "batch-norm": lambda: [nn.Flatten(), nn.Linear(18, 4), nn.BatchNorm1d(4), nn.ReLU(),
                           nn.Linear(4, 3)],
    "batch-norm 2d": lambda: [nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(),
                              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)],
    "bare batch-norm": lambda: [nn.Flatten(), nn.BatchNorm1d(18, affine=False), nn.Linear(18, 3)],
}  # fmt: skip

ESTIMATED = {
    "smooth": lambda: [nn.Flatten(), nn.Linear(18, 4), nn.Tanh(), nn.Linear(4, 3)],
    "groups": lambda: [nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 3)],
    "padding": lambda: [nn.Conv2d(2, 3, 3, padding="same"), nn.Flatten(), nn.Linear(27, 3)],
    "no statistics": lambda: [nn.Flatten(), nn.BatchNorm1d(18, track_running_stats=False),
                              nn.Linear(18, 3)],
    "rows": lambda: [nn.Flatten(2), nn.Linear(9, 2), nn.Flatten(), nn.Linear(4, 3)],
    "over samples": lambda: [nn.Flatten(), nn.Linear(18, 3), nn.LogSoftmax(0)],
}  # fmt: skip


def draw(layers, seed=0):
    """Return a network in float64, whose running statistics are not as they began."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(*layers()).double()
        network(2 * torch.randn(20, 2, 3, 3, dtype=torch.float64) + 0.3)
    return network.eval()


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.MSELoss(), build_loss("cross-entropy")])
@pytest.mark.parametrize("name", EXACT)
def test_it_is_that_of_the_dense_hessian(name, loss, monkeypatch):
    network, (x, y) = draw(EXACT[name]), samples()
    y = F.one_hot(y, 3).double() if isinstance(loss, nn.MSELoss) else y
    expected = dense(network, loss, x, y).trace().item()
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    assert exact_trace(Objective(network, loss, batches)) == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr(module, "BYTES", 1)  # sample by sample
    assert exact_trace(Objective(network, loss, batches)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", EXACT)
def test_the_blocks_of_the_layers_make_the_whole(name):
    network, batches = draw(EXACT[name]), [samples()]
    whole = exact_trace(Objective(network, F.cross_entropy, batches))
    names = [own for own, _ in network.named_parameters()]
    parts = [exact_trace(Objective(network, F.cross_entropy, batches, own)) for own in names]
    assert sum(parts) == pytest.approx(whole, rel=1e-12)
    H = Hessian(network, F.cross_entropy, batches, names[0])
    assert parts[0] == pytest.approx(H.dense().trace().item(), rel=1e-10)


@pytest.mark.parametrize("name", ESTIMATED)
def test_other_networks_are_estimated(name):
    network, (x, y) = draw(ESTIMATED[name]), samples()
    H = Hessian(network, F.cross_entropy, [(x, y)])
    assert exact_trace(H.objective) is None
    found = trace(H, generator=torch.Generator().manual_seed(0), products=90)
    assert found.products == H.products == 90


def test_what_else_is_estimated():
    x, y = samples()
    layers = EXACT["mlp"]
    assert exact_trace(Objective(draw(layers), lambda z, y: z.square().mean(), [(x, y)])) is None
    weighted = nn.CrossEntropyLoss(torch.ones(3, dtype=torch.float64))
    assert exact_trace(Objective(draw(layers), weighted, [(x, y)])) is None
    summed = nn.CrossEntropyLoss(reduction="sum")
    assert exact_trace(Objective(draw(layers), summed, [(x, y)])) is None
    training = Objective(draw(layers), F.cross_entropy, [(x, y)], training=True)
    assert exact_trace(training) is None
    tied = draw(lambda: [nn.Flatten(), nn.Linear(18, 18), nn.ReLU(), nn.Linear(18, 18)])
    tied[3].weight = tied[1].weight
    assert exact_trace(Objective(tied, F.cross_entropy, [(x, y)])) is None
    seen = draw(layers)
    seen[1].register_forward_hook(lambda *_: None)
    assert exact_trace(Objective(seen, F.cross_entropy, [(x, y)])) is None
    many = draw(lambda: [nn.Flatten(), nn.Linear(18, module.OUTPUTS + 1)])
    assert exact_trace(Objective(many, F.cross_entropy, [(x, y)])) is None


def test_frozen_layers_and_outputs_that_do_not_matter_add_nothing():
    x, y = samples()
    network = draw(EXACT["mlp"])
    network[1].requires_grad_(False)
    H = Hessian(network, F.cross_entropy, [(x, y)])
    assert exact_trace(H.objective) == pytest.approx(H.dense().trace().item(), rel=1e-10)
    flat = Objective(draw(EXACT["mlp"]), nn.L1Loss(), [(x, F.one_hot(y, 3).double())])
    assert exact_trace(flat) == 0


def test_a_loss_that_is_not_finite_is_refused():
    x, y = samples()
    with pytest.raises(ModelError, match="a loss of nan"):
        exact_trace(Objective(draw(EXACT["mlp"]), F.cross_entropy, [(torch.nan * x, y)]))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 6), max_size=3), st.integers(0, 99), st.integers(1, 9))
def test_random_architectures(widths, seed, n):
    sizes = [18, *widths, 3]
    layers = OrderedDict(flatten=nn.Flatten())
    for i, (a, b) in enumerate(pairwise(sizes)):
        layers[f"linear{i}"], layers[f"relu{i}"] = nn.Linear(a, b), nn.ReLU()
    network = draw(lambda: [nn.Sequential(layers)], seed)
    x, y = samples(n, seed)
    H = Hessian(network, F.cross_entropy, [(x, y)])
    assert exact_trace(H.objective) == pytest.approx(H.dense().trace().item(), rel=1e-8, abs=1e-12)
