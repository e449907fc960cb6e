"""Whether a model, the data and a loss fit together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from thalweg.errors import ModelError, SpecError
from thalweg.nn.loss import Loss
from thalweg.nn.losses import DEFAULT_LOSS


def check_fit(
    model: nn.Module,
    loss: Loss,
    input_shape: tuple[int, ...],
    out_features: int,
    task: Literal["classification", "regression"] | None = None,
) -> None:
    """Check once, before training, what would otherwise fail or mislead in the middle of it.

    A sample of zeros goes through the model in evaluation mode; the model is left as it was.

    Args:
        model: The network.
        loss: What is to be minimised.
        input_shape: The shape of one sample, without the batch.
        out_features: The number of classes, or of values a sample in a regression.
        task: What the targets are; None where only a custom loss knows.

    Raises:
        ModelError: If the model does not take such samples, does not return (batch, outputs),
            has too few outputs for the classes or another number than there are values, or does
            not return what the loss requires.
        SpecError: If the loss is made for another task.

    Example:
        >>> from thalweg.nn import build_loss
        >>> check_fit(nn.Linear(3, 2), build_loss("cross-entropy"), (3,), 10)
        Traceback (most recent call last):
        ...
        thalweg.errors.ModelError: got a model with 2 outputs for labels from 0 to 9; expected ...
    """
    if task is not None and loss.task not in (task, "any"):
        raise SpecError(
            f"the loss {loss.name} for a {task}",
            f"a loss for a {task}",
            f"{DEFAULT_LOSS[task]} is one; {loss.name} is for a {loss.task}",
        )
    some = next(model.parameters(), torch.empty(0))
    outputs = _outputs(model, torch.zeros(1, *input_shape, dtype=some.dtype, device=some.device))
    if outputs.ndim != 2 or len(outputs) != 1:
        raise ModelError(
            f"outputs of shape {tuple(outputs.shape)} for a batch of one sample",
            "outputs of shape (batch, outputs)",
        )
    width = outputs.shape[1]
    if loss.task == "classification" and width < out_features:
        raise ModelError(
            f"a model with {width} outputs for labels from 0 to {out_features - 1}",
            f"{out_features} outputs, one for each class",
        )
    if loss.task == "regression" and width != out_features:
        raise ModelError(
            f"a model with {width} outputs for {out_features} values a sample",
            "an output for each value",
        )
    if loss.requires == "log-probabilities" and not _normalised(outputs):
        raise ModelError(
            f"outputs that are not log-probabilities for the loss {loss.name}",
            "a model that ends in log-softmax",
            f"{DEFAULT_LOSS['classification']} takes any outputs",
        )


def _normalised(outputs: Tensor) -> bool:
    """Return whether the outputs are log-probabilities, as far as bfloat16 could tell."""
    total = outputs.float().exp().sum()
    return bool((total - 1).abs() < 0.05)


def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    """Return the model's outputs for ``x``; if torch cannot, say where and why."""
    entered: list[tuple[nn.Module, tuple[Any, ...]]] = []

    def note(layer: nn.Module, args: tuple[Any, ...]) -> None:
        entered.append((layer, args))

    hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
    try:
        with _evaluating(model), torch.no_grad():
            outputs = model(x)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        layer, args = entered[-1]
        shapes = ", ".join(str(tuple(a.shape)) for a in args if isinstance(a, Tensor))
        where = layer if not any(layer.children()) else type(layer).__name__
        raise ModelError(
            f"samples of shape {tuple(x.shape[1:])}, which reach {where} as a batch {shapes}",
            "samples of a shape that the model takes",
            f"torch says: {error}",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(outputs, Tensor):
        raise ModelError(f"outputs of type {type(outputs).__name__}", "a tensor (batch, outputs)")
    return outputs


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every layer in evaluation mode, and each back in its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
