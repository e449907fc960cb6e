"""Products with Hessians: exact, for any network, loss, division into batches and block."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from thalweg.errors import DataError, ModelError, SpecError
from thalweg.landscape.hessian import DENSE, Hessian, Operator
from thalweg.landscape.objective import Objective, layers
from thalweg.nn import DropBlock2d, build_loss

from .curved import NETS, ONE, Bowl, dense, draw, mean, samples

CLASSIFICATION = ("cross-entropy", "label-smoothing", "quadratic", "ccql")


def near(found, expected, tolerance=1e-11):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NETS)
def test_matrix_is_that_of_torch(name):
    network, (x, y) = draw(name).eval(), samples()
    H = Hessian(network, F.cross_entropy, [(x, y)])
    near(H.dense(), dense(network, F.cross_entropy, x, y))
    assert H.products == H.shape[0]


@pytest.mark.parametrize("loss", CLASSIFICATION)
@pytest.mark.parametrize("name", ["tanh", "convolution"])
def test_any_loss_by_name(name, loss):
    network, (x, y), loss = draw(name).eval(), samples(), build_loss(loss)
    near(Hessian(network, loss, [(x, y)]).dense(), dense(network, loss, x, y))


@pytest.mark.parametrize("name", NETS)
def test_products_are_finite_differences_of_gradients(name):
    network, (x, y) = draw(name), samples()
    H = Hessian(network, F.cross_entropy, [(x, y)])
    g = torch.Generator().manual_seed(2)
    v = torch.randn(H.shape[0], generator=g, dtype=torch.float64)
    L, step = H.objective, 1e-6 * v
    differences = (L.gradient(L.theta + step) - L.gradient(L.theta - step)) / 2e-6
    assert (H @ v - differences).norm() < 1e-6 * differences.norm()


def test_linear_regression():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    network = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    H = Hessian(network, build_loss("mse"), zip(x.split(7), x[:, :1].split(7), strict=True))
    near(H.dense(), 2 / 30 * x.T @ x)


def test_softmax_regression():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=g, dtype=torch.float64)
    y = torch.randint(4, (20,), generator=g)
    network = nn.Linear(3, 4, bias=False, dtype=torch.float64)
    p = network(x).softmax(1).detach()
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]  # (20, 4, 4)
    expected = torch.einsum("nab,ni,nj->aibj", curvature, x, x).reshape(12, 12) / 20
    near(Hessian(network, build_loss("cross-entropy"), [(x, y)]).dense(), expected)


def test_logistic_regression():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=g, dtype=torch.float64)
    y = torch.randint(2, (20, 1), generator=g).double()
    network = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    p = network(x).sigmoid().detach()
    H = Hessian(network, nn.BCEWithLogitsLoss(), [(x, y)])
    near(H.dense(), x.T @ (p * (1 - p) * x) / 20)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_division_and_number_of_vectors_do_not_matter(sizes, k, kept):
    n = sum(sizes)
    network, (x, y) = draw("convolution"), samples(n)
    whole = Hessian(network, F.cross_entropy, [(x, y)])
    batches = zip(x.split(sizes), y.split(sizes), strict=True)
    H = Hessian(network, F.cross_entropy, batches, memory=1 << 30 if kept else 0)
    g = torch.Generator().manual_seed(n)
    V = torch.randn(H.shape[0], k, generator=g, dtype=torch.float64)
    near(H @ V, torch.stack([whole @ v for v in V.T], 1))
    assert H.products == k


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(sorted(NETS)), st.integers(0, 99), st.floats(-3, 3))
def test_products_are_linear_and_symmetric(name, seed, a):
    H = Hessian(draw(name, seed), F.cross_entropy, [samples()])
    g = torch.Generator().manual_seed(seed)
    u, v = torch.randn(2, H.shape[0], generator=g, dtype=torch.float64)
    near(H @ (u + a * v), H @ u + a * (H @ v))
    near(u @ (H @ v), v @ (H @ u))


def test_batches_beyond_the_memory_begin_anew():
    network, (x, y) = draw("tanh"), samples()
    batches = list(zip(x.split(4), y.split(4), strict=True))
    whole = Hessian(network, F.cross_entropy, batches)
    first = Hessian(network, F.cross_entropy, batches[:1])
    V = torch.eye(whole.shape[0], dtype=torch.float64)
    expected = whole @ V
    _ = first @ V
    bytes_of_one = (1 << 30) - first.memory
    part = Hessian(network, F.cross_entropy, batches, memory=3 * bytes_of_one // 2)
    for _ in range(2):
        near(part @ V, expected, 0)
        assert list(part._kept) == [0]


def test_many_small_vectors_and_one_by_one_agree(monkeypatch):
    H = Hessian(draw("convolution"), F.cross_entropy, [samples()])
    expected = H.dense()
    monkeypatch.setattr("thalweg.landscape.hessian.WIDE", 0)
    near(H.dense(), expected)


class _Cubed(torch.autograd.Function):
    """x³ whose gradient is a function without a rule for vmap."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return _Slope.apply(ctx.saved_tensors[0], g)


