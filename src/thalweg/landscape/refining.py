"""Which nodes of a grid a picture needs, and what the others are if it is to look the same.

From lattice to lattice, each of half the stride, a node is interpolated from the coarser lattice
where that is good enough, and measured where it is not. How good it is has one scale, which knows
no units: the step between two contours of the picture. An error of a tenth moves a contour by a
tenth of the way to the next.

A node is measured if one next to it on the coarser lattice was off by more than the tolerance, for
there the surface bends; then those about each that was itself off by more, until none is; and if it
would be lower than all that was measured, so that the lowest node is always one that was. Of the
others, one in `CHECKED` is measured nevertheless: these find what lies between the coarse nodes,
and tell how good the rest is. What is left out are the small coefficients of an interpolating
wavelet transform (Donoho 1992, Interpolating wavelet transforms), which is what bounds the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.landscape.filling import fill, known
from thalweg.landscape.lattice import levels

CHECKED = 32
"""One in so many of the nodes that could be interpolated is measured to see how that goes."""

BENDS = "loss"
"""Whose bends decide."""


@dataclass(frozen=True, eq=False)
class Refined:
    """How far a grid has come.

    Args:
        axes: The nodes along each axis of the finest lattice on which nothing more is needed; None
            if there is none.
        values: What was measured there and, elsewhere on it, interpolated, (n₁, …, n_D) each.
        missing: The nodes that are needed next, as places in the flattened grid; none if nothing
            more is needed.
        checks: By name what was measured and what had been interpolated at the nodes that were
            measured as a check, (2, k) each.
    """

    axes: tuple[Tensor, ...] | None
    values: Mapping[str, Tensor]
    missing: Tensor
    checks: Mapping[str, Tensor]

    def off(self, name: str) -> Tensor:
        """Return how far the checks were off, in steps between contours, (k,)."""
        if name not in self.checks:
            return torch.empty(0, dtype=torch.float64)
        return _off(name, self.values[name], *self.checks[name])


def refine(
    axes: Sequence[Tensor], values: Mapping[str, Tensor], done: Tensor, tolerance: float
) -> Refined:
    """Return what is needed next of a grid, and its picture so far.

    This depends on the values at needed nodes alone: not on the order in which they were measured,
    nor on what else was.

    Args:
        axes: The nodes' coordinates along each, (n_d,) each.
        values: Losses and metrics by name, (n₁, …, n_D) each.
        done: Which nodes were measured, (n₁, …, n_D).
        tolerance: How far an interpolated loss may be off, in steps between contours.

    Example:
        >>> x = torch.linspace(-1, 1, 33, dtype=torch.float64)
        >>> far, none = 1 + x.square(), torch.full((33,), torch.nan, dtype=torch.float64)
        >>> done = torch.zeros(33, dtype=torch.bool)
        >>> while len(missing := refine([x], {"loss": far}, done, 0.1).missing):
        ...     done[missing] = True
        >>> found = refine([x], {"loss": torch.where(done, far, none)}, done, 0.1)
        >>> int(done.sum()), torch.allclose(found.values["loss"], far)
        (11, True)
    """
    generator = torch.Generator().manual_seed(0)
    place = torch.arange(done.numel()).view(done.shape)
    so_far = _Lattice([], {}, torch.empty(0), torch.empty(0))
    checks: dict[str, list[Tensor]] = {name: [] for name in values}
    missing = place.flatten()[:0]
    for lattice in levels(axes):
        nodes = torch.meshgrid(*lattice, indexing="ij")
        there = {name: value[nodes] for name, value in values.items()}
        finer, missed, checked, guess = _next(
            so_far, lattice, axes, there, done[nodes], tolerance, generator
        )
        if missed.any():
            missing = place[nodes][missed]
            break
        for name, value in there.items():
            checks[name].append(torch.stack([value[checked], guess[name][checked]]))
        so_far = finer
    told = {name: torch.cat(found, dim=1) for name, found in checks.items() if found}
    return Refined(so_far.on(axes) if so_far.along else None, so_far.filled, missing, told)


@dataclass(frozen=True, eq=False)
class _Lattice:
    """A lattice on which nothing more is needed.

    Args:
        along: Its nodes, as places along each axis; none before there is one.
        filled: What was measured and interpolated, by name.
        needed: Which of its nodes were measured.
        bends: Which of those were off by more than the tolerance.
    """

    along: Sequence[Tensor]
    filled: Mapping[str, Tensor]
    needed: Tensor
    bends: Tensor

    def on(self, axes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the coordinates of its nodes along each axis."""
        return tuple(each[i] for each, i in zip(axes, self.along, strict=True))


