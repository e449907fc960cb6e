from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from thalweg.errors import ModelError, SpecError
from thalweg.nn import LOSSES, MODELS, build, build_loss, check_fit


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 10)
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_model_fits_the_data_that_it_was_made_for(name):
    model = MODELS[name]
    net = build(
        name,
        input_shape=model.input_shape,
        out_features=model.out_features,
        generator=torch.Generator().manual_seed(0),
    )
    loss = build_loss("mse" if model.out_features == 1 else "cross-entropy")
    check_fit(net, loss, model.input_shape, model.out_features, loss.task)
    assert net(torch.zeros(2, *model.input_shape)).shape[0] == 2


def test_the_model_is_left_as_it_was():
    net = network()
    net[2].eval()  # a frozen layer in a network that trains
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rng = torch.get_rng_state()
    check_fit(net, build_loss("cross-entropy"), (1, 8, 8), 10)
    assert [m.training for m in net] == [True, True, False, True, True]
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert not any(m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize(
    ("net", "shape", "parts"),
    [
        (
            network(),
            (1, 28, 28),
            [r"\(1, 28, 28\)", r"Linear\(in_features=64", r"a batch \(1, 784\)", "784 and 64x8"],
        ),
        (nn.Conv2d(1, 3, 5), (784,), [r"\(784,\)", r"Conv2d\(1, 3"]),
        (nn.Sequential(nn.Conv2d(1, 3, 5)), (3, 28, 28), [r"\(3, 28, 28\)", "3 channels"]),
        (nn.BatchNorm1d(3), (3, 4, 5), [r"BatchNorm1d\(3", "4D input"]),
        (nn.Flatten(start_dim=4), (3,), [r"Flatten\(start_dim=4", "out of range"]),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_told_with_both_shapes(net, shape, parts):
    with pytest.raises(ModelError) as caught:
        check_fit(net, build_loss("cross-entropy"), shape, 10)
    for part in parts:
        assert re.search(part, str(caught.value)), part
    assert all(m.training for m in net.modules())
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_a_layer_that_fails_by_itself_is_named_without_its_children():
    class Reshaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x.view(-1, 3))

    with pytest.raises(ModelError, match=r"which reach Reshaped as a batch \(1, 2\)"):
        check_fit(Reshaped(), build_loss("cross-entropy"), (2,), 2)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.LSTM(4, 10), "outputs of type tuple"),
        (nn.Linear(4, 10), r"outputs of shape \(1, 3, 10\)"),
        (nn.Flatten(0), r"outputs of shape \(12,\)"),
        (nn.Unflatten(1, (3, 1)), r"outputs of shape \(1, 3, 1, 4\)"),
    ],
)
def test_outputs_are_batch_by_outputs(net, message):
    with pytest.raises(ModelError, match=message):
        check_fit(net, build_loss("cross-entropy"), (3, 4), 10)


def test_too_few_outputs_for_the_labels():
    with pytest.raises(ModelError, match="3 outputs for labels from 0 to 9"):
        check_fit(nn.Linear(4, 3), build_loss("cross-entropy"), (4,), 10, "classification")
    check_fit(nn.Linear(4, 12), build_loss("cross-entropy"), (4,), 10, "classification")


def test_a_regression_has_an_output_for_each_value():
    check_fit(nn.Linear(4, 3), build_loss("mse"), (4,), 3, "regression")
    with pytest.raises(ModelError, match="3 outputs for 1 values"):
        check_fit(nn.Linear(4, 3), build_loss("mse"), (4,), 1, "regression")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_for_the_other_task_is_refused(name):
    loss = build_loss(name)
    other = "regression" if loss.task == "classification" else "classification"
    with pytest.raises(SpecError, match=f"the loss {name} for a {other}"):
        check_fit(nn.Linear(4, 3), loss, (4,), 3, other)


@pytest.mark.parametrize("task", [None, "classification", "regression"])
def test_a_callable_may_serve_any_task(task):
    check_fit(nn.Linear(4, 3), build_loss(nn.L1Loss()), (4,), 7, task)


def test_nll_wants_log_probabilities():
    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(-1))
    check_fit(net, build_loss("nll"), (4,), 3)
    check_fit(net.bfloat16(), build_loss("nll"), (4,), 3)
    with pytest.raises(ModelError, match=r"not log-probabilities.*cross-entropy takes any"):
        check_fit(net[0], build_loss("nll"), (4,), 3)


def test_models_of_any_type_and_without_parameters():
    check_fit(nn.Linear(4, 3).double(), build_loss("cross-entropy"), (4,), 3)
    check_fit(nn.Flatten(), build_loss("cross-entropy"), (2, 2), 4)
