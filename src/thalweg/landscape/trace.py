"""The trace of an operator: exact where the network allows it, else by Hutch++."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.landscape.exact_trace import exact_trace
from thalweg.landscape.hessian import Hessian, Operator


@dataclass(frozen=True)
class Trace:
    """An estimate of the trace.

    Attributes:
        value: The estimate, unbiased.
        error: Its standard error; 0 where nothing was left to chance.
        captured: The part that was computed exactly, in the sketched subspace.
        products: Products with one vector that it took.
    """

    value: float
    error: float
    captured: float
    products: int


def trace(
    H: Operator, *, generator: torch.Generator, products: int = 90, exact: bool = True
) -> Trace:
    """Return the trace of a symmetric operator, or estimate it with a given number of products.

    The trace of the Hessian of a chain of piecewise linear layers is computed exactly, without
    products: see `exact_trace`. All others are estimated.

    Hutch++: a third of the products sketch the range of H, a third compute the trace exactly within
    it, and a third estimate what is left, as Hutchinson does, with random signs. For the same
    relative error it needs O(1/ε) products where Hutchinson needs O(1/ε²); a Hessian with few large
    eigenvalues gains most.

    Source: Meyer, Musco, Musco and Woodruff, "Hutch++: optimal stochastic trace estimation", 2021,
    algorithm 1.

    Args:
        H: A symmetric operator (P, P): a `Hessian`, or a square tensor.
        generator: Where the random signs are drawn from, on the CPU.
        products: Products with one vector, at least 6. With 3P or more the trace is exact.
        exact: Whether to compute it exactly, where that is possible.

    Returns:
        The estimate; its standard error is that of the random part, given the sketch.

    Raises:
        SpecError: There are fewer than 6 products.

    Example:
        >>> H = torch.diag(torch.tensor([5.0, 4.0, 3.0] + [0.0] * 97))
        >>> found = trace(H, generator=torch.Generator().manual_seed(0), products=12)
        >>> round(found.value, 4)  # rank 3: the sketch holds all of it
        12.0
    """
    if products < 6:
        raise SpecError(f"products={products}", "at least 6, two for each of three parts")
    if exact and isinstance(H, Hessian) and (found := exact_trace(H.objective)) is not None:
        return Trace(found, 0.0, found, 0)
    P, third = H.shape[0], products // 3
    third = min(third, P)
    Q = torch.linalg.qr(_times(H, _signs(P, third, generator, H)))[0]
    captured = (Q * _times(H, Q)).sum().item()
    if third == P:
        return Trace(captured, 0.0, captured, 2 * third)
    rest = products - 2 * third
    G = _signs(P, rest, generator, H)
    G = G - Q @ (Q.T @ G)
    samples = (G * _times(H, G)).sum(0)  # (rest,)
    error = samples.std().item() / rest**0.5
    return Trace(captured + samples.mean().item(), error, captured, products)


def _signs(P: int, k: int, generator: torch.Generator, H: Operator) -> Tensor:
    """Return vectors (P, k) of ±1."""
    signs = torch.randint(2, (P, k), generator=generator, dtype=torch.int8)
    return signs.to(H.device, torch.float64).mul_(2).sub_(1)


def _times(H: Operator, V: Tensor) -> Tensor:
    """Return H V in float64."""
    return (H @ V.to(H.dtype)).double()
