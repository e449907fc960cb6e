from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.nn import MODELS, build, summary


@pytest.mark.parametrize("name", MODELS)
def test_the_table_has_every_layer_and_the_total(name):
    model = MODELS[name]
    net = build(
        name,
        input_shape=model.input_shape,
        out_features=model.out_features,
        generator=torch.Generator().manual_seed(0),
    )
    table = summary(net, model.input_shape)
    for layer in net:
        assert f"─{type(layer).__name__}: " in table
    assert f"Total params: {sum(p.numel() for p in net.parameters()):,}\n" in table


def test_the_model_and_the_global_generator_are_left_alone():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    before, rng = net[1].running_mean.clone(), torch.get_rng_state()
    summary(net, (4,))
    assert all(m.training for m in net.modules())
    assert torch.equal(net[1].running_mean, before)
    assert torch.equal(torch.get_rng_state(), rng)


def test_models_of_another_type():
    assert "[1, 3]" in summary(nn.Linear(4, 3).double(), (4,))
    assert "Flatten" in summary(nn.Flatten(), (2, 2))
