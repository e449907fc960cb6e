from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg.data.corrupt import (
    corrupt_labels,
    gaussian_pixels,
    pixel_order,
    reorder_pixels,
    shuffle_pixels,
)
from thalweg.errors import SpecError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.floats(0, 1), st.integers(0, 9))
def test_permuting_keeps_every_label(labels: list[int], fraction: float, seed: int) -> None:
    y = torch.tensor(labels)
    noisy = corrupt_labels(y, fraction, "permute", 5, _generator(seed))
    assert sorted(noisy.tolist()) == sorted(labels)
    assert int((noisy != y).sum()) <= round(fraction * len(y))
    assert y.tolist() == labels


def test_permuting_everything_is_one_random_permutation() -> None:
    y = torch.arange(50)
    noisy = corrupt_labels(y, 1.0, "permute", 50, _generator(3))
    assert torch.equal(noisy, y[torch.randperm(50, generator=_generator(3))])


def test_random_labels_are_uniform_where_they_are_drawn() -> None:
    y = torch.full((20_000,), 3)
    noisy = corrupt_labels(y, 0.5, "random", 4, _generator())
    assert noisy.bincount(minlength=4)[:3].tolist() == pytest.approx([2500] * 3, abs=250)
    assert int((noisy == 3).sum()) == pytest.approx(12_500, abs=250)


def test_no_noise_is_the_same_tensor() -> None:
    y = torch.arange(3)
    assert corrupt_labels(y, 0, "random", 3, _generator()) is y


def test_targets_of_regression_are_permuted_by_row() -> None:
    y = torch.arange(12.0).reshape(6, 2)
    noisy = corrupt_labels(y, 1, "permute", 0, _generator())
    assert sorted(noisy.tolist()) == y.tolist()
    assert not torch.equal(noisy, y)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_is_a_fraction(fraction: float) -> None:
    with pytest.raises(SpecError, match="label_noise="):
        corrupt_labels(torch.arange(3), fraction, "permute", 3, _generator())


def test_an_unknown_kind_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean permute"):
        corrupt_labels(torch.arange(3), 0.5, "permuted", 3, _generator())


def test_random_labels_need_classes() -> None:
    with pytest.raises(SpecError, match="regression"):
        corrupt_labels(torch.zeros(3, 1), 0.5, "random", 0, _generator())


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (4, 5)])
def test_one_order_of_pixels_holds_for_all_and_can_be_undone(shape: tuple[int, ...]) -> None:
    x = torch.randn(6, *shape, generator=_generator())
    order = pixel_order(shape, _generator(1))
    mixed = reorder_pixels(x, order)
    assert mixed.shape == x.shape
    assert not torch.equal(mixed, x)
    assert torch.equal(reorder_pixels(mixed, order.argsort()), x)


def test_channels_of_a_pixel_stay_together() -> None:
    x = torch.arange(20.0).reshape(1, 1, 4, 5).repeat(2, 3, 1, 1)
    for mixed in (
        reorder_pixels(x, pixel_order((3, 4, 5), _generator())),
        shuffle_pixels(x, _generator()),
    ):
        assert torch.equal(mixed[:, 0], mixed[:, 1])
        assert torch.equal(mixed[:, 0], mixed[:, 2])


def test_each_image_is_shuffled_by_itself() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4).repeat(5, 1, 1, 1)
    mixed = shuffle_pixels(x, _generator())
    assert torch.equal(mixed.flatten(1).sort().values, x.flatten(1))
    assert len({tuple(image.flatten().tolist()) for image in mixed}) == 5


def test_gaussian_pixels_match_mean_and_variance_by_channel() -> None:
    scale = torch.tensor([1.0, 5.0]).reshape(2, 1, 1)
    x = torch.randn(400, 2, 6, 6, generator=_generator()) * scale + 3 * scale
    noise = gaussian_pixels(x, _generator(1))
    assert noise.shape == x.shape
    assert noise.mean((0, 2, 3)).tolist() == pytest.approx([3, 15], rel=0.02)
    assert noise.std((0, 2, 3)).tolist() == pytest.approx([1, 5], rel=0.02)
    assert not torch.equal(noise, x)
