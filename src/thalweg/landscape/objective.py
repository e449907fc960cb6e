"""The loss of a network as a function of its parameters, all in one row."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.errors import DataError, ModelError, SpecError, nearest
from thalweg.landscape.bilinear import Bilinear
from thalweg.nn import DropBlock2d

Batch = tuple[Tensor, Tensor]
"""Inputs (n, …) and labels (n, …)."""

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(outputs, labels) → the mean loss over the batch, one number."""


class Objective:
    """The mean loss over all samples, L(θ), of some or all parameters of a network.

    The network is copied: neither its parameters nor its buffers nor its mode change, and what
    becomes of it later changes nothing here. The copy is in evaluation mode: BatchNorm has its
    running statistics and dropout does nothing. In training mode BatchNorm normalises each batch
    by itself, so that L depends on how the samples are divided.

    Args:
        network: The network.
        loss: (outputs, labels) → the mean loss over the batch: a `thalweg.nn.Loss` or any other
            callable that autograd can differentiate.
        batches: Inputs (n, …) and labels (n, …); they may differ in size, and each sample counts
            alike. They are moved to the network's device, and to its type unless they are integers.
        per: Names of parameters, or of modules for all parameters within; None for all. The others
            are constants. Parameters that do not require gradients are constants unless named.
        training: Whether BatchNorm is in training mode.

    Attributes:
        network: The copy.
        criterion: The loss.
        training: Whether BatchNorm is in training mode.
        names: The parameters' names.
        theta: Where the network is, (P,).
        batches: The samples.
        samples: How many samples there are, N.

    Raises:
        SpecError: ``per`` names nothing that there is.
        DataError: There are no samples.
        ModelError: There are no parameters, or in training mode dropout, whose loss is no function
            of the parameters.

    Example:
        >>> network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        >>> x = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
        >>> L = Objective(network, nn.MSELoss(), [(x, 0 * x)])  # 5 w²
        >>> L.value(torch.tensor([2.0])), L.gradient(torch.tensor([2.0])).tolist()
        (20.0, [20.0])
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Criterion,
        batches: Iterable[Batch],
        per: str | Sequence[str] | None = None,
        *,
        training: bool = False,
    ) -> None:
        self.names = chosen(network, per)
        self.network = copy.deepcopy(network).train(training)
        if training:
            _check_deterministic(self.network)
        own = dict(self.network.named_parameters())
        self._shapes = [own[name].shape for name in self.names]
        self._sizes = [own[name].numel() for name in self.names]
        self._constants = {n: p.detach() for n, p in own.items() if n not in set(self.names)}
        self._buffers = dict(self.network.named_buffers())
        self.criterion, self.training = loss, training
        self.theta = torch.cat([own[name].detach().reshape(-1) for name in self.names])
        self.batches = tuple((_to(x, self.theta), _to(y, self.theta)) for x, y in batches)
        self.samples = sum(len(x) for x, _ in self.batches)
        if not self.samples:
            raise DataError("no samples", "at least one batch (inputs, labels)")

    def leaves(self, theta: Tensor | None = None) -> list[Tensor]:
        """Return the parameters in their shapes, ready to be differentiated."""
        theta = self.theta if theta is None else theta.to(self.theta)
        parts = theta.detach().split(self._sizes)
        return [
            part.reshape(shape).clone().requires_grad_()
            for part, shape in zip(parts, self._shapes, strict=True)
        ]

    def loss(
        self, leaves: Sequence[Tensor], x: Tensor, y: Tensor, *, twice: bool = False
    ) -> Tensor:
        """Return the mean loss over a batch as a tensor without axes.

        Args:
            leaves: The parameters in their shapes.
            x: Inputs, (n, …).
            y: Labels, (n, …).
            twice: Whether its gradient will be differentiated again.

        Raises:
            ModelError: The loss is not one number.
        """
        state = {**self._constants, **dict(zip(self.names, leaves, strict=True))}
        buffers = self._buffers
        if self.training:  # BatchNorm counts its batches in them
            buffers = {name: buffer.clone() for name, buffer in buffers.items()}
        with torch.enable_grad(), Bilinear() if twice else nullcontext():
            loss = self.criterion(functional_call(self.network, {**state, **buffers}, (x,)), y)
        if loss.numel() != 1:
            raise ModelError(f"a loss of shape {tuple(loss.shape)}", "one number, a batch's mean")
        return loss.reshape(())

    def value(self, theta: Tensor | None = None) -> float:
        """Return L at ``theta`` (P,), by default where the network is.

        Raises:
            ModelError: The loss is not one number.
        """
        leaves, total = self.leaves(theta), 0.0
        for x, y in self.batches:
            total += len(x) * self.loss([leaf.detach() for leaf in leaves], x, y).item()
        return total / self.samples

    def gradient(self, theta: Tensor | None = None) -> Tensor:
        """Return ∇L at ``theta`` (P,), by default where the network is: (P,), float64.

        Raises:
            ModelError: The loss is not one number.
        """
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: Tensor | None = None) -> tuple[float, Tensor]:
        """Return L and ∇L (P,), float64, at ``theta`` (P,), by default where the network is.

        Raises:
            ModelError: The loss is not one number.
        """
        value, total = 0.0, torch.zeros_like(self.theta, dtype=torch.float64)
        for (x, _), (loss, gradient) in zip(self.batches, self.each(theta), strict=True):
            share = len(x) / self.samples
            value += share * loss
            total.add_(gradient, alpha=share)
        return value, total

    def each(self, theta: Tensor | None = None) -> Iterator[tuple[float, Tensor]]:
        """Yield each batch's own loss and gradient (P,), in the parameters' type, at ``theta``.

        Raises:
            ModelError: The loss is not one number.
        """
        leaves = self.leaves(theta)
        for x, y in self.batches:
            loss = self.loss(leaves, x, y)
            found = differentiate(loss, leaves)
            yield loss.item(), torch.cat([g.reshape(-1) for g in found])

    def parts(self, rows: Tensor) -> list[Tensor]:
        """Return vectors (k, P) parameter by parameter: (k, …) each."""
        split = rows.split(self._sizes, 1)
        return [part.reshape(-1, *s) for part, s in zip(split, self._shapes, strict=True)]


def finite(loss: float) -> float:
    """Return a loss that is a number.

    Raises:
        ModelError: It is infinite or no number: there is no curvature where the loss is not finite.

    Example:
        >>> finite(0.5)
        0.5
    """
    if not math.isfinite(loss):
        raise ModelError(f"a loss of {loss}", "a finite number", "has the network diverged?")
    return loss


def differentiate(loss: Tensor, leaves: Sequence[Tensor], *, twice: bool = False) -> list[Tensor]:
    """Return the gradients of a loss, zeros where it does not depend on a leaf.

    Example:
        >>> w, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        >>> differentiate(3 * w.sum(), [w, b])
        [tensor([3.]), tensor([0.])]
    """
    if not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(loss, leaves, create_graph=twice, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, leaves, strict=True)]


def chosen(network: nn.Module, per: str | Sequence[str] | None) -> list[str]:
    """Return the names of the parameters that ``per`` names, in the network's order.

    Args:
        network: The network.
        per: Names of parameters, or of modules for all parameters within; None for all that
            require gradients.

    Raises:
        SpecError: A name is none of the network's.
        ModelError: There are no such parameters.

    Example:
        >>> chosen(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), "2")
        ['2.weight', '2.bias']
    """
    parameters = dict(network.named_parameters())
    if per is None:
        names = [name for name, p in parameters.items() if p.requires_grad]
        if not names:
            raise ModelError(
                "a network without trainable parameters",
                "at least one",
                "name frozen parameters with per=" if parameters else "",
            )
        return names
    wanted = [per] if isinstance(per, str) else list(per)
    for name in wanted:
        if not any(_within(each, name) for each in parameters):
            raise SpecError(f"per={name!r}", "a parameter or a layer", nearest(name, parameters))
    if not wanted:
        raise SpecError("per=[]", "at least one parameter or layer", "None takes all of them")
    return [name for name in parameters if any(_within(name, each) for each in wanted)]


def layers(network: nn.Module) -> list[str]:
    """Return the names of the modules that have parameters of their own, for ``per``.

    Example:
        >>> layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
        ['0', '2']
    """
    owners = (name.rpartition(".")[0] or name for name, _ in network.named_parameters())
    return list(dict.fromkeys(owners))


def _to(tensor: Tensor, theta: Tensor) -> Tensor:
    return tensor.to(theta) if tensor.is_floating_point() else tensor.to(theta.device)


def _within(parameter: str, name: str) -> bool:
    return parameter == name or parameter.startswith(f"{name}.")


def _check_deterministic(network: nn.Module) -> None:
    """Raise ModelError if the network draws numbers in training mode."""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd | DropBlock2d) and module.p > 0:
            raise ModelError(
                f"dropout in training mode ({name or type(module).__name__})",
                "a loss that is a function of the parameters",
                "leave training=False, or set its p to 0",
            )
