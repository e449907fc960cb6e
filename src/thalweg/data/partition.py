"""Who is in which split: sizes, and random or stratified choices."""

from __future__ import annotations

import torch
from torch import Tensor

from thalweg.errors import DataError, SpecError


def part_size(name: str, value: float, n: int) -> int:
    """Return how many of ``n`` samples a setting asks for.

    Args:
        name: The setting's name, for the error.
        value: Below 1 a fraction, rounded to the nearest number of samples; else a count.
        n: Samples there are.

    Raises:
        SpecError: A value that is negative, or neither a fraction nor a whole count.
        DataError: More samples than there are, or a fraction that comes to none.

    Example:
        >>> part_size("val", 0.05, 60_000), part_size("val", 5000, 60_000)
        (3000, 5000)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{name}={value!r}", "a fraction below 1 or a count")
    if not value >= 0 or (value > 1 and value % 1 != 0):
        raise SpecError(f"{name}={value}", "a fraction below 1 or a whole count, not negative")
    size = round(value * n) if value < 1 else int(value)
    if size > n:
        raise DataError(f"{name}={value} of {n} samples", f"at most {n}")
    if value and not size:
        raise DataError(f"{name}={value} of {n} samples, which is none", "at least one sample")
    return size


def quotas(counts: Tensor, total: int) -> Tensor:
    """Share ``total`` among classes in proportion to ``counts``, by largest remainders.

    Args:
        counts: Samples of each class, ``(C,)`` int64, not all zero.
        total: Samples to hand out, at most ``counts.sum()``.

    Returns:
        ``(C,)`` int64 that sums to ``total``; each within one of its exact share (Hamilton's
        method), none above its count.

    Example:
        >>> quotas(torch.tensor([60, 30, 10]), 15).tolist()
        [9, 5, 1]
    """
    shares = counts * total
    n = int(counts.sum())
    quota = shares // n
    left = total - int(quota.sum())
    quota[(shares % n).argsort(descending=True, stable=True)[:left]] += 1
    return quota


def choose(
    n: int, count: int, generator: torch.Generator, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Choose ``count`` of ``n`` samples at random.

    Args:
        n: Samples there are.
        count: Samples to choose.
        generator: A CPU generator; one permutation is drawn from it.
        labels: Class labels, ``(n,)`` int64, whose proportions to keep.

    Returns:
        The indices chosen, ``(count,)``, and those left, ``(n - count,)``; both int64, ascending.

    Example:
        >>> chosen, left = choose(
        ...     4, 2, torch.Generator().manual_seed(0), torch.tensor([0, 1, 0, 1])
        ... )
        >>> sorted(chosen.tolist() + left.tolist()), int((chosen % 2).sum())
        ([0, 1, 2, 3], 1)
    """
    order = torch.randperm(n, generator=generator)
    if labels is not None:
        labels = labels.cpu()
        counts = labels.bincount()
        order = order[labels[order].argsort(stable=True)]  # by class, shuffled within each
        first = counts.cumsum(0) - counts
        rank = torch.arange(n) - first[labels[order]]
        wanted = rank < quotas(counts, count)[labels[order]]
        order = torch.cat([order[wanted], order[~wanted]])
    return order[:count].sort().values, order[count:].sort().values
