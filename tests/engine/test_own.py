"""Networks, losses, metrics and data of the user's own."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from thalweg.engine import Run, accuracy
from thalweg.spec import Spec
from thalweg.study import train

QUICK = {"hidden": (16,), "lr": 1e-2, "batch_size": 96}


def own() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))


def equal(a: Run, b: Run) -> bool:
    theirs = b.model.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.model.state_dict().items())


def test_a_network_of_ones_own_is_trained_and_not_touched(digits):
    net = own()
    before = copy.deepcopy(net.state_dict())
    run = train(net, digits, lr=1e-2, epochs=5)
    assert run.metrics["train_accuracy"] > 0.8
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert net.training
    assert all(p.grad is None for p in net.parameters())


def test_an_init_for_a_network_of_ones_own_works_on_a_copy(digits):
    net = own()
    before = copy.deepcopy(net.state_dict())
    run = Run(Spec().override({"init": "constant(0.5)"}), model=net, data=digits)
    assert (run.model[1].weight == 0.5).all()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


class Unusual(nn.Module):
    """A network that draws and branches in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(F.dropout(x.flatten(1), 0.2, self.training))


def test_any_module_at_all(digits):
    torch.manual_seed(0)
    net = Unusual()
    one, other = (train(net, digits, lr=1e-2, epochs=3) for _ in range(2))
    assert one.metrics["test_accuracy"] > 0.8
    assert equal(one, other)


def test_a_loss_of_ones_own(digits):
    run = train("mlp", digits, loss=F.multi_margin_loss, **QUICK, epochs=3)
    expected = F.multi_margin_loss(run.model(digits.test.x), digits.test.y)
    assert run.metrics["test_loss"] == pytest.approx(expected.item(), rel=1e-5)
    named = train("mlp", digits, loss="cross-entropy", **QUICK, epochs=3)
    twin = train("mlp", digits, loss=F.cross_entropy, **QUICK, epochs=3)
    assert twin.metrics["test_loss"] == pytest.approx(named.metrics["test_loss"], rel=1e-4)


def test_metrics_by_name_and_of_ones_own(digits):
    named = train("mlp", digits, metrics=["accuracy", "top3"], **QUICK, steps=2)
    assert named.metrics["test_top3"] > named.metrics["test_accuracy"]
    assert "test_top3" in train("mlp", digits, metrics="top3", **QUICK, steps=1).metrics

    def error(outputs, y):
        return 1 - accuracy(outputs, y)

    mine = train("mlp", digits, metrics={"error": error}, **QUICK, steps=2)
    assert mine.metrics["test_error"] == pytest.approx(1 - named.metrics["test_accuracy"])
    assert "test_accuracy" not in mine.metrics
    until = train("mlp", digits, metrics={"error": error}, until="train_error<2", **QUICK, epochs=9)
    assert until.reason == "until"


def arrays():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


@pytest.mark.parametrize(
    "source",
    [
        arrays(),
        tuple(map(torch.from_numpy, arrays())),
        TensorDataset(*map(torch.from_numpy, arrays())),
        {"train": arrays(), "test": arrays()},
    ],
    ids=["arrays", "tensors", "dataset", "mapping"],
)
def test_data_of_ones_own(source):
    run = train("mlp", source, hidden=(8,), lr=0.05, batch_size=10, epochs=10)
    assert run.metrics["train_accuracy"] > 0.9


def test_a_regression():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    run = train(
        "mlp", (x, x.sum(1, keepdim=True)), hidden=(), lr=0.1, epochs=30, metrics=["mae"], test=0.2
    )
    assert run.metrics["test_loss"] < 1e-3
    assert run.metrics["test_mae"] < 0.1
