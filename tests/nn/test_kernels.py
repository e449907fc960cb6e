from __future__ import annotations

import pytest
import torch

from thalweg.nn import kernels

WIDE = (128, 96, 64)  # batch, in, out
SHAPES = [WIDE, (64, 64, 64), (513, 784, 100), (200, 70, 129)]
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="this torch has no oneDNN product")


@pytest.fixture
def choose(monkeypatch):
    """Choose the library, as the environment variable does."""

    def choice(name):
        monkeypatch.setenv("THALWEG_GEMM", name)
        kernels.onednn_wins.cache_clear()

    yield choice
    kernels.onednn_wins.cache_clear()


def operands(batch, fan_in, fan_out, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator).to(dtype)  # noqa: E731
    return draw(batch, fan_in), draw(fan_out, fan_in), draw(fan_out), draw(batch, fan_out)


def products(x, w, b, g):
    """All three products of a layer, in float32."""
    weight, gx = torch.full(w.shape, torch.nan), torch.full(x.shape, torch.nan)
    kernels.grad_weight(g, x, weight)
    return {
        "y": kernels.linear(x, w, b, torch.full(g.shape, torch.nan)),
        "y without bias": kernels.linear(x, w, None, torch.full(g.shape, torch.nan)),
        "dW": weight,
        "dX": kernels.grad_input(g, w, gx),
    }


def exact(x, w, b, g):
    """The same in float64."""
    x, w, b, g = (value.double() for value in (x, w, b, g))
    return {"y": x @ w.T + b, "y without bias": x @ w.T, "dW": g.T @ x, "dX": g @ w}


def close(found, expected, relative):
    for name, value in expected.items():
        error = (found[name].double() - value).norm() / value.norm()
        assert error < relative, (name, float(error))


@pytest.mark.parametrize("library", ["mkl", pytest.param("onednn", marks=needs_onednn)])
@pytest.mark.parametrize("shape", [*SHAPES, (7, 3, 2), (1, 100, 100), (100, 784, 10)])
def test_products_are_right_in_either_library(choose, library, shape):
    choose(library)
    given = operands(*shape)
    close(products(*given), exact(*given), 1e-6)


@needs_onednn
@pytest.mark.parametrize("shape", SHAPES)
def test_the_libraries_agree(choose, shape):
    given = operands(*shape)
    choose("onednn")
    ours = products(*given)
    choose("mkl")
    close(ours, products(*given), 1e-6)


@needs_onednn
@pytest.mark.parametrize(
    ("shape", "used"),
    [(WIDE, True), ((64, 64, 64), True), ((63, 64, 64), False), ((64, 64, 10), False)],
)
def test_onednn_is_for_wide_shapes_only(choose, monkeypatch, shape, used):
    calls = []
    real = torch.ops.mkldnn._linear_pointwise

    def counted(*arguments):
        calls.append(arguments)
        return real(*arguments)

    choose("onednn")
    assert kernels.onednn_wins()
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", counted)
    products(*operands(*shape))
    assert len(calls) == (4 if used else 0)


@pytest.mark.parametrize(
    ("choice", "narrow", "wins"),
    [("auto", True, True), ("auto", False, False), ("onednn", False, True), ("mkl", True, False)],
)
@needs_onednn
def test_the_processor_decides_unless_the_user_does(choose, monkeypatch, choice, narrow, wins):
    monkeypatch.setattr(kernels, "mkl_is_narrow", lambda: narrow)
    choose(choice)
    assert kernels.onednn_wins() is wins


def test_without_the_operator_torch_multiplies(choose, monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    choose("onednn")
    assert not kernels.onednn_wins()
    given = operands(*WIDE)
    close(products(*given), exact(*given), 1e-6)


@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_float64_stays_float64(choose, library):
    choose(library)
    x, w, b, g = operands(*WIDE, dtype=torch.float64)
    assert torch.equal(kernels.linear(x, w, b, torch.empty_like(g)), torch.addmm(b, x, w.T))
    assert torch.equal(kernels.grad_input(g, w, torch.empty_like(x)), g @ w)


@pytest.mark.parametrize("library", ["mkl", "onednn"])
def test_bfloat16_comes_back_as_float32(choose, library):
    choose(library)
    x, w, b, g = operands(*WIDE)
    half = [value.bfloat16() for value in (x, w, g)]
    found = products(half[0], half[1], b, half[2])
    assert all(value.dtype == torch.float32 for value in found.values())
    close(found, exact(x, w, b, g), 2e-2)


@pytest.mark.parametrize("shared", ["a", "b", None])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_products_of_all_members_are_right(shared, biased, exact):
    a, b = (
        torch.randn(1 if shared == "a" else 3, 4, 5),
        torch.randn(1 if shared == "b" else 3, 5, 6),
    )
    bias = torch.randn(3, 1, 6) if biased and shared != "b" else None
    out = torch.full((3, 4, 6), torch.nan)
    kernels.product(out, a, b, bias, exact=exact)
    torch.testing.assert_close(out, a @ b + (0 if bias is None else bias))


@pytest.mark.parametrize("by_feature", [True, False])
def test_sums_over_the_batch_are_right_however_samples_lie(by_feature):
    g = torch.randn(3, 6, 5).mT if by_feature else torch.randn(3, 5, 6)
    out = torch.full((3, 6), torch.nan)
    kernels.sums_over_batch(out, g)
    torch.testing.assert_close(out, g.sum(1))
