from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn

from thalweg.errors import ModelError, SpecError
from thalweg.nn import INITS, initialize
from thalweg.nn.init import materialize

# The number for those that demand one.
NAMES = [f"{n}(0.3)" if s.argument and s.default is None else n for n, s in INITS.items()]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 8),
        nn.PReLU(),
        nn.LayerNorm(8),
        nn.Linear(8, 3),
    )


def spoil(module: nn.Module) -> nn.Module:
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(7)
    return module


def test_default_is_bit_for_bit_what_constructors_draw():
    def layers():
        return nn.ModuleList(
            [
                network(),
                nn.Linear(7, 5, bias=False),
                nn.Conv1d(2, 3, 4, groups=1),
                nn.ConvTranspose2d(4, 6, 3, groups=2),
                nn.Bilinear(2, 3, 4),
                nn.Embedding(5, 2),
                nn.LSTM(3, 4),
                nn.BatchNorm1d(3, affine=False),
            ]
        )

    torch.manual_seed(11)
    constructed = layers()
    drawn = initialize(spoil(copy.deepcopy(constructed)), "default", seeded(11))
    for (name, a), b in zip(
        constructed.state_dict().items(), drawn.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_torch_is_another_name_of_default():
    a, b = (initialize(network(), name, seeded(3)) for name in ("default", "torch"))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_init_draws_from_its_generator_alone(name):
    net = network()
    before = torch.get_rng_state()
    first = copy.deepcopy(initialize(net, name, seeded(1)).state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    again = initialize(spoil(network()), name, seeded(1)).state_dict()
    for key, value in first.items():
        assert torch.equal(value, again[key]), key
    generator = seeded(1)
    initialize(net, name, generator)
    moved = not torch.equal(generator.get_state(), seeded(1).get_state())
    assert moved == (not name.startswith("constant"))


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("mish")])
def test_every_init_resets_normalisation_and_leaves_no_old_value(name):
    net = initialize(spoil(network()), name, seeded())
    norm = net[1]
    assert torch.equal(norm.weight, torch.ones(4))
    assert torch.equal(norm.bias, torch.zeros(4))
    assert torch.equal(norm.running_var, torch.ones(4))
    assert norm.num_batches_tracked == 0
    assert net[5].weight.item() == 0.25
    assert torch.equal(net[6].weight, torch.ones(8))
    assert not any((p == 7).any() for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "std", "bound"),
    [
        ("he-normal", math.sqrt(2 / 300), None),
        ("he-uniform", math.sqrt(2 / 300), math.sqrt(6 / 300)),
        ("glorot-normal", math.sqrt(2 / 500), None),
        ("glorot-uniform", math.sqrt(2 / 500), math.sqrt(6 / 500)),
        ("lecun-normal", math.sqrt(1 / 300), None),
        ("lecun-uniform", math.sqrt(1 / 300), math.sqrt(3 / 300)),
        ("normal(0.3)", 0.3, None),
        ("playground", 1 / math.sqrt(12), 0.5),
        ("mish", 1 / math.sqrt(300), None),
        ("mish(2)", 2 / math.sqrt(300), None),
        ("torch", 1 / math.sqrt(3 * 300), 1 / math.sqrt(300)),
    ],
)
def test_weights_have_the_spread_of_the_formula(name, std, bound, dtype):
    layer = initialize(nn.Linear(300, 200, dtype=dtype), name, seeded())
    assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
    assert abs(layer.weight.mean().item()) < 0.02 * std
    if bound is None:  # a normal distribution: 4.55 % lie beyond two standard deviations
        assert (layer.weight.abs() > 2 * std).double().mean().item() == pytest.approx(
            0.0455, abs=0.004
        )
    else:
        assert 0.99 * bound < layer.weight.abs().max().item() <= bound
    if name == "playground":
        assert torch.equal(layer.bias, torch.full((200,), 0.1, dtype=dtype))
    elif name.startswith("mish"):
        assert layer.bias.std().item() == pytest.approx(2 if name == "mish(2)" else 1, rel=0.15)
    elif name != "torch":
        assert not layer.bias.any()


def test_fans_of_convolutions_count_the_receptive_field():
    layer = nn.Conv2d(20, 40, 5)
    he = initialize(layer, "he-normal", seeded()).weight.std().item()
    assert he == pytest.approx(math.sqrt(2 / (20 * 25)), rel=0.02)
    glorot = initialize(layer, "glorot-normal", seeded()).weight.std().item()
    assert glorot == pytest.approx(math.sqrt(2 / (60 * 25)), rel=0.02)


def test_mish_divides_by_the_channels_once_more_and_skips_running_statistics():
    layer = initialize(nn.Conv2d(20, 40, 5), "mish", seeded())
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(20 * 25 * 20), rel=0.02)
    assert layer.bias.std().item() == pytest.approx(1, rel=0.3)
    norm = initialize(spoil(nn.BatchNorm1d(4)), "mish", seeded())
    assert torch.equal(norm.weight, torch.ones(4))
    drawn = initialize(nn.LayerNorm(4000), "mish(0.5)", seeded())
    assert drawn.weight.std().item() == pytest.approx(0.5, rel=0.05)  # fan-in 1


