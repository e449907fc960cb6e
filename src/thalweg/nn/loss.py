"""What a loss is, and any callable as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from thalweg.errors import ModelError


class Loss(ABC):
    """A loss: the mean over the batch, one value for each member of a cohort.

    Throughout, ``outputs`` are (…, batch, classes), where leading axes are members; ``y`` holds
    class indices (batch,), or (…, batch) where members have batches of their own, as int64; for a
    regression it holds values, (batch, targets) or (…, batch, targets). Losses are (…,). Outputs
    in half precision give losses in float32.

    Attributes:
        name: The name in ``LOSSES``.
        task: What y holds: class indices, values, or whatever a callable takes.
        requires: What the outputs must be; ``any`` takes logits and log-probabilities alike,
            since softmax(log p) = p.
    """

    name: ClassVar[str]
    task: ClassVar[Literal["classification", "regression", "any"]] = "classification"
    requires: ClassVar[Literal["log-probabilities", "any"]] = "any"

    @abstractmethod
    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,), differentiable by autograd."""

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses (…,) and the gradient of their sum at ``outputs``, like ``outputs``.

        Members do not touch one another, so the gradient of the sum holds that of each. Losses
        that have a short closed form use it; here autograd finds it.
        """
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            losses = self(leaf, y)
            (grad,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), grad.contiguous()


@dataclass(frozen=True)
class Custom(Loss):
    """Any callable as a loss: (outputs (batch, …), y (batch, …)) to one number, the batch's mean.

    Args:
        function: The callable; ``nn.Module`` losses are callables too. It sees one member at a
            time and must be differentiable by autograd.

    Example:
        >>> loss = Custom(torch.nn.L1Loss())
        >>> print(loss(torch.ones(2, 3, 1), torch.zeros(3, 1)))  # two members, shared targets
        tensor([1., 1.])
    """

    name = "custom"
    task = "any"
    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,).

        Raises:
            ModelError: If the callable does not return one number.
        """
        if outputs.ndim > 2:
            shared = y.ndim <= (2 if y.is_floating_point() else 1)
            own = [y] * len(outputs) if shared else y
            return torch.stack([self(o, t) for o, t in zip(outputs, own, strict=True)])
        loss = self.function(outputs, y)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ModelError(
                f"a loss of shape {tuple(loss.shape)}"
                if isinstance(loss, Tensor)
                else f"a loss of type {type(loss).__name__}",
                "a tensor with one number, the mean over the batch",
            )
        return loss.reshape(())
