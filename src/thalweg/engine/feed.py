"""Batches for K networks: who sees which samples, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Generator, Tensor, nn

from thalweg.data import Split, index_batches

CHUNK = 1000
"""Samples that are evaluated at a time."""

IMAGES = 250
"""The same for convolutions on a CPU, where what each sample leaves behind soon fills a cache."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

Batch = tuple[Tensor, Tensor]
"""Inputs, (1 or K, batch, …), and labels (batch,) or (K, batch), or targets, with one axis more."""


def has_own(y: Tensor) -> bool:
    """Tell whether labels or targets have a first axis for the members."""
    return y.dim() > (2 if y.is_floating_point() else 1)


class Orders:
    """Sources of the order of the samples: one for all members, or several.

    Args:
        generators: The sources.
        of: Which of them each member follows.

    Attributes:
        shuffles: Their states as they were when the epoch began.
    """

    def __init__(self, generators: Sequence[Generator], of: Sequence[int]) -> None:
        self.generators, self.of = list(generators), list(of)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Take note of where the epoch begins."""
        self.shuffles = [generator.get_state() for generator in self.generators]

    def back_to_epoch(self, shuffles: Sequence[Tensor]) -> None:
        """Go back to where an epoch began."""
        self.shuffles = list(shuffles)
        for generator, state in zip(self.generators, shuffles, strict=True):
            generator.set_state(state)

    def enter(self, generators: Sequence[Generator], of: Sequence[int]) -> None:
        """Let members enter who follow further sources, counted after those that there are."""
        self.generators += generators
        self.of += of
        self.shuffles += [generator.get_state() for generator in generators]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some members, and the sources that they follow."""
        of = [self.of[row] for row in rows]
        used = list(dict.fromkeys(of))
        self.generators = [self.generators[each] for each in used]
        self.shuffles = [self.shuffles[each] for each in used]
        self.of = [used.index(each) for each in of]


class Feed:
    """Batches of the members' training samples.

    What members have in common is gathered once: with one split and one order for all, inputs are
    (1, batch, …). Each batch may use the memory of the one before.

    Args:
        splits: The training samples of each member, equally many, on one device.
        orders: In which order each sees them.
        size: Samples a batch.
        drop_last: Leave out a last batch that is short.

    Example:
        >>> x = torch.arange(4.0).unsqueeze(1)
        >>> split = Split(x, x, x)
        >>> two = Orders([torch.Generator().manual_seed(seed) for seed in (0, 1)], of=[0, 1])
        >>> [x.shape for x, y in Feed([split, split], two, size=3).epoch()]
        [torch.Size([2, 3, 1]), torch.Size([2, 1, 1])]
    """

    def __init__(
        self, splits: Sequence[Split], orders: Orders, size: int, *, drop_last: bool = False
    ) -> None:
        self.splits, self.orders, self.size, self.drop_last = list(splits), orders, size, drop_last
        self._places: dict[tuple[int, ...], Tensor] = {}

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some members; what they see does not change."""
        self.splits = [self.splits[row] for row in rows]
        self._places.clear()

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Iterate over one epoch, whose orders are drawn at once; leave out its first batches.

        Members may leave while it goes on.
        """
        n, device = len(self.splits[0]), self.splits[0].x.device
        drawn = {
            generator: islice(
                index_batches(n, self.size, generator, drop_last=self.drop_last, device=device),
                skip,
                None,
            )
            for generator in self.orders.generators
        }
        return self._batches(drawn, whole=self.size >= n)

    def _batches(
        self, drawn: Mapping[Generator, Iterator[Tensor]], *, whole: bool
    ) -> Iterator[Batch]:
        while True:
            indices = [i for each in self.orders.generators for i in islice(drawn[each], 1)]
            if not indices:
                return
            own = [indices[each] for each in self.orders.of]
            if whole:  # in the samples' own order
                yield next(parts(self.splits, self.size))
                continue
            xs = [split.x for split in self.splits]
            ys = [split.y for split in self.splits]
            x = self._gather(xs, own)
            one = _alike(ys) and len(indices) == 1
            y = (
                ys[0].index_select(0, own[0])
                if one
                else torch.stack([y.index_select(0, i) for y, i in zip(ys, own, strict=True)])
            )
            yield x, y

    def _gather(self, xs: Sequence[Tensor], own: Sequence[Tensor]) -> Tensor:
        one = _alike(xs) and len(self.orders.generators) == 1
        shape = (1 if one else len(xs), len(own[0]), *xs[0].shape[1:])
        if shape not in self._places:
            self._places[shape] = torch.empty(shape, dtype=xs[0].dtype, device=xs[0].device)
        place = self._places[shape]
        for x, i, there in zip(xs, own, place, strict=False):  # one for all, or one for each
            torch.index_select(x, 0, i, out=there)
        return place

    def everything(self) -> Iterator[Batch]:
        """Iterate over all training samples in their own order."""
        return parts(self.splits, self.size)


def chunk_size(network: nn.Module, device: torch.device | str = "cpu") -> int:
    """Return how many samples to evaluate at a time.

    Example:
        >>> chunk_size(nn.Linear(2, 1)), chunk_size(nn.Sequential(nn.Conv2d(1, 6, 5)))
        (1000, 250)
    """
    small = any(isinstance(module, CONVOLUTIONS) for module in network.modules())
    return IMAGES if small and torch.device(device).type == "cpu" else CHUNK


def parts(split: Split | Sequence[Split], size: int) -> Iterator[Batch]:
    """Iterate over samples in their own order.

    Args:
        split: The samples of all members, or of each, equally many.
        size: Samples at a time.
    """
    splits = [split] if isinstance(split, Split) else split
    xs, ys = [each.x for each in splits], [each.y for each in splits]
    for start in range(0, len(splits[0]), size):
        part = slice(start, start + size)
        x = xs[0][part].unsqueeze(0) if _alike(xs) else torch.stack([x[part] for x in xs])
        y = ys[0][part] if _alike(ys) else torch.stack([y[part] for y in ys])
        yield x, y


def _alike(tensors: Sequence[Tensor]) -> bool:
    return all(tensor is tensors[0] for tensor in tensors)
