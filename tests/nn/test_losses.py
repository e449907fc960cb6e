from __future__ import annotations

import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from thalweg.errors import ModelError, SpecError
from thalweg.nn import DEFAULT_LOSS, LOSSES, build_loss

# name, options: every named loss, and every option of one
NAMED = [
    ("cross-entropy", {}),
    ("label-smoothing", {}),
    ("label-smoothing", {"smoothing": 0.3}),
    ("nll", {}),
    ("quadratic", {}),
    ("ccql", {}),
    ("ccql", {"weight": 0.7}),
    ("square", {}),
    ("mse", {}),
]


def batch(loss, *, members=(), samples=6, classes=5, dtype=torch.float64, seed=0, shared=False):
    """Outputs and targets that the loss takes."""
    g = torch.Generator().manual_seed(seed)
    outputs = torch.randn(*members, samples, classes, generator=g, dtype=dtype)
    own = () if shared else members
    if loss.task == "regression":
        return outputs, torch.randn(*own, samples, classes, generator=g, dtype=dtype)
    if loss.requires == "log-probabilities":
        outputs = outputs.log_softmax(-1)
    return outputs, torch.randint(classes, (*own, samples), generator=g)


def naive_quadratic(outputs, y, w):
    total = 0.0
    for o, k in zip(outputs, y.tolist(), strict=True):
        p = torch.exp(o - o.max()) / torch.exp(o - o.max()).sum()
        onehot = torch.zeros_like(p)
        onehot[k] = 1
        total += 0.5 * ((onehot - p) ** 2).sum().item() + 0.5 * w * (1 - p[k].item()) ** 2
    return total / len(y)


ORACLES = {
    "cross-entropy": F.cross_entropy,
    "label-smoothing": lambda o, y: F.cross_entropy(o, y, label_smoothing=0.1),
    "nll": F.nll_loss,
    "quadratic": lambda o, y: naive_quadratic(o, y, 0),
    "ccql": lambda o, y: naive_quadratic(o, y, math.sqrt(o.shape[-1] - 1) - 1),
    "square": lambda o, y: F.mse_loss(o, F.one_hot(y, o.shape[-1]).to(o)) * o.shape[-1] / 2,
    "mse": F.mse_loss,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [2, 3, 10, 40])
def test_values_are_the_oracles(name, classes):
    loss = build_loss(name)
    outputs, y = batch(loss, classes=classes)
    expected = torch.as_tensor(ORACLES[name](outputs, y), dtype=torch.float64)
    torch.testing.assert_close(loss(outputs, y), expected)
    torch.testing.assert_close(loss.value_and_grad(outputs, y)[0], expected)


@pytest.mark.parametrize(("name", "options"), NAMED)
@pytest.mark.parametrize("classes", [2, 10, 40])
@pytest.mark.parametrize("members", [(), (1,), (3,), (2, 2)])
def test_gradients_are_autograds(name, options, classes, members):
    loss = build_loss(name, **options)
    outputs, y = batch(loss, members=members, classes=classes)
    given_outputs = outputs.clone()
    losses, grad = loss.value_and_grad(outputs, y)
    leaf = outputs.clone().requires_grad_()
    loss(leaf, y).sum().backward()
    torch.testing.assert_close(grad, leaf.grad)
    assert losses.shape == members
    assert grad.shape == outputs.shape
    assert grad.is_contiguous()
    assert not losses.requires_grad
    assert torch.equal(outputs, given_outputs), "the outputs were written to"


@pytest.mark.parametrize(("name", "options"), NAMED)
def test_gradients_are_finite_differences(name, options):
    loss = build_loss(name, **options)
    outputs, y = batch(loss, samples=3, classes=4)
    grad = loss.value_and_grad(outputs, y)[1]
    h = 1e-6
    for i in range(3):
        for j in range(4):
            step = torch.zeros_like(outputs)
            step[i, j] = h
            slope = (loss(outputs + step, y) - loss(outputs - step, y)).item() / (2 * h)
            assert grad[i, j].item() == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize(("name", "options"), NAMED)
@pytest.mark.parametrize("classes", [10, 40])
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_has_the_bits_of_its_solo_run(name, options, classes, shared):
    loss = build_loss(name, **options)
    outputs, y = batch(
        loss, members=(4,), samples=37, classes=classes, dtype=torch.float32, shared=shared
    )
    losses, grad = loss.value_and_grad(outputs, y)
    evaluated = loss(outputs, y)
    for k in range(4):
        alone, its_grad = loss.value_and_grad(outputs[k : k + 1], y if shared else y[k : k + 1])
        assert torch.equal(losses[k], alone[0])
        assert torch.equal(grad[k], its_grad[0])
        torch.testing.assert_close(evaluated[k], alone[0])


