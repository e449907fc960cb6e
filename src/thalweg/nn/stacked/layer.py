"""What every stacked layer is: K copies of one layer, with a hand-written backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Generator, Tensor

from thalweg.errors import ModelError

State = dict[str, Tensor]
"""Tensors of one layer by name, the members along the first axis."""


@dataclass(frozen=True)
class Shard:
    """The part of a batch that is here, where several processes share the batch.

    Args:
        rows: Which of its rows.
        of: Rows of the whole batch.
        add: Adds a tensor up over the processes, in place.
    """

    rows: slice
    of: int
    add: Callable[[Tensor], None]


@dataclass
class Context:
    """What the layers of one stack share.

    Args:
        members: K.
        precision: Arithmetic of linear layers and convolutions.
        generators: One a member, for dropout masks.
        share: What a batch counts for in BatchNorm's running statistics instead of the layers' own
            momentum; None while they are trained.
        exact: Whether each member has the bits of its run alone; else what is left to autograd may
            run all members as one, with other roundings.
        trains: Whether there are backward passes; layers may take forms that have none if not.
    """

    members: int
    precision: torch.dtype
    generators: Sequence[Generator]
    share: float | None = None
    exact: bool = True
    shard: Shard | None = None
    trains: bool = True

    def drawn_from(self) -> Sequence[Generator]:
        """Return the generators of masks.

        Raises:
            ModelError: There are none.
        """
        if len(self.generators) != self.members:
            raise ModelError(
                f"{len(self.generators)} generators for the masks of {self.members} members",
                "one a member",
                "pass generators=[torch.Generator().manual_seed(seed), …]",
            )
        return self.generators


class Layer(ABC):
    """K copies of one layer.

    Tensors between layers have shape (K, batch, …); a leading axis of 1 is shared by all members.
    ``forward`` keeps what ``backward`` needs. ``backward`` writes the gradients of the layer's
    parameters, replacing what was there, and returns the gradient of its input. Both may overwrite
    the tensor that they are given, except the network's own input, and return buffers that the next
    call overwrites.
    """

    trains = False
    """Whether the layer has parameters to find gradients for."""

    kept: tuple[str, ...] = ()
    """Attributes that forward leaves for backward."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._buffers: dict[tuple[object, ...], Tensor] = {}

    @abstractmethod
    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        """Map (K or 1, batch, …) to (K or 1, batch, …)."""

    @abstractmethod
    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        """Map the output's gradient to the input's; None when it is not needed."""

    def release(self) -> None:
        """Give back the memory of buffers and of what forward has kept."""
        self._buffers.clear()
        for name in self.kept:
            vars(self).pop(name, None)

    def buffer(self, tag: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return a tensor that is the same at every call with the same tag and shape."""
        key = (tag, *shape)
        if key not in self._buffers:
            self._buffers[key] = torch.empty(tuple(shape), dtype=like.dtype, device=like.device)
        return self._buffers[key]

    def buffer_as(self, tag: str, x: Tensor, members: int | None = None) -> Tensor:
        """Return such a tensor, whose members lie in memory as those of ``x`` do.

        The order of a tensor in memory decides how what comes next is rounded, so it may depend on
        the network, but neither on K nor on what differs between members.

        Args:
            tag: What tells it from others.
            x: A tensor (K or 1, …).
            members: K, if not as in ``x``.
        """
        shape, strides = x.shape[1:], x.stride()[1:]
        members = len(x) if members is None else members
        if not _dense(shape, strides):
            return self.buffer(tag, (members, *shape), x)
        key = (tag, members, *shape, strides)
        if key not in self._buffers:
            self._buffers[key] = torch.empty_strided(
                (members, *shape), (shape.numel(), *strides), dtype=x.dtype, device=x.device
            )
        return self._buffers[key]


def each_member(x: Tensor, members: int) -> Sequence[Tensor]:
    """Return the K members' parts of ``x``, repeating the one part that all share."""
    parts = x.unbind(0)
    return parts if len(parts) == members else parts * members


def as_one(parts: Sequence[Tensor]) -> Tensor:
    """Return the members' results (batch, …) as one tensor (K, batch, …).

    Each lies in memory as it would alone, because that decides the roundings of what comes next.
    """
    return gather(iter(parts), len(parts))


def gather(parts: Iterator[Tensor], members: int) -> Tensor:
    """Do the same, copying each result when it is made, while it is in the cache."""
    first = next(parts)
    if members == 1:
        next(parts, None)
        return first.unsqueeze(0)
    shape, strides = (members, *first.shape), (first.numel(), *first.stride())
    whole = torch.empty_strided(shape, strides, dtype=first.dtype, device=first.device)
    whole[0].copy_(first)
    del first  # whose memory the next result may take
    for k, part in enumerate(parts, 1):
        whole[k].copy_(part)
    return whole


@cache
def _dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Tell whether a tensor fills its memory without gaps or overlaps, in whatever order."""
    filled = 1
    for stride, size in sorted((t, n) for t, n in zip(strides, shape, strict=True) if n != 1):
        if stride != filled:
            return False
        filled *= size
    return True
