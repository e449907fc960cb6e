"""Which of the things that were chosen made a difference: fANOVA, by Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator

from thalweg.study.search.ledger import Trial
from thalweg.study.search.space import Axis, Choice, Range, Space

LEAST = 8
"""Trials from which on something can be said."""


def scores_at(trials: Sequence[Trial], place: int) -> dict[int, float]:
    """Return how good trials were at a rung, by number; those that came so far.

    Args:
        trials: The trials.
        place: The rung, counted from 0.
    """
    found = {}
    for trial in trials:
        scores = list(trial.scores.values())
        if place < len(scores) and isfinite(scores[place]):
            found[trial.number] = scores[place]
    return found


def importances(space: Space, trials: Sequence[Trial]) -> dict[str, float]:
    """Return what share of the differences between trials is due to each axis.

    All are compared after equally long training, at the first rung, where they all are. Axes that
    not every trial has are judged among those that have them, and their shares are of that part.
    Fewer than `LEAST` trials say nothing, and neither does an axis that is alone.

    fANOVA (Hutter, Hoos & Leyton-Brown 2014, *Proceedings of ICML*), on a random forest.

    Example:
        >>> space = Space([Axis("a", "lr", Range(0.0, 1.0)), Axis("b", "l2", Range(0.0, 1.0))])
        >>> tried = [
        ...     Trial(k, {"a": k / 20, "b": k * 7 % 20 / 20}, 0, "pruned", 1.0, {3: k / 20})
        ...     for k in range(20)
        ... ]
        >>> found = importances(space, tried)
        >>> max(found, key=found.get), round(sum(found.values()), 6)
        ('a', 1.0)
    """
    values = scores_at(trials, 0)
    known = [trial for trial in trials if trial.number in values]
    found: dict[str, float] = {}
    for own in _subspaces(space):
        names = [axis.name for axis in own]
        mine = [trial for trial in known if all(name in trial.values for name in names)]
        if (
            len(names) > 1
            and len(mine) >= LEAST
            and len({values[trial.number] for trial in mine}) > 1
        ):
            found |= _fanova(own, mine, values)
    return found


def _subspaces(space: Space) -> list[list[Axis]]:
    """Return the axes that the same trials have, part by part."""
    parts: dict[str, list[Axis]] = {}
    for axis in space.axes:
        parts.setdefault(repr(sorted(axis.when.items())), []).append(axis)
    return list(parts.values())


def _fanova(
    axes: Sequence[Axis], trials: Sequence[Trial], values: Mapping[int, float]
) -> dict[str, float]:
    distributions = {axis.name: _distribution(axis) for axis in axes}
    study = optuna.create_study()
    for trial in trials:
        params: dict[str, Any] = {axis.name: trial.values[axis.name] for axis in axes}
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=distributions, value=values[trial.number]
            )
        )
    evaluator = FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=[axis.name for axis in axes]
    )
    return {name: float(share) for name, share in found.items()}


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    domain = axis.domain
    if isinstance(domain, Choice):
        return optuna.distributions.CategoricalDistribution(domain.labels)
    assert isinstance(domain, Range)
    if domain.whole:
        low, high = int(domain.low), int(domain.high)
        return optuna.distributions.IntDistribution(low, high, log=domain.log)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log)
