"""The gradient noise scale: how many samples a gradient step is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import DataError
from thalweg.landscape.hessian import Operator
from thalweg.landscape.objective import Objective, finite


@dataclass(frozen=True)
class Noise:
    """The gradient noise scale and what it is made of.

    Attributes:
        simple: B_simple = tr Σ / ‖G‖², in samples; infinite where ‖G‖² is not told from 0.
        error: Its standard error, by the jackknife over batches.
        squared: ‖G‖² of the true gradient, unbiased; it may come out negative.
        variance: tr Σ of one sample's gradient, unbiased.
        full: B_noise = tr(H Σ) / Gᵀ H G, in samples, if a Hessian was given.
    """

    simple: float
    error: float
    squared: float
    variance: float
    full: float | None = None


def gradient_noise(objective: Objective, H: Operator | None = None) -> Noise:
    """Return the gradient noise scale from the gradients of batches of equal size.

    Batches smaller than the noise scale give nearly as many times the progress as they have times
    the samples; larger ones waste them. With m gradients gᵢ of batches of b samples and their mean
    ḡ, tr Σ = b Σ ‖gᵢ − ḡ‖² / (m − 1) and ‖G‖² = ‖ḡ‖² − tr Σ / (m b) are unbiased; likewise
    tr(H Σ) and Gᵀ H G.

    Source: McCandlish, Kaplan, Amodei and the OpenAI Dota Team, "An empirical model of large-batch
    training", 2018, equations (2.8) and (2.9), appendix A.1. Deviation: tr Σ and ‖G‖² come from all
    batches and their mean, instead of from one small and one large batch a step.

    Args:
        objective: The loss as a function of the parameters; its batches must be of one size, drawn
            at random, and at least three.
        H: The Hessian of the same parameters, for B_noise, at the cost of m + 1 products.

    Raises:
        DataError: There are fewer than three batches, or they differ in size.
        ModelError: The loss is not finite.

    Example:
        Targets ±1 + 2 for a constant that predicts 0: gradients 2·(0 − y), of mean −4, variance 4.

        >>> from torch import nn
        >>> network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        >>> _ = nn.init.zeros_(network.weight)
        >>> x = torch.ones(1000, 1, dtype=torch.float64)
        >>> y = 2 + torch.ones(1000, 1, dtype=torch.float64) * (-1) ** torch.arange(1000)[:, None]
        >>> found = gradient_noise(Objective(network, nn.MSELoss(), zip(x.split(1), y.split(1))))
        >>> round(found.simple, 2)  # 4 / 16
        0.25
    """
    sizes = {len(x) for x, _ in objective.batches}
    m = len(objective.batches)
    if len(sizes) > 1 or m < 3:
        raise DataError(
            f"{m} batches of sizes {sorted(sizes)}",
            "three or more batches of one size",
            "leave out the last batch if it is smaller",
        )
    b = sizes.pop()
    each = list(objective.each())
    finite(sum(loss for loss, _ in each))
    g = torch.stack([gradient.double() for _, gradient in each])  # (m, P)
    mean = g.mean(0)
    apart = (g - mean).square().sum(1)  # (m,)
    along = (g - mean) @ mean  # (m,)
    spread, size = apart.sum(), mean.square().sum()
    variance, squared = _unbiased(spread, size, m, b)
    # Without batch i the mean is ḡ − (gᵢ − ḡ)/(m − 1), and the squared distances add up to
    # Σ ‖gⱼ − ḡ‖² − ‖gᵢ − ḡ‖² m/(m − 1).
    without = _unbiased(
        spread - apart * m / (m - 1),
        size - 2 * along / (m - 1) + apart / (m - 1) ** 2,
        m - 1,
        b,
    )
    ratios = without[0] / without[1]
    error = math.sqrt((m - 1) / m * (ratios - ratios.mean()).square().sum().item())
    full = None if H is None else _full(H, g, mean, b)
    simple = variance.item() / squared.item() if squared > 0 else math.inf
    return Noise(simple, error, squared.item(), variance.item(), full)


def _unbiased(spread: Tensor, size: Tensor, m: int, b: int) -> tuple[Tensor, Tensor]:
    """Return tr Σ and ‖G‖² from Σ ‖gᵢ − ḡ‖² and ‖ḡ‖²."""
    variance = spread * b / (m - 1)
    return variance, size - variance / (m * b)


def _full(H: Operator, g: Tensor, mean: Tensor, b: int) -> float:
    """Return tr(H Σ) / Gᵀ H G."""
    m = len(g)
    V = torch.cat([g - mean, mean[None]]).T  # (P, m + 1)
    forms = (V * (H @ V.to(H.dtype)).to(V)).sum(0)
    spread, along = forms[:-1].sum().item() * b / (m - 1), forms[-1].item()
    along -= spread / (m * b)
    return spread / along if along > 0 else math.inf
