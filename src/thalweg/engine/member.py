"""What a member of a cohort has for itself, beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from thalweg.engine.course import Course
from thalweg.engine.events import Reason
from thalweg.engine.length import Length
from thalweg.engine.stop import Judge
from thalweg.spec import Spec


@dataclass(eq=False)
class Member:
    """A network in training, or one that has left.

    Args:
        number: Its place among those that were asked for.
        spec: What it is.
        length: How many updates there are to be.
        judge: Decides when it is to stop.
        course: What changes its hyperparameters; None if nothing does.
        begun: Updates and gradient evaluations that the cohort had made when it entered.
        since: Seconds that the cohort had trained when it entered.
        lr: Learning rate of its last update.
        last: Its last evaluation.
        reason: Why it ended; None before.
        made: Updates and gradient evaluations of its own, once it is over.
        remains: Its parameters and buffers as evaluated, once it has left others behind.
    """

    number: int
    spec: Spec
    length: Length
    judge: Judge
    course: Course | None = None
    begun: tuple[int, int] = (0, 0)
    since: float = 0.0
    lr: float = 0.0
    last: dict[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    made: tuple[int, int] | None = None
    remains: Mapping[str, Tensor] | None = None