class _Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, g):
        ctx.save_for_backward(x, g)
        return 3 * x**2 * g

    @staticmethod
    def backward(ctx, h):
        x, g = ctx.saved_tensors
        return _Double.apply(x, g, h), 3 * x**2 * h


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, g, h):
        return 6 * x * g * h


class _OfUsers(nn.Module):
    def __init__(self, cube):
        super().__init__()
        self.linear, self.cube = nn.Linear(18, 3, dtype=torch.float64), cube

    def forward(self, x):
        return self.cube(self.linear(x.flatten(1)))


def test_what_vmap_cannot_map_goes_one_by_one():
    x, y = samples()
    network = _OfUsers(_Cubed.apply)
    H = Hessian(network, F.cross_entropy, [(x, y)])
    network.cube = lambda x: x**3
    near(H.dense(), dense(network, F.cross_entropy, x, y))


@pytest.mark.parametrize("name", ["tanh", "batch-norm", "convolution"])
def test_blocks_are_those_of_the_whole(name):
    network, (x, y) = draw(name).eval(), samples()
    sizes = {n: p.numel() for n, p in network.named_parameters()}
    whole = Hessian(network, F.cross_entropy, [(x, y)]).dense().split(list(sizes.values()))
    table = dict(
        zip(sizes, [dict(zip(sizes, r.split(list(sizes.values()), 1), strict=True)) for r in whole],
            strict=True)
    )  # fmt: skip
    for layer in layers(network):
        names = [n for n in sizes if n.rpartition(".")[0] == layer]
        block = torch.cat([torch.cat([table[a][b] for b in names], 1) for a in names])
        H = Hessian(network, F.cross_entropy, [(x, y)], per=layer)
        assert H.objective.names == names
        near(H.dense(), block)
    first, *_, last = sizes
    H = Hessian(network, F.cross_entropy, [(x, y)], per=[last, first])
    assert H.objective.names == [first, last]
    near(H.dense(), dense(network, F.cross_entropy, x, y, [first, last]))


def test_batch_norm_in_training_mode():
    network, (x, y) = draw("batch-norm").train(), samples()
    H = Hessian(network, F.cross_entropy, [(x, y)], training=True)
    near(H.dense(), dense(network, F.cross_entropy, x, y))
    evaluation = Hessian(network, F.cross_entropy, [(x, y)]).dense()
    near(evaluation, dense(network.eval(), F.cross_entropy, x, y))
    assert (evaluation - H.dense()).norm() > 0.01 * evaluation.norm()


@pytest.mark.parametrize("training", [True, False])
def test_network_stays_as_it_is(training):
    network, (x, y) = draw("batch-norm"), samples()
    network[1].train(training)
    before = copy.deepcopy(network)
    H = Hessian(network, F.cross_entropy, [(x, y)], training=True)
    first = H.dense()
    for (name, tensor), kept in zip(
        network.state_dict().items(), before.state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, kept), name
    assert [m.training for m in network.modules()] == [m.training for m in before.modules()]
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    with torch.no_grad():  # and what becomes of it does not matter
        network[1].weight.zero_()
    assert torch.equal(H.dense(), first)


