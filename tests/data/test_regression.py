from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from thalweg.data.regression import hundred_features


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_one_target_for_all_has_the_draws_of_the_global_seed() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        x = torch.randn(1000, 100)
        y = torch.sum(x[:, :50] / 10) ** 2 + torch.sum(x[:, :50] / 10)
    features, targets = hundred_features(_generator(), per_sample=False)
    assert torch.equal(features, x)
    assert targets.shape == (1000, 1)
    assert set(targets.flatten().tolist()) == {y.item()}


def test_the_loss_at_the_published_start() -> None:
    x, y = hundred_features(_generator(), per_sample=False)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        torch.randn(1000, 100)
        sizes = [100, 50, 20, 1]
        layers = [torch.nn.Linear(i, o) for i, o in pairwise(sizes)]
    for layer in layers[:2]:
        x = layer(x).sigmoid()
    loss = torch.nn.functional.mse_loss(layers[2](x), y)
    assert loss.item() == pytest.approx(616234.25, abs=0.5)


def test_a_target_a_sample() -> None:
    x, y = hundred_features(_generator(), per_sample=True)
    for i in (0, 999):
        s = sum(x[i, :50].tolist()) / 10
        assert y[i].tolist() == pytest.approx([s * s + s], rel=1e-4)
