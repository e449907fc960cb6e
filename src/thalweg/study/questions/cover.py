"""When a linear classifier can fit: Cover's count, and what a linear program finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from thalweg.errors import DataError

LOADS = (0.5, 1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0)
"""Samples per free number at which separability is tried."""


@dataclass(frozen=True)
class Tried:
    """How many of some random labellings a hyperplane could tell apart.

    Args:
        n: Samples.
        features: Of each.
        separable: How many labellings it could.
        draws: Out of how many.
    """

    n: int
    features: int
    separable: int
    draws: int

    @property
    def share(self) -> float:
        """Their share."""
        return self.separable / self.draws

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of its 95 % interval (Wilson 1927)."""
        from scipy.stats import binomtest

        found = binomtest(self.separable, self.draws).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


def cover_share(n: int, features: int) -> float:
    """Return the share of the labellings of n points in two classes that a hyperplane tells apart.

    For n points in general position, of the 2ⁿ labellings

        2 Σ_{k ≤ d} C(n − 1, k)

    are linearly separable, with a threshold: all of them up to n = d + 1, half of them at
    n = 2 (d + 1), and hardly any soon after where d is large.

    Source: Cover, "Geometrical and statistical properties of systems of linear inequalities with
    applications in pattern recognition", 1965, theorem 1 and section III.

    Args:
        n: Points.
        features: d, the dimensions that they span.

    Example:
        >>> cover_share(4, 2)  # of 16 labellings of four points in the plane, all but two: xor
        0.875
        >>> cover_share(785, 784), round(cover_share(1570, 784), 9)
        (1.0, 0.5)
    """
    from scipy.stats import binom

    return float(binom.cdf(features, n - 1, 0.5))


def separable(x: Tensor, y: Tensor) -> bool:
    """Tell whether a hyperplane has all samples of one class on one side, the rest on the other.

    A linear program decides: are there w and b with s (w·x + b) ≥ 1 for each sample, s = ±1?

    Args:
        x: Samples, (n, d).
        y: Which of them are of the class, (n,) bool.

    Raises:
        DataError: The program has no verdict.

    Example:
        >>> corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        >>> separable(corners, torch.tensor([False, True, True, True]))
        True
        >>> separable(corners, torch.tensor([False, True, True, False]))
        False
    """
    from scipy.optimize import linprog

    s = torch.where(y, 1.0, -1.0).double().unsqueeze(1)
    rows = (-s * torch.cat([x.double(), torch.ones_like(s)], 1)).numpy()
    n, free = rows.shape
    found = linprog(np.zeros(free), A_ub=rows, b_ub=-np.ones(n), bounds=(None, None))
    if found.status not in {0, 2}:
        raise DataError(f"a linear program that ends with {found.message!r}", "a verdict")
    return bool(found.status == 0)


def rank(x: Tensor) -> int:
    """Return how many numbers of a hyperplane count for samples (n, …): the rank of [x, 1].

    Pixels that are the same in all images add none.

    Example:
        >>> rank(torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]))
        2
    """
    flat = x.flatten(1).double()
    centred = flat - flat.mean(0)
    return int(torch.linalg.matrix_rank(centred, rtol=1e-6)) + 1


def shorten(x: Tensor, features: int) -> Tensor:
    """Return samples (n, …) in the directions in which they vary most, (n, features), scaled alike.

    Raises:
        DataError: They do not vary in so many.
    """
    flat = x.flatten(1).double()
    centred = flat - flat.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    if features > len(s) or s[features - 1] < 1e-6 * s[0]:
        raise DataError(f"samples that vary in fewer than {features} directions", "as many")
    return torch.as_tensor(u[:, :features] * float(len(u)) ** 0.5)


def try_labels(
    x: Tensor, draws: int = 40, loads: Sequence[float] = LOADS, seed: int = 0
) -> list[Tried]:
    """Label samples at random in two classes, many times, and see how often a line divides them.

    Args:
        x: Samples, (N, d): each time some of them are drawn.
        draws: Labellings, for each number of samples.
        loads: Samples for each of the d + 1 numbers of a hyperplane.
        seed: Of all that is drawn.

    Example:
        >>> x = torch.randn(100, 5, generator=Generator().manual_seed(0))
        >>> [(each.n, each.separable) for each in try_labels(x, 10, [1.0, 5.0])]
        [(6, 10), (30, 0)]
    """
    generator, features = Generator().manual_seed(seed), x.shape[1]
    found = []
    for load in loads:
        n = round(load * (features + 1))
        if n > len(x):
            break
        hits = 0
        for _ in range(draws):
            chosen = torch.randperm(len(x), generator=generator)[:n]
            y = torch.rand(n, generator=generator) < 0.5
            hits += bool(y.all()) or not bool(y.any()) or separable(x[chosen], y)
        found.append(Tried(n, features, hits, draws))
    return found