def test_dropout_does_nothing_or_is_refused():
    network, (x, y) = draw("dropout"), samples()
    with pytest.raises(ModelError, match=r"dropout in training mode \(2\)"):
        Hessian(network, F.cross_entropy, [(x, y)], training=True)
    network[2].p = 0.0
    near(
        Hessian(network, F.cross_entropy, [(x, y)], training=True).dense(),
        Hessian(network, F.cross_entropy, [(x, y)]).dense(),
    )
    blocks = nn.Sequential(DropBlock2d(0.1, 1, generator=torch.Generator()), draw("tanh"))
    with pytest.raises(ModelError, match=r"dropout in training mode \(0\)"):
        Hessian(blocks, F.cross_entropy, [(x, y)], training=True)


def test_frozen_parameters_are_constants_unless_named():
    network, (x, y) = draw("tanh").eval(), samples()
    network[1].requires_grad_(False)
    assert Hessian(network, F.cross_entropy, [(x, y)]).objective.names == ["3.weight", "3.bias"]
    network.requires_grad_(False)
    H = Hessian(network, F.cross_entropy, [(x, y)], per="1.weight")
    near(H.dense(), dense(network, F.cross_entropy, x, y, ["1.weight"]))
    with pytest.raises(ModelError, match="without trainable parameters"):
        Hessian(network, F.cross_entropy, [(x, y)])


def test_tied_parameters_count_once():
    network, (x, y) = draw("residual"), samples()
    square = nn.Linear(3, 3, dtype=torch.float64)
    network = nn.Sequential(network, square, nn.Tanh(), square).eval()
    near(
        Hessian(network, F.cross_entropy, [(x, y)]).dense(),
        dense(network, F.cross_entropy, x, y),
    )


def test_linear_and_constant_losses_have_none():
    network, (x, y) = draw("tanh"), samples()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(18, 3, dtype=torch.float64))
    assert not Hessian(linear, lambda o, y: o.mean(), [(x, y)]).dense().any()
    assert not Hessian(network, lambda o, y: 0 * y.sum() + 1.0, [(x, y)]).dense().any()


def test_parameters_without_effect_have_none():
    network, (x, y) = draw("tanh"), samples()
    network.register_parameter("idle", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    H = Hessian(network, F.cross_entropy, [(x, y)])
    found = H.dense()
    place = H.objective.names.index("idle")
    start = sum(dict(network.named_parameters())[n].numel() for n in H.objective.names[:place])
    assert not found[start : start + 2].any()
    keep = [row for row in range(len(found)) if not start <= row < start + 2]
    expected = Hessian(draw("tanh"), F.cross_entropy, [(x, y)]).dense()
    near(found[keep][:, keep], expected)


def test_vectors_keep_their_shape_and_type():
    network, (x, y) = draw("tanh").float(), samples()
    H = Hessian(network, F.cross_entropy, [(x.float(), y)])
    assert isinstance(H, Operator)
    assert H.dtype == torch.float32
    assert H.device == torch.device("cpu")
    for shape in [(H.shape[0],), (H.shape[0], 1), (H.shape[0], 4)]:
        for dtype in (torch.float32, torch.float64):
            product = H @ torch.ones(shape, dtype=dtype)
            assert (product.shape, product.dtype) == (shape, dtype)
    double = Hessian(draw("tanh"), F.cross_entropy, [(x, y)]).dense()
    assert (H.dense() - double).norm() < 1e-5 * double.norm()


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.floats(0.1, 10))
def test_spectrum_knows_neither_the_order_of_units_nor_units_of_loss(order, c):
    network, (x, y) = draw("tanh"), samples()
    other = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in (other[1].weight, other[1].bias):
            tensor.copy_(tensor[order].clone())
        other[3].weight.copy_(other[3].weight[:, order].clone())
    H = Hessian(network, F.cross_entropy, [(x, y)]).dense()
    J = Hessian(other, lambda o, y: c * F.cross_entropy(o, y), [(x, y)]).dense()
    near(torch.linalg.eigvalsh(J), c * torch.linalg.eigvalsh(H), 1e-9)


