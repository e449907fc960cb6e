"""Searches whose waves are trained elsewhere: the same trials, also when workers are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import thalweg as tw
from thalweg.cluster import Done, Executor, Lost, Processes, Told, Waiting, Work
from thalweg.cluster.executor import Happening
from thalweg.errors import SpecError
from thalweg.study import begin_tune, go_on_tune, join_tune, tune
from thalweg.study.search.elsewhere import Letter
from thalweg.study.search.worker import Asked, Ranked, Waited
from thalweg.study.search.worker import Told as TrialTold

BLIND = {"sampler": "random", "group": 5, "epochs": 1, "batch_size": 12}
"""In one epoch no wave enters beside another: they are the same, wherever they are trained."""


class Careless(Executor):
    """Does jobs here, one after the other, and loses some of them on the way.

    Args:
        lost: After how many letters and happenings a job is lost, by its place; each once.
    """

    def __init__(self, lost: dict[int, int] | None = None) -> None:
        super().__init__(threads=1)
        self.lost, self.asked = dict(lost or {}), list[Any]()

    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        places = list(range(len(jobs)))
        while places:
            place = places.pop(0)
            self.asked.append(jobs[place])
            patience = self.lost.pop(place, -1)
            doing = work.do(self.asked[-1])
            try:
                while patience:
                    yield Told(place, next(doing))
                    patience -= 1
                places.insert(0, place)
                yield Lost(place, "it was careless")
            except StopIteration as end:
                yield Waiting()
                yield Done(place, end.value)


def values_of(found: tw.Tuning) -> list[Any]:
    return [
        (each.number, each.values, each.wave, each.state, each.value, each.scores, each.epochs)
        for each in found.trials
    ]


@pytest.fixture(scope="module")
def here(small: dict[str, Any]) -> tw.Tuning:
    return tune(**(small | BLIND), out=False)


def test_processes_come_to_the_same(small: dict[str, Any], here: tw.Tuning, tmp_path: Path) -> None:
    with Processes(2, threads=1) as executor:
        found, events = begin_tune(**(small | BLIND), out=tmp_path / "s", executor=executor)
        told = [each.trial.number for each in events if isinstance(each, TrialTold)]
    assert sorted(told) == list(range(12))
    assert values_of(found) == values_of(here)
    assert found.winner.value == here.winner.value
    assert found.test() == here.test()
    assert (tmp_path / "s" / "winner.toml").read_text() == found.recipe()


def test_a_sampler_that_learns_knows_what_was_told_when_a_worker_is_free(
    small: dict[str, Any],
) -> None:
    own = {**small, **BLIND, "sampler": "tpe"}
    assert values_of(tune(**own, on=Careless(), out=False)) == values_of(tune(**own, out=False))


def test_a_lost_worker_costs_what_had_not_been_told(
    small: dict[str, Any], here: tw.Tuning, tmp_path: Path
) -> None:
    executor = Careless({0: 12, 1: 0})
    found, events = begin_tune(**(small | BLIND), out=tmp_path / "s", executor=executor)
    asked = [each for each in events if isinstance(each, Asked)]
    first, again, *_ = asked
    assert (first.wave, first.again) == (0, False)
    assert (again.wave, again.again) == (0, True)
    assert 0 < len(again.trials) < len(first.trials)
    assert [each[:6] for each in values_of(found)] == [each[:6] for each in values_of(here)]
    begun = {each.number: each.begun for each in found.trials}
    assert {begun[each.number] for each in again.trials} == {2}
    assert sorted(begun.values()).count(1) == 12 - len(again.trials) - 5


def test_it_goes_on_after_an_interruption(
    small: dict[str, Any], here: tw.Tuning, tmp_path: Path
) -> None:
    executor = Careless()
    _, events = begin_tune(**(small | BLIND), out=tmp_path / "s", executor=executor)
    for each in events:
        if isinstance(each, Ranked):
            break
    events.close()  # type: ignore[attr-defined]
    found, events = go_on_tune(tmp_path / "s", executor=executor)
    happened = list(events)
    first = next(each for each in happened if isinstance(each, Asked))
    assert first.again
    assert any(isinstance(each, Waited) for each in happened)
    assert [each[:6] for each in values_of(found)] == [each[:6] for each in values_of(here)]


def test_waves_that_others_have_taken_are_left_to_them(
    small: dict[str, Any], here: tw.Tuning, tmp_path: Path
) -> None:
    executor = Careless()
    found, events = begin_tune(**(small | BLIND), out=tmp_path / "s", executor=executor)
    for each in events:
        if isinstance(each, Asked):
            _, helping = join_tune(tmp_path / "s")  # it takes all but the wave of the first
            assert any(isinstance(each, Waited) for each in helping)
            helping.close()  # type: ignore[attr-defined]
    assert executor.asked[1:3] == [None, None]
    assert [each[:6] for each in values_of(found)] == [each[:6] for each in values_of(here)]


def test_letters_say_what_is_to_be_written() -> None:
    letter = Letter("tell", (3, "pruned", 0.5), {"reason": "pruned"})
    assert letter.given[0] == 3


def test_workers_and_an_executor_are_one_too_many(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="workers=2 and an executor; expected one of the two"):
        tune(**small, workers=2, on=Careless(), out=tmp_path / "s")
