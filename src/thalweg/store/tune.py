"""The folder of a search: what is sought, its trials, the best ones on fresh seeds, the winner.

::

    tune.json         name, state, space, sampler, rungs, what decides
    spec.toml         where the settings start from
    environment.json  versions, machine, threads, git commit
    study.db          Optuna's study in SQLite: all trials
    final/            the best trials on fresh seeds, a series
    winner.toml       the winner's spec
"""

from __future__ import annotations

from typing import Any

from thalweg.store.undertaking import Undertaking, Undertakings


class TuneInfo(Undertaking):
    """What ``tune.json`` holds, beside what `Undertaking` says.

    Args:
        space: What may be chosen: the axes.
        sampler: Who proposes.
        pruner: How trials are sent away.
        eta: One of so many goes on from a rung.
        rungs: Rungs, with the end of training.
        trials: How many there are to be.
        group: Trials that are asked for at a time; what suits the sampler if None.
        metric: What decides, on the validation split.
        best: How many are run again on fresh seeds.
        seeds: The fresh seeds.
        storage: Address of the database, without a password; a file in the folder if None.
        study: Name of the study in it.
        seconds: How long the search has taken so far, in this process, waits included.
        test: What the winner came to on the test split, by metric, seed by seed; None before.
    """

    space: list[dict[str, Any]]
    sampler: str
    pruner: str
    eta: int
    rungs: int
    trials: int
    group: int | None
    metric: str
    best: int
    seeds: list[int]
    storage: str | None
    study: str
    seconds: float = 0.0
    test: dict[str, list[float]] | None = None


_SEARCHES = Undertakings(
    TuneInfo, "tune.json", "search", "searches", "optuna-dashboard opens its study.db"
)

is_tune, parse_tune, read_tune = _SEARCHES.holds, _SEARCHES.parse, _SEARCHES.read
write_tune, locate_tune, survey_tunes = _SEARCHES.write, _SEARCHES.locate, _SEARCHES.survey
