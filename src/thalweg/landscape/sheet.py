"""Networks on a line, a plane or a volume, whose first layer is computed once for all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from thalweg.engine.feed import Batch
from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Statistics, copies, estimate
from thalweg.landscape.means import Means
from thalweg.landscape.sizes import VIEWS
from thalweg.nn import Stack
from thalweg.nn.stacked.alike import hooked, layers
from thalweg.nn.together import together

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
        summands = torch.cat([directions.origin.unsqueeze(0), directions.vectors]).to(ground.theta)
        self._summands = summands[:, -self._stack.theta.shape[1] :].contiguous()
        self._head: Stack | None = None
        self._kept: list[Batch] = []
        if head is not None:
            self._head = Stack([head] * len(summands))
            self._head.theta.copy_(summands[:, : self._head.theta.shape[1]])

    @torch.no_grad()
    def means(self, coordinates: Tensor) -> Means:
        """Return what the networks at some coordinates measure.

        Args:
            coordinates: (M, D), at most as many points as the ground's tile.
        """
        stack = self._stack
        last = coordinates[-1:].expand(stack.members - len(coordinates), -1)  # a short last tile
        ones = self._summands.new_ones(stack.members, 1)
        weights = torch.cat([ones, torch.cat([coordinates, last]).to(ones)], 1)
        combine(stack.theta, self._summands, weights)
        buffers = None
        if self.statistics == "interpolated":
            buffers = self.directions.buffers_at(coordinates)
        self.ground.fill_buffers(stack, buffers, slice(0, len(coordinates)))
        if self.statistics == "estimated":
            estimate(stack, self._batches(weights))
        return self.ground.measure(stack, self._batches(weights), len(coordinates))

    def _batches(self, weights: Tensor) -> Iterator[Batch]:
        """Iterate over what the stack takes in, (members, chunk, …), and what belongs to it."""
        if self._head is None:
            yield from self.ground.batches()
            return
        place: Tensor | None = None
        for first, y in self._firsts(self._head):
            if place is None or place.shape[1:] != first.shape[1:]:
                shape = (len(weights), *first.shape[1:])
                place = first.new_empty_strided(shape, first.stride())
            combine(_flat(place), _flat(first), weights)
            yield place, y

    def _firsts(self, head: Stack) -> Iterator[Batch]:
        """Iterate over the first layer's outputs, (1 + D, chunk, …), for origin and directions."""
        if self._kept:
            yield from self._kept
            return
        kept: list[Batch] = []
        size = 0
        for x, y in self.ground.batches():
            outputs = _block(head.forward(x))
            size += outputs.numel() * outputs.element_size()
            if size <= REMEMBERED:
                kept.append((outputs, y))
            yield outputs, y
        if size <= REMEMBERED:
            self._kept = kept


def combine(places: Tensor, summands: Tensor, weights: Tensor) -> None:
    """Write Σ wᵢ vᵢ for each place, with the same roundings whoever else is computed.

    Args:
        places: Where to, (M, n).
        summands: The vᵢ, (1 + D, n).
        weights: The wᵢ of each place, (M, 1 + D).
    """
    together((_product,), _sum, places, weights, summands.unsqueeze(0))


def _product(places: Tensor, weights: Tensor, summands: Tensor) -> None:
    torch.mm(weights, summands[0], out=places)


def _sum(place: Tensor, weights: Tensor, summands: Tensor) -> None:
    (own,) = weights.tolist()
    torch.mul(summands[:, 0], own[0], out=place)
    for w, v in zip(own[1:], summands[0, 1:], strict=True):
        place.add_(v, alpha=w)


def _block(outputs: Tensor) -> Tensor:
    """Return a copy of outputs (K, …) in which those of one network follow those of another."""
    one = outputs[0].clone()  # dense, in an order that was quick to make
    block = one.new_empty_strided(outputs.shape, (one.numel(), *one.stride()))
    return block.copy_(outputs)


def _flat(block: Tensor) -> Tensor:
    """Return a block (K, …) in the order in which it lies in memory, (K, n)."""
    return block.as_strided((len(block), block[0].numel()), (block.stride(0), 1))


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
