"""The record of a search: what was asked for, by whom it is trained, and what was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from thalweg.errors import FileError
from thalweg.study.search.locks import Locks, holding
from thalweg.study.search.rungs import Rungs
from thalweg.study.search.samplers import Sampler
from thalweg.study.search.space import Space
from thalweg.study.search.storage import answering

ASK = "ask"
"""The lock of who asks for trials."""

State = Literal["running", "complete", "pruned", "lost"]
"""How a trial stands: it trains, came to an end of its own, was sent away, or diverged."""


@dataclass(frozen=True)
class Trial:
    """One setting that is tried.

    Args:
        number: Its number in the study.
        values: Its value on each axis that it has, choices by their labels.
        wave: The wave that it is ranked with.
        state: How it stands.
        value: What it came to, on the validation split; None before, or if it diverged.
        scores: The same along its way, by updates.
        epochs: Passes over the training samples that it made.
        seconds: Its share of the time of training.
        reason: Why it ended; empty before.
        begun: How often it was begun: more than once if its worker died.
    """

    number: int
    values: Mapping[str, Any]
    wave: int
    state: State
    value: float | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    epochs: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    begun: int = 1


@dataclass(frozen=True)
class Wave:
    """Trials that are ranked together.

    Args:
        number: Its number.
        trials: Its trials, those that are over among them.
    """

    number: int
    trials: list[Trial]

    @property
    def running(self) -> list[Trial]:
        """Those that are to be trained."""
        return [trial for trial in self.trials if trial.state == "running"]


class Draft:
    """A copy of a study in memory, in which trials are proposed: each is written down at one go.

    A sampler asks for all trials before each number that it proposes. A database is slower to
    answer than most networks are to train for a while.

    Args:
        study: The study.
        trials: All its trials.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._real, self._id = study._storage, study._study_id
        self._copy = optuna.create_study(sampler=study.sampler, direction=study.direction)
        self._known = self._real.get_study_system_attrs(self._id)
        for name, value in self._known.items():
            self._copy._storage.set_study_system_attr(self._copy._study_id, name, value)
        for each in trials:
            self._copy._storage.create_new_trial(self._copy._study_id, template_trial=each)

    def ask(self, space: Space, wave: int) -> Trial:
        """Propose a trial, and write it down as one of a wave."""
        trial = self._copy.ask()
        values = space.suggest(trial)
        trial.set_user_attr("wave", wave)
        whole = self._copy._storage.get_trial(trial._trial_id)
        made = self._real.create_new_trial(self._id, template_trial=whole)
        number = self._real.get_trial_number_from_id(made)
        told = self._copy._storage.get_study_system_attrs(self._copy._study_id)
        for name, value in told.items():  # what a sampler remembers of a study
            if self._known.get(name) != value:
                self._real.set_study_system_attr(self._id, name, value)
                self._known[name] = value
        return Trial(number, values, wave, "running")