def test_mish_draws_the_weight_first_then_the_bias():
    generator = seeded(4)
    weight = torch.empty(3, 20).normal_(0, 1 / math.sqrt(20), generator=generator)
    bias = torch.empty(3).normal_(0, 1, generator=generator)
    layer = initialize(nn.Linear(20, 3), "mish", seeded(4))
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.bias, bias)


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Linear(4, 6), nn.Conv2d(2, 5, 2)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_weights_have_equal_singular_values(layer, gain):
    w = initialize(layer, f"orthogonal({gain})", seeded()).weight.flatten(1)
    singular = torch.linalg.svdvals(w)
    torch.testing.assert_close(singular, torch.full_like(singular, gain))


def test_numbers_may_come_by_name_or_in_parentheses():
    for name, options in [("normal(0.5)", {}), (" normal( 5e-1 ) ", {}), ("normal", {"std": 0.5})]:
        layer = initialize(nn.Linear(4, 4), name, seeded(), **options)
        assert torch.equal(
            layer.weight, initialize(nn.Linear(4, 4), "normal(0.5)", seeded()).weight
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("he-norml", {}, "did you mean he-normal"),
        ("", {}, "the name of an init"),
        (None, {}, "the name of an init"),
        ("normal(1", {}, "the name of an init"),
        ("normal", {}, r"normal\(std\), a finite number"),
        ("normal(x)", {}, r"normal\(std\), a finite number"),
        ("normal()", {}, r"normal\(std\), a finite number"),
        ("normal(nan)", {}, r"normal\(std\), a finite number"),
        ("normal(1)", {"std": 2.0}, r"normal\(std\)"),
        ("normal", {"sdt": 2.0}, r"normal\(std\)"),
        ("constant", {"value": None}, r"constant\(value\)"),
        ("normal(-1)", {}, "0 or more"),
        ("he-normal(2)", {}, "he-normal without a number"),
        ("he-normal", {"std": 1.0}, "he-normal without a number"),
    ],
)
def test_wrong_specifications_are_refused(name, options, message):
    layer = nn.Linear(2, 2)
    before = layer.weight.clone()
    with pytest.raises(SpecError, match=message):
        initialize(layer, name, seeded(), **options)
    assert torch.equal(layer.weight, before)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


class Gated(nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
        self.gate = nn.Parameter(torch.ones(3))


@pytest.mark.parametrize(("layer", "name"), [(Scale, "default"), (Scale, "he-normal")])
def test_parameters_that_nobody_can_draw_are_refused(layer, name):
    with pytest.raises(ModelError, match="Scale with the parameters scale"):
        initialize(nn.Sequential(nn.Linear(2, 2), layer()), name, seeded())


def test_a_vector_beside_weights_is_refused_unless_it_is_a_bias():
    with pytest.raises(ModelError, match="Gated with the parameters gate"):
        initialize(Gated(), "he-normal", seeded())
    attention = initialize(nn.MultiheadAttention(4, 2), "he-normal", seeded())
    assert not attention.in_proj_bias.any()


def test_a_layer_of_ones_own_may_reset_itself():
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.empty(3))

        def reset_parameters(self):
            self.level.normal_()
            self.level.add_(torch.randn(3))

    before = torch.get_rng_state()
    a, b = (initialize(Noise(), "default", seeded(2)) for _ in range(2))
    assert torch.equal(a.level, b.level)
    assert torch.equal(torch.get_rng_state(), before)


def test_modules_without_parameters_are_left_alone():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("positions", torch.arange(3))

    module = initialize(nn.Sequential(nn.Flatten(), Positions()), "he-normal", seeded())
    assert module[1].positions.tolist() == [0, 1, 2]


def test_parameters_need_values_and_one_device():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that lazy modules are young
        lazy = nn.LazyLinear(3)
    with pytest.raises(ModelError, match="without values"):
        initialize(lazy, "default", seeded())
    with pytest.raises(ModelError, match="without values"):
        initialize(nn.Linear(2, 2, device="meta"), "default", seeded())


def test_materialize_equals_constructing_and_then_drawing():
    made = materialize(network, "he-normal", seeded(5))
    drawn = initialize(network(), "he-normal", seeded(5))
    for (name, a), b in zip(made.state_dict().items(), drawn.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert all(p.requires_grad and p.is_leaf for p in made.parameters())


def test_a_parameter_keeps_its_place_in_memory():
    layer = nn.Linear(3, 2)
    place = layer.weight.data_ptr()
    initialize(layer, "he-normal", seeded())
    assert layer.weight.data_ptr() == place


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_seed_means_the_same_weights_on_every_device():
    there = initialize(network().cuda(), "he-normal", seeded(1))
    here = initialize(network(), "he-normal", seeded(1))
    assert all(
        p.is_cuda and torch.equal(p.cpu(), q)
        for p, q in zip(there.parameters(), here.parameters(), strict=True)
    )


def test_parameters_on_several_devices_are_refused(monkeypatch):
    class Far:
        is_meta, device = False, torch.device("cuda:1")

    layer = nn.Linear(2, 2)
    monkeypatch.setattr(layer, "parameters", lambda: iter([layer.weight, Far()]))
    with pytest.raises(ModelError, match="parameters on 2 devices"):
        initialize(layer, "default", seeded())
