"""Who proposes: Optuna's samplers by name, the same proposals whenever a study is made again."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from thalweg.errors import SpecError, nearest

STARTUP = 10
"""Trials that are drawn at random before a sampler that learns begins to."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def _tpe(own: int, common: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=own, constant_liar=True, n_startup_trials=STARTUP)


def _cmaes(own: int, common: int) -> BaseSampler:
    return optuna.samplers.CmaEsSampler(
        seed=own, warn_independent_sampling=False, independent_sampler=_random(own, common)
    )


def _gp(own: int, common: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        seed=own, n_startup_trials=STARTUP, warn_independent_sampling=False,
        independent_sampler=_random(own, common),
    )  # fmt: skip


def _qmc(own: int, common: int) -> BaseSampler:
    with warnings.catch_warnings():  # it is called experimental since 2021
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.QMCSampler(
            scramble=True, seed=common, warn_independent_sampling=False,
            independent_sampler=_random(own, common),
        )  # fmt: skip


def _random(own: int, common: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=own)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe, "cmaes": _cmaes, "gp": _gp, "qmc": _qmc, "random": _random, "grid": _random,
}  # fmt: skip
"""Makers of samplers by name: from a trial's own seed, and from that of the study. Trials of a grid
are written down before it begins."""

BLIND = ("qmc", "random", "grid")
"""Samplers to which it makes no difference what came of other trials."""


def check_sampler(name: str) -> None:
    """Check that there is a sampler of that name.

    Raises:
        SpecError: There is none.
    """
    if name not in SAMPLERS:
        raise SpecError(f"sampler={name!r}", "a sampler", nearest(name, SAMPLERS))


class Sampler(BaseSampler):
    """A sampler whose proposal for a trial depends on the seed, its number and the trials before.

    A sampler of Optuna draws from a stream that begins anew with each process: one that goes on
    with a study would propose what was proposed before, and two at once the same as one another.
    This one begins a stream for each trial.

    Args:
        name: A key of `SAMPLERS`.
        seed: The seed of the study.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self._begin(0)

    def _begin(self, number: int) -> None:
        self._inner = SAMPLERS[self.name](_mix(self.seed, number), _mix(self.seed, -1))

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin the stream of a trial."""
        self._begin(trial.number)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is proposed together."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose some values together."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Propose a value by itself."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


def _mix(seed: int, number: int) -> int:
    """Return a seed that says nothing of its neighbours: 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")
