"""The spectral density of an operator: stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.landscape.hessian import Operator


@dataclass(frozen=True)
class Density:
    """The density of eigenvalues, as atoms: one set for each random vector, all of equal right.

    Attributes:
        nodes: Where the atoms are, (probes, steps), float64.
        weights: The share of the eigenvalues that each stands for, (probes, steps); each row adds
            up to 1.
        size: The number of eigenvalues, P.
        products: Products with one vector that it took.
    """

    nodes: Tensor
    weights: Tensor
    size: int
    products: int

    def mean(self, f: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        """Return the mean of f over all eigenvalues, tr f(H) / P, and its standard error.

        Args:
            f: A function of eigenvalues, number by number.
        """
        each = (self.weights * f(self.nodes)).sum(1)
        error = each.std().item() / math.sqrt(len(each)) if len(each) > 1 else math.nan
        return each.mean().item(), error

    def smooth(self, x: Tensor, width: float | None = None) -> Tensor:
        """Return the density at eigenvalues ``x`` (n,): each atom as a Gaussian; its integral is 1.

        Args:
            x: Where to, (n,).
            width: The Gaussian's standard deviation; by default a hundredth of the spectrum's
                width.

        Raises:
            SpecError: The width is not positive, or lost in rounding, as where all eigenvalues are
                equal.
        """
        held = self.nodes[self.weights > 1e-12]
        width = (held.max() - held.min()).item() / 100 if width is None else width
        if not width > 1e-12 * held.abs().max():
            raise SpecError(f"width={width}", "a positive number", "pass width=")
        z = (x.double()[:, None] - self.nodes.reshape(-1)) / width  # (n, probes · steps)
        bells = torch.exp(-z.square() / 2) / (width * math.sqrt(2 * math.pi))
        return bells @ self.weights.reshape(-1) / len(self.nodes)


def density(
    H: Operator,
    *,
    generator: torch.Generator,
    probes: int = 10,
    steps: int = 80,
    memory: int = 1 << 30,
) -> Density:
    """Estimate the spectral density of a symmetric operator.

    A random unit vector v makes μ(λ) = Σ ⟨v, uᵢ⟩² δ(λ − λᵢ), whose expectation is the spectral
    density. Lanczos from v, reorthogonalised in full, gives the Gauss quadrature of μ: m atoms that
    integrate all polynomials up to degree 2m − 1 exactly. All vectors advance together, one batched
    product a step.

    Source: Lin, Saad and Yang, "Approximating spectral densities of large matrices", 2016,
    section 3.2; Ghorbani, Krishnan and Xiao, "An investigation into neural net optimization via
    Hessian eigenvalue density", 2019, algorithm 1.

    Args:
        H: A symmetric operator (P, P): a `Hessian`, or a square tensor.
        generator: Where the vectors are drawn from, on the CPU: Gaussian, in order.
        probes: How many random vectors.
        steps: Lanczos steps m, and atoms, for each; at most P.
        memory: Bytes for Lanczos vectors; probes that do not fit in wait for those before them.

    Returns:
        The atoms.

    Raises:
        SpecError: There are no probes or no steps.

    Example:
        >>> H = torch.diag(torch.tensor([1.0] * 6 + [3.0, 5.0], dtype=torch.float64))
        >>> found = density(H, generator=torch.Generator().manual_seed(0), steps=3, probes=4)
        >>> print(found.nodes[0].round(decimals=6))  # three distinct eigenvalues: exact
        tensor([1., 3., 5.], dtype=torch.float64)
    """
    if probes < 1 or steps < 1:
        raise SpecError(f"probes={probes}, steps={steps}", "at least one of each")
    P = H.shape[0]
    m = min(steps, P)
    group = max(1, memory // (m * P * H.dtype.itemsize))
    nodes, weights = [], []
    for place in range(0, probes, group):
        n = min(group, probes - place)
        drawn = [torch.randn(P, generator=generator, dtype=torch.float64) for _ in range(n)]
        v = torch.stack(drawn).to(H.device, H.dtype)  # (n, P)
        theta, tau = torch.linalg.eigh(_lanczos(H, v, m))  # (n, m), (n, m, m)
        nodes.append(theta)
        weights.append(tau[:, 0].square())
    return Density(torch.cat(nodes), torch.cat(weights), P, probes * m)


def _lanczos(H: Operator, v: Tensor, m: int) -> Tensor:
    """Return the tridiagonal matrices (n, m, m), float64, of Lanczos from v (n, P)."""
    n, P = v.shape
    basis = v.new_zeros(n, m, P)
    T = torch.zeros(n, m, m, dtype=torch.float64, device=v.device)
    v = v / torch.linalg.vector_norm(v, dim=1, keepdim=True)
    beta = v.new_zeros(n)
    for step in range(m):
        basis[:, step] = v
        w = (H @ v.T).T.contiguous()
        alpha = torch.linalg.vecdot(v, w)
        T[:, step, step] = alpha.double()
        if step + 1 == m:
            break
        w.addcmul_(v, alpha[:, None], value=-1)
        if step:
            w.addcmul_(basis[:, step - 1], beta[:, None], value=-1)
        before = torch.linalg.vector_norm(w, dim=1)
        beta = _against(w, basis[:, : step + 1])
        if (beta < before / 2).any():  # much was lost: what is left is mostly rounding
            beta = _against(w, basis[:, : step + 1])
        # Where v's Krylov space is exhausted, zeros follow: atoms without weight.
        alive = beta > 100 * torch.finfo(v.dtype).eps * T.abs().amax((1, 2)).to(beta)
        beta = torch.where(alive, beta, 0)
        v = torch.where(alive[:, None], w / beta[:, None].clamp_min(torch.finfo(v.dtype).tiny), 0)
        T[:, step, step + 1] = T[:, step + 1, step] = beta.double()
    return T


def _against(w: Tensor, basis: Tensor) -> Tensor:
    """Take from each w (n, P) its part in the span of its own basis (n, s, P); return norms."""
    for own, held in zip(w, basis, strict=True):
        own.addmv_(held.T, held @ own, alpha=-1)
    norms: Tensor = torch.linalg.vector_norm(w, dim=1)
    return norms