@pytest.mark.parametrize(("name", "options"), NAMED)
def test_half_precision_gives_float32_losses_and_half_gradients(name, options):
    loss = build_loss(name, **options)
    outputs, y = batch(loss, members=(2,), dtype=torch.float32)
    half = outputs.bfloat16()
    losses, grad = loss.value_and_grad(half, y)
    expected, expected_grad = loss.value_and_grad(half.float(), y)
    assert losses.dtype == loss(half, y).dtype == torch.float32
    assert grad.dtype == torch.bfloat16
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(grad.float(), expected_grad, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", ["cross-entropy", "label-smoothing", "quadratic", "ccql"])
def test_logits_and_log_probabilities_are_the_same_to_a_loss_that_takes_any(name):
    loss = build_loss(name)
    outputs, y = batch(loss)
    assert loss.requires == "any"
    torch.testing.assert_close(loss(outputs, y), loss(outputs.log_softmax(-1), y))


@pytest.mark.parametrize("scale", [1e3, 1e30])
@pytest.mark.parametrize("name", ["cross-entropy", "label-smoothing", "quadratic", "ccql"])
def test_large_logits_stay_finite(name, scale):
    loss = build_loss(name)
    outputs, y = batch(loss, dtype=torch.float32)
    losses, grad = loss.value_and_grad(outputs * scale, y)
    assert losses.isfinite()
    assert grad.isfinite().all()


@given(
    st.integers(2, 12),
    st.integers(1, 5),
    st.integers(0, 2**31),
    st.sampled_from(["cross-entropy", "label-smoothing", "quadratic", "ccql"]),
)
@settings(max_examples=40, deadline=None)
def test_adding_a_number_to_all_logits_changes_nothing(classes, samples, seed, name):
    loss = build_loss(name)
    outputs, y = batch(loss, samples=samples, classes=classes, seed=seed)
    losses, grad = loss.value_and_grad(outputs, y)
    moved, moved_grad = loss.value_and_grad(outputs + 3.5, y)
    torch.testing.assert_close(moved, losses)
    torch.testing.assert_close(moved_grad, grad)
    torch.testing.assert_close(grad.sum(-1), torch.zeros_like(grad[..., 0]))


def test_the_example_of_the_quadratic_loss():
    p = torch.tensor([[0.3, 0.2, 0.4, 0.1]], dtype=torch.float64)
    third = torch.tensor([2])
    assert build_loss("quadratic")(p.log(), third).item() == pytest.approx(0.25, abs=1e-15)
    # ½ w (1 − 0.4)² more, with w = √3 − 1
    ccql = build_loss("ccql")(p.log(), third).item()
    assert ccql == pytest.approx(0.25 + 0.18 * (math.sqrt(3) - 1), abs=1e-15)


def test_for_two_classes_ccql_is_the_quadratic_loss():
    outputs, y = batch(build_loss("ccql"), classes=2)
    quadratic, ccql = build_loss("quadratic"), build_loss("ccql")
    torch.testing.assert_close(ccql(outputs, y), quadratic(outputs, y))


def test_without_smoothing_label_smoothing_is_cross_entropy():
    outputs, y = batch(build_loss("cross-entropy"))
    smooth = build_loss("label-smoothing", smoothing=0.0)
    torch.testing.assert_close(smooth(outputs, y), build_loss("cross-entropy")(outputs, y))


@pytest.mark.parametrize("method", ["__call__", "value_and_grad"])
def test_mse_never_broadcasts_samples(method):
    with pytest.raises(ModelError, match=r"targets of shape \(3,\)"):
        getattr(build_loss("mse"), method)(torch.ones(3, 1), torch.ones(3))


def test_a_loss_is_returned_as_it_is():
    loss = build_loss("ccql", weight=2)
    assert build_loss(loss) is loss
    assert pickle.loads(pickle.dumps(loss)) == loss


def test_the_default_losses_are_for_their_tasks():
    for task, name in DEFAULT_LOSS.items():
        assert LOSSES[name].task == task


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("cross-entropie", {}, "did you mean cross-entropy"),
        ("ccql", {"wieght": 1}, "did you mean weight"),
        ("mse", {"weight": 1}, "mse has no options"),
        ("ccql", {"weight": -1}, "weight=-1"),
        ("ccql", {"weight": float("nan")}, "weight=nan"),
        ("label-smoothing", {"smoothing": 1.5}, "smoothing=1.5"),
        ("label-smoothing", {"smoothing": "a lot"}, "smoothing='a lot'"),
        (F.cross_entropy, {"weight": 1}, "for a callable"),
        (3, {}, "a callable"),
    ],
)
def test_wrong_specifications_are_refused(loss, options, message):
    with pytest.raises(SpecError, match=message):
        build_loss(loss, **options)
