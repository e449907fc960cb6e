from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.errors import SpecError
from thalweg.nn import ACTIVATIONS, NORMS, OUTPUTS, Residual, mlp


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kinds(net: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in net]


def test_the_order_is_linear_activation_norm_dropout():
    net = mlp((6, 5, 4, 3), norm="batch", dropout=0.5, output="log-softmax", generator=seeded())
    hidden = ["Linear", "ReLU", "BatchNorm1d", "Dropout"]
    assert kinds(net) == ["Flatten", *hidden, *hidden, "Linear", "LogSoftmax"]
    assert [layer.p for layer in net if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_a_seed_gives_the_bits_of_torchs_own_constructors():
    torch.manual_seed(9)
    ours = mlp((6, 5, 3), generator=seeded(9))
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(4, 2, 3, generator=seeded(1))
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [None, *NORMS])
@pytest.mark.parametrize("output", [None, *OUTPUTS])
def test_every_choice_trains(activation, norm, output):
    net = mlp((6, 5, 3), activation=activation, norm=norm, output=output, generator=seeded())
    y = net(torch.randn(7, 2, 3, generator=seeded(1)))
    y.square().sum().backward()
    assert y.shape == (7, 3)
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_log_softmax_ends_in_log_probabilities():
    y = mlp((4, 3), output="log-softmax", generator=seeded())(torch.randn(5, 4))
    torch.testing.assert_close(y.exp().sum(-1), torch.ones(5))


def test_residual_hidden_layers_project_only_where_the_width_changes():
    net = mlp((6, 5, 5, 3), residual=True, generator=seeded())
    assert kinds(net) == ["Flatten", "Residual", "Residual", "Linear"]
    first, second = (layer for layer in net if isinstance(layer, Residual))
    assert isinstance(first.projection, nn.Linear)
    assert first.projection.bias is None
    assert isinstance(second.projection, nn.Identity)
    x = torch.randn(4, 6, generator=seeded(1))
    h = first.projection(x) + torch.relu(first.block[0](x))
    h = h + torch.relu(second.block[0](h))
    torch.testing.assert_close(net(x), net[-1](h))


def test_biases_can_be_left_out():
    net = mlp((4, 3, 2), bias=False, generator=seeded())
    assert [name for name, _ in net.named_parameters()] == ["1.weight", "3.weight"]


def test_the_init_is_drawn_from_the_generator_alone():
    before = torch.get_rng_state()
    net = mlp((4, 3, 2), init="constant(0.5)", generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    assert (net[1].weight == 0.5).all()


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((4,), {}, "two or more positive integers"),
        ((4, 0, 2), {}, "two or more positive integers"),
        ((4, 2.5, 2), {}, "two or more positive integers"),
        ((4, True, 2), {}, "two or more positive integers"),
        ("4-2", {}, "two or more positive integers"),
        (4, {}, "two or more positive integers"),
        ((4, 3, 2), {"activation": "rleu"}, "did you mean relu"),
        ((4, 3, 2), {"activation": 3}, "activation=3"),
        ((4, 2), {"activation": "rleu"}, "did you mean relu"),
        ((4, 3, 2), {"norm": "bacth"}, "did you mean batch"),
        ((4, 2), {"norm": "bacth"}, "did you mean batch"),
        ((4, 3, 2), {"output": "softmax"}, "did you mean log-softmax"),
        ((4, 3, 2), {"dropout": 1.0}, "dropout=1.0"),
        ((4, 3, 2), {"dropout": -0.1}, "dropout=-0.1"),
        ((4, 3, 2), {"dropout": True}, "dropout=True"),
        ((4, 3, 2), {"dropout": "half"}, "dropout='half'"),
        ((4, 3, 2), {"residual": "no"}, "residual='no'"),
        ((4, 3, 2), {"bias": 0}, "bias=0"),
        ((4, 3, 2), {"init": "he-norm"}, "did you mean he-normal"),
    ],
)
def test_impossible_options_are_refused(sizes, options, message):
    with pytest.raises(SpecError, match=message):
        mlp(sizes, generator=seeded(), **options)
