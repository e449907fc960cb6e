"""The report of a search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from thalweg.engine import Length
from thalweg.errors import FileError
from thalweg.plots.report import About
from thalweg.plots.report.tune import Contender, TuneRecord, tune_report
from thalweg.plots.search import Attempt
from thalweg.store.documents import read_json
from thalweg.study.search.importance import importances
from thalweg.study.search.ledger import Trial
from thalweg.study.search.seeking import load_tuning
from thalweg.study.search.tuning import Tuning

SAMPLERS = {
    "tpe": "tree-structured Parzen estimators (TPE)",
    "cmaes": "CMA-ES",
    "gp": "a Gaussian process",
    "qmc": "a quasi-random sequence",
    "random": "chance",
    "grid": "a grid",
}
"""What samplers are called."""


def page_of(search: str | Path) -> str:
    """Return the page that tells of a search.

    Raises:
        FileError: There is none, it is damaged, or its database does not answer.
    """
    return tune_report(tune_record(load_tuning(search)))


def tune_record(tuning: Tuning) -> TuneRecord:
    """Return what the report of a search reads; of one that is not over, how far it has come.

    Args:
        tuning: The search, recorded in a folder.
    """
    info, folder = tuning.info, tuning.folder
    assert folder is not None
    counts = [f"{n:,} {split}" for split, n in info.data.samples.items() if n]
    about = About(
        "search", info.name, info.tags, info.created, info.state,
        f"Data: {info.data.name}; {', '.join(counts)} samples.",
        tuning.base.to_toml(), _environment(folder), _commands(tuning, folder),
    )  # fmt: skip
    over = info.state == "complete"
    finalists = tuning.finalists if over else []
    contenders = [
        Contender(
            f.trial.number, f.value, f.standing.behind, f.standing.p, f.standing.diverged
        )
        for f in finalists
    ]  # fmt: skip
    return TuneRecord(
        about,
        info.metric,
        info.trials,
        {axis.name: _axis(tuning, axis.name) for axis in tuning.space.axes},
        _how(tuning),
        [_attempt(tuning, trial) for trial in tuning.trials],
        {trial.number: trial.epochs for trial in tuning.trials},
        {trial.number: trial.seconds for trial in tuning.trials},
        info.seconds,
        importances(tuning.space, tuning.trials),
        info.seeds,
        tuning.verdict if over else "",
        contenders,
        tuning.test() if over else {},
        tuning.recipe() if contenders else "",
    )


def _axis(tuning: Tuning, name: str) -> str:
    (axis,) = (each for each in tuning.space.axes if each.name == name)
    when = [f"{other} is {' or '.join(map(str, labels))}" for other, labels in axis.when.items()]
    return f"{axis.domain}{', if ' * bool(when)}{' and '.join(when)}"


def _how(tuning: Tuning) -> list[str]:
    """Say how it is sought."""
    info, rungs = tuning.info, tuning.rungs.of(0)
    found = [
        f"{info.trials} trials, all with seed {tuning.base.seed}, proposed by "
        f"{SAMPLERS[info.sampler]} in waves; what decides is {info.metric}."
    ]
    if rungs:
        parts = " and ".join(f"{100 * rung:.3g} %" for rung in rungs)
        turns = ", waves taking turns with fewer rungs" if info.pruner == "hyperband" else ""
        found.append(
            f"Waves were ranked as a whole after {parts} of their length, and the best of "
            f"{info.eta} went on from where it stood ({info.pruner}{turns})."
        )
    else:
        found.append("Every trial was trained for its whole length.")
    again = sum(trial.begun > 1 for trial in tuning.trials)
    if again:
        found.append(f"{again} trials were begun again, because a worker had died.")
    return found


def _attempt(tuning: Tuning, trial: Trial) -> Attempt:
    spec = tuning.space.spec(tuning.base, trial.values)
    per_epoch = Length.of(spec, tuning.info.data.samples["train"]).per_epoch
    leading = [name for axis in tuning.space.axes for name in axis.when]
    kind = str(trial.values.get(leading[0], "")) if leading else ""
    scores = {step / per_epoch: value for step, value in trial.scores.items()}
    return Attempt(trial.number, trial.values, trial.state, trial.value, scores, kind)


def _environment(folder: Path) -> dict[str, str]:
    try:
        found: Any = read_json(folder, "environment.json")
    except FileError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _commands(tuning: Tuning, folder: Path) -> list[tuple[str, str]]:
    """Return how to go on with a search, how to look at it, and how to train the winner."""
    info, commands = tuning.info, list[tuple[str, str]]()
    path = shlex.quote(str(folder))
    if info.state in {"interrupted", "killed"}:
        commands.append(("Go on where it stopped:", f"thalweg resume {path}"))
    if info.state == "complete" and (folder / "winner.toml").exists():
        spec = shlex.quote(str(folder / "winner.toml"))
        commands.append(("Train the winner:", f"thalweg train --spec {spec}"))
    where = info.storage or f"sqlite:///{folder / 'study.db'}"
    commands.append(("Look at the trials:", f"optuna-dashboard {shlex.quote(where)}"))
    return commands