class Ledger:
    """What a study knows; any number of workers may write to one at once.

    A wave belongs to the worker that holds its lock. If that worker dies, the lock is free, and who
    takes it trains those of its trials again that had not been told, under their old numbers: what
    was told stays, and nothing is told twice.

    Args:
        study: The study; its sampler is set.
        space: What may be chosen.
        rungs: How large waves are.
        total: Trials of the study.
        sampler: Name of the sampler.
        seed: Seed of the proposals.
        locks: Who is alive.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        rungs: Rungs,
        total: int,
        sampler: str,
        seed: int,
        locks: Locks,
    ) -> None:
        self.study, self.space, self.rungs, self.total = study, space, rungs, total
        self.locks, self._mine = locks, set[int]()
        self._ids, self._last = dict[int, int](), dict[int, float]()
        study.sampler = Sampler(sampler, seed)

    def trials(self) -> list[Trial]:
        """Return all trials that belong to a wave, by number.

        Raises:
            FileError: The database does not answer.
        """
        with answering():
            found = self.study.get_trials(deepcopy=False)
        return [_trial(each) for each in found if _counts(each)]

    @property
    def is_over(self) -> bool:
        """Whether all trials that there are to be have been told."""
        found = self.trials()
        return len(found) >= self.total and all(each.state != "running" for each in found)

    def ask(self, members: int) -> Wave | None:
        """Ask for a wave of trials; None if there are to be no more.

        Args:
            members: For how many there is room.
        """
        with holding(self.locks, ASK), answering():
            found = self.study.get_trials(deepcopy=False)
            torn = [t for t in found if t.state == TrialState.RUNNING and not _counts(t)]
            for each in torn:
                self._forget(each)
            if torn:  # one of a grid waits again
                found = self.study.get_trials(deepcopy=False)
            counted = [each for each in found if _counts(each)]
            left = self.total - len(counted)
            if left <= 0:
                return None
            number = 1 + max((each.user_attrs["wave"] for each in counted), default=-1)
            self.locks.take(_lock(number))
            self._mine.add(number)
            size = min(left, self.rungs.size(number, members))
            waiting = any(each.state == TrialState.WAITING for each in found)
            one = self._waited if waiting else Draft(self.study, found).ask
            return Wave(number, [one(self.space, number) for _ in range(size)])

    def to_come(self, members: int) -> list[int]:
        """Return of how many trials each wave is that is still to be asked for.

        Args:
            members: For how many there is room.
        """
        found, sizes = self.trials(), list[int]()
        left, number = self.total - len(found), 1 + max((t.wave for t in found), default=-1)
        while left > 0:
            sizes.append(min(left, self.rungs.size(number, members)))
            left, number = left - sizes[-1], number + 1
        return sizes

    def _waited(self, space: Space, wave: int) -> Trial:
        """Take a trial that was written down before, as those of a grid are."""
        trial = self.study.ask()
        values = space.suggest(trial)
        trial.set_user_attr("wave", wave)  # last: a trial that has it is whole
        return Trial(trial.number, values, wave, "running")

    def _forget(self, trial: FrozenTrial) -> None:
        """Give up a trial whose worker died before it was whole."""
        self.study.tell(trial.number, state=TrialState.FAIL)
        fixed = trial.system_attrs.get("fixed_params")
        if fixed is not None:  # of a grid
            self.study.enqueue_trial(fixed)

    def adopt(self) -> Wave | None:
        """Return a wave whose worker died, to be trained again; None if there is none."""
        waves = {each.wave for each in self.trials() if each.state == "running"} - self._mine
        for number in sorted(waves):
            if not self.locks.take(_lock(number)):
                continue
            own = [each for each in self.trials() if each.wave == number]
            if all(each.state != "running" for each in own):  # it was told meanwhile
                self.locks.give(_lock(number))
                continue
            self._mine.add(number)
            return self.again(number)
        return None

    def again(self, number: int) -> Wave:
        """Return a wave, to be trained again as far as it has not been told."""
        own = [each for each in self.trials() if each.wave == number]
        for each in own:
            if each.state == "running":
                self._note(each.number, begun=each.begun + 1)
        return Wave(number, own)

    def finish(self, wave: int) -> None:
        """Give back a wave of which all trials were told."""
        self._mine.discard(wave)
        self.locks.give(_lock(wave))

    def close(self) -> None:
        """Give all waves back, of which the others may take those that are not over."""
        self.locks.close()

    def report(self, number: int, step: int, value: float) -> None:
        """Write down how good a trial is after so many updates."""
        with answering():
            self._storage.set_trial_intermediate_value(self._id(number), step, value)
        self._last[number] = value

    def tell(self, number: int, state: State, value: float | None, **facts: Any) -> None:
        """Write down what became of a trial.

        Args:
            number: The trial.
            state: How it ended; one that diverged counts as worse than all others.
            value: What it came to.
            **facts: What else is to be known: ``epochs``, ``seconds``, ``reason``.

        Raises:
            FileError: Another worker told it, or the database does not answer.
        """
        self._note(number, end=facts)
        end = TrialState.COMPLETE if state == "complete" else TrialState.PRUNED
        last = self._last.get(number) if value is None else value
        with answering():
            try:
                self._storage.set_trial_state_values(self._id(number), end, _values(last))
            except RuntimeError:  # UpdateFinishedTrialError, where Optuna calls it so
                got = f"trial {number}, which another worker has told"
                raise FileError(got, "a connection that does not break") from None

    def _note(self, number: int, **facts: Any) -> None:
        with answering():
            for name, value in facts.items():
                self._storage.set_trial_user_attr(self._id(number), name, value)

    @property
    def _storage(self) -> optuna.storages.BaseStorage:
        return self.study._storage

    def _id(self, number: int) -> int:
        if number not in self._ids:
            study = self._storage.get_study_id_from_name(self.study.study_name)
            for each in self._storage.get_all_trials(study, deepcopy=False):
                self._ids[each.number] = each._trial_id
        return self._ids[number]


def _values(last: float | None) -> list[float] | None:
    """Return what Optuna keeps as the values of a trial: none, if it came to no number."""
    return None if last is None or isnan(last) else [last]


def _lock(wave: int) -> str:
    return f"wave-{wave:05d}"


def _counts(trial: FrozenTrial) -> bool:
    """Tell whether a trial belongs to a wave."""
    return "wave" in trial.user_attrs and trial.state != TrialState.FAIL


def _trial(found: FrozenTrial) -> Trial:
    facts, end = found.user_attrs, found.user_attrs.get("end", {})
    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned",
    }  # fmt: skip
    reason = end.get("reason", "")
    state = "lost" if reason == "diverged" else states.get(found.state, "running")
    value = found.value if found.state in states and found.value is not None else None
    return Trial(
        found.number,
        dict(found.params),
        facts["wave"],
        state if found.state in states else "running",
        value if value is not None and isfinite(value) and state != "lost" else None,
        dict(sorted(found.intermediate_values.items())),
        end.get("epochs", 0.0),
        end.get("seconds", 0.0),
        reason,
        facts.get("begun", 1),
    )
