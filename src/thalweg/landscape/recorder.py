"""Sharpness along training: the edge of stability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.engine import Event, Run, Step
from thalweg.errors import ModelError, SpecError
from thalweg.landscape.eigen import eigenpairs
from thalweg.landscape.hessian import Hessian

CHUNK = 1_000
"""Samples that are differentiated at once."""


@dataclass(frozen=True)
class Reading:
    """The sharpness after a step.

    Attributes:
        step: Updates made.
        sharpness: The largest eigenvalue of the Hessian of the training loss; no number where that
            loss is none.
        residual: How far it may be from an eigenvalue.
        limit: 2 / lr of that step's learning rate: gradient descent on a quadratic of larger
            curvature is unstable. Infinite at a rate of 0, and no number before the first step.
        converged: Whether the residual is within the tolerance.
    """

    step: int
    sharpness: float
    residual: float
    limit: float
    converged: bool


class SharpnessRecorder:
    """Measures the sharpness at every n-th step of a run, beside 2 / lr.

    Gradient descent with the full batch raises the sharpness until it hovers at 2 / lr, the edge of
    stability. With momentum β the limit is (2 + 2β) / lr (Polyak) or lower; here it is 2 / lr for
    every rule.

    The loss is the run's own, without penalties, over the first training samples; the network is in
    evaluation mode. Each search starts from the last eigenvector, since that turns slowly, and a
    random direction in equal parts: from the eigenvector alone it would find the same one again
    after another had overtaken it. The run is not touched: it takes the very steps that it would
    take unwatched.

    Source: Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient descent on neural networks typically
    occurs at the edge of stability", 2021, arXiv:2103.00065.

    Args:
        every: Steps between two readings.
        generator: Where the random parts of the starts are drawn from, on the CPU.
        samples: Training samples of the loss, from the first; None for all.
        tolerance: Relative residual of the eigenvalue.

    Attributes:
        readings: What was measured, in order.

    Raises:
        SpecError: The interval or the number of samples is not positive.

    Example:
        >>> from thalweg.engine import short_keys
        >>> from thalweg.spec import Spec
        >>> facts = {"data": "digits", "hidden": (8,), "steps": 4, "optimizer": "sgd", "lr": 0.5}
        >>> run = Run(Spec().override(facts, short_keys()))
        >>> recorder = SharpnessRecorder(2, generator=torch.Generator().manual_seed(0))
        >>> for event in recorder.watch(run):
        ...     pass
        >>> [(reading.step, reading.limit) for reading in recorder.readings]
        [(0, nan), (2, 4.0), (4, 4.0)]
    """

    def __init__(
        self,
        every: int,
        *,
        generator: torch.Generator,
        samples: int | None = None,
        tolerance: float = 1e-2,
    ) -> None:
        for option, value in (("every", every), ("samples", samples)):
            if value is not None and value < 1:
                raise SpecError(f"{option}={value}", "a positive integer")
        self.every, self.generator = every, generator
        self.samples, self.tolerance = samples, tolerance
        self.readings: list[Reading] = []
        self._vector: Tensor | None = None

    def watch(self, run: Run) -> Iterator[Event]:
        """Train a run, measure it on the way, and yield its events."""
        if not run.cohort.updates:
            self._read(run, 0, math.nan)
        for event in run.events():
            if isinstance(event, Step) and event.clock.step % self.every == 0:
                rate = event.lr[0]
                self._read(run, event.clock.step, 2 / rate if rate else math.inf)
            yield event

    def _read(self, run: Run, step: int, limit: float) -> None:
        """Add the sharpness as the run is now."""
        train = run.data.train
        x, y = train.x[: self.samples], train.y[: self.samples]
        batches = zip(x.split(CHUNK), y.split(CHUNK), strict=True)
        H = Hessian(run.cohort.stack.export(0), run.cohort.loss, batches)
        try:
            top = eigenpairs(
                H, generator=self.generator, tolerance=self.tolerance, start=self._start(H.shape[0])
            )
        except ModelError:  # the run is diverging, and says so itself
            self.readings.append(Reading(step, math.nan, math.nan, limit, converged=False))
            return
        self._vector = top.vectors[:, 0]
        value, residual = top.values[0].item(), top.residuals[0].item()
        self.readings.append(Reading(step, value, residual, limit, top.converged))

    def _start(self, P: int) -> Tensor:
        """Return where to start: the last eigenvector, if there is one, and a random direction."""
        drawn = torch.randn(P, generator=self.generator, dtype=torch.float64)
        if self._vector is None:
            return drawn
        unit: Tensor = drawn / torch.linalg.vector_norm(drawn)
        return self._vector + unit.to(self._vector.device)
