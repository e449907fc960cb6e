"""What is measured beside the loss: functions of outputs and labels, averaged over samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from thalweg.engine.history import CLOCK
from thalweg.errors import SpecError, nearest

Metric = Callable[[Tensor, Tensor], Tensor]
"""Outputs (K, batch, C) and labels (batch,), or targets (batch, T), to batch means, (K,)."""


def accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Fraction of samples whose largest output is the label's, (K,).

    Example:
        >>> accuracy(torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]), torch.tensor([1, 1]))
        tensor([0.5000], dtype=torch.float64)
    """
    best = outputs.amax(-1, keepdim=True)
    own = outputs == best
    if own.device.type == "cpu" and torch.count_nonzero(own) == best.numel():  # none are level
        index = y.unsqueeze(-1).expand_as(best)
        return own.gather(-1, index).squeeze(-1).mean(-1, dtype=torch.float64)
    return (outputs.max(-1).indices == y).mean(-1, dtype=torch.float64)  # the first of equal ones


def top(k: int) -> Metric:
    """Return the metric that counts a sample when its label is among the k largest outputs.

    Example:
        >>> top(2)(torch.tensor([[[3.0, 2.0, 1.0]]]), torch.tensor([1]))
        tensor([1.], dtype=torch.float64)
    """

    def top_k(outputs: Tensor, y: Tensor) -> Tensor:
        best = outputs.topk(min(k, outputs.shape[-1]), dim=-1).indices
        return (best == y.unsqueeze(-1)).any(-1).mean(-1, dtype=torch.float64)

    return top_k


def mae(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error over the batch and the targets, (K,).

    Example:
        >>> mae(torch.tensor([[[1.0], [-3.0]]]), torch.tensor([[0.0], [0.0]]))
        tensor([2.])
    """
    return (outputs - y).abs().mean((-2, -1))


_NAMED: dict[str, Metric] = {"accuracy": accuracy, "mae": mae}


def build_metrics(
    wanted: Sequence[str] | Mapping[str, Metric] | None, task: str
) -> dict[str, Metric]:
    """Return metrics by name.

    Args:
        wanted: Names (``accuracy``, ``mae``, ``top5`` and other numbers), or callables by name;
            None takes accuracy for classification and nothing for regression.
        task: ``"classification"`` or ``"regression"``.

    Raises:
        SpecError: An unknown name, or one that the task has no use for.

    Example:
        >>> sorted(build_metrics(["accuracy", "top3"], "classification"))
        ['accuracy', 'top3']
    """
    if wanted is None:
        return {"accuracy": accuracy} if task == "classification" else {}
    if isinstance(wanted, Mapping):
        return dict(wanted)
    found: dict[str, Metric] = {}
    for name in wanted:
        number = name.removeprefix("top")
        if name.startswith("top") and number.isdecimal() and int(number) > 0:
            found[name] = top(int(number))
        elif name in _NAMED:
            found[name] = _NAMED[name]
        else:
            raise SpecError(
                f"the unknown metric {name!r}", "a metric", nearest(name, [*_NAMED, "top5"])
            )
        if (name == "mae") != (task == "regression"):
            fitting = "mae" if task == "regression" else "accuracy, or top5 and other numbers"
            raise SpecError(f"the metric {name!r} for {task}", fitting)
    return found


def check_metrics(metrics: Mapping[str, Metric], outputs: Tensor, y: Tensor) -> None:
    """Check on a small batch that metrics of the user's own are what they should be.

    Args:
        metrics: Callables by name.
        outputs: Outputs, (K, batch, C).
        y: Labels (batch,), or targets (batch, T).

    Raises:
        SpecError: A metric does not return a mean for each network, or takes the name of the loss
            or of the clock's columns.
    """
    K = len(outputs)
    for name, metric in metrics.items():
        if name in {"loss", *CLOCK}:
            raise SpecError(f"a metric named {name!r}", "another name: there is one such already")
        value = metric(outputs, y)
        if not isinstance(value, Tensor):
            got = f"a {type(value).__name__}"
        elif value.shape != (K,) or not value.is_floating_point():
            got = f"a tensor of {value.dtype} and shape {tuple(value.shape)}"
        else:
            continue
        raise SpecError(
            f"the metric {name!r}, which returns {got}",
            f"a floating-point tensor of shape ({K},): the batch's mean for each network",
            "outputs are (networks, batch, classes)",
        )


class Average:
    """Cumulative weighted averages, one a member, kept on the device.

    After batches of n₁, n₂, … samples with means x₁, x₂, … the average is Σ nᵢxᵢ / Σ nᵢ.

    Args:
        sums: Σ nᵢxᵢ by name, (K,) each, in float64: where to go on from.
        counts: Σ nᵢ by name.

    Example:
        >>> mean = Average()
        >>> mean.add("loss", torch.tensor([1.0]), 3)
        >>> mean.add("loss", torch.tensor([5.0]), 1)
        >>> mean.result()
        {'loss': (2.0,)}
    """

    def __init__(
        self, sums: dict[str, Tensor] | None = None, counts: dict[str, int] | None = None
    ) -> None:
        self.sums, self.counts = sums or {}, counts or {}

    def add(self, name: str, value: Tensor, n: int) -> None:
        """Count a batch of ``n`` samples whose mean is ``value``, (K,)."""
        if name in self.sums:
            self.sums[name].add_(value, alpha=n)
            self.counts[name] += n
        else:
            self.sums[name] = value.to(torch.float64) * n
            self.counts[name] = n

    def result(self) -> dict[str, tuple[float, ...]]:
        """Return the averages by name."""
        return {
            name: tuple((total / self.counts[name]).tolist()) for name, total in self.sums.items()
        }
