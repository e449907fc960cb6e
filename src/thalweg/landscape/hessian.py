"""The Hessian of a loss as an operator: products with it, never the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import vmap

from thalweg.errors import ModelError
from thalweg.landscape.objective import Batch, Criterion, Objective, differentiate, finite
from thalweg.nn.stacked.alike import hooked

DENSE = 5_000
"""More parameters than these have no dense Hessian here: it would hold 200 MB."""

WIDE = 1 << 22
"""Bytes kept of a batch above which vectors one by one are as quick as all at once."""

_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)

AT_ONCE = 32
"""Vectors that go through a batch's graph together."""


@runtime_checkable
class Operator(Protocol):
    """A symmetric matrix that need only be multiplied with: a Hessian, or any square tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """(P, P)."""

    @property
    def dtype(self) -> torch.dtype:
        """The type in which products are computed."""

    @property
    def device(self) -> torch.device:
        """Where they are computed."""

    def __matmul__(self, V: Tensor, /) -> Tensor:
        """Return the product with V (P, k)."""


class Hessian:
    """The Hessian ∇²L of the mean loss over all samples, of some or all parameters of a network.

    ``H @ V`` is exact up to rounding: the gradient g(θ) is differentiated once more,
    ∇⟨g(θ), v⟩ = H v (Pearlmutter, "Fast exact multiplication by the Hessian", 1994), in the
    network's own type. Sums over batches are in float64. At a kink, such as that of ReLU, the
    second derivative is 0 there, as autograd has it.

    A batch's gradient is computed once, and what its derivative needs is kept in memory, so that a
    product costs one backward pass. Batches for which there is no memory left begin anew in each
    product, which takes about half as long again.

    Args:
        network: The network. It is copied, in evaluation mode, and never changed: see `Objective`.
        loss: (outputs, labels) → the mean loss over the batch.
        batches: Inputs (n, …) and labels (n, …).
        per: Names of the parameters, or of the layers, whose block of the Hessian this is; None for
            all of them.
        training: Whether BatchNorm normalises each batch by itself, as in training.
        memory: Bytes to keep between products.

    Attributes:
        objective: The loss as a function of the parameters.
        products: Products with one vector that were computed so far.

    Raises:
        SpecError: ``per`` names nothing that there is.
        DataError: There are no samples.
        ModelError: There are no parameters, or in training mode dropout.

    Example:
        Linear regression has the Hessian (2/N) XᵀX:

        >>> g = torch.Generator().manual_seed(0)
        >>> X = torch.randn(6, 3, generator=g, dtype=torch.float64)
        >>> network = nn.Linear(3, 1, bias=False, dtype=torch.float64)
        >>> H = Hessian(network, nn.MSELoss(), [(X[:4], X[:4, :1]), (X[4:], X[4:, :1])])
        >>> V = torch.eye(3, dtype=torch.float64)
        >>> torch.allclose(H @ V, 2 / 6 * X.T @ X)
        True
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Criterion,
        batches: Iterable[Batch],
        per: str | Sequence[str] | None = None,
        *,
        training: bool = False,
        memory: int = 1 << 30,
    ) -> None:
        self.objective = Objective(network, loss, batches, per, training=training)
        pool_first(self.objective.network)
        self.memory, self.products = memory, 0
        self._leaves = self.objective.leaves()
        self._kept: dict[int, tuple[int, list[Tensor]]] = {}
        self._full = memory <= 0
        self._mapped = True

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return (len(self.objective.theta),) * 2

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network, in which products are computed."""
        return self.objective.theta.dtype

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.objective.theta.device

    def __matmul__(self, V: Tensor) -> Tensor:
        """Return the product with V, (P,) or (P, k), in the shape and type of V.

        Raises:
            ModelError: V has another number of rows, or the loss is not one finite number.
        """
        if V.dim() not in {1, 2} or len(V) != self.shape[0]:
            P = self.shape[0]
            raise ModelError(f"vectors of shape {tuple(V.shape)}", f"({P},) or ({P}, k)")
        rows = V.reshape(len(V), -1).T.to(self.device, self.dtype).contiguous()  # (k, P)
        total = torch.zeros(rows.shape, dtype=torch.float64, device=self.device)
        for share, size, gradient in self._gradients():
            for place in range(0, len(rows), AT_ONCE):
                part = rows[place : place + AT_ONCE]
                total[place : place + AT_ONCE].add_(
                    self._product(gradient, part, mapped=size <= WIDE), alpha=share
                )
        self.products += len(rows)
        return total.T.reshape(V.shape).to(V.device, V.dtype)

    def dense(self) -> Tensor:
        """Return the Hessian as a matrix (P, P), for small networks.

        Raises:
            ModelError: There are more than 5,000 parameters.
        """
        P = self.shape[0]
        if P > DENSE:
            raise ModelError(
                f"{P} parameters",
                f"at most {DENSE} for a dense Hessian",
                "multiply with it, or per=",
            )
        return self @ torch.eye(P, dtype=self.dtype, device=self.device)

    def _gradients(self) -> Iterator[tuple[float, int, list[Tensor]]]:
        """Yield each batch's share of the samples, and its gradient with the bytes it holds."""
        for number, (x, y) in enumerate(self.objective.batches):
            kept = self._kept.get(number) or self._gradient(number, x, y)
            yield len(x) / self.objective.samples, *kept

    def _gradient(self, number: int, x: Tensor, y: Tensor) -> tuple[int, list[Tensor]]:
        """Return the bytes of a batch's gradient, and it; and keep it while there is memory."""
        held: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            held[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with saved_tensors_hooks(count, _same):
            loss = self.objective.loss(self._leaves, x, y, twice=True)
            gradient = differentiate(loss, self._leaves, twice=True)
        finite(loss.item())
        size = sum(held.values())
        if not self._full:
            self.memory -= size
            self._full = self.memory < 0
            if not self._full:
                self._kept[number] = size, gradient
        return size, gradient

    def _product(self, gradient: list[Tensor], rows: Tensor, *, mapped: bool) -> Tensor:
        """Return the products with vectors (k, P) of a batch: (k, P)."""
        live = [g.requires_grad for g in gradient]
        outputs = [g for g, alive in zip(gradient, live, strict=True) if alive]
        if not outputs:  # the loss is linear in the parameters
            return torch.zeros_like(rows)
        parts = [p for p, alive in zip(self.objective.parts(rows), live, strict=True) if alive]

        def backward(*vectors: Tensor) -> tuple[Tensor, ...]:
            found = torch.autograd.grad(
                outputs, self._leaves, vectors, retain_graph=True, allow_unused=True
            )
            pairs = zip(found, self._leaves, strict=True)
            return tuple(torch.zeros_like(leaf) if f is None else f for f, leaf in pairs)

        if mapped and self._mapped and len(rows) > 2:
            try:
                return _side_by_side(vmap(backward)(*parts))
            except RuntimeError:  # an operation that vmap cannot map
                self._mapped = False
        alone = [backward(*vectors) for vectors in zip(*parts, strict=True)]
        return _side_by_side([torch.stack(each) for each in zip(*alone, strict=True)])


def pool_first(network: nn.Module) -> None:
    """Let each max-pooling change places with a ReLU before it.

    They commute, gradients and all; pooling first leaves a quarter of the numbers to touch, or
    fewer. Modules keep their names.

    Example:
        >>> net = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
        >>> pool_first(net)
        >>> [*net._modules]
        ['1', '0']
    """
    for chain in network.modules():
        if type(chain) is not nn.Sequential:
            continue
        order = list(chain._modules.items())
        for i in range(len(order) - 1):
            here, there = order[i][1], order[i + 1][1]
            if type(here) is nn.ReLU and type(there) in _POOLS and not _any_hooked(here, there):
                order[i : i + 2] = order[i + 1], order[i]
        chain._modules.clear()
        chain._modules.update(order)


def _any_hooked(*modules: nn.Module | None) -> bool:
    return any(module is not None and hooked(module) for module in modules)


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors (k, …) as one (k, P)."""
    return torch.cat([part.reshape(len(part), -1) for part in parts], 1)


def _same(tensor: Tensor) -> Tensor:
    return tensor
