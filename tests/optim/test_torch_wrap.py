"""SAM, SVRG and what else goes around a rule, in anybody's own loop."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import Tensor, nn

from thalweg import optim
from thalweg.errors import SpecError

AROUND: dict[str, tuple[optim.TorchWrapper, dict[str, Any]]] = {
    "centralize": (optim.Centralize, {}),
    "decay": (optim.Decay, {"decoupled_decay": 0.3}),
    "ema": (optim.EMA, {"ema_decay": 0.8}),
    "polyak": (optim.Polyak, {}),
    "proximal": (optim.Proximal, {"proximal_l1": 0.02}),
    "sam": (optim.SAM, {"rho": 0.2}),
    "svrg": (optim.SVRG, {"snapshot_every": 3, "svrg_alpha": 0.7}),
    "swa": (optim.SWA, {"swa_start": 2, "swa_every": 2}),
}
INNER = ("sgd", "adam", "soap", "madgrad", "prodigy")
X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randn(24, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def net(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(5)
    layers = nn.Linear(4, 7), nn.Tanh(), nn.Dropout(dropout), nn.Linear(7, 2)
    return nn.Sequential(*layers).double()


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def closures(model: nn.Module, t: int) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The loss on one batch, and on all."""

    def on(rows: slice) -> Tensor:
        model.zero_grad()
        loss = (model(X[rows]) - Y[rows]).pow(2).mean()
        loss.backward()
        return loss

    batch = slice(6 * (t % 4), 6 * (t % 4) + 6)
    return lambda: on(batch), lambda: on(slice(None))


def step(model: nn.Module, optimizer: Any, t: int) -> Any:
    batch, full = closures(model, t)
    wants = isinstance(optimizer, optim.RevisingOptimizer)
    return optimizer.step(batch, full) if wants else optimizer.step(batch)


def steps(model: nn.Module, optimizer: Any, n: int, first: int = 0) -> None:
    for t in range(first, first + n):
        step(model, optimizer, t)


