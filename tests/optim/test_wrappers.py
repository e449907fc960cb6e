"""What goes around a rule, against what its definition says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from thalweg import optim
from thalweg.data import load_data
from thalweg.engine import Run, short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study import train

P = 6


class Bowl:
    """Gradients of ½Σaᵢxᵢ² at the present point; the batch's own differ by noise."""

    def __init__(self, theta: Tensor, noise: float = 0.0) -> None:
        self.theta, self.noise, self.asked = theta, noise, 0
        self.a = torch.linspace(0.5, 2.0, theta.shape[1], dtype=theta.dtype)
        self.generator = torch.Generator().manual_seed(0)
        self.eps = torch.zeros_like(theta)

    def draw(self) -> None:
        self.eps = self.noise * torch.randn(
            self.theta.shape, generator=self.generator, dtype=self.theta.dtype
        )

    def batch(self) -> Tensor:
        self.asked += 1
        return self.a * self.theta + self.eps * self.theta

    def full(self) -> Tensor:
        return self.a * self.theta


def walk(
    rule: optim.Rule, steps: int, noise: float = 0.0
) -> tuple[Tensor, dict, list[Tensor], Bowl]:
    theta = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    layout = [(0, (2, P // 2))]
    state, at, seen = optim.initial_state(rule, theta, layout), Bowl(theta, noise), []
    for t in range(steps):
        at.draw()
        g = optim.revise(rule, theta, at.batch(), state, t, rule.hyper(), at)
        optim.apply(rule, theta, g, state, t, layout=layout)
        seen.append(theta.clone())
    return theta, state, seen, at


def sgd(**h: float) -> optim.Rule:
    return optim.build("sgd", **{"lr": 0.1, **h})


def test_sam_takes_the_gradient_at_the_top_of_its_ball():
    theta, _, _, at = walk(optim.build("sam", inner=sgd(), rho=0.3), 3)
    x = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    for _ in range(3):
        g = at.a * x
        x = x - 0.1 * at.a * (x + 0.3 * g / g.norm(dim=1, keepdim=True))
    torch.testing.assert_close(theta, x, rtol=1e-12, atol=1e-12)
    assert at.asked == 6


def test_sam_with_no_radius_is_the_inner_rule():
    plain, around = (walk(r, 5)[0] for r in (sgd(), optim.build("sam", inner=sgd(), rho=0.0)))
    torch.testing.assert_close(plain, around, rtol=0, atol=0)


def test_svrg_with_no_correction_is_the_inner_rule():
    around = optim.build("svrg", inner=sgd(), svrg_alpha=0.0)
    assert torch.equal(walk(sgd(), 5, 0.3)[0], walk(around, 5, 0.3)[0])


def test_svrg_corrects_as_its_definition_says():
    theta, state, seen, at = walk(optim.build("svrg", inner=sgd(), snapshot_every=2), 2, 0.5)
    start = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    assert torch.equal(state["snapshot"], start)
    # At the snapshot itself the noise cancels; one step later, all of it but the distance's share.
    torch.testing.assert_close(seen[0], start - 0.1 * at.a * start, rtol=1e-12, atol=1e-12)
    g = at.a * seen[0] + at.eps * (seen[0] - start)
    torch.testing.assert_close(theta, seen[0] - 0.1 * g, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["polyak", "swa"])
def test_the_average_of_all_iterates(name):
    rule = optim.build(name, inner=sgd())
    theta, state, seen, _ = walk(rule, 7, 0.4)
    average = rule.evaluation_weights(theta, state)
    torch.testing.assert_close(average, torch.stack(seen).mean(0), rtol=1e-12, atol=1e-12)


def test_swa_averages_every_so_many_iterates_from_its_start_on():
    rule = optim.build("swa", inner=sgd(), swa_start=2, swa_every=3)
    theta, state, seen, _ = walk(rule, 9, 0.4)
    expected = torch.stack([seen[2], seen[5], seen[8]]).mean(0)
    torch.testing.assert_close(rule.evaluation_weights(theta, state), expected)
    early, slots, before, _ = walk(rule, 2, 0.4)
    assert torch.equal(rule.evaluation_weights(early, slots), before[-1])


def test_ema_forgets():
    rule = optim.build("ema", inner=sgd(), ema_decay=0.9)
    theta, state, seen, _ = walk(rule, 6, 0.4)
    average = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    for each in seen:
        average = 0.9 * average + 0.1 * each
    torch.testing.assert_close(rule.evaluation_weights(theta, state), average)


def test_centralized_gradients_have_no_mean():
    theta, _, _, at = walk(optim.build("centralize", inner=sgd()), 1)
    x = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    g = (at.a * x).view(2, 2, P // 2)
    expected = x - 0.1 * (g - g.mean(2, keepdim=True)).view(2, P)
    torch.testing.assert_close(theta, expected)


def test_decay_is_beside_the_step():
    theta, _, _, at = walk(optim.build("decay", inner=sgd(), decoupled_decay=0.5), 1)
    x = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)
    torch.testing.assert_close(theta, (x - 0.1 * at.a * x) * (1 - 0.1 * 0.5))


def test_the_proximal_step_makes_zeros():
    theta, _, _, _ = walk(optim.build("proximal", inner=sgd(), proximal_l1=0.5), 60)
    assert torch.equal(theta, torch.zeros_like(theta))


@pytest.mark.parametrize("name", optim.wrappers())
def test_members_of_a_wrapped_rule_are_alone(name):
    rule = optim.build(name, inner=sgd(momentum=0.9))
    both = walk(rule, 5)[0]

    def alone(k: int) -> Tensor:
        theta = torch.linspace(-1, 2, 2 * P, dtype=torch.float64).view(2, P)[k : k + 1].clone()
        layout = [(0, (2, P // 2))]
        state, at = optim.initial_state(rule, theta, layout), Bowl(theta)
        for t in range(5):
            g = optim.revise(rule, theta, at.batch(), state, t, rule.hyper(), at)
            optim.apply(rule, theta, g, state, t, layout=layout)
        return theta

    assert torch.equal(both, torch.cat([alone(0), alone(1)]))


# ── in the engine ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", subset=320)


def spec(**settings) -> Spec:
    base = {"hidden": (16,), "batch_size": 64, "optimizer": "sgd", "lr": 0.1}
    return Spec().override({**base, **settings}, short_keys())


def test_gradient_evaluations_are_counted(digits):
    for settings, count in (
        ({}, 10),
        ({"wrap": "sam"}, 20),
        ({"wrap": "svrg", "snapshot_every": 5}, 20 + 2 * 5),  # five batches a pass
        ({"wrap": ("svrg", "sam"), "snapshot_every": 5}, 30 + 2 * 5),
    ):
        run = train(data=digits, spec=spec(steps=10, **settings), out=False)
        assert run.history.steps["gradients"][-1] == count


def test_both_gradients_of_sam_see_one_dropout_mask(digits):
    told = spec(steps=1, wrap="sam", rho=0.0, dropout=0.5, norm="batch")
    plain = spec(steps=1, dropout=0.5, norm="batch")
    a, b = (train(data=digits, spec=each, out=False).cohort.stack for each in (told, plain))
    assert torch.equal(a.theta, b.theta)
    for name, buffer in a.buffers.items():  # and BatchNorm counts the batch once
        assert torch.equal(buffer, b.buffers[name])
    assert torch.equal(a.context.generators[0].get_state(), b.context.generators[0].get_state())


@pytest.mark.parametrize("wrap", ["ema", "polyak", "swa"])
def test_statistics_are_estimated_anew_for_averaged_weights(digits, wrap):
    run = Run(spec(steps=12, wrap=wrap, norm="batch"), data=digits)
    for _ in run.events():
        pass
    before = {name: value.clone() for name, value in run.cohort.stack.buffers.items()}
    net = run.model
    norm = next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm1d))
    hidden = torch.nn.Sequential(*list(net)[: list(net).index(norm)])
    with torch.no_grad():
        h = hidden(digits.train.x)
    torch.testing.assert_close(norm.running_mean, h.mean(0), rtol=1e-4, atol=1e-5)
    sizes = [64] * 5
    means = torch.stack([part.var(0) for part in h.split(sizes)])
    torch.testing.assert_close(norm.running_var, means.mean(0), rtol=1e-4, atol=1e-5)
    for name, value in run.cohort.stack.buffers.items():  # the training is not disturbed
        assert torch.equal(value, before[name])
    assert run.evaluate("test") == pytest.approx(
        {key.removeprefix("test_"): v for key, v in run.metrics.items() if key.startswith("test_")}
    )


def test_a_wrapper_that_is_none_is_one_clear_error(digits):
    with pytest.raises(SpecError, match=r"wrap='samm'; .* did you mean sam"):
        Run(spec(wrap="samm"), data=digits)


def test_svrg_is_linear_where_sgd_stalls():
    """A convex logistic regression, whose optimum scikit-learn knows."""
    data = load_data("digits", subset=400)
    x = data.train.x.flatten(1).double()
    y = (data.train.y >= 5).double()
    l2 = 1e-2
    fit = LogisticRegression(C=1 / (l2 * len(x)), fit_intercept=False, tol=1e-12, max_iter=10_000)
    fit.fit(x.numpy(), y.numpy())
    best = torch.from_numpy(fit.coef_)

    def loss(w: Tensor, rows: Tensor) -> Tensor:
        z = (x[rows] @ w.T).squeeze(1)
        return (
            torch.nn.functional.binary_cross_entropy_with_logits(z, y[rows]) + l2 / 2 * (w**2).sum()
        )

    def gradient(w: Tensor, rows: Tensor) -> Tensor:
        leaf = w.clone().requires_grad_()
        return torch.autograd.grad(loss(leaf, rows), leaf)[0]

    everyone = torch.arange(len(x))
    floor = float(loss(best, everyone))

    class Logistic:
        def __init__(self, theta: Tensor) -> None:
            self.theta, self.rows = theta, everyone

        def batch(self) -> Tensor:
            return gradient(self.theta, self.rows)

        def full(self) -> Tensor:
            return gradient(self.theta, everyone)

    def gaps(rule: optim.Rule, passes: int) -> list[float]:
        theta = torch.zeros(1, x.shape[1], dtype=torch.float64)
        state, at, found = optim.initial_state(rule, theta), Logistic(theta), []
        generator = torch.Generator().manual_seed(0)
        t = 0
        for _ in range(passes):
            for rows in torch.randperm(len(x), generator=generator).split(10):
                at.rows = rows
                g = optim.revise(rule, theta, at.batch(), state, t, rule.hyper(), at)
                optim.apply(rule, theta, g, state, t)
                t += 1
            found.append(float(loss(theta, everyone)) - floor)
        return found

    plain = gaps(optim.build("sgd", lr=0.2), 60)
    svrg = gaps(optim.build("svrg", inner=optim.build("sgd", lr=0.2), snapshot_every=80), 60)
    slope = np.polyfit(np.arange(10, 60), np.log10(np.maximum(svrg[10:], 1e-16)), 1)[0]
    assert slope < -0.02  # decades a pass, to the end
    assert svrg[-1] < 1e-2 * plain[-1]
    assert plain[-1] > 0.2 * min(plain[30:])  # where it stalls
