"""Directions to look along, and how points lie to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from thalweg.errors import ModelError

PARALLEL = 1e-6
"""Sine of the angle below which directions are one."""


@dataclass(frozen=True, eq=False)
class Directions:
    """A line, a plane or a volume through a point: origin + Σ cᵢ vᵢ.

    Args:
        origin: Where all coordinates are zero, (P,).
        vectors: The directions, (D, P), of any length: coordinates count in them.
        kind: What they are, in a word or two.
        extent: What is worth looking at along each, as (lowest, highest) coordinates.
        explained: The share of the points' variance about the origin along each, if they are made
            from points.
        null: What a random walk of as many points would have there.
        chosen: Which of the points they are made from, for each series of points.
        buffers: For interpolated statistics, buffers by name: at the origin, then what each
            direction adds, (1 + D, …).
        curvatures: If they are eigenvectors of a Hessian, the eigenvalue and the residual of each.

    Raises:
        ModelError: The shapes do not fit, a number is not finite, or directions are parallel.

    Example:
        >>> plane = Directions(torch.zeros(3), torch.eye(3)[:2], "axes")
        >>> plane.at(torch.tensor([[1.0, 2.0]])).tolist()
        [[1.0, 2.0, 0.0]]
    """

    origin: Tensor
    vectors: Tensor
    kind: str
    extent: tuple[tuple[float, float], ...] = ()
    explained: tuple[float, ...] = ()
    null: tuple[float, ...] = ()
    chosen: tuple[tuple[int, ...], ...] = ()
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    curvatures: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        vectors, P = self.vectors, len(self.origin)
        if vectors.dim() != 2 or vectors.shape[1] != P or not len(vectors):
            raise ModelError(f"directions of shape {tuple(vectors.shape)}", f"(D, {P})")
        if not (vectors.isfinite().all() and self.origin.isfinite().all()):
            raise ModelError("directions with numbers that are not finite", "finite ones")
        lengths = self.lengths
        if not lengths.all():
            raise ModelError("a direction of length zero", "directions that lead somewhere")
        if torch.linalg.eigvalsh(self.cosines)[0] < PARALLEL**2:
            raise ModelError("directions that lie in fewer dimensions", "independent directions")
        if not self.extent:
            object.__setattr__(self, "extent", ((-1.0, 1.0),) * len(vectors))

    @property
    def count(self) -> int:
        """D."""
        return len(self.vectors)

    @property
    def lengths(self) -> Tensor:
        """The directions' lengths, (D,), float64."""
        return self.vectors.double().square().sum(1).sqrt()

    @property
    def cosines(self) -> Tensor:
        """The cosines of the angles between the directions, (D, D), float64."""
        unit = self.vectors.double() / self.lengths.unsqueeze(1)
        return unit @ unit.T

    def at(self, coordinates: Tensor) -> Tensor:
        """Return the points (M, P) of coordinates (M, D), each made as if it were alone."""
        points = self.origin.repeat(len(coordinates), 1)
        for point, along in zip(points, coordinates.tolist(), strict=True):
            for c, v in zip(along, self.vectors, strict=True):
                point.add_(v, alpha=c)
        return points

    def buffers_at(self, coordinates: Tensor) -> dict[str, Tensor]:
        """Return interpolated buffers at coordinates (M, D): (M, …) each; variances stay positive.

        Beyond the checkpoints a variance stops at a thousandth of the smallest of theirs.
        """
        found = {}
        for name, buffer in self.buffers.items():
            base, slopes = buffer[0], buffer[1:]
            here = base + torch.tensordot(coordinates.to(base), slopes, dims=1)
            if name.endswith("running_var"):
                lowest = torch.minimum(base, (base + slopes).amin(0))
                here = torch.maximum(here, 1e-3 * lowest)
            found[name] = here
        return found

    def project(self, points: Tensor) -> Projection:
        """Return where points (T, P) are nearest to, by least squares: directions may be oblique.

        Example:
            >>> plane = Directions(torch.zeros(3), torch.tensor([[2.0, 0, 0], [0, 1, 0]]), "own")
            >>> seen = plane.project(torch.tensor([[2.0, 3.0, 4.0]]))
            >>> [round(c, 6) for c in seen.coordinates[0].tolist()]
            [1.0, 3.0]
            >>> round(seen.residuals.item() ** 2, 4)  # 16 of 29
            0.5517
        """
        Q, R = torch.linalg.qr(self.vectors.double().T)  # (P, D), (D, D)
        coordinates, residuals = [], []
        for point in points:
            away = point.double() - self.origin.double()
            along = Q.T @ away
            beside = (away - Q @ along).norm()
            coordinates.append(torch.linalg.solve_triangular(R, along[:, None], upper=True)[:, 0])
            residuals.append(beside / away.norm() if beside else beside)
        return Projection(torch.stack(coordinates), torch.stack(residuals))


@dataclass(frozen=True, eq=False)
class Projection:
    """Points as seen on a line, a plane or a volume.

    Args:
        coordinates: (T, D), float64, in lengths of the directions.
        residuals: The share of each point's distance from the origin that is not seen, (T,), from
            0 (it lies in the plane) to 1 (the plane shows nothing of it).
    """

    coordinates: Tensor
    residuals: Tensor

    def window(self, margin: float = 0.15) -> tuple[tuple[float, float], ...]:
        """Return the (lowest, highest) coordinates that hold the points and the origin.

        Args:
            margin: What is added on either side, as a share of the width.

        Example:
            >>> seen = Projection(torch.tensor([[1.0], [4.0]]), torch.zeros(2))
            >>> seen.window(0.25)
            ((-1.0, 5.0),)
        """
        low = self.coordinates.amin(0).clamp(max=0)
        high = self.coordinates.amax(0).clamp(min=0)
        room = (high - low) * margin
        room = torch.where(room > 0, room, room.amax().clamp(min=torch.finfo(room.dtype).tiny))
        return tuple(zip((low - room).tolist(), (high + room).tolist(), strict=True))


def own(
    origin: Tensor, vectors: Tensor | Sequence[Tensor], kind: str = "own",
    extent: Sequence[tuple[float, float]] = (),
) -> Directions:  # fmt: skip
    """Return the user's own vectors as directions.

    Args:
        origin: Where they start, (P,).
        vectors: (D, P), or D of (P,).
        kind: What they are.
        extent: What to look at along each.
    """
    stacked = vectors if isinstance(vectors, Tensor) else torch.stack(list(vectors))
    return Directions(origin, stacked.to(origin), kind, tuple(extent))