class Network:
    """The module as a row, (1, P), and its gradients: what the engine hands to a rule."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.t = model, 0
        self.theta = weights(model)[None]
        sizes = [p.shape for p in model.parameters()]
        starts = torch.tensor([0, *(s.numel() for s in sizes)]).cumsum(0).tolist()
        self.layout = list(zip(starts, sizes, strict=False))

    def batch(self) -> Tensor:
        return self._at(0)

    def full(self) -> Tensor:
        return self._at(1)

    def _at(self, which: int) -> Tensor:
        nn.utils.vector_to_parameters(self.theta[0].clone(), self.model.parameters())
        closures(self.model, self.t)[which]()
        return torch.cat([p.grad.flatten() for p in self.model.parameters()])[None]


def rule_path(rule: optim.Rule, n: int) -> tuple[list[Tensor], Tensor | None]:
    at = Network(net())
    theta, found = at.theta, []
    state = optim.initial_state(rule, theta, at.layout)
    for t in range(n):
        at.t = t
        g = optim.revise(rule, theta, at.batch().clone(), state, t, rule.hyper(), at)
        optim.apply(rule, theta, g, state, t, layout=at.layout)
        found.append(theta[0].clone())
    return found, rule.evaluation_weights(theta, state)


@pytest.mark.parametrize(
    ("name", "inner"),
    [(n, i) for n in AROUND for i in INNER if (n, i) != ("centralize", "prodigy")],
)
def test_the_face_walks_as_the_rule_does(name: str, inner: str) -> None:
    wrapper, h = AROUND[name]
    path, weights_then = rule_path(optim.build(name, inner=optim.build(inner, lr=0.05), **h), 9)
    model = net()
    optimizer = wrapper(
        optim.torch_optimizer(optim.rules()[inner])(model.parameters(), lr=0.05), **h
    )
    for t, expected in enumerate(path):
        step(model, optimizer, t)
        torch.testing.assert_close(weights(model), expected, rtol=1e-9, atol=1e-12)
    trained = weights(model)
    with optimizer.evaluation_weights():
        there = trained if weights_then is None else weights_then[0]
        torch.testing.assert_close(weights(model), there, rtol=1e-9, atol=1e-12)
    assert torch.equal(weights(model), trained)


@pytest.mark.parametrize(
    "names",
    [
        ("centralize", "decay", "ema"),
        ("svrg", "sam", "polyak"),
        ("proximal", "sam"),
        ("sam", "swa"),
    ],
)
def test_they_compose(names: tuple[str, ...]) -> None:
    rule, model = optim.build("sgd", lr=0.05, momentum=0.9), net()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for name in names:
        wrapper, h = AROUND[name]
        rule, optimizer = optim.build(name, inner=rule, **h), wrapper(optimizer, **h)
    path, _ = rule_path(rule, 8)
    steps(model, optimizer, 8)
    torch.testing.assert_close(weights(model), path[-1], rtol=1e-10, atol=1e-12)
    assert [each.name for each in optimizer.around] == list(names)


def test_lookahead_goes_outmost() -> None:
    model = net()
    optimizer = optim.Lookahead(optim.SVRG(optim.SGD(model.parameters(), lr=0.05)), k=3)
    for t in range(7):
        optimizer.step(*closures(model, t))
    inner = optim.build("svrg", inner=optim.build("sgd", lr=0.05))
    rule = optim.build("lookahead", inner=inner, k=3)
    path, slow = rule_path(rule, 7)
    torch.testing.assert_close(weights(model), path[-1], rtol=1e-10, atol=1e-12)
    with optimizer.evaluation_weights():
        torch.testing.assert_close(weights(model), slow[0], rtol=1e-10, atol=1e-12)


def test_sam_is_that_of_the_package() -> None:
    ours, theirs = net(), net()
    a = optim.SAM(optim.SGD(ours.parameters(), lr=0.05, momentum=0.9), rho=0.3)
    b = pytorch_optimizer.SAM(theirs.parameters(), torch.optim.SGD, rho=0.3, lr=0.05, momentum=0.9)
    for t in range(12):
        a.step(closures(ours, t)[0])
        again = closures(theirs, t)[0]
        again()
        b.first_step(zero_grad=True)
        again()
        b.second_step(zero_grad=True)
        torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-7, atol=1e-8)  # ‖g‖ + ε


def naive_svrg(model: nn.Module, lr: float, every: int, alpha: float, n: int) -> Tensor:
    params = list(model.parameters())

    def gradient(which: int, t: int) -> list[Tensor]:
        closures(model, t)[which]()
        return [p.grad.clone() for p in params]

    for t in range(n):
        here = [p.detach().clone() for p in params]
        if t % every == 0:
            snapshot, full = here, gradient(1, t)
        g = gradient(0, t)
        with torch.no_grad():
            [p.copy_(w) for p, w in zip(params, snapshot, strict=True)]
        old = gradient(0, t)
        with torch.no_grad():
            for p, w, each, o, f in zip(params, here, g, old, full, strict=True):
                p.copy_(w - lr * (each - alpha * (o - f)))
    return weights(model)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_svrg_is_its_naive_twin(alpha: float) -> None:
    model = net()
    optimizer = optim.SVRG(
        optim.SGD(model.parameters(), lr=0.1), snapshot_every=4, svrg_alpha=alpha
    )
    steps(model, optimizer, 11)
    twin = naive_svrg(net(), 0.1, 4, alpha, 11)
    torch.testing.assert_close(weights(model), twin, rtol=1e-11, atol=1e-13)


def test_alpha_svrg_is_a_setting_that_a_loop_may_lower() -> None:
    model = net()
    optimizer = optim.SVRG(optim.SGD(model.parameters(), lr=0.1))
    optimizer.param_groups[0]["svrg_alpha"] = 0.0
    steps(model, optimizer, 5)
    plain = net()
    steps(plain, optim.SGD(plain.parameters(), lr=0.1), 5)
    assert torch.equal(weights(model), weights(plain))


@pytest.mark.parametrize("name", ["sam", "svrg"])
def test_closures_are_called_as_often_as_they_must_be(name: str) -> None:
    wrapper, h = AROUND[name]
    model, called = net(), []
    optimizer = wrapper(optim.SGD(model.parameters(), lr=0.1), **h)
    for t in range(4):
        batch, full = closures(model, t)
        expected = (model(X[6 * t : 6 * t + 6]) - Y[6 * t : 6 * t + 6]).pow(2).mean()
        loss = optimizer.step(
            lambda f=batch: called.append("batch") or f(),
            lambda f=full: called.append("full") or f(),
        )
        torch.testing.assert_close(loss, expected)
    passes = {"sam": 0, "svrg": 2}[name]
    assert (called.count("batch"), called.count("full")) == (8, passes)


def test_every_gradient_sees_the_same_dropout_mask() -> None:
    model, plain = net(dropout=0.5), net(dropout=0.5)
    a = optim.SAM(optim.SGD(model.parameters(), lr=0.1), rho=0.0)
    b = optim.SGD(plain.parameters(), lr=0.1)
    for t in range(4):
        torch.manual_seed(t)
        step(plain, b, t)
        after = torch.get_rng_state()
        torch.manual_seed(t)
        step(model, a, t)
        assert torch.equal(torch.get_rng_state(), after)
        torch.testing.assert_close(weights(model), weights(plain), rtol=0, atol=0)


@pytest.mark.parametrize("name", AROUND)
def test_state_goes_on(name: str) -> None:
    wrapper, h = AROUND[name]

    def make(model: nn.Module) -> optim.RuleOptimizer:
        return wrapper(optim.Adam(model.parameters(), lr=0.05), **h)

    model = net()
    optimizer = make(model)
    steps(model, optimizer, 5)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    pair = model, optimizer
    copies = [copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))]
    steps(model, optimizer, 6, first=5)
    file.seek(0)
    saved, state = torch.load(file, weights_only=True)
    fresh = net()
    fresh.load_state_dict(saved)
    restored = make(fresh)
    restored.load_state_dict(state)
    for other, twin in [*copies, (fresh, restored)]:
        steps(other, twin, 6, first=5)
        assert torch.equal(weights(other), weights(model))
        assert type(twin) is type(optimizer)


def test_groups_keep_their_settings_and_schedulers_work() -> None:
    model = net()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[3].parameters()}]
    optimizer = optim.EMA(optim.Decay(optim.SGD(groups, lr=0.1)), ema_decay=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    before = weights(model[0])
    steps(model, optimizer, 2)
    scheduler.step()
    assert torch.equal(weights(model[0]), before)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.05]
    assert optimizer.param_groups[1]["ema_decay"] == 0.5


def test_an_optimizer_that_loaded_nothing_yet_can_be_wrapped() -> None:
    inner = optim.SGD(net().parameters(), lr=0.3)
    inner.load_state_dict(inner.state_dict())
    assert optim.EMA(inner).param_groups[0]["lr"] == 0.3


def test_maximize_goes_up() -> None:
    down, up = net(), net()
    a = optim.SAM(optim.SGD(down.parameters(), lr=0.1))
    b = optim.SAM(optim.SGD(up.parameters(), lr=0.1, maximize=True))
    for t in range(3):

        def negative(t: int = t) -> Tensor:
            down.zero_grad()
            loss = -(down(X[6 * t : 6 * t + 6]) - Y[6 * t : 6 * t + 6]).pow(2).mean()
            loss.backward()
            return loss

        a.step(negative)
        b.step(closures(up, t)[0])
    assert torch.equal(weights(down), weights(up))


@pytest.mark.parametrize("when", ["first", "second", "full"])
def test_a_step_is_left_out_whichever_gradient_is_not_finite(when: str) -> None:
    model = net()
    optimizer = optim.SVRG(optim.Adam(model.parameters(), lr=0.1), snapshot_every=2)
    optimizer = optim.SAM(optimizer, skip_nonfinite=True)
    for t in range(2 if when != "full" else 0):
        step(model, optimizer, t)
    before = copy.deepcopy((weights(model), optimizer.state_dict()))
    calls = iter([when == "first", when == "second", *[False] * 9])

    def spoil(f: Callable[[], Tensor], bad: bool) -> Tensor:
        loss = f()
        if bad:
            model[3].bias.grad[0] = math.nan
        return loss

    batch, full = closures(model, 2)
    optimizer.step(lambda: spoil(batch, next(calls)), lambda: spoil(full, when == "full"))
    state = optimizer.state_dict()
    assert state.pop("skipped_steps") == 1
    before[1].pop("skipped_steps")
    assert torch.equal(weights(model), before[0])
    torch.testing.assert_close(state, before[1], rtol=0, atol=0)


def test_parameters_of_several_types_and_without_gradients() -> None:
    p = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    z = torch.tensor([1 + 1j, 2.0], dtype=torch.complex64, requires_grad=True)
    idle = torch.ones(2, requires_grad=True)
    optimizer = optim.SAM(optim.SGD([p, z, idle], lr=0.1), rho=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = p.float().pow(2).sum() + z.abs().pow(2).sum()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(5):
        last = optimizer.step(closure)
    assert last.item() < first
    assert torch.equal(idle, torch.ones(2))


def test_no_gradients_at_all_move_nothing() -> None:
    model = net()
    optimizer = optim.SAM(optim.SGD(model.parameters(), lr=0.1))
    assert optimizer.step(lambda: 7.0) == 7.0
    assert not optimizer.state


def test_an_error_in_a_closure_leaves_the_parameters() -> None:
    model = net()
    optimizer = optim.SAM(optim.SGD(model.parameters(), lr=0.1), rho=1.0)
    batch, before, calls = closures(model, 0)[0], weights(model), []

    def closure() -> Tensor:
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return batch()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert torch.equal(weights(model), before)


def test_what_cannot_be_is_one_clear_error() -> None:
    model = net()
    params = list(model.parameters())
    with pytest.raises(SpecError, match=r"a step of SAM\(SGD\) without a closure; .*step\(closure"):
        optim.SAM(optim.SGD(params)).step()
    with pytest.raises(SpecError, match=r"a snapshot is due; expected step\(closure, full\)"):
        optim.SVRG(optim.SGD(params)).step(closures(model, 0)[0])
    with pytest.raises(SpecError, match=r"ema around Adam; .*optim\.Lookahead goes around"):
        optim.EMA(torch.optim.Adam(params))
    with pytest.raises(SpecError, match=r"Lookahead goes around all others, and outmost"):
        optim.EMA(optim.Lookahead(optim.SGD(params)))
    with pytest.raises(SpecError, match="rho=-1 for optimizer sam"):
        optim.SAM(optim.SGD(params), rho=-1)
    with pytest.raises(SpecError, match="did you mean rho"):
        optim.SAM(optim.SGD(params), roh=1)
    with pytest.raises(SpecError, match="ema around ema"):
        optim.EMA(optim.EMA(optim.SGD(params)))
    with pytest.raises(SpecError, match="centralize around prodigy"):
        optim.Centralize(optim.torch_optimizer(optim.ProdigyRule)(params))
    used = optim.SGD(params)
    step(model, used, 0)
    with pytest.raises(SpecError, match="has made steps"):
        optim.SAM(used)
    groups = [{"params": params[:2], "rho": 0.1}, {"params": params[2:]}]
    with pytest.raises(SpecError, match=r"rho of \[0\.05, 0\.1\] in groups"):
        optim.SAM(optim.SGD(groups)).step(closures(model, 0)[0])


def test_they_are_documented_under_their_names() -> None:
    assert optim.SAM.__name__ == "SAM"
    assert "Foret" in optim.SAM.__doc__
    assert "has made no step yet" in optim.EMA.__doc__
