from __future__ import annotations

import pytest
import torch
from torch import nn

from thalweg.errors import ModelError, SpecError
from thalweg.nn import ACTIVATIONS, MODELS, DropBlock2d, build, find_model

PARAMETERS = {
    "mlp": 101_770,
    "lab-mlp": 14_146,
    "deep-bn": 509_930,
    "mish-bn": 1_937_010,
    "one-fc": 7_850,
    "garment": 44_426,
    "practice-mlp": 178_110,
    "regression-sigmoid": 6_091,
    "playground": 25,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_made(name: str, seed: int = 0, **options) -> nn.Module:
    model = MODELS[name]
    return build(
        name,
        input_shape=model.input_shape,
        out_features=model.out_features,
        generator=seeded(seed),
        **options,
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_its_parameters_and_sizes(name):
    model, net = MODELS[name], as_made(name)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    assert isinstance(net, nn.Sequential)
    assert net(torch.zeros(3, *model.input_shape)).shape == (3, model.out_features)
    assert model.summary


@pytest.mark.parametrize("name", MODELS)
def test_every_model_comes_from_its_seed_alone(name):
    before = torch.get_rng_state()
    a, b, c = as_made(name, 1), as_made(name, 1), as_made(name, 2)
    assert torch.equal(torch.get_rng_state(), before)
    for key, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[key]), key
        assert value.isfinite().all(), key
    assert not torch.equal(next(a.parameters()), next(c.parameters()))


@pytest.mark.parametrize("name", [n for n in MODELS if n != "garment"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (2,)])
def test_sizes_come_from_the_data(name, shape):
    net = build(name, input_shape=shape, out_features=4, generator=seeded())
    assert net(torch.zeros(2, *shape)).shape == (2, 4)
    widths = [layer.out_features for layer in net if isinstance(layer, nn.Linear)]
    assert widths == [*MODELS[name].options.get("hidden", (128,)), 4]


def test_the_lab_network_is_the_seeds_sequential():
    ours = as_made("lab-mlp", 3)
    torch.manual_seed(3)
    theirs = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 16),
        nn.ReLU(),
        nn.Linear(16, 32),
        nn.ReLU(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, 10),
        nn.LogSoftmax(dim=1),
    )
    x = torch.randn(5, 1, 28, 28)
    assert torch.equal(ours(x), theirs(x))
    assert [repr(layer) for layer in ours[:-1]] == [repr(layer) for layer in theirs[:-1]]


@pytest.mark.parametrize(("name", "activation"), [("deep-bn", "ReLU"), ("mish-bn", "Mish")])
def test_normalisation_follows_the_activation_and_never_the_last_layer(name, activation):
    hidden = ["Linear", activation, "BatchNorm1d"] * len(MODELS[name].options["hidden"])
    ends = ["Linear", "LogSoftmax"] if name == "mish-bn" else ["Linear"]
    assert [type(layer).__name__ for layer in as_made(name)] == ["Flatten", *hidden, *ends]


def test_the_default_init_is_the_models_own():
    mish = as_made("mish-bn")
    assert mish[1].bias.std().item() == pytest.approx(1, rel=0.1)
    assert mish[1].weight.std().item() == pytest.approx(1 / 28, rel=0.01)
    assert torch.equal(mish[3].weight, torch.ones(1500))
    assert as_made("mish-bn", init="torch")[1].bias.abs().max() <= 1 / 28
    playground = as_made("playground")
    assert all((layer.bias == 0.1).all() for layer in playground if isinstance(layer, nn.Linear))


def test_garment_is_the_network_that_pools_after_relu():
    ours = as_made("garment", 5)
    torch.manual_seed(5)
    theirs = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    x = torch.randn(4, 1, 28, 28, generator=seeded(1))
    a, b = ours(x), theirs(x)
    assert torch.equal(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32), (2, 19, 40)])
def test_garment_takes_images_of_other_sizes(shape):
    net = build("garment", input_shape=shape, out_features=7, generator=seeded())
    assert net(torch.zeros(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 15, 28), (784,), (28, 28), (2, 1, 28, 28), ()])
def test_garment_refuses_what_it_cannot_take(shape):
    with pytest.raises(ModelError, match="at least 16x16 for garment"):
        build("garment", input_shape=shape, out_features=10, generator=seeded())


def test_options_change_a_named_model():
    net = as_made("lab-mlp", activation="tanh", dropout=0.2, output=None)
    kinds = [type(layer) for layer in net]
    assert kinds[1:4] == [nn.Linear, nn.Tanh, nn.Dropout]
    assert kinds[-1] is nn.Linear
    assert [layer.out_features for layer in as_made("mlp", hidden=[5, 4])[1::2]] == [5, 4, 10]


def test_the_options_of_a_model_can_be_asked_for():
    assert find_model("lab-mlp").known == (
        *("hidden", "activation", "norm", "dropout", "residual", "bias", "output"),
    )
    assert find_model("garment").known == ("norm", "dropout", "dropblock", "block_size")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lab-mpl", {}, "did you mean lab-mlp"),
        (7, {}, "the name of a model"),
        ("mlp", {"hiden": [5]}, "did you mean hidden"),
        ("mlp", {"hidden": 5}, "a list of widths"),
        ("mlp", {"hidden": "5,4"}, "a list of widths"),
        ("mlp", {"hidden": [5, -1]}, "positive integers"),
        ("mlp", {"activation": "tan"}, "did you mean tanh"),
        ("garment", {"activation": "tanh"}, "option 'activation' for the model garment"),
        ("mlp", {"init": "he-norml"}, "did you mean he-normal"),
    ],
)
def test_wrong_specifications_are_refused(name, options, message):
    with pytest.raises(SpecError, match=message):
        build(name, input_shape=(4,), out_features=2, generator=seeded(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "batch, or none"),
        ({"dropout": 1.0}, "at least 0 and below 1"),
        ({"dropblock": -0.1}, "at least 0 and below 1"),
        ({"dropblock": 0.1, "block_size": 0.5}, "an integer"),
    ],
)
def test_garment_refuses_what_it_cannot_have(options, message):
    with pytest.raises(SpecError, match=message):
        as_made("garment", **options)


def test_garment_is_regularised_between_its_layers():
    net = as_made("garment", norm="batch", dropout=0.5, dropblock=0.2, block_size=5)
    kinds = [type(layer).__name__ for layer in net]
    block = ["ReLU", "MaxPool2d", "BatchNorm2d", "DropBlock2d"]
    rest = ["ReLU", "BatchNorm1d", "Dropout"]
    maps = ["Conv2d", *block, "Conv2d", *block, "Flatten"]
    assert kinds == [*maps, "Linear", *rest, "Linear", *rest, "Linear"]
    assert [layer.block_size for layer in net if isinstance(layer, DropBlock2d)] == [5, 4]
    x = torch.rand(3, 1, 28, 28, generator=seeded())
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize(("shape", "outputs"), [((0,), 2), ((4,), 0), ((4, -1), 2), ((4.0,), 2)])
def test_sizes_are_positive(shape, outputs):
    with pytest.raises(ModelError, match="positive integers"):
        build("mlp", input_shape=shape, out_features=outputs, generator=seeded())


def test_activations_are_fresh_modules():
    assert all(isinstance(make(), nn.Module) for make in ACTIVATIONS.values())
