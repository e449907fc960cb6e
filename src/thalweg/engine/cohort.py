"""A cohort: K networks of one architecture, the rule that moves them, and the one training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from thalweg import optim
from thalweg.data import Split
from thalweg.engine.metrics import Average, Metric
from thalweg.nn import Loss
from thalweg.nn.stacked import Stack

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}  # None: as the parameters are


@dataclass(frozen=True)
class Regularisation:
    """What is done to a gradient before the rule sees it.

    Args:
        l1: Weight of the penalty Σ|w| over parameters of two axes or more.
        l2: Weight of the penalty ½Σw² over the same.
        clip_value: Largest magnitude of an entry.
        clip_norm: Largest 2-norm of a member's gradient.
    """

    l1: float = 0.0
    l2: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None

    def apply(self, theta: Tensor, grad: Tensor, weights: Tensor) -> None:
        """Change gradients (K, P) of parameters (K, P); the mask (1, P) marks the weights."""
        if self.l2:
            grad.addcmul_(theta, weights, value=self.l2)
        if self.l1:
            grad.addcmul_(theta.sign(), weights, value=self.l1)
        if self.clip_value is not None:
            grad.clamp_(-self.clip_value, self.clip_value)
        if self.clip_norm is not None:
            norm = torch.linalg.vector_norm(grad, dim=1, keepdim=True)
            grad.mul_(self.clip_norm / norm.clamp_(min=self.clip_norm))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step.

    Args:
        metrics: Means over the samples before the update, ``loss`` first: (K,) each.
        samples: How many.
        lr: Learning rate of the update.
        finite: Whether all losses were finite; if not, nothing was moved.
    """

    metrics: Mapping[str, Tensor]
    samples: int
    lr: float
    finite: bool


class Cohort:
    """K networks that train in lock-step as one program; a single run is a cohort of one.

    Args:
        modules: The networks. They are read, never changed.
        rule: What moves the parameters.
        loss: What is minimised.
        schedule: Hyperparameters of an update, given how many were made before; the rule's own at
            all times if None.
        regularisation: Penalties and clipping.
        metrics: What is measured beside the loss, by name.
        generators: One a member, for dropout masks, on the device.
        device: Where to train.
        precision: ``"float32"`` or ``"bfloat16"``, of linear layers and convolutions.

    Attributes:
        stack: The networks' parameters, gradients and layers.
        state: The rule's tensors.
        updates: Updates made.
        gradients: Gradient evaluations made, in batches.

    Raises:
        ModelError: The networks are not alike, or have nothing to train.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rule: optim.Rule,
        loss: Loss,
        *,
        schedule: Callable[[int], optim.Hyper] | None = None,
        regularisation: Regularisation | None = None,
        metrics: Mapping[str, Metric] | None = None,
        generators: Sequence[Generator] = (),
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> None:
        self.stack = Stack(
            modules, device=device, precision=PRECISIONS[precision], generators=generators
        )
        self.rule, self.loss, self.metrics = rule, loss, dict(metrics or {})
        self.schedule = schedule or (lambda update: rule.hyper())
        self.regularisation = regularisation or Regularisation()
        self.state = rule.init(self.stack.theta)
        self.updates = self.gradients = 0
        self._buffers = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}
        self._weights = self.stack.mask(n for n, p in self.stack.places.items() if len(p.shape) > 1)

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Evaluate the gradient on a batch; it is then in ``stack.grad``.

        Args:
            x: Inputs, (1, batch, …) for all members or (K, batch, …).
            y: Labels (batch,), or targets (batch, T).

        Returns:
            Loss and metrics, means over the batch in training mode: (K,) each.
        """
        outputs = self.stack.forward(x, train=True)
        losses, g = self.loss.value_and_grad(outputs, y)
        measured = {name: metric(outputs, y) for name, metric in self.metrics.items()}
        self.stack.backward(g)
        self.gradients += 1
        return {"loss": losses, **measured}

    def step(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Outcome:
        """Make one update from the gradient over one or more batches, weighed by their sizes.

        Each batch is used before the next one is asked for, so that they may share memory.
        """
        theta, grad, samples = self.stack.theta, self.stack.grad, 0
        metrics: dict[str, Tensor] = {}
        for name, buffer in self.stack.buffers.items():
            self._buffers[name].copy_(buffer)
        for x, y in batches:
            before = grad.clone() if samples else None
            new, n = self.gradient(x, y), len(y)
            share = n / (samples + n)
            if before is not None:  # the mean over all samples so far
                grad.lerp_(before, 1 - share)
                new = {name: metrics[name].lerp(value, share) for name, value in new.items()}
            metrics, samples = new, samples + n
        hyper = self.schedule(self.updates)
        lr = float(hyper["lr"])
        if not all(map(math.isfinite, metrics["loss"].tolist())):
            for name, buffer in self.stack.buffers.items():  # running statistics moved already
                buffer.copy_(self._buffers[name])
            return Outcome(metrics, samples, lr, finite=False)
        self.regularisation.apply(theta, grad, self._weights)
        optim.apply(self.rule, theta, grad, self.state, self.updates, hyper)
        self.updates += 1
        return Outcome(metrics, samples, lr, finite=True)

    def slow_weights(self) -> Tensor | None:
        """Return the rule's averaged parameters, (K, P), where it keeps such."""
        return self.rule.evaluation_weights(self.stack.theta, self.state)

    @torch.no_grad()
    def evaluate(
        self, split: Split, *, slow: bool = True, chunk: int = 1000
    ) -> dict[str, tuple[float, ...]]:
        """Return loss and metrics over a split, in evaluation mode, one number a member.

        Args:
            split: Samples on the cohort's device.
            slow: Use the rule's averaged weights where it has such.
            chunk: Samples at a time.
        """
        average = Average()
        with self.stack.weights(self.slow_weights() if slow else None):
            for x, y in zip(split.x.split(chunk), split.y.split(chunk), strict=True):
                outputs = self.stack.forward(x.unsqueeze(0))
                average.add("loss", self.loss(outputs, y), len(y))
                for name, metric in self.metrics.items():
                    average.add(name, metric(outputs, y), len(y))
        return average.result()