def test_quadratics():
    g = torch.Generator().manual_seed(0)
    A = torch.randn(5, 5, generator=g, dtype=torch.float64)
    A = A + A.T
    near(Hessian(Bowl(A, A[0]), mean, ONE).dense(), A)


def test_what_cannot_be():
    network, (x, y) = draw("tanh"), samples()
    with pytest.raises(SpecError, match=r"per='3.weigth'.*did you mean 3.weight"):
        Hessian(network, F.cross_entropy, [(x, y)], per="3.weigth")
    with pytest.raises(SpecError, match="at least one parameter"):
        Hessian(network, F.cross_entropy, [(x, y)], per=[])
    with pytest.raises(ModelError, match="without trainable parameters"):
        Hessian(nn.Flatten(), F.cross_entropy, [(x, y)])
    with pytest.raises(DataError, match="no samples"):
        Hessian(network, F.cross_entropy, [])
    H = Hessian(network, F.cross_entropy, [(x, y)])
    for V in (torch.ones(7), torch.ones(4, H.shape[0]), torch.ones(H.shape[0], 2, 2)):
        with pytest.raises(ModelError, match="vectors of shape"):
            _ = H @ V
    with pytest.raises(ModelError, match="one number"):
        _ = Hessian(network, lambda o, y: o, [(x, y)]) @ torch.ones(H.shape)
    with pytest.raises(ModelError, match="a loss of nan"):
        _ = Hessian(network, F.cross_entropy, [(x * torch.nan, y)]) @ torch.ones(H.shape)
    large = nn.Linear(DENSE, 1, dtype=torch.float64)
    with pytest.raises(ModelError, match="for a dense Hessian"):
        Hessian(large, mean, [(torch.ones(1, DENSE), y)]).dense()


def test_objectives_say_their_loss_and_gradient():
    network, (x, y) = draw("batch-norm").eval(), samples()
    L = Objective(network, F.cross_entropy, zip(x.split(4), y.split(4), strict=True))
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in network.parameters()])
    assert L.value() == pytest.approx(loss.item(), rel=1e-14)
    near(L.gradient(), gradient)
    assert L.value(L.theta + 1) != L.value()
    assert [len(x) for x, _ in L.batches] == [4, 4, 3]


def test_samples_take_the_networks_type():
    network, (x, _) = draw("tanh"), samples()
    targets = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    single, double = (
        Hessian(network, nn.MSELoss(), [(x.float().to(t), targets.to(t))]).dense()
        for t in (torch.float32, torch.float64)
    )
    assert torch.equal(single, double)
    assert single.dtype == torch.float64


def test_layers_of_a_network_that_is_one():
    assert layers(nn.Linear(2, 1)) == ["weight", "bias"]
    assert layers(draw("convolution")) == ["0", "4"]


def test_poolings_come_before_relus_with_the_same_products():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2)]
    net = nn.Sequential(nn.Sequential(*layers[:3]), *layers[3:]).double()
    x, y = torch.randn(7, 1, 8, 8).double(), torch.randint(2, (7,))
    quick = Hessian(net, nn.CrossEntropyLoss(), [(x, y)])
    assert [*quick.objective.network[0]._modules] == ["0", "2", "1"]
    assert [*net[0]._modules] == ["0", "1", "2"]
    net[0][1].register_forward_hook(lambda module, inputs, output: None)
    plain = Hessian(net, nn.CrossEntropyLoss(), [(x, y)])
    assert [*plain.objective.network[0]._modules] == ["0", "1", "2"]
    assert torch.allclose(quick.dense(), plain.dense(), rtol=0, atol=1e-14)
