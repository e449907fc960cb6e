"""A cohort: K networks of one architecture, the rule that moves them, and the one training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from thalweg import optim
from thalweg.data import Split
from thalweg.engine.metrics import Average, Metric
from thalweg.nn import Loss
from thalweg.nn.stacked import Stack

Batch = tuple[Tensor, Tensor]
"""Inputs, (1 or K, batch, …), and labels (batch,) or targets (batch, T)."""

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

    def penalise(self, theta: Tensor, grad: Tensor, weights: Tensor) -> None:
        """Add the penalties' gradients to (K, P); the mask (1, P) marks the weights."""
        if self.l2:
            grad.addcmul_(theta, weights, value=self.l2)
        if self.l1:
            grad.addcmul_(theta.sign(), weights, value=self.l1)

    def clip(self, grad: Tensor) -> None:
        """Clip gradients (K, P)."""
        if self.clip_value is not None:
            grad.clamp_(-self.clip_value, self.clip_value)
        if self.clip_norm is not None:
            grad.mul_(self.clip_norm / optim.member_norm(grad).clamp_(min=self.clip_norm))


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
        everything: Gives the whole training set in batches, for rules and statistics that need it.
        device: Where to train.
        precision: ``"float32"`` or ``"bfloat16"``, of linear layers and convolutions.

    Attributes:
        stack: The networks' parameters, gradients and layers.
        layout: Where each parameter lies in a row of the stack, and its shape.
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
        everything: Callable[[], Iterable[Batch]] = tuple,
        device: str | torch.device = "cpu",
        precision: str = "float32",
    ) -> None:
        self.stack = Stack(
            modules, device=device, precision=PRECISIONS[precision], generators=generators
        )
        self.rule, self.loss, self.metrics = rule, loss, dict(metrics or {})
        self.everything = everything
        self.schedule = schedule or (lambda update: rule.hyper())
        self.regularisation = regularisation or Regularisation()
        self.layout = [(place.start, place.shape) for place in self.stack.places.values()]
        self.state = optim.initial_state(rule, self.stack.theta, self.layout)
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

    def mean_gradient(self, batches: Iterable[Batch]) -> tuple[dict[str, Tensor], int]:
        """Evaluate the gradient over several batches, weighed by their sizes, with the penalties.

        Each batch is used before the next one is asked for, so that they may share memory.

        Returns:
            Loss and metrics, and the number of samples; the gradient is in ``stack.grad``.
        """
        grad, samples = self.stack.grad, 0
        metrics: dict[str, Tensor] = {}
        for x, y in batches:
            before = grad.clone() if samples else None
            new, n = self.gradient(x, y), len(y)
            share = n / (samples + n)
            if before is not None:  # the mean over all samples so far
                grad.lerp_(before, 1 - share)
                new = {name: metrics[name].lerp(value, share) for name, value in new.items()}
            metrics, samples = new, samples + n
        self.regularisation.penalise(self.stack.theta, grad, self._weights)
        return metrics, samples

    def step(self, batches: Iterable[Batch]) -> Outcome:
        """Make one update from the gradient over one or more batches, weighed by their sizes."""
        theta, t = self.stack.theta, self.updates
        for name, buffer in self.stack.buffers.items():
            self._buffers[name].copy_(buffer)
        again = Again(self, batches) if self.rule.revises else None
        metrics, samples = self.mean_gradient(batches if again is None else again.batches)
        hyper = self.schedule(t)
        lr = hyper["lr"]
        lr = float(lr.flatten()[0]) if isinstance(lr, Tensor) else float(lr)
        if not all(map(math.isfinite, metrics["loss"].tolist())):
            for name, buffer in self.stack.buffers.items():  # running statistics moved already
                buffer.copy_(self._buffers[name])
            return Outcome(metrics, samples, lr, finite=False)
        g = self.stack.grad
        if again is not None:
            g = optim.revise(self.rule, theta, g, self.state, t, hyper, again)
        self.regularisation.clip(g)
        optim.apply(self.rule, theta, g, self.state, t, hyper, layout=self.layout)
        self.updates += 1
        return Outcome(metrics, samples, lr, finite=True)

    def slow_weights(self) -> Tensor | None:
        """Return the rule's averaged parameters, (K, P), where it keeps such."""
        return self.rule.evaluation_weights(self.stack.theta, self.state)

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, (K, …), that a flat tensor (K, P) holds."""
        return {name: self.stack.view(theta, name) for name in self.stack.places}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do something that leaves no trace in the buffers and the generators of dropout masks."""
        generators = self.stack.context.generators
        masks = [generator.get_state() for generator in generators]
        buffers = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}
        try:
            yield
        finally:
            for generator, state in zip(generators, masks, strict=True):
                generator.set_state(state)
            for name, buffer in self.stack.buffers.items():
                buffer.copy_(buffers[name])

    @contextmanager
    @torch.no_grad()
    def evaluation(self, *, slow: bool = True) -> Iterator[None]:
        """Be, for a while, the networks that are to be evaluated.

        These have the rule's averaged weights where it keeps such. If BatchNorm's running
        statistics do not belong to them, they are estimated anew: averages over the batches of the
        whole training set, weighed by their sizes.

        Args:
            slow: Use the averaged weights.
        """
        theta = self.slow_weights() if slow else None
        with self.stack.weights(theta):
            if theta is None or not self.rule.stale_statistics or not self.stack.buffers:
                yield
                return
            with self.aside():
                with self.aside():
                    seen = 0
                    for x, y in self.everything():
                        seen += len(y)
                        self.stack.context.share = len(y) / seen
                        self.stack.forward(x, train=True)
                    self.stack.context.share = None
                    fresh = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}
                for name, buffer in self.stack.buffers.items():
                    buffer.copy_(fresh[name])
                yield

    @torch.no_grad()
    def outputs(self, x: Tensor, *, slow: bool = True, chunk: int = 1000) -> Tensor:
        """Return the outputs (K, N, …) for inputs (N, …), in evaluation mode.

        Args:
            x: Inputs on the cohort's device.
            slow: Use the rule's averaged weights where it has such.
            chunk: Samples at a time.
        """
        with self.evaluation(slow=slow):
            parts = [self.stack.forward(part.unsqueeze(0)).clone() for part in x.split(chunk)]
        return torch.cat(parts, dim=1)

    def evaluate(
        self, split: Split, *, slow: bool = True, chunk: int = 1000
    ) -> dict[str, tuple[float, ...]]:
        """Return loss and metrics over a split, in evaluation mode, one number a member.

        Args:
            split: Samples on the cohort's device.
            slow: Use the rule's averaged weights where it has such.
            chunk: Samples at a time.
        """
        with self.evaluation(slow=slow):
            return self.measure(split, chunk=chunk)

    @torch.no_grad()
    def measure(self, split: Split, *, chunk: int = 1000) -> dict[str, tuple[float, ...]]:
        """Return loss and metrics over a split, in evaluation mode, of the networks as they are."""
        average = Average()
        for x, y in zip(split.x.split(chunk), split.y.split(chunk), strict=True):
            outputs = self.stack.forward(x.unsqueeze(0))
            average.add("loss", self.loss(outputs, y), len(y))
            for name, metric in self.metrics.items():
                average.add(name, metric(outputs, y), len(y))
        return average.result()


class Again:
    """What a rule may ask for while an update is made: gradients at the present parameters.

    Args:
        cohort: The networks, about to make an update.
        batches: The update's batches; they are kept.
    """

    def __init__(self, cohort: Cohort, batches: Iterable[Batch]) -> None:
        self.cohort, self.batches = cohort, [(x.clone(), y) for x, y in batches]
        self._masks = [g.get_state() for g in cohort.stack.context.generators]

    def batch(self) -> Tensor:
        """Return the gradient on the update's own batches, with its own dropout masks, (K, P)."""
        with self.cohort.aside():
            for generator, state in zip(
                self.cohort.stack.context.generators, self._masks, strict=True
            ):
                generator.set_state(state)
            self.cohort.mean_gradient(self.batches)
        return self.cohort.stack.grad

    def full(self) -> Tensor:
        """Return the gradient over the whole training set, in batches of the run's size, (K, P)."""
        with self.cohort.aside():
            self.cohort.mean_gradient(self.cohort.everything())
        return self.cohort.stack.grad
