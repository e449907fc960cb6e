from __future__ import annotations

import pytest
import torch

from thalweg.data.normalize import constants, moments
from thalweg.errors import SpecError


@pytest.mark.parametrize(
    ("shape", "axes", "result"),
    [((50, 3, 4, 5), (0, 2, 3), (3, 1, 1)), ((50, 7), (0,), (7,)), ((50, 4, 5), (0, 1, 2), ())],
)
def test_moments_are_numpys(
    shape: tuple[int, ...], axes: tuple[int, ...], result: tuple[int, ...]
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    mean, std = moments(x)
    assert mean.shape == std.shape == result
    array = x.double().numpy()
    assert mean.flatten().tolist() == pytest.approx(array.mean(axes).ravel().tolist(), rel=1e-5)
    assert std.flatten().tolist() == pytest.approx(array.std(axes).ravel().tolist(), rel=1e-5)


def test_a_constant_feature_is_divided_by_one() -> None:
    assert moments(torch.tensor([[4.0, 1.0], [4.0, 3.0]]))[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("half", (0.5, 0.5)),
        ("none", (0.0, 1.0)),
        ([0.25, 2], (0.25, 2.0)),
        ("default", (0.1307, 0.3081)),
        ("computed", (1.0, 2.0)),
    ],
)
def test_constants(how: str | list[float], expected: tuple[float, float]) -> None:
    mean, std = constants(how, (0.1307, 0.3081), torch.tensor([[-1.0], [3.0]]))
    assert (mean.item(), std.item()) == pytest.approx(expected)
    assert mean.dtype == std.dtype == torch.float32


@pytest.mark.parametrize("how", [(0.5,), (0.5, 0), (0.5, -1), (float("nan"), 1), (0, float("inf"))])
def test_impossible_constants(how: tuple[float, ...]) -> None:
    with pytest.raises(SpecError, match="std > 0"):
        constants(how, "none", torch.zeros(1, 1))


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean computed"):
        constants("compute", "none", torch.zeros(1, 1))
