"""Surfaces: losses and metrics on a line, a plane or a volume, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

import torch
from torch import Tensor

from thalweg.cluster import Executor
from thalweg.errors import ModelError, SpecError
from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Statistics
from thalweg.landscape.lattice import axis, coordinates, on_lattice, order, strides
from thalweg.landscape.refining import Refined, refine
from thalweg.landscape.tiles import Tiles, measure

SPREAD = "± "
"""What the name of a standard error begins with, where it stands beside values."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What was measured on a grid.

    The value at ``[i, j, …]`` belongs to origin + axes[0][i]·v₀ + axes[1][j]·v₁ + … . Where nothing
    was measured yet, values are not a number; where the network's own are not finite, they are as
    they came. `done` tells the two apart; nothing is ever filled in but in the `picture` of a
    survey that has a tolerance.

    Args:
        directions: Origin and directions.
        axes: The nodes' coordinates along each, (n_d,) each, float64.
        values: Losses and metrics by name, (n₁, …, n_D) each, float64.
        errors: Standard errors of the differences to the reference, alike: what the choice of the
            samples leaves unknown. All points see the same samples.
        done: Which nodes were measured, (n₁, …, n_D), bool.
        statistics: BatchNorm's: ``"frozen"``, ``"estimated"`` or ``"interpolated"``.
        samples: How many samples each value is a mean over.
        reference: What the reference itself measures, by name.
        tolerance: How far the loss may be off where a picture interpolates it, in steps between
            contours; 0 if all nodes are to be measured.
    """

    directions: Directions
    axes: tuple[Tensor, ...]
    values: Mapping[str, Tensor]
    errors: Mapping[str, Tensor]
    done: Tensor
    statistics: Statistics
    samples: int
    reference: Mapping[str, float]
    tolerance: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n₁, …, n_D)."""
        return tuple(self.done.shape)

    @property
    def whole(self) -> bool:
        """Whether all nodes were measured."""
        return bool(self.done.all())

    @property
    def complete(self) -> bool:
        """Whether all was measured that is to be: all nodes, or those that the tolerance needs."""
        return self.whole or not len(self.missing)

    @property
    def missing(self) -> Tensor:
        """The nodes to be measured next, as places in the flattened grid, from coarse to fine."""
        if self.tolerance:
            return self._refined.missing
        nodes = order(self.axes)
        return nodes[~self.done.flatten()[nodes]]

    def picture(self) -> Surface:
        """Return the finest lattice that can be drawn, as a surface of its own.

        Without a tolerance that is `lattice`. With one, it is the finest lattice on which all was
        measured that is to be; its other values are interpolated, which its `done` tells, and so
        are their standard errors.

        Raises:
            ModelError: Not even the coarsest was measured.
        """
        if not self.tolerance:
            return self.lattice()
        found = self._refined
        if found.axes is None:
            raise ModelError("a survey that has hardly begun", "one with a coarse picture")
        at = [torch.searchsorted(a, b) for a, b in zip(self.axes, found.axes, strict=True)]
        nodes = torch.meshgrid(*at, indexing="ij")
        done = self.done[nodes]
        values, errors = (
            {
                name: torch.where(done, grid[nodes], found.values[f"{sign}{name}"])
                for name, grid in grids.items()
            }
            for sign, grids in (("", self.values), (SPREAD, self.errors))
        )
        return replace(self, axes=found.axes, values=values, errors=errors, done=done)

    def off(self, name: str = "loss") -> Tensor:
        """Return how far interpolation was off, in steps between contours, (k,), float64.

        That is known of the nodes that were measured to see it: they are drawn from those that
        the picture could do without, a share of each lattice's.

        Args:
            name: Of what: a loss or a metric.
        """
        return self._refined.off(name) if self.tolerance else torch.empty(0, dtype=torch.float64)

    @cached_property
    def _refined(self) -> Refined:
        """How far the grid has come, with standard errors interpolated like values."""
        spreads = {f"{SPREAD}{name}": error for name, error in self.errors.items()}
        return refine(self.axes, {**self.values, **spreads}, self.done, self.tolerance)

    def lattice(self) -> Surface:
        """Return the finest lattice of which all nodes were measured, as a surface of its own.

        Raises:
            ModelError: Not even the coarsest was measured.
        """
        found = strides(self.axes)
        for stride in sorted(set(found.flatten().tolist())):
            if self.done[found >= stride].all():
                break
        else:
            raise ModelError("a survey that has hardly begun", "one with a coarse picture")
        index = [on_lattice(each, stride) for each in self.axes]
        nodes = torch.meshgrid(*index, indexing="ij")
        return replace(
            self,
            axes=tuple(each[i] for each, i in zip(self.axes, index, strict=True)),
            values={name: value[nodes] for name, value in self.values.items()},
            errors={name: error[nodes] for name, error in self.errors.items()},
            done=self.done[nodes],
        )


