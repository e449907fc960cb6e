"""What a run said, as columns by step and by evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.engine.events import Evaluated, Event, Step
from thalweg.errors import SpecError
from thalweg.frames import to_frame

if TYPE_CHECKING:
    import pandas as pd

CLOCK = ("step", "epoch", "gradients", "seconds", "lr")
"""The first columns of both tables."""

Columns = dict[str, list[Any]]


class History:
    """Columns of numbers: one row a step, and one an evaluation.

    Args:
        by_member: Whether there are rows for each member, whose number is the column ``member``;
            ``step``, ``epoch`` and ``gradients`` are those of its cohort.

    Attributes:
        steps: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``loss`` and the metrics of
            the batch, each a list with one entry an update.
        epochs: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``running_loss``,
            ``train_loss``, ``test_accuracy`` and so on, one entry an evaluation; None where a
            split was not evaluated.

    Example:
        >>> from thalweg.engine import Clock
        >>> history = History()
        >>> history.add(Evaluated(Clock(8, 1.0, 8, 0.5), {"test_loss": (0.25,)}, lr=(0.1,)))
        >>> history.epochs["step"], history.epochs["test_loss"]
        ([8], [0.25])
    """

    def __init__(self, *, by_member: bool = False) -> None:
        self._member = ["member"] * by_member
        self.steps: Columns = {name: [] for name in (*self._member, *CLOCK)}
        self.epochs: Columns = {name: [] for name in (*self._member, *CLOCK)}

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Step):
            values = {name: value.tolist() for name, value in event.metrics.items()}
            self._append(self.steps, event, values)
        elif isinstance(event, Evaluated):
            self._append(self.epochs, event, event.metrics)

    def _append(
        self, columns: Columns, event: Step | Evaluated, values: Mapping[str, Sequence[Any]]
    ) -> None:
        """Append rows; what they lack is None, and so is what earlier rows lacked."""
        rows, clock = len(columns["step"]), event.clock
        new = len(event.members) if self._member else 1
        for name in CLOCK[:-1]:
            columns[name] += [getattr(clock, name)] * new
        columns["lr"] += event.lr[:new]
        if self._member:
            columns["member"] += event.members
        for name, value in values.items():
            if name not in columns:
                columns[name] = [None] * rows
            columns[name] += value[:new]
        if len(columns) > len(values) + len(CLOCK) + len(self._member):
            for name in columns.keys() - values.keys() - {*CLOCK, *self._member}:
                columns[name] += [None] * new

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        return {"steps": len(self.steps["step"]), "epochs": len(self.epochs["step"])}

    def to_pandas(self, by: str = "epochs") -> pd.DataFrame:
        """Return one of the tables as a DataFrame.

        Args:
            by: ``"steps"`` or ``"epochs"``.

        Raises:
            SpecError: There is no such table.
            ThalwegError: pandas is not installed.
        """
        if by not in {"steps", "epochs"}:
            raise SpecError(f"by={by!r}", "steps or epochs")
        return to_frame(self.steps if by == "steps" else self.epochs)
