"""The plane in which the ground bends most: eigenvectors of the Hessian."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from thalweg.errors import ModelError
from thalweg.landscape.directions import Directions
from thalweg.landscape.eigen import Which, eigenpairs
from thalweg.landscape.ground import Ground
from thalweg.landscape.hessian import Hessian

RISE = 10.0
"""How many times the reference's loss the bowl rises by until the edge of the picture."""


def hessian(ground: Ground) -> Hessian:
    """Return the Hessian of a ground's loss at its reference, with frozen statistics.

    Args:
        ground: Its samples are the Hessian's.
    """
    x, y = ground.samples.x, ground.samples.y
    batches = zip(x.split(ground.chunk), y.split(ground.chunk), strict=True)
    return Hessian(ground.network, ground.loss, batches)


def hessian_directions(
    ground: Ground,
    count: int = 2,
    *,
    seed: int = 0,
    which: Which = "algebraic",
    tolerance: float = 1e-3,
) -> Directions:
    """Return the directions in which the loss bends most about the reference.

    They are orthonormal eigenvectors of the Hessian, so that coordinates are distances and the
    surface is a + ½ Σ λᵢcᵢ² as far as the Hessian tells; where it is not, the Hessian tells little.
    The extent is where each parabola has risen by ten times the reference's loss.

    Source: Yao, Gholami, Keutzer and Mahoney, "PyHessian: neural networks through the lens of the
    Hessian", 2020, arXiv:1912.07145, section 4.

    Args:
        ground: Its reference is the origin.
        count: D.
        seed: Of the vectors that the search starts from.
        which: Which end of the spectrum; see `eigenpairs`.
        tolerance: Residuals at which the search stops, relative to the largest eigenvalue.

    Raises:
        ModelError: The loss is not finite, or does not bend.

    Example:
        >>> from torch import nn
        >>> from thalweg.data import Split
        >>> x = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
        >>> ground = Ground(nn.Linear(3, 1, bias=False), Split(x, x[:, :1], x[:, :1]), "mse")
        >>> plane = hessian_directions(ground)
        >>> [round(value, 3) for value, residual in plane.curvatures]  # 2/3 · 9, 2/3 · 4
        [6.0, 2.667]
    """
    generator = Generator().manual_seed(seed)
    H = hessian(ground)
    found = eigenpairs(H, count, generator=generator, which=which, tolerance=tolerance)
    values: list[float] = found.values.tolist()
    if not all(values):
        raise ModelError("a loss that does not bend", "one with curvature", "random directions")
    vectors = torch.stack([_in_layout(ground, H, vector) for vector in found.vectors.T])
    loss = abs(ground.reference().values()["loss"].item()) or 1.0
    reach = [math.sqrt(2 * RISE * loss / abs(value)) for value in values]
    return Directions(
        ground.theta.clone(),
        vectors,
        "eigenvectors of the Hessian",
        tuple((-far, far) for far in reach),
        curvatures=tuple(zip(values, found.residuals.tolist(), strict=True)),
    )


def _in_layout(ground: Ground, H: Hessian, vector: Tensor) -> Tensor:
    """Return a vector over the Hessian's parameters as a ground has it; the largest part is > 0."""
    vector = vector * torch.sign(vector[vector.abs().argmax()])
    parts = H.objective.parts(vector.unsqueeze(0))
    flat = torch.zeros_like(ground.theta)
    places = ground.named(flat)
    for name, part in zip(H.objective.names, parts, strict=True):
        places[name].copy_(part[0])
    return flat
