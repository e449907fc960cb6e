"""The outermost eigenvalues of a symmetric operator: block Lanczos with thick restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from thalweg.errors import ModelError, SpecError
from thalweg.landscape.hessian import Operator

Which = Literal["algebraic", "magnitude", "smallest"]
"""Largest λ, largest |λ|, or smallest λ."""


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues of an operator H with what is known of their errors.

    Attributes:
        values: λ (k,), the most wanted first, float64. Each differs from an eigenvalue of H by no
            more than its residual.
        vectors: Unit vectors (P, k), float64.
        residuals: ‖H v − λ v‖ (k,), from products with the final vectors.
        converged: Whether all residuals are within the tolerance.
        products: Products with one vector that it took.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    converged: bool
    products: int


def eigenpairs(
    H: Operator,
    k: int = 1,
    *,
    generator: torch.Generator,
    which: Which = "algebraic",
    tolerance: float = 1e-3,
    block: int = 1,
    start: Tensor | None = None,
    most: int = 1_000,
    basis: int | None = None,
) -> Eigenpairs:
    """Return k eigenvalues of a symmetric operator from one end of its spectrum.

    Source: Golub and Underwood, "The block Lanczos method for computing eigenvalues", 1977,
    restarted with the best Ritz vectors as in Wu and Simon, "Thick-restart Lanczos method for large
    symmetric eigenvalue problems", 2000. Deviations: every block is orthogonalised against the
    whole basis, twice, and the projected matrix is computed rather than assumed tridiagonal.
    Directions that are exhausted are replaced by random ones, so that multiple eigenvalues and
    invariant subspaces are no obstacle. The basis is float64 whatever the operator computes in.

    Args:
        H: A symmetric operator (P, P): a `Hessian`, or a square tensor.
        k: How many eigenvalues, at most P.
        generator: Where the start is drawn from, on the CPU.
        which: Which end: ``algebraic`` for the largest, as for sharpness; ``magnitude`` for the
            largest in absolute value; ``smallest`` for the smallest.
        tolerance: The residuals ‖H v − λ v‖ at which to stop, relative to the largest abs λ that
            was found. An operator in float32 has no residuals below some 1e-6. The values are those
            of some eigenvectors; with a loose tolerance, eigenvalues that the start hardly touches
            may be missed.
        block: Vectors that are multiplied at once. More cost more products, and tell eigenvalues
            apart that are equal, or closer than the tolerance: up to ``block`` of them.
        start: Vectors (P,) or (P, b) to start from, such as those of a similar operator with random
            parts added; a start that is an eigenvector already is all that is found.
        most: Products with one vector after which to give up: the result says so.
        basis: Vectors to hold in memory; by default 2k + 40.

    Returns:
        The eigenpairs, the most wanted first.

    Raises:
        SpecError: An option is out of range.
        ModelError: Products are not finite, or ``start`` has another length than H.

    Example:
        >>> H = torch.diag(torch.arange(1.0, 101.0, dtype=torch.float64))
        >>> top = eigenpairs(H, 3, generator=torch.Generator().manual_seed(0), tolerance=1e-8)
        >>> print(top.values.round(decimals=6))
        tensor([100.,  99.,  98.], dtype=torch.float64)
        >>> top.converged
        True
    """
    P = H.shape[0]
    _check(P, k, which, tolerance, min(most, block))
    b = min(block, P)
    limit = min(P, max(basis or 2 * k + 40, k + 2 * b))
    begin = _begin(P, b, start, generator).to(H.device)
    V, T = begin[:, :0], begin.new_zeros(0, 0)
    Q, _ = _orthonormal(begin, V, 1e-12 * _largest(begin), generator)
    products = 0
    while True:
        W = _product(H, Q)
        products += Q.shape[1]
        V = torch.cat([V, Q], 1)
        column = V.T @ W  # (m, b)
        T = _bordered(T, column)
        values, S = torch.linalg.eigh(T)
        values, S = _order(values, S, which)
        Q, R = _orthonormal(W - V @ column, V, 1e-12 * _largest(W), generator)
        wanted = min(k, len(values))
        # H V = V T + Q R Eᵀ, so that a Ritz vector V s has the residual Q R (the end of s).
        errors = torch.linalg.vector_norm(R @ S[len(S) - R.shape[1] :, :wanted], dim=0)
        scale = values.abs().max()
        found = wanted == k and bool((errors <= tolerance * scale).all())
        if found or not Q.shape[1] or products + Q.shape[1] > most:
            break
        if V.shape[1] + Q.shape[1] > limit:
            keep = min(limit - Q.shape[1], k + (limit - k) // 3)
            V, T = V @ S[:, :keep], torch.diag(values[:keep])
    vectors = V @ S[:, :wanted]
    values = values[:wanted]
    residuals = torch.linalg.vector_norm(_product(H, vectors) - vectors * values, dim=0)
    converged = wanted == k and bool((residuals <= tolerance * scale).all())
    return Eigenpairs(values, vectors, residuals, converged, products + wanted)


def _check(P: int, k: int, which: str, tolerance: float, least: int) -> None:
    if not 1 <= k <= P:
        raise SpecError(f"k={k}", f"a number of eigenvalues from 1 to {P}")
    if which not in get_args(Which):
        raise SpecError(f"which={which!r}", f"one of {', '.join(get_args(Which))}")
    if not tolerance >= 0:
        raise SpecError(f"tolerance={tolerance}", "a number of at least 0")
    if least < 1:
        raise SpecError(f"block or most of {least}", "at least one product")


def _begin(P: int, b: int, start: Tensor | None, generator: torch.Generator) -> Tensor:
    """Return b vectors (P, b) to start from."""
    given = torch.empty(P, 0) if start is None else start.reshape(len(start), -1)
    if len(given) != P:
        raise ModelError(f"a start of length {len(given)}", f"vectors of length {P}")
    given = given[:, :b].double()
    drawn = torch.randn(P, b - given.shape[1], generator=generator, dtype=torch.float64)
    return torch.cat([given, drawn.to(given.device)], 1)


def _product(H: Operator, V: Tensor) -> Tensor:
    """Return H V in float64."""
    W = (H @ V.to(H.device, H.dtype)).to(V)
    if not torch.isfinite(W).all():
        raise ModelError("products with the operator that are not finite", "finite numbers")
    return W


def _bordered(T: Tensor, column: Tensor) -> Tensor:
    """Return the projection with the block's rows and columns, symmetric."""
    m, b = column.shape
    wider = column.new_zeros(m, m)
    wider[: m - b, : m - b] = T
    wider[:, m - b :] = column
    wider[m - b :, : m - b] = column[: m - b].T
    return (wider + wider.T) / 2


