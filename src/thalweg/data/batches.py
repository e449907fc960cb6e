"""Batches, as indices into a split that is already on the device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from thalweg.errors import SpecError


def index_batches(
    n: int,
    batch_size: int | None,
    generator: torch.Generator,
    *,
    shuffle: bool = True,
    drop_last: bool = False,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """Iterate over one epoch's batches.

    A shuffled epoch draws exactly one permutation of ``n`` from the generator, whatever the batch
    size, so that the stream of epochs depends on ``n`` and the seed alone. A full batch is yielded
    in the samples' own order: its permutation is drawn and left unused, because it could change
    nothing but the rounding of a sum. Without ``shuffle`` nothing is drawn.

    Args:
        n: Samples in the split.
        batch_size: Samples a batch; None, or ``n`` and more, for the full batch.
        generator: Source of the shuffle, on whatever device it lives.
        shuffle: Whether to permute the samples.
        drop_last: Leave out a last batch that is short; a full batch is never short.
        device: Where the index tensors are wanted.

    Returns:
        An iterator over int64 tensors, ``(batch_size,)`` each but perhaps the last; together they
        name every sample once (unless the last was dropped).

    Raises:
        SpecError: A batch size that is not positive.

    Example:
        >>> epoch = index_batches(5, 2, torch.Generator().manual_seed(0))
        >>> [len(batch) for batch in epoch]
        [2, 2, 1]
    """
    if batch_size is not None and batch_size < 1:
        raise SpecError(f"batch_size={batch_size}", "a positive count", "None is the full batch")
    if shuffle:
        order = torch.randperm(n, generator=generator, device=generator.device).to(device)
    if batch_size is None or batch_size >= n:
        return iter((torch.arange(n, device=device),))
    if not shuffle:
        order = torch.arange(n, device=device)
    kept = n - n % batch_size if drop_last else n
    return iter(torch.split(order[:kept], batch_size))
