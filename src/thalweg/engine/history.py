"""What a run said, as columns by step and by evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thalweg.engine.events import Clock, Evaluated, Event, Step
from thalweg.errors import SpecError, ThalwegError

if TYPE_CHECKING:
    import pandas as pd

CLOCK = ("step", "epoch", "gradients", "seconds", "lr")
"""The first columns of both tables."""

Columns = dict[str, list[Any]]


class History:
    """Columns of numbers: one row a step, and one an evaluation.

    Attributes:
        steps: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``loss`` and the metrics of
            the batch, each a list with one entry an update.
        epochs: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``running_loss``,
            ``train_loss``, ``test_accuracy`` and so on, one entry an evaluation; None where a
            split was not evaluated.

    Values are numbers for a single run, and lists of K for a cohort of K.

    Example:
        >>> history = History()
        >>> history.add(Evaluated(Clock(8, 1.0, 8, 0.5), {"test_loss": (0.25,)}, lr=0.1))
        >>> history.epochs["step"], history.epochs["test_loss"]
        ([8], [0.25])
    """

    def __init__(self) -> None:
        self.steps: Columns = {name: [] for name in CLOCK}
        self.epochs: Columns = {name: [] for name in CLOCK}

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Step):
            values = {name: value.tolist() for name, value in event.metrics.items()}
            _append(self.steps, event.clock, event.lr, values)
        elif isinstance(event, Evaluated):
            _append(self.epochs, event.clock, event.lr, event.metrics)

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
        try:
            import pandas as pd
        except ImportError:
            raise ThalwegError("no pandas", "pandas", "pip install pandas") from None
        return pd.DataFrame(self.steps if by == "steps" else self.epochs)


def _append(columns: Columns, clock: Clock, lr: float, row: Mapping[str, Any]) -> None:
    """Append a row; what it lacks is None, and so is what earlier rows lacked."""
    rows = len(columns["step"])
    columns["step"].append(clock.step)
    columns["epoch"].append(clock.epoch)
    columns["gradients"].append(clock.gradients)
    columns["seconds"].append(clock.seconds)
    columns["lr"].append(lr)
    for name, values in row.items():
        if name not in columns:
            columns[name] = [None] * rows
        columns[name].append(values[0] if len(values) == 1 else list(values))
    if len(columns) > len(row) + len(CLOCK):
        for name in columns.keys() - row.keys() - set(CLOCK):
            columns[name].append(None)
