"""Schedules: how a hyperparameter changes in the course of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thalweg.errors import SpecError, nearest
from thalweg.optim import cycles, plateau  # noqa: F401 - shapes are known once imported
from thalweg.optim.options import Option, check, options_of
from thalweg.optim.rule import Hyperparameter, Rule
from thalweg.optim.shapes import SHAPES, Shape

PERIODS = ("epoch", "step")


@dataclass(frozen=True)
class Schedule:
    """A shape put in its place in a run; made by :func:`build_schedule`.

    Attributes:
        shape: Its course.
        total: Epochs or steps of the run.
        per: ``"epoch"`` or ``"step"``: what is counted.
        start: Epoch or step, from 0, until which the value stays as the shape begins.
        target: The hyperparameter that changes.
    """

    shape: Shape
    total: int
    per: str = "epoch"
    start: int = 0
    target: str = "lr"

    def factor(self, n: int) -> float:
        """Return what the base value is multiplied by in epoch or step n, from 0.

        After the end of the run the last value stays.

        Example:
            >>> halves = build_schedule("step", total=8, start=1, step_size=2, gamma=0.5)
            >>> [halves.factor(n) for n in range(8)]
            [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
        """
        length = max(self.total - self.start, 1)
        return self.shape.factor(min(max(n - self.start, 0), length - 1), length)


def build_schedule(
    name: str,
    *,
    total: int,
    per: str = "epoch",
    start: int = 0,
    target: str = "lr",
    **options: Any,
) -> Schedule:
    """Make a schedule; this is where its options are validated.

    Args:
        name: Which shape: see :func:`schedules`.
        total: Epochs or steps of the run, by ``per``.
        per: ``"epoch"`` or ``"step"``: what is counted.
        start: Epoch or step, counted from 0, at which the shape begins; the value stays at its
            first factor before. ``start=1, per="epoch"`` is a loop that calls a torch scheduler's
            ``step()`` at the end of every epoch but the first.
        target: The hyperparameter that changes.
        options: Options of the shape: see :func:`schedule_options`.

    Raises:
        SpecError: The shape or an option is unknown, or a value is not allowed.

    Example:
        >>> warm = build_schedule("warm-up", total=100, per="step", length=10, first=0.0)
        >>> warm.factor(5), warm.factor(50)
        (0.5, 1.0)
    """
    shape = _find(name)
    if per not in PERIODS:
        raise SpecError(f"per={per!r} for schedule {name}", " or ".join(PERIODS))
    for what, value, least in (("total", total, 1), ("start", start, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SpecError(
                f"{what}={value!r} for schedule {name}", f"an integer of at least {least}"
            )
    made = shape(**check(shape, f"schedule {name}", options))
    made.check()
    return Schedule(made, total, per, start, target)


def schedules() -> dict[str, type[Shape]]:
    """Return all known shapes by name.

    Example:
        >>> [name for name in schedules() if name.startswith("cos")]
        ['cosine', 'cosine-restarts']
    """
    return dict(sorted(SHAPES.items()))


def schedule_options(name: str) -> list[Option]:
    """List what can be set on a shape: name, type, default, help and range.

    Raises:
        SpecError: There is no such schedule.
    """
    return list(options_of(_find(name)))


def in_force(
    rule: Rule,
    schedules: Iterable[Schedule],
    *,
    epoch: int,
    step: int,
    reaction: Hyperparameter | None = None,
) -> dict[str, Hyperparameter]:
    """Return the hyperparameters of a rule as they are at one step of a run.

    Args:
        rule: The rule, with its base values.
        schedules: Schedules; two on one target multiply.
        epoch: Epochs done before this step.
        step: Steps done before this one, in the whole run.
        reaction: The factor that was measured for the schedules that react, such as ``plateau``: a
            number, or a float64 tensor of shape (K, 1) with one for each of K members.

    Raises:
        SpecError: A schedule's target is not a hyperparameter of the rule, or a schedule reacts
            and nothing was measured for it.

    Example:
        >>> from thalweg.optim.registry import build
        >>> drop = build_schedule("multistep", total=12, milestones=[10, 11], gamma=0.5)
        >>> in_force(build("adam", lr=0.5), [drop], epoch=11, step=1298)["lr"]
        0.125
    """
    h = rule.hyper()
    for each in schedules:
        if each.target not in h:
            raise SpecError(
                f"a schedule for {each.target!r} of optimizer {rule.name}",
                "one of its hyperparameters",
                nearest(each.target, h),
            )
        if each.shape.reacts:
            if reaction is None:
                what = f"schedule {each.shape.name} where nothing is measured"
                raise SpecError(what, "a schedule that depends on the time alone")
            h[each.target] = h[each.target] * reaction
        h[each.target] = h[each.target] * each.factor(epoch if each.per == "epoch" else step)
    return h


def _find(name: str) -> type[Shape]:
    if name not in SHAPES:
        raise SpecError(f"schedule {name!r}", "a schedule by name", nearest(name, SHAPES))
    return SHAPES[name]
