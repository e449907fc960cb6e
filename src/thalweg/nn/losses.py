"""The losses by name, each with its gradient at the outputs."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import ModelError, SpecError, nearest
from thalweg.nn.loss import Custom, Loss
from thalweg.nn.softmax import log_softmax, softmax


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy of softmax(outputs): the mean of −log p_y.

    Example:
        >>> loss = CrossEntropy()
        >>> print(loss(torch.zeros(3, 4), torch.tensor([0, 1, 3])))  # log 4
        tensor(1.3863)
    """

    name = "cross-entropy"

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        log_p = log_softmax(_wide(outputs))
        return -log_p.gather(-1, _index(outputs, y)).squeeze(-1).mean(-1)

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient (p − onehot) / batch."""
        log_p, index = log_softmax(_wide(outputs)), _index(outputs, y)
        log_p_y = log_p.gather(-1, index)  # (…, batch, 1)
        losses = log_p_y.squeeze(-1).mean(-1).neg_()
        # p_y − 1 = expm1(log p_y)
        grad = log_p.exp_().scatter_(-1, index, log_p_y.expm1_()).div_(outputs.shape[-2])
        return losses, _like(grad, outputs)


@dataclass(frozen=True)
class LabelSmoothing(Loss):
    """Cross entropy against (1 − smoothing)·onehot + smoothing / C.

    Source: Szegedy et al., "Rethinking the Inception architecture", 2016, section 7.

    Args:
        smoothing: The share of the target that is spread over all C classes, in [0, 1].

    Raises:
        SpecError: If the smoothing is out of range or no number.

    Example:
        >>> print(LabelSmoothing(0.1)(torch.zeros(3, 4), torch.tensor([0, 1, 3])))
        tensor(1.3863)
    """

    name = "label-smoothing"
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        _number("smoothing", self.smoothing, 0, 1)

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        log_p = log_softmax(_wide(outputs))
        return self._mean(log_p, log_p.gather(-1, _index(outputs, y)))

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient (p − target) / batch."""
        log_p, index = log_softmax(_wide(outputs)), _index(outputs, y)
        log_p_y = log_p.gather(-1, index)  # (…, batch, 1)
        losses = self._mean(log_p, log_p_y)
        s, each = self.smoothing, self.smoothing / outputs.shape[-1]
        grad = log_p.exp_().sub_(each).scatter_(-1, index, log_p_y.expm1_().add_(s - each))
        return losses, _like(grad.div_(outputs.shape[-2]), outputs)

    def _mean(self, log_p: Tensor, log_p_y: Tensor) -> Tensor:
        s = self.smoothing
        return ((s - 1) * log_p_y.squeeze(-1) - s * log_p.mean(-1)).mean(-1)


@dataclass(frozen=True)
class NLL(Loss):
    """Negative log-likelihood of outputs that are log-probabilities: the mean of −outputs_y.

    Example:
        >>> print(NLL()(torch.full((3, 4), 0.25).log(), torch.tensor([0, 1, 3])))
        tensor(1.3863)
    """

    name = "nll"
    requires = "log-probabilities"

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        return -_wide(outputs).gather(-1, _index(outputs, y)).squeeze(-1).mean(-1)

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient −onehot / batch."""
        index = _index(outputs, y)
        losses = _wide(outputs).gather(-1, index).squeeze(-1).mean(-1).neg_()
        return losses, torch.zeros_like(outputs).scatter_(-1, index, -1 / outputs.shape[-2])


class _OnProbabilities(Loss):
    """What the quadratic losses share: ½ mean ‖p − onehot‖² + ½ w mean (1 − p_y)²."""

    @abstractmethod
    def _weight(self, classes: int) -> float:
        """Return w."""

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        return self._forward(outputs, y)[0]

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient through softmax, p ∘ (e − p·e) / batch."""
        losses, p, e = self._forward(outputs, y)
        grad = e.sub_((p * e).sum(-1, keepdim=True)).mul_(p).div_(outputs.shape[-2])
        return losses, _like(grad, outputs)

    def _forward(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses (…,), p, and the gradient e of a sample's loss at its p."""
        p, index = softmax(_wide(outputs)), _index(outputs, y)
        e_y = p.gather(-1, index) - 1  # (…, batch, 1)
        e = p.clone().scatter_(-1, index, e_y)  # clone keeps the layout, scatter would not
        losses = e.square().sum(-1).mean(-1) / 2
        if w := self._weight(outputs.shape[-1]):
            losses = losses + e_y.square().squeeze(-1).mean(-1) * (w / 2)
            e = e.clone().scatter_(-1, index, e_y * (1 + w))
        return losses, p, e


@dataclass(frozen=True)
class Quadratic(_OnProbabilities):
    """Quadratic loss: ½ mean ‖p − onehot‖², with p = softmax(outputs).

    Source: Demirkaya, Chen and Oymak, "Exploring the role of loss functions in multiclass
    classification", 2020.

    Example:
        >>> p = torch.tensor([[0.3, 0.2, 0.4, 0.1]])
        >>> print(Quadratic()(p.log(), torch.tensor([2])))  # classes count from 0
        tensor(0.2500)
    """

    name = "quadratic"

    def _weight(self, classes: int) -> float:
        return 0.0


@dataclass(frozen=True)
class CorrectClassQuadratic(_OnProbabilities):
    """Correct-class quadratic loss: the quadratic loss + ½ w mean (1 − p_y)².

    Source: Demirkaya, Chen and Oymak 2020, which suggests w = √(C − 1) − 1 for C classes.

    Args:
        weight: w, at least 0; None takes the paper's suggestion.

    Raises:
        SpecError: If the weight is negative or no number.

    Example:
        >>> p = torch.tensor([[0.3, 0.2, 0.4, 0.1]])
        >>> print(CorrectClassQuadratic(1.0)(p.log(), torch.tensor([2])))  # 0.25 + 0.6²/2
        tensor(0.4300)
    """

    name = "ccql"
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.weight is not None:
            _number("weight", self.weight, 0, math.inf)

    def _weight(self, classes: int) -> float:
        return math.sqrt(classes - 1) - 1 if self.weight is None else self.weight


@dataclass(frozen=True)
class Square(Loss):
    """Square loss on the outputs themselves: mean of ½ ‖outputs − onehot‖², summed over classes.

    Source: Hui and Belkin, "Evaluation of neural architectures trained with square loss vs
    cross-entropy", 2021, without rescaling; the loss of Cohen et al. 2021 on the edge of stability.

    Example:
        >>> print(Square()(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))  # 0, ½
        tensor(0.2500)
    """

    name = "square"

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        return _away(outputs, y).square().sum(-1).mean(-1) / 2

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient (outputs − onehot) / batch."""
        d = _away(outputs, y)
        losses = d.square().sum(-1).mean(-1) / 2
        return losses, d.div_(d.shape[-2]).to(outputs.dtype)


@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared error over the batch and the targets.

    Example:
        >>> print(MSE()(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [0.0]])))
        tensor(5.)
    """

    name = "mse"
    task = "regression"

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (…,)."""
        return _difference(outputs, y).square().mean((-2, -1))

    def value_and_grad(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradient 2 (outputs − y) / (batch · targets)."""
        d = _difference(outputs, y)
        losses = d.square().mean((-2, -1))
        return losses, d.mul_(2 / (d.shape[-2] * d.shape[-1])).to(outputs.dtype)


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (CrossEntropy, LabelSmoothing, NLL, Quadratic, CorrectClassQuadratic, Square, MSE)
}
DEFAULT_LOSS: dict[str, str] = {"classification": CrossEntropy.name, "regression": MSE.name}