def survey(
    ground: Ground,
    directions: Directions,
    shape: int | Sequence[int] = 41,
    extent: Sequence[tuple[float, float]] | tuple[float, float] | None = None,
    *,
    statistics: Statistics = "frozen",
    tolerance: float = 0.0,
    start: Surface | None = None,
    executor: Executor | None = None,
) -> Iterator[Surface]:
    """Measure a grid from coarse to fine, and yield what there is after every tile of networks.

    Every node's numbers are those that it would have alone, so that the last surface does not
    depend on how the work was divided, or on interruptions. The nodes along an axis reach at least
    as far as asked for, and one is exactly at zero.

    Args:
        ground: What is measured.
        directions: Where.
        shape: Nodes along each direction.
        extent: The (lowest, highest) coordinates along each direction, or along all; by default
            what the directions suggest.
        statistics: BatchNorm's; see `Ground.evaluate`.
        tolerance: Leave out nodes where a picture can interpolate the loss and no contour moves by
            more than this share of the step to the next; 0 measures all. See
            `thalweg.landscape.refining`. In what order, and by whom, does not matter either.
        start: A surface of the same survey to go on from; its tolerance may be another.
        executor: Who measures; this process if None. The numbers are the same at as many threads.

    Raises:
        SpecError: The shape or the extent does not fit the directions, there are no statistics to
            interpolate, or the tolerance is none.
        ModelError: The directions are of another network, or ``start`` is of another survey.

    Example:
        >>> from torch import nn
        >>> from thalweg.data import Split
        >>> from thalweg.landscape.directions import own
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, 0 * x, 0 * x), "mse")
        >>> line = own(0 * ground.theta, [torch.eye(len(ground.theta))[0]])
        >>> *_, parabola = survey(ground, line, 5, (-2, 2))
        >>> parabola.values["loss"].tolist()
        [4.0, 1.0, 0.0, 1.0, 4.0]
    """
    if not (isfinite(tolerance) and tolerance >= 0):
        raise SpecError(f"tolerance={tolerance}", "a share of a step between contours, 0 or more")
    surface = blank(ground, directions, shape, extent, statistics)
    if start is not None:
        _check_same(start, surface)
        surface = start
    surface = replace(surface, tolerance=tolerance)
    if not len(left := surface.missing):
        yield surface
        return
    work = Tiles(ground, directions, statistics)
    reference = ground.reference("estimated" if statistics == "estimated" else "frozen")
    while len(left):
        found, rest = surface._refined if tolerance else None, left
        for nodes, means in measure(work, left, coordinates(surface.axes, left), executor):
            surface = replace(
                surface,
                values=_filled(surface.values, nodes, means.values()),
                errors=_filled(surface.errors, nodes, means.errors(reference)),
                done=surface.done.flatten().index_fill(0, nodes, True).view(surface.shape),
            )
            rest = rest[~torch.isin(rest, nodes)]
            if found is not None and len(rest):  # until all of these are there, no more is known
                vars(surface)["_refined"] = replace(found, missing=rest)
            yield surface
        left = surface.missing


def blank(
    ground: Ground,
    directions: Directions,
    shape: int | Sequence[int],
    extent: Sequence[tuple[float, float]] | tuple[float, float] | None = None,
    statistics: Statistics = "frozen",
) -> Surface:
    """Return the surface on which nothing was measured yet; arguments as of `survey`."""
    D = directions.count
    if len(directions.origin) != len(ground.theta):
        raise ModelError(
            f"directions of {len(directions.origin)} numbers", f"of {len(ground.theta)}"
        )
    sides = [shape] * D if isinstance(shape, int) else list(shape)
    if len(sides) != D:
        raise SpecError(f"shape={tuple(sides)} for {D} directions", "a number for each")
    spans = _spans(extent, directions)
    if statistics == "interpolated" and not directions.buffers:
        raise SpecError(
            "statistics='interpolated'", "directions between checkpoints", "see between(…)"
        )
    axes = tuple(axis(*span, side) for span, side in zip(spans, sides, strict=True))
    names = ("loss", *ground.metrics)
    measured = ground.reference("estimated" if statistics == "estimated" else "frozen").values()
    nothing = torch.full(tuple(sides), torch.nan, dtype=torch.float64)
    return Surface(
        directions,
        axes,
        dict.fromkeys(names, nothing),
        dict.fromkeys(names, nothing),
        torch.zeros(tuple(sides), dtype=torch.bool),
        statistics,
        len(ground.samples),
        {name: value.item() for name, value in measured.items()},
    )


def _spans(
    extent: Sequence[tuple[float, float]] | tuple[float, float] | None, directions: Directions
) -> list[tuple[float, float]]:
    """Return the lowest and the highest coordinate along each direction."""
    if extent is None:
        return list(directions.extent)
    flat = [each for each in extent if isinstance(each, int | float)]
    if len(flat) == 2 == len(extent):
        return [(flat[0], flat[1])] * directions.count
    spans = [(low, high) for low, high in extent if not flat]
    if len(spans) != directions.count:
        raise SpecError(f"extent={extent!r}", f"two numbers, or {directions.count} times two")
    return spans


def _filled(
    grids: Mapping[str, Tensor], nodes: Tensor, values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return grids with the values of some nodes written in."""
    return {
        name: grid.flatten().index_copy(0, nodes, values[name].to(grid)).view(grid.shape)
        for name, grid in grids.items()
    }


def _check_same(start: Surface, planned: Surface) -> None:
    """Check that a surface to go on from is of the same survey."""
    facts = [
        (start.shape == planned.shape, "shape"),
        (start.statistics == planned.statistics, "statistics"),
        (start.samples == planned.samples, "number of samples"),
        (set(start.values) == set(planned.values), "metrics"),
        (repr(dict(start.reference)) == repr(dict(planned.reference)), "reference"),  # nan is nan
        (_equal(start.axes, planned.axes), "axes"),
        (
            _equal(
                (start.directions.origin, start.directions.vectors),
                (planned.directions.origin, planned.directions.vectors),
            ),
            "directions",
        ),
    ]
    for same, what in facts:
        if not same:
            raise ModelError(f"a surface with another {what} to go on from", "one of this survey")


def _equal(ones: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ones, others, strict=True))
