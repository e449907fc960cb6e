"""One run: from a spec to a trained network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg.data import Split, load_data
from thalweg.data.streams import stream
from thalweg.engine.build import build_rule, build_schedule, check_watched, short_keys
from thalweg.engine.cohort import Cohort, Regularisation
from thalweg.engine.events import Evaluated, Event, Finished, Reason, Step
from thalweg.engine.history import History
from thalweg.engine.loop import Length, descend
from thalweg.engine.metrics import Metric, build_metrics, check_metrics
from thalweg.engine.states import States
from thalweg.engine.stop import Judge
from thalweg.errors import DataError, ModelError, SpecError, nearest
from thalweg.spec import DataSpec, Spec


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
        history: What happened, by step and by evaluation.
        metrics: The last evaluation, such as ``test_accuracy``.
        reason: Why the run ended; None before.
        states: Recorded parameters, if ``record_states`` is set.
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
        length = Length.of(spec, len(self.data.train))
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
        self._order = stream(seed, "order")

    def events(self) -> Iterator[Event]:
        """Train, and yield what happens as it happens."""
        for event in descend(self.cohort, self.data, self.spec, self._order):
            self.history.add(event)
            if isinstance(event, Step):
                self.states.offer(event.clock.step, self.cohort.stack.theta)
            elif isinstance(event, Evaluated):
                self.metrics = {name: values[0] for name, values in event.metrics.items()}
            elif isinstance(event, Finished):
                self.reason = event.reason
                self.cohort.stack.release()
            yield event

    @property
    def diverged(self) -> bool:
        """Whether the run ended because a loss was not finite."""
        return self.reason == "diverged"

    @property
    def model(self) -> nn.Module:
        """The network as evaluated, with the slow weights where the rule keeps such: a copy."""
        with self.cohort.stack.weights(self._weights()):
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

    def _weights(self) -> Tensor | None:
        return None if self.spec.evaluate_weights == "current" else self.cohort.slow_weights()


def _check_own(model: object, spec: Spec) -> None:
    """Check that a model of the user's own is one, and that the spec does not shape it."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else repr(model)
        raise ModelError(f"{got} as a model", "the name of a model, or an nn.Module")
    if spec.model.options:
        got = f"{', '.join(spec.model.options)} for a model of your own"
        raise SpecError(got, "options of a named model", "init is the only one for both")


def train(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    **settings: Any,
) -> Run:
    """Train one network.

    Args:
        model: A model's name, or a network of your own, which is copied.
        data: A data set's name, a folder, arrays, a Dataset, or what `load_data` returned.
        spec: Where the settings start from, such as a recipe; the defaults if None.
        loss: A loss's name, or a callable (outputs, labels) → mean loss of the batch.
        metrics: Names of metrics, or callables by name.
        **settings: Any setting of the spec by its short or dotted key (``lr``, ``batch_size``,
            ``optimizer="sgd"``, ``momentum``, …).

    Returns:
        The finished run. A run whose loss became NaN is a result too: see ``run.diverged``.

    Raises:
        ThalwegError: The settings, the model and the data do not fit together.

    Example:
        >>> run = train("mlp", "digits", hidden=(64,), lr=3e-3, batch_size=32, epochs=5, seed=0)
        >>> run.metrics["test_accuracy"] > 0.9, run.reason
        (True, 'complete')
    """
    base, changes, own = spec or Spec(), dict(settings), dict[str, Any]()
    names = {"model": model, "data": data, "loss": loss, "metrics": metrics}
    for key, value in names.items():
        if value is None:
            continue
        named = isinstance(value, str) or (key == "metrics" and not isinstance(value, Mapping))
        (changes if named else own)[key] = value
    run = Run(base.override(changes, short_keys()), **own)
    for _ in run.events():
        pass
    return run