def _next(
    coarse: _Lattice,
    along: Sequence[Tensor],
    axes: Sequence[Tensor],
    there: Mapping[str, Tensor],
    done: Tensor,
    tolerance: float,
    generator: torch.Generator,
) -> tuple[_Lattice, Tensor, Tensor, Mapping[str, Tensor]]:
    """Return the next lattice, what is missing on it, the checks, and what was interpolated."""
    if not coarse.along:
        everything = torch.ones_like(done)
        whole = _Lattice(along, there, everything, everything)
        return whole, ~done, ~everything, there
    fine = [each[i] for each, i in zip(axes, along, strict=True)]
    old = _on(coarse, along, torch.ones_like(coarse.needed))
    free = ~_on(coarse, along, coarse.needed)
    bent = coarse.filled[BENDS]

    def interpolated(name: str, value: Tensor) -> Tensor:
        return _within(name, fill(value, coarse.on(axes), fine), value)

    def doubtful() -> Tensor:
        """Return where the loss is not known to be finite, or lower than all that was measured."""
        blank = ~guess.isfinite() & known(bent, coarse.on(axes), fine)
        return blank | (guess < _least(bent))

    def corrected(name: str, value: Tensor) -> Tensor:
        """Return values on the coarse lattice, with what was measured there only now."""
        late = (needed & old)[old].view(value.shape)
        return torch.where(late, there[name][old].view(value.shape), value)

    guess = interpolated(BENDS, bent)
    needed = (spread(_on(coarse, along, coarse.bends), 2) | doubtful()) & free
    checked = _some(~old & ~needed, generator)
    needed, wrong = needed | checked, torch.zeros_like(old)
    while not (missing := needed & ~done).any():
        wrong |= needed & (_off(BENDS, guess, there[BENDS], guess) > tolerance)
        bent = corrected(BENDS, bent)
        guess = interpolated(BENDS, bent)
        more = needed | ((spread(wrong, 1) | doubtful()) & free)
        if torch.equal(more, needed):
            break
        needed = more
    if missing.any():
        return coarse, missing, checked, {}
    both = {n: interpolated(n, corrected(n, value)) for n, value in coarse.filled.items()}
    own = {name: torch.where(needed, there[name], value) for name, value in both.items()}
    return _Lattice(along, own, needed | ~free, wrong), missing, checked, both


def spread(nodes: Tensor, far: int) -> Tensor:
    """Return which nodes are so near to one of some, along every axis.

    Args:
        nodes: Which, (n₁, …, n_D), bool.
        far: How many nodes.

    Example:
        >>> spread(torch.tensor([True, False, False, False, False]), 2).tolist()
        [True, True, True, False, False]
    """
    for d in range(nodes.dim()):
        grown = nodes.clone()
        for by in range(1, min(far, nodes.shape[d] - 1) + 1):
            rest = nodes.shape[d] - by
            grown.narrow(d, by, rest).logical_or_(nodes.narrow(d, 0, rest))
            grown.narrow(d, 0, rest).logical_or_(nodes.narrow(d, by, rest))
        nodes = grown
    return nodes


def _on(coarse: _Lattice, along: Sequence[Tensor], which: Tensor) -> Tensor:
    """Return where some of a coarse lattice's nodes are on a finer one."""
    found = torch.zeros([len(each) for each in along], dtype=torch.bool)
    places = [torch.searchsorted(b, a) for a, b in zip(coarse.along, along, strict=True)]
    found[torch.meshgrid(*places, indexing="ij")] = which
    return found


def _some(nodes: Tensor, generator: torch.Generator) -> Tensor:
    """Return one in `CHECKED` of some nodes, at least one if there are any."""
    places = nodes.flatten().nonzero().squeeze(1)
    drawn = places[torch.randperm(len(places), generator=generator)[: -(-len(places) // CHECKED)]]
    return torch.zeros(nodes.numel(), dtype=torch.bool).index_fill(0, drawn, True).view(nodes.shape)


def _least(values: Tensor) -> float:
    """Return what is lower than all of some values by more than rounding."""
    finite = values[values.isfinite()]
    if not len(finite):
        return -torch.inf
    least = finite.min().item()
    return least - 16 * torch.finfo(values.dtype).eps * abs(least)


def _within(name: str, guess: Tensor, values: Tensor) -> Tensor:
    """Return what was interpolated; of no metric is it beyond the least or the greatest value."""
    finite = values[values.isfinite()]
    if name == BENDS or not len(finite):
        return guess
    return torch.where(guess.isfinite(), guess.clamp(finite.min(), finite.max()), guess)


def _off(name: str, picture: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return the distance of heights in steps between the contours of a picture.

    It is 0 where both are not finite, which is drawn alike, and infinite where one is.
    """
    from thalweg.plots.levels import levels_of

    levels = levels_of(picture.numpy(), name)
    a, b = (torch.from_numpy(levels.drawn(each.numpy())) for each in (one, other))
    away = (a - b).abs() / levels.step
    away = torch.where(a.isnan() & b.isnan(), 0.0, away)
    return torch.where(a.isnan() != b.isnan(), torch.inf, away)