def _order(values: Tensor, S: Tensor, which: str) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors, the most wanted first."""
    key = {"algebraic": -values, "magnitude": -values.abs(), "smallest": values}[which]
    order = key.argsort(stable=True)
    return values[order], S[:, order]


def _largest(W: Tensor) -> float:
    return float(torch.linalg.vector_norm(W, dim=0).max())


def _orthonormal(
    W: Tensor, V: Tensor, least: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return Q, orthonormal and orthogonal to V, and R with Q R the part of W outside V.

    Q has as many columns as W, or as there is room for. Where W has no more than ``least`` to give,
    Q goes on with random directions, whose rows in R are 0.
    """
    columns: list[Tensor] = []
    R = W.new_zeros(min(W.shape[1], len(W) - V.shape[1]), W.shape[1])
    for column in range(R.shape[0]):
        w, weights = _against(W[:, column], V, columns)
        norm = torch.linalg.vector_norm(w)
        for row, weight in enumerate(weights):
            R[row, column] = weight
        if norm <= least:
            w, norm = _fresh(len(W), V, columns, generator, W), norm * 0
        R[column, column] = norm
        columns.append(w / torch.linalg.vector_norm(w))
    Q = torch.stack(columns, 1) if columns else W[:, :0]
    R[:, R.shape[0] :] = Q.T @ W[:, R.shape[0] :]
    return Q, R


def _against(w: Tensor, V: Tensor, columns: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return w without its parts in V and the columns, and the latter, orthogonalised twice."""
    weights = [w.new_zeros(()) for _ in columns]
    for _ in range(2):
        w = w - V @ (V.T @ w)
        for place, column in enumerate(columns):
            weight = column @ w
            weights[place] = weights[place] + weight
            w = w - weight * column
    return w, weights


def _fresh(
    P: int, V: Tensor, columns: list[Tensor], generator: torch.Generator, like: Tensor
) -> Tensor:
    """Return a random direction (P,) outside V and the columns."""
    drawn = torch.randn(P, generator=generator, dtype=torch.float64).to(like)
    return _against(drawn, V, columns)[0]
