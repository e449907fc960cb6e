"""When to stop: a condition on a metric, no improvement, or the time."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from thalweg.engine.events import Reason
from thalweg.errors import SpecError
from thalweg.optim.shapes import SHAPES
from thalweg.spec import Spec

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Condition:
    """A metric, a comparison and a bound, as in ``train_accuracy>=1.0``.

    Example:
        >>> condition = Condition.parse("train_accuracy >= 0.99")
        >>> condition.holds({"train_accuracy": 0.995}), condition.metric
        (True, 'train_accuracy')
    """

    metric: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            SpecError: The text is not METRIC, one of >= <= > <, NUMBER.
        """
        match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+\d.eE]+)\s*", text)
        try:
            if match is None:
                raise ValueError
            return cls(match[1], match[2], float(match[3]))
        except ValueError:
            raise SpecError(
                f"until={text!r}", "METRIC>=NUMBER", "as in train_accuracy>=1.0, or with <=, > or <"
            ) from None

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether the condition is true of these metrics; false while the metric is absent."""
        value = metrics.get(self.metric)
        return value is not None and _COMPARE[self.comparison](value, self.bound)


def lower_is_better(metric: str) -> bool:
    """Tell whether a metric should fall: losses and errors do.

    Example:
        >>> lower_is_better("val_loss"), lower_is_better("test_accuracy")
        (True, False)
    """
    return metric.endswith(("loss", "mae"))


class Patience:
    """Counts evaluations without improvement.

    Args:
        metric: What to watch; losses and errors should fall, everything else should rise.
        limit: Evaluations without improvement after which to stop.

    Example:
        >>> patience = Patience("val_loss", limit=2)
        >>> [patience.exhausted({"val_loss": loss}) for loss in (1.0, 0.5, 0.7, 0.6)]
        [False, False, False, True]
    """

    def __init__(self, metric: str, limit: int) -> None:
        self.metric, self.limit = metric, limit
        self.sign = -1.0 if lower_is_better(metric) else 1.0
        self.best, self.waited = float("-inf"), 0

    def improves(self, metrics: Mapping[str, float]) -> bool:
        """Take note of an evaluation and tell whether it is the best so far."""
        score = self.sign * metrics.get(self.metric, float("nan"))
        if score > self.best:
            self.best, self.waited = score, 0
            return True
        self.waited += 1  # for NaN, too
        return False

    def exhausted(self, metrics: Mapping[str, float]) -> bool:
        """Take note of an evaluation and tell whether to stop."""
        return not self.improves(metrics) and self.waited >= self.limit


class Judge:
    """Decides, from evaluations and the clock, whether a network is trained for long enough.

    Args:
        spec: ``until``, ``patience``, a schedule that reacts, ``monitor``, and ``max_seconds``.

    Attributes:
        splits: Splits to evaluate: those that the spec names, and those that the conditions need.

    Raises:
        SpecError: The condition cannot be read.
    """

    def __init__(self, spec: Spec) -> None:
        self.condition = None if spec.until is None else Condition.parse(spec.until)
        self.patience = None if spec.patience is None else Patience(spec.monitor, spec.patience)
        self.max_seconds = float("inf") if spec.max_seconds is None else spec.max_seconds
        watched = [rule.metric for rule in (self.condition, self.patience) if rule is not None]
        if spec.schedule.name in SHAPES and SHAPES[spec.schedule.name].reacts:
            watched.append(spec.monitor)
        self.watched = tuple(watched)
        self.splits = {*spec.evaluate, *(metric.split("_")[0] for metric in watched)}

    def verdict(self, metrics: Mapping[str, float]) -> Reason | None:
        """Tell why to stop after this evaluation, if it is so."""
        if self.condition is not None and self.condition.holds(metrics):
            return "until"
        if self.patience is not None and self.patience.exhausted(metrics):
            return "patience"
        return None

    def out_of_time(self, seconds: float) -> bool:
        """Tell whether the time is up."""
        return seconds >= self.max_seconds
