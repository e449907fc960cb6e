"""One run: from a spec to a network in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from thalweg.data import Split
from thalweg.engine.events import Event, Reason
from thalweg.engine.group import Group
from thalweg.engine.history import History
from thalweg.engine.metrics import Metric
from thalweg.engine.progress import Snapshot, check_facts
from thalweg.engine.ranks import Ranks
from thalweg.errors import DataError, nearest
from thalweg.spec import Spec


class Run:
    """A training run: made from a spec, trained by going through its events.

    Args:
        spec: What to run.
        model: A network of your own instead of the spec's; it is copied, never changed.
        data: Data of your own instead of the spec's source: anything that `load_data` takes.
        loss: A callable (outputs, labels) → mean loss, instead of the spec's.
        metrics: Callables (outputs (K, batch, C), labels) → (K,) by name, instead of the spec's.
        ranks: The processes that train it together, each on its rows of every batch; None alone.

    Attributes:
        spec: What was asked for.
        data: The samples, on the device.
        length: How many updates there are to be.
        history: What happened, by step and by evaluation.
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
        ranks: Ranks | None = None,
    ) -> None:
        self.spec, self.ranks = spec, ranks
        self._group = Group([spec], model=model, data=data, loss=loss, metrics=metrics, ranks=ranks)
        self.data, self.cohort = self._group.data[0], self._group.cohort
        (self._member,) = self._group.progress.members
        self.length = self._member.length
        self.history = History()
        self.states = self._group.states[self._member.number]
        self.folder: Path | None = None

    def events(self) -> Iterator[Event]:
        """Train, and yield what happens as it happens."""
        if self.ranks is not None:  # machines may differ in how they draw
            self.ranks.first(self.cohort.stack.theta)
        for event in self._group.events():
            self.history.add(event)
            yield event

    def snapshot(self) -> Snapshot:
        """Return a copy of all that the next step depends on; at any event, or before the first."""
        taken = self._group.snapshot()
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
        self._group.restore(snapshot)
        self.states.refill(check_facts(snapshot).states_every, states or {})

    def stops(self, wish: bool) -> bool:
        """Say whether this process wants to stop, and tell whether all stop after this event."""
        return wish if self.ranks is None else self.ranks.stops(wish)

    @property
    def metrics(self) -> dict[str, float]:
        """The last evaluation, such as ``test_accuracy``."""
        return self._member.last

    @property
    def reason(self) -> Reason | None:
        """Why the run ended; None before."""
        return self._member.reason

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
