"""Networks on a line, a plane or a volume, whose first layer is computed once for all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from thalweg.engine.feed import Batch
from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Means, Statistics, copies, estimate
from thalweg.landscape.sizes import VIEWS
from thalweg.nn import Stack
from thalweg.nn.stacked.alike import hooked, layers

REMEMBERED = 2**28
"""Bytes of first layers' outputs that are kept; of more, they are computed for each tile."""

WORTH = 32
"""Numbers that an output of the first layer is a sum over, from which to compute it once pays."""

_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d)


class Sheet:
    """Measures networks at origin + Σ cᵢ vᵢ, tiles of them at a time.

    Where the first layer is linear in its parameters, (W₀ + Σ cᵢWᵢ) x = W₀x + Σ cᵢ(Wᵢx): the
    products of the data with W₀, W₁, … serve all points.

    Args:
        ground: What is measured.
        directions: Origin and directions.
        statistics: BatchNorm's; see `Ground.evaluate`.
        linear: Use that the first layer is linear, where it is; None where that is quicker.
    """

    def __init__(
        self,
        ground: Ground,
        directions: Directions,
        statistics: Statistics = "frozen",
        *,
        linear: bool | None = None,
    ) -> None:
        self.ground, self.directions, self.statistics = ground, directions, statistics
        halves = None if linear is False else split_first(ground.network)
        if linear is None and halves is not None and _summed(halves[0]) < WORTH:
            halves = None
        head, tail = halves or (None, ground.network)
        self._stack = copies(tail, ground.tile)
        own = self._stack.theta.shape[1]
        self._origin = directions.origin.to(ground.theta)[-own:]
        self._vectors = directions.vectors.to(ground.theta)[:, -own:].unbind(0)
        self._head: Stack | None = None
        self._kept: list[tuple[Sequence[Tensor], Tensor]] = []
        if head is not None:
            self._head = Stack([head] * (1 + directions.count))
            first = slice(0, self._head.theta.shape[1])
            self._head.theta[0] = directions.origin.to(ground.theta)[first]
            self._head.theta[1:] = directions.vectors.to(ground.theta)[:, first]

    @torch.no_grad()
    def means(self, coordinates: Tensor) -> Means:
        """Return what the networks at some coordinates measure.

        Args:
            coordinates: (M, D), at most as many points as the ground's tile.
        """
        stack, points = self._stack, coordinates.tolist()
        points += points[-1:] * (stack.members - len(points))  # a short last tile
        for theta, along in zip(stack.theta, points, strict=True):
            combine(theta, self._origin, self._vectors, along)
        buffers = None
        if self.statistics == "interpolated":
            buffers = self.directions.buffers_at(coordinates)
        self.ground.fill_buffers(stack, buffers, slice(0, len(coordinates)))
        if self.statistics == "estimated":
            estimate(stack, self._batches(points))
        return self.ground.measure(stack, self._batches(points), len(coordinates))

    def _batches(self, points: list[list[float]]) -> Iterator[Batch]:
        """Iterate over what the stack takes in, (members, chunk, …), and what belongs to it."""
        if self._head is None:
            yield from self.ground.batches()
            return
        place: Tensor | None = None
        for (first, *more), y in self._firsts(self._head):
            if place is None or place.shape[1:] != first.shape:
                shape, strides = (len(points), *first.shape), (first.numel(), *first.stride())
                place = first.new_empty_strided(shape, strides)
            for here, along in zip(place, points, strict=True):
                combine(here, first, more, along)
            yield place, y

    def _firsts(self, head: Stack) -> Iterator[tuple[Sequence[Tensor], Tensor]]:
        """Iterate over the first layer's outputs, (chunk, …), for the origin and each direction."""
        if self._kept:
            yield from self._kept
            return
        kept: list[tuple[Sequence[Tensor], Tensor]] = []
        size = 0
        for x, y in self.ground.batches():
            outputs = [each.clone() for each in head.forward(x)]
            size += sum(each.numel() * each.element_size() for each in outputs)
            if size <= REMEMBERED:
                kept.append((outputs, y))
            yield outputs, y
        if size <= REMEMBERED:
            self._kept = kept


def combine(
    place: Tensor, origin: Tensor, vectors: Sequence[Tensor], along: Sequence[float]
) -> None:
    """Write origin + Σ cᵢ vᵢ, with the same roundings whoever else is computed."""
    torch.add(origin, vectors[0], alpha=along[0], out=place)
    for c, v in zip(along[1:], vectors[1:], strict=True):
        place.add_(v, alpha=c)


def split_first(network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """Return a network's first layer and the rest, if the first is linear in its parameters.

    The rest has the names of the whole; what has been taken out does nothing there.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> head, tail = split_first(net)
        >>> print(tail)
        Sequential(
          (0): Identity()
          (1): Identity()
          (2): ReLU()
          (3): Linear(in_features=2, out_features=1, bias=True)
        )
    """
    if any(hooked(module) for module in layers(network).values()):
        return None
    tail, before = copy.deepcopy(network), list[nn.Module]()
    for chain, name, layer in _leaves(tail):
        if type(layer) not in (*VIEWS, *_LINEAR):
            return None
        chain._modules[name] = nn.Identity()
        before.append(layer)
        if type(layer) in _LINEAR:
            break
    head = nn.Sequential(*before)
    own, others = list(head.parameters()), list(tail.parameters())
    shared = {id(p) for p in own} & {id(p) for p in others}
    trained = all(p.requires_grad for p in own) and any(p.requires_grad for p in others)
    return (head, tail) if own and trained and not shared else None


def _summed(head: nn.Module) -> int:
    """Return how many products an output of the first layer is a sum of."""
    weight: Tensor = next(p for p in head.parameters() if p.dim() > 1)
    return weight[0].numel()


def _leaves(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Iterate over the layers of a chain and of the chains in it, with where each is."""
    for name, child in module._modules.items() if type(module) is nn.Sequential else ():
        if type(child) is nn.Sequential:
            yield from _leaves(child)
        elif child is not None:
            yield module, name, child
