"""One run: from a spec to a network in training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg.data import Split, load_data
from thalweg.data.streams import stream
from thalweg.engine.build import build_rule, build_schedule, check_watched
from thalweg.engine.cohort import Cohort, Regularisation
from thalweg.engine.events import Evaluated, Event, Finished, Reason, Step
from thalweg.engine.history import History
from thalweg.engine.loop import Length, descend, everything
from thalweg.engine.metrics import Metric, build_metrics, check_metrics
from thalweg.engine.progress import Progress, Snapshot, check_facts, restore, take
from thalweg.engine.states import States
from thalweg.engine.stop import Judge
from thalweg.errors import DataError, ModelError, SpecError, nearest
from thalweg.spec import DataSpec, Spec

THREADS = 1024
"""With very many more, the process would break down rather than complain."""


class Run:
    """A training run: made from a spec, trained by going through its events.

    Args:
        spec: What to run.
        model: A network of your own instead of the spec's; it is copied, never changed.
        data: Data of your own instead of the spec's source: anything that `load_data` takes.
        loss: A callable (outputs, labels) → mean loss, instead of the spec's.
        metrics: Callables (outputs (K, batch, C), labels) → (K,) by name, instead of the spec's.

    Attributes:
        spec: What was asked for.
        data: The samples, on the device.
        length: How many updates there are to be.
        history: What happened, by step and by evaluation.
        metrics: The last evaluation, such as ``test_accuracy``.
        reason: Why the run ended; None before.
        states: Recorded parameters, if ``record_states`` is set.
        folder: Where the run is recorded; None if nowhere.
        cohort: The network in training.

    Raises:
        ThalwegError: The spec, the model and the data do not fit together; nothing was trained.

    Example:
        >>> from thalweg.engine import short_keys
        >>> spec = Spec().override({"data": "digits", "hidden": (16,), "steps": 3}, short_keys())
        >>> run = Run(spec)
        >>> [type(event).__name__ for event in run.events()]
        ['Step', 'Step', 'Step', 'Evaluated', 'Finished']
    """

    def __init__(
        self,
        spec: Spec,
        *,
        model: nn.Module | None = None,
        data: Any = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        self.spec, seed = spec, spec.seed
        if spec.threads is not None:
            if spec.threads > THREADS:
                raise SpecError(f"threads={spec.threads}", f"at most {THREADS}")
            torch.set_num_threads(spec.threads)
        rule = build_rule(spec)  # what costs nothing to find wrong is looked at first
        judge = Judge(spec)
        if model is not None:
            _check_own(model, spec)
        loading = {key: getattr(spec.data, key) for key in DataSpec.model_fields if key != "source"}
        source = spec.data.source if data is None else data
        self.data = load_data(source, **loading, device=spec.device)
        if model is None:
            model = networks.build(
                spec.model.name,
                input_shape=self.data.input_shape,
                out_features=self.data.out_features,
                generator=Generator().manual_seed(seed),
                init=spec.model.init,
                **spec.model.options,
            )
        elif spec.model.init != "default":
            own = copy.deepcopy(model)
            model = networks.initialize(own, spec.model.init, Generator().manual_seed(seed))
        if spec.model.weights is not None:
            model = copy.deepcopy(model)
            networks.load_weights(model, Path(spec.model.weights))
        by_task = networks.DEFAULT_LOSS[self.data.task]
        goal = networks.build_loss(
            loss or (by_task if spec.loss.name == "auto" else spec.loss.name), **spec.loss.options
        )
        networks.check_fit(
            model, goal, self.data.input_shape, self.data.out_features, self.data.task
        )
        kinds = {p.dtype for p in model.parameters()} - {self.data.train.x.dtype}
        if kinds:
            got = f"a model with parameters of {kinds.pop()}"
            raise ModelError(got, f"{self.data.train.x.dtype}, as the data", "use model.float()")
        self.length = length = Length.of(spec, len(self.data.train))
        measures = build_metrics(metrics or spec.metrics, self.data.task)
        check_watched(judge, self.data, measures)
        masks = Generator(spec.device).manual_seed(stream(seed, "dropout").initial_seed())
        self.cohort = Cohort(
            [model],
            rule,
            goal,
            schedule=build_schedule(spec, rule, length),
            regularisation=Regularisation(spec.l1, spec.l2, spec.clip_value, spec.clip_norm),
            metrics=measures,
            generators=[masks],
            everything=partial(everything, self.data.train, length.batch_size),
            device=spec.device,
            precision=spec.precision,
        )
        if spec.evaluate_weights == "slow" and self.cohort.slow_weights() is None:
            hint = "lookahead has them, as with -s optimizer.lookahead.k=5"
            got = f"evaluate_weights='slow' for {rule.name}"
            raise SpecError(got, "a rule that keeps slow weights", hint)
        if metrics is not None:
            some = self.data.train.take(torch.arange(min(2, len(self.data.train))))
            check_metrics(measures, self.cohort.stack.forward(some.x.unsqueeze(0)), some.y)
        self.history = History()
        self.states = States(spec.record_states, spec.record_budget * 2**20)
        self.states.offer(0, self.cohort.stack.theta)
        self.metrics: dict[str, float] = {}
        self.reason: Reason | None = None
        self.folder: Path | None = None
        self._progress = Progress(stream(seed, "order"), judge)

    def events(self) -> Iterator[Event]:
        """Train, and yield what happens as it happens."""
        for event in descend(self.cohort, self.data, self.spec, self._progress):
            self.history.add(event)
            if isinstance(event, Step):
                self.states.offer(event.clock.step, self.cohort.stack.theta)
            elif isinstance(event, Evaluated):
                self.metrics = {name: values[0] for name, values in event.metrics.items()}
            elif isinstance(event, Finished):
                self.reason = event.reason
                self.cohort.stack.release()
            yield event

    def snapshot(self) -> Snapshot:
        """Return a copy of all that the next step depends on; at any event, or before the first."""
        taken = take(self.cohort, self._progress)
        more = {"states_every": self.states.every, "rows": self.history.rows()}
        return Snapshot(taken.arrays, {**taken.facts, **more})

    def restore(self, snapshot: Snapshot, states: Mapping[int, Tensor] | None = None) -> None:
        """Go on from a snapshot of this run, in the next call of ``events``.

        The history is the caller's to bring back.

        Args:
            snapshot: What `snapshot` returned.
            states: The states that were recorded until then, (K, P) by step.

        Raises:
            ModelError: The snapshot is of another model, of another rule, or damaged; nothing was
                changed.
        """
        restore(self.cohort, self._progress, snapshot)
        self.states.refill(check_facts(snapshot).states_every, states or {})
        self.reason = self._progress.reason
        self.metrics = {name: values[0] for name, values in self._progress.last.items()}

    @property
    def diverged(self) -> bool:
        """Whether the run ended because a loss was not finite."""
        return self.reason == "diverged"

    @property
    def model(self) -> nn.Module:
        """The network as evaluated, with the slow weights where the rule keeps such: a copy."""
        with self.cohort.evaluation(slow=self.spec.evaluate_weights != "current"):
            return self.cohort.stack.export(0)

    def evaluate(
        self, split: str | Split = "test", *, true_labels: bool = False
    ) -> dict[str, float]:
        """Return loss and metrics, in evaluation mode.

        Args:
            split: ``"train"``, ``"val"``, ``"test"``, or samples of your own, normalised as the
                data are.
            true_labels: Take the labels from before their corruption.

        Raises:
            DataError: There is no such split.
        """
        if isinstance(split, str):
            splits = self.data.splits()
            if split not in splits:
                raise DataError(f"the split {split!r}", "one that there is", nearest(split, splits))
            split = splits[split]
        if true_labels:
            split = Split(split.x, split.true_y, split.true_y)
        slow = self.spec.evaluate_weights != "current"
        measured = self.cohort.evaluate(split.to(self.spec.device), slow=slow)
        return {name: values[0] for name, values in measured.items()}

    def outputs(self, x: Tensor) -> Tensor:
        """Return the network's outputs (N, …) for normalised inputs (N, …), as `model` would."""
        slow = self.spec.evaluate_weights != "current"
        return self.cohort.outputs(x.to(self.spec.device), slow=slow)[0]


def _check_own(model: object, spec: Spec) -> None:
    """Check that a model of the user's own is one, and that the spec does not shape it."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else repr(model)
        raise ModelError(f"{got} as a model", "the name of a model, or an nn.Module")
    if spec.model.options:
        got = f"{', '.join(spec.model.options)} for a model of your own"
        raise SpecError(got, "options of a named model", "init is the only one for both")