def build_loss(loss: str | Callable[[Tensor, Tensor], Tensor], **options: float) -> Loss:
    """Return a loss by name, or any callable as one.

    Args:
        loss: A name in ``LOSSES``, or a callable (outputs (batch, …), y (batch, …)) to the mean
            over the batch; a Loss is returned as it is.
        **options: Options of the named loss: ``smoothing`` of label-smoothing, ``weight`` of ccql.

    Raises:
        SpecError: If the name, an option or its value does not exist, or if options are given to
            a callable.

    Example:
        >>> build_loss("label-smoothing", smoothing=0.2)
        LabelSmoothing(smoothing=0.2)
    """
    if not isinstance(loss, str):
        if not callable(loss):
            raise SpecError(f"loss {loss!r}", "the name of a loss, or a callable")
        if options:
            raise SpecError(f"options {options} for a callable", "options of a named loss")
        return loss if isinstance(loss, Loss) else Custom(loss)
    if loss not in LOSSES:
        raise SpecError(f"loss {loss!r}", "the name of a loss", nearest(loss, LOSSES))
    known = list(inspect.signature(LOSSES[loss]).parameters)
    for option in options:
        if option not in known:
            hint = nearest(option, known) if known else f"{loss} has no options"
            raise SpecError(f"option {option!r} for the loss {loss}", "an option of it", hint)
    return LOSSES[loss](**options)


def _index(outputs: Tensor, y: Tensor) -> Tensor:
    """Return class indices that gather from ``outputs``: (…, batch, 1)."""
    return y.expand(outputs.shape[:-1]).unsqueeze(-1)


def _away(outputs: Tensor, y: Tensor) -> Tensor:
    """Return outputs − onehot, as a new tensor."""
    wide, index = _wide(outputs), _index(outputs, y)
    return wide.scatter_add(-1, index, wide.new_full((), -1.0).expand(index.shape))


def _wide(outputs: Tensor) -> Tensor:
    """Return half precision as float32, anything else as it is."""
    return outputs.float() if outputs.dtype.itemsize < 4 else outputs


def _like(grad: Tensor, outputs: Tensor) -> Tensor:
    """Return ``grad`` in the type of ``outputs``, and contiguous."""
    return grad.to(outputs.dtype).contiguous()


def _difference(outputs: Tensor, y: Tensor) -> Tensor:
    """Return outputs − y.

    Raises:
        ModelError: If a sample's shapes differ; (batch,) − (batch, 1) would broadcast silently.
    """
    if y.shape[-2:] != outputs.shape[-2:]:
        raise ModelError(
            f"outputs of shape {tuple(outputs.shape)} for targets of shape {tuple(y.shape)}",
            "targets (batch, targets), one for each output",
        )
    return _wide(outputs) - y


def _number(option: str, value: Any, low: float, high: float) -> None:
    """Raise SpecError unless ``value`` is a number in [low, high]."""
    if type(value) not in {int, float} or not low <= value <= high:
        raise SpecError(f"{option}={value!r}", f"a number between {low} and {high}")
