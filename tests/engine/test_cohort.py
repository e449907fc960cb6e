"""The step against the loop that anybody would write by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from thalweg import optim
from thalweg.data import Split
from thalweg.engine import Cohort, Regularisation, accuracy
from thalweg.engine.course import Course
from thalweg.engine.regularisation import Regularisations
from thalweg.errors import ModelError
from thalweg.nn import build_loss

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def network(seed: int = 0, *, norm: bool = False, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Flatten(), nn.Linear(64, 32), nn.ReLU()]
    layers += [nn.BatchNorm1d(32)] * norm + [nn.Dropout(dropout)] * bool(dropout)
    return nn.Sequential(*layers, nn.Linear(32, 10))


def batches(split: Split, size: int, epochs: int = 1):
    for _ in range(epochs):
        yield from zip(split.x.split(size), split.y.split(size), strict=True)


def cohort(net, rule=None, **options) -> Cohort:
    rule = rule or optim.build("sgd", lr=0.1)
    return Cohort([net], rule, build_loss("cross-entropy"), **options)


def same(a: nn.Module, b: nn.Module, **tolerance) -> None:
    torch.testing.assert_close(dict(a.state_dict()), dict(b.state_dict()), **tolerance)


# A large eps: Adam makes whole steps of gradients that are nothing but rounding errors.
RULES = [
    ("sgd", {"lr": 0.1}, torch.optim.SGD),
    ("sgd", {"lr": 0.05, "momentum": 0.9}, torch.optim.SGD),
    ("sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": True}, torch.optim.SGD),
    ("adam", {"lr": 1e-3, "eps": 1e-3}, torch.optim.Adam),
    ("adamw", {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-3}, torch.optim.AdamW),
]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("name", "options", "theirs"), RULES)
def test_ten_steps_are_those_of_a_loop_written_by_hand(digits, name, options, theirs, norm):
    net = network(norm=norm)
    ours = cohort(net, optim.build(name, **options), metrics={"accuracy": accuracy})
    optimizer = theirs(net.parameters(), **options)
    for x, y in list(batches(digits.train, 48))[:10]:
        outcome = ours.step([(x.unsqueeze(0), y)])
        outputs = net(x)
        loss = F.cross_entropy(outputs, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(outcome.metrics["loss"], loss.detach().view(1), **CLOSE)
        right = (outputs.argmax(1) == y).double().mean()
        torch.testing.assert_close(outcome.metrics["accuracy"], right.view(1))
        assert (outcome.samples, outcome.lr, outcome.lost) == (len(x), (options["lr"],), ())
    same(ours.stack.export(), net, **CLOSE)
    assert (ours.updates, ours.gradients) == (10, 10)


def test_the_network_that_is_given_is_not_touched(digits):
    net = network(norm=True, dropout=0.5)
    before = copy.deepcopy(net.state_dict())
    ours = cohort(net, generators=[torch.Generator().manual_seed(0)])
    ours.step([(digits.train.x[:32].unsqueeze(0), digits.train.y[:32])])
    ours.evaluate(digits.test)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("sizes", [(32, 32), (16, 16, 16, 16), (40, 24), (5, 50, 9)])
def test_accumulated_batches_are_one_large_batch(digits, sizes):
    x, y = digits.train.x[: sum(sizes)], digits.train.y[: sum(sizes)]
    rule = optim.build("adam", lr=1e-2)
    parts, whole = (cohort(network(), rule, metrics={"accuracy": accuracy}) for _ in range(2))
    for _ in range(5):
        share = torch.empty(1, max(sizes), *x.shape[1:])  # all batches come in the same memory

        def pieces(share=share):
            for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
                yield share[:, : len(a)].copy_(a.unsqueeze(0)), b

        one, other = parts.step(pieces()), whole.step([(x.unsqueeze(0), y)])
        torch.testing.assert_close(dict(one.metrics), dict(other.metrics), **CLOSE)
        assert one.samples == other.samples == sum(sizes)
    torch.testing.assert_close(parts.stack.theta, whole.stack.theta, rtol=1e-4, atol=1e-5)
    assert (parts.updates, parts.gradients) == (5, 5 * len(sizes))


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.1), (0.01, 0.1)])
def test_penalties_are_those_of_the_penalised_loss(digits, l1, l2):
    net = network(norm=True)
    x, y = digits.train.x[:64], digits.train.y[:64]
    ours = cohort(net, optim.build("sgd", lr=1.0), regularisation=Regularisation(l1, l2))
    outcome = ours.step([(x.unsqueeze(0), y)])
    plain = F.cross_entropy(net(x), y)
    weights = [p for p in net.parameters() if p.dim() > 1]
    assert len(weights) == 2  # neither biases nor the scales of BatchNorm
    loss = plain + l1 * sum(w.abs().sum() for w in weights)
    loss = loss + l2 / 2 * sum(w.square().sum() for w in weights)
    loss.backward()
    trained = dict(ours.stack.export().named_parameters())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(trained[name].data, (parameter - parameter.grad).data, **CLOSE)
    torch.testing.assert_close(outcome.metrics["loss"], plain.detach().view(1), **CLOSE)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_clipping_holds_a_member_to_its_norm(digits, scale):
    x, y = digits.train.x[:64], digits.train.y[:64]
    nets = [network(seed) for seed in range(3)]
    with torch.no_grad():
        for power, net in enumerate(nets):
            net[-1].weight.mul_(10.0**power)  # gradients of different sizes
    for net in nets:
        F.cross_entropy(net(x), y).backward()
    norms = [torch.nn.utils.get_total_norm([p.grad for p in n.parameters()]) for n in nets]
    bound = float(norms[1]) * scale
    ours = Cohort(
        nets,
        optim.build("sgd", lr=1.0),
        build_loss("cross-entropy"),
        regularisation=Regularisation(clip_norm=bound),
    )
    ours.step([(x.unsqueeze(0), y)])
    for member, net in enumerate(nets):
        torch.nn.utils.clip_grad_norm_(net.parameters(), bound)
        for p in net.parameters():
            p.data -= p.grad
        same(ours.stack.export(member), net, rtol=1e-4, atol=1e-5)
    clipped = ours.stack.grad.norm(dim=1)
    expected = torch.stack(norms).clamp(max=bound)
    torch.testing.assert_close(clipped, expected, rtol=1e-4, atol=0)
    assert len({float(n) < bound for n in norms}) == 2  # some were clipped, some were not


def test_a_gradient_of_zero_stays_zero_under_a_norm():
    grad = torch.zeros(2, 4)
    Regularisations([Regularisation(clip_norm=1.0)] * 2, torch.ones(1, 4)).clip(grad)
    assert torch.equal(grad, torch.zeros(2, 4))


def test_clipping_by_value(digits):
    x, y = digits.train.x[:64], digits.train.y[:64]
    net = network()
    ours = cohort(net, optim.build("sgd", lr=1.0), regularisation=Regularisation(clip_value=0.01))
    ours.step([(x.unsqueeze(0), y)])
    F.cross_entropy(net(x), y).backward()
    torch.nn.utils.clip_grad_value_(net.parameters(), 0.01)
    for p in net.parameters():
        p.data -= p.grad
    same(ours.stack.export(), net, **CLOSE)
    assert ours.stack.grad.abs().max() <= 0.01


@pytest.mark.parametrize("shared", [True, False])
def test_three_networks_together_are_the_three_alone_bit_for_bit(digits, shared):
    nets = [network(seed, norm=True, dropout=0.2) for seed in range(3)]
    rule = optim.build("lookahead", inner=optim.build("adam", lr=1e-2), k=3, alpha=0.5)
    options = {"metrics": {"accuracy": accuracy}, "regularisation": Regularisation(1e-4, 1e-4)}

    def masks():
        return [torch.Generator().manual_seed(seed) for seed in range(3)]

    loss = build_loss("cross-entropy")
    together = Cohort(nets, rule, loss, generators=masks(), **options)
    alone = [
        Cohort([net], rule, loss, generators=[mask], **options)
        for net, mask in zip(nets, masks(), strict=True)
    ]
    for x, y in batches(digits.train, 48):
        if shared:
            inputs = [x.unsqueeze(0)] * 4
        else:  # every member sees its own inputs; the labels are shared
            own = torch.stack([x, x.flip(-1), x.flip(-2)])
            inputs = [own, *own.split(1)]
        outcome = together.step([(inputs[0], y)])
        for member, one in enumerate(alone):
            single = one.step([(inputs[member + 1], y)])
            for name, value in single.metrics.items():
                assert torch.equal(outcome.metrics[name][member], value[0])
    for member, one in enumerate(alone):
        same(together.stack.export(member), one.stack.export(), rtol=0, atol=0)
        assert torch.equal(together.slow_weights()[member], one.slow_weights()[0])
    measured = together.evaluate(digits.test)
    for member, one in enumerate(alone):
        assert {name: values[0] for name, values in one.evaluate(digits.test).items()} == {
            name: values[member] for name, values in measured.items()
        }


@pytest.mark.parametrize("chunk", [7, 100, 1000])
def test_evaluation_is_that_of_the_network_in_evaluation_mode(digits, chunk):
    net = network(norm=True, dropout=0.5)
    net[3](torch.randn(64, 32))  # running statistics that are not the initial ones
    ours = cohort(net, metrics={"accuracy": accuracy})
    measured = ours.evaluate(digits.test, chunk=chunk)
    net.eval()
    outputs = net(digits.test.x)
    loss = F.cross_entropy(outputs, digits.test.y)
    right = (outputs.argmax(1) == digits.test.y).double().mean()
    assert measured["loss"] == pytest.approx((loss.item(),), rel=1e-5)
    assert measured["accuracy"] == pytest.approx((right.item(),), rel=1e-12)


def test_evaluation_changes_nothing(digits):
    ours = cohort(
        network(norm=True),
        optim.build("lookahead", inner=optim.build("sgd", lr=0.1), k=5, alpha=0.5),
    )
    ours.step([(digits.train.x[:32].unsqueeze(0), digits.train.y[:32])])
    theta = ours.stack.theta.clone()
    buffers = {name: buffer.clone() for name, buffer in ours.stack.buffers.items()}
    slow, fast = ours.evaluate(digits.test), ours.evaluate(digits.test, slow=False)
    assert slow != fast
    assert torch.equal(ours.stack.theta, theta)
    torch.testing.assert_close(ours.stack.buffers, buffers, rtol=0, atol=0)


def test_a_schedule_is_asked_before_every_update(digits):
    course = optim.build_schedule("step", total=3, per="step", step_size=1, gamma=0.5)
    ours = cohort(network(), courses=[Course(course)])
    rates = [ours.step([(x.unsqueeze(0), y)]).lr for x, y in batches(digits.train, 160)]
    assert rates == [(0.1,), (0.05,), (0.025,)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_whose_loss_is_no_number_moves_nothing(digits, bad):
    x, y = digits.train.x[:32].unsqueeze(0), digits.train.y[:32]
    ours = cohort(network(norm=True), optim.build("adam"))
    ours.step([(x, y)])
    before = [ours.stack.theta.clone(), *(b.clone() for b in ours.stack.buffers.values())]
    state = {name: slot.clone() for name, slot in ours.slices[0].state.items()}
    for size in (1, 2):  # in the first batch, and in one that is accumulated
        outcome = ours.step([(x, y)] * (size - 1) + [(torch.full_like(x, bad), y)])
        assert outcome.lost == (0,)
        assert not outcome.metrics["loss"].isfinite().any()
        after = [ours.stack.theta, *ours.stack.buffers.values()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        torch.testing.assert_close(ours.slices[0].state, state, rtol=0, atol=0)
    assert ours.updates == 1
    assert not ours.step([(x, y)]).lost  # and training can go on


def test_networks_that_differ_are_refused():
    with pytest.raises(ModelError, match="architecture"):
        Cohort([nn.Linear(2, 2), nn.Linear(3, 2)], optim.build("sgd"), build_loss("cross-entropy"))
