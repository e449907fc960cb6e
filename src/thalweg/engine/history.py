"""What a run said, as columns by step and by evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.engine.events import Clock, Evaluated, Event, Step
from thalweg.errors import SpecError, ThalwegError

if TYPE_CHECKING:
    import pandas as pd


class History:
    """Columns of numbers: one row a step, and one an evaluation.

    Attributes:
        steps: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``loss`` and the metrics of
            the batch, each a list with one entry an update.
        epochs: ``step``, ``epoch``, ``gradients``, ``seconds``, ``lr``, ``running_loss``,
            ``train_loss``, ``test_accuracy`` and so on, one entry an evaluation; None where a
            split was not evaluated.

    Values are numbers for a single run, and lists of K for a cohort of K.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._epochs: list[Evaluated] = []

    def add(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Step):
            self._steps.append(event)
        elif isinstance(event, Evaluated):
            self._epochs.append(event)

    @property
    def steps(self) -> dict[str, list[Any]]:
        """Columns by step."""
        rows = [{name: value.tolist() for name, value in e.metrics.items()} for e in self._steps]
        return _columns([e.clock for e in self._steps], [e.lr for e in self._steps], rows)

    @property
    def epochs(self) -> dict[str, list[Any]]:
        """Columns by evaluation."""
        rows = [e.metrics for e in self._epochs]
        return _columns([e.clock for e in self._epochs], [e.lr for e in self._epochs], rows)

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


def _columns(
    clocks: Sequence[Clock], lrs: Sequence[float], rows: Sequence[Mapping[str, Any]]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        name: [getattr(clock, name) for clock in clocks]
        for name in ("step", "epoch", "gradients", "seconds")
    }
    columns["lr"] = list(lrs)
    for name in dict.fromkeys(name for row in rows for name in row):
        columns[name] = [_single(row.get(name)) for row in rows]
    return columns


def _single(values: Any) -> Any:
    """Return one member's value as a number, several as a list."""
    if values is None:
        return None
    return values[0] if len(values) == 1 else list(values)
