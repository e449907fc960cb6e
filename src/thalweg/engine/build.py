"""From a spec's names to the things they name."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable
from typing import Any

from thalweg import nn, optim
from thalweg.data import Data
from thalweg.engine.course import Course
from thalweg.engine.length import Length
from thalweg.engine.stop import Judge, lower_is_better
from thalweg.errors import SpecError, nearest
from thalweg.spec import SHORT_KEYS, Spec


def build_rule(spec: Spec) -> optim.Rule:
    """Return the update rule that a spec names, inside Lookahead if it asks for that.

    Raises:
        SpecError: The rule or a hyperparameter does not exist, or a value is not allowed.
    """
    chosen, given = spec.optimizer, dict(spec.optimizer.options)
    around = [name for name in optim.wrappers() if name != "lookahead"]
    own: list[tuple[str, dict[str, Any]]] = []
    for name in chosen.wrap:
        if name not in around:
            raise SpecError(f"wrap={name!r}", "what goes around a rule", nearest(name, around))
        known = {each.name for each in optim.hyperparameters(name)}
        own.append((name, {key: given.pop(key) for key in known & given.keys()}))
    if chosen.lr is not None:
        given["lr"] = chosen.lr
    rule = optim.build(chosen.name, **given)
    for name, options in own:
        rule = optim.build(name, inner=rule, **options)
    if chosen.lookahead is None:
        return rule
    return optim.build("lookahead", inner=rule, **chosen.lookahead.model_dump())


def build_course(spec: Spec, rule: optim.Rule, length: Length) -> Course:
    """Return what changes a rule's hyperparameters in the course of a run.

    Raises:
        SpecError: The schedule, an option or its target does not exist.
    """
    chosen = spec.schedule
    epochs = -(-length.updates // length.per_epoch)
    schedule = optim.build_schedule(
        chosen.name,
        total=max(1, length.updates if chosen.per == "step" else epochs),
        per=chosen.per,
        start=chosen.start,
        target=chosen.target,
        **chosen.options,
    )
    if schedule.target not in rule.hyper():  # known before the first step
        optim.in_force(rule, [schedule], epoch=0, step=0)
    if not isinstance(schedule.shape, optim.Plateau):
        return Course(schedule, length.per_epoch)
    tracker = schedule.shape.tracker(lower_is_better=lower_is_better(spec.monitor))
    return Course(schedule, length.per_epoch, tracker, spec.monitor)


def check_watched(judge: Judge, data: Data, metrics: Iterable[str]) -> None:
    """Check that the metrics of the stop conditions will be measured.

    Raises:
        SpecError: One of them will not.
    """
    names = ["loss", *metrics]
    known = [f"{split}_{name}" for split in ("running", *data.splits()) for name in names]
    for metric in judge.watched:
        if metric not in known:
            hint = nearest(metric, known)
            if metric.startswith("val_") and "val" not in data.splits():
                hint = f"there is no validation split, ask for one with val=0.1; {hint}"
            raise SpecError(f"a condition on {metric!r}", "a metric that is measured", hint)


def short_keys() -> dict[str, str]:
    """Return the section of every option that its thing's registry declares, where that is unique.

    Example:
        >>> keys = short_keys()
        >>> keys["momentum"], keys["hidden"], keys["milestones"], keys["smoothing"]
        ('optimizer', 'model', 'schedule', 'loss')
    """
    found: list[tuple[str, str]] = []
    for name, rule in optim.rules().items():
        if name != "lookahead":
            options = optim.hyperparameters(rule.name)
            found += [(each.name, "optimizer") for each in options if each.name != "inner"]
    for name in optim.schedules():
        found += [(option.name, "schedule") for option in optim.schedule_options(name)]
    for model in nn.MODELS.values():
        arguments = inspect.signature(model.make).parameters.values()
        found += [(a.name, "model") for a in arguments if a.kind is a.KEYWORD_ONLY]
    for loss in nn.LOSSES.values():
        found += [(name, "loss") for name in inspect.signature(loss).parameters]
    homes = dict.fromkeys(found)
    sections = Counter(key for key, _ in homes)
    return {key: home for key, home in homes if sections[key] == 1 and key not in SHORT_KEYS}
