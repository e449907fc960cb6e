"""Corruptions for studies of memorisation and generalisation.

After Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning requires rethinking
generalization" (2017, arXiv:1611.03530), section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from thalweg.data.normalize import moments
from thalweg.errors import SpecError, nearest

LABEL_NOISE_KINDS = ("permute", "random")
PIXEL_KINDS = ("intact", "permute", "permute-each", "gaussian")


def corrupt_labels(
    y: Tensor, fraction: float, kind: str, classes: int, generator: torch.Generator
) -> Tensor:
    """Return targets of which a fraction has been corrupted.

    Exactly ``round(fraction · N)`` samples are drawn, where the paper decides for each sample by
    itself: the fraction is then the same for every seed. A drawn sample may keep its label by
    chance.

    Args:
        y: Labels ``(N,)`` int64, or targets ``(N, T)``.
        fraction: Between 0 and 1; 0 returns ``y`` itself.
        kind: ``"permute"`` exchanges the targets of the drawn samples among them, so that class
            counts stay; ``"random"`` draws labels uniformly over the classes.
        classes: Number of classes; 0 for regression.
        generator: A CPU generator.

    Raises:
        SpecError: An unknown kind, a fraction outside [0, 1], or random labels for regression.

    Example:
        >>> y = torch.arange(6) % 3
        >>> noisy = corrupt_labels(y, 1.0, "permute", 3, torch.Generator().manual_seed(0))
        >>> noisy.bincount().tolist()
        [2, 2, 2]
    """
    if kind not in LABEL_NOISE_KINDS:
        raise SpecError(
            f"label_noise_kind={kind!r}", "a kind of label noise", nearest(kind, LABEL_NOISE_KINDS)
        )
    if not 0 <= fraction <= 1:
        raise SpecError(f"label_noise={fraction}", "a fraction from 0 to 1")
    if fraction == 0:
        return y
    if kind == "random" and not classes:
        raise SpecError("random labels for regression", "classes to draw from", "try permute")
    drawn = torch.randperm(len(y), generator=generator)[: round(fraction * len(y))]
    places = drawn.sort().values.to(y.device)
    noisy = y.clone()
    if kind == "permute":
        noisy[places] = y[drawn.to(y.device)]
    else:
        noisy[places] = torch.randint(classes, drawn.shape, generator=generator).to(y.device)
    return noisy


def pixel_order(input_shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw one permutation of the pixels of an input.

    Returns:
        ``(P,)`` int64, where P is the number of positions: H·W of an image, whose channels stay
        together, or the number of features of anything else.
    """
    return torch.randperm(_by_pixel(torch.empty(1, *input_shape)).shape[-1], generator=generator)


def reorder_pixels(x: Tensor, order: Tensor) -> Tensor:
    """Return inputs ``(N, *input_shape)`` with their pixels in ``order``, ``(P,)``."""
    return _by_pixel(x)[..., order.to(x.device)].reshape(x.shape)


def shuffle_pixels(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return inputs ``(N, *input_shape)``, the pixels of each in a random order of its own."""
    pixels = _by_pixel(x)
    shuffled = torch.empty_like(pixels)
    for source, target in zip(pixels, shuffled, strict=True):
        order = torch.randperm(pixels.shape[-1], generator=generator)
        torch.index_select(source, -1, order.to(x.device), out=target)
    return shuffled.reshape(x.shape)


def gaussian_pixels(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return Gaussian noise ``(N, *input_shape)`` with the mean and variance of ``x``."""
    mean, std = moments(x)
    return torch.randn(x.shape, generator=generator).to(x.device) * std + mean


def _by_pixel(x: Tensor) -> Tensor:
    """View ``(N, C, H, W)`` as ``(N, C, H·W)``, and anything else as ``(N, 1, features)``."""
    return x.flatten(2) if x.ndim == 4 else x.flatten(1).unsqueeze(1)
