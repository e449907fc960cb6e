from __future__ import annotations

from math import inf

import pytest

from thalweg.study.races.ladders import ROUNDS, Ladder, goes_on, mean_scores


def ladder(*scores: float, start: int = 0) -> Ladder:
    return Ladder(0, {start + k: score for k, score in enumerate(scores)})


@pytest.mark.parametrize(
    ("lr", "centre"), [(1.0, 0), (0.3, -1), (0.1, -2), (1e-3, -6), (2e-3, -5), (0.0, -4)]
)
def test_it_begins_around_the_default(lr: float, centre: int) -> None:
    assert Ladder.around(lr).propose() == list(range(centre - 2, centre + 3))


@pytest.mark.parametrize(
    ("scores", "best", "at_edge", "then"),
    [
        ((1, 2, 3, 2, 1), 2, False, [-1, 5]),
        ((3, 2, 1), 0, True, [-2, -1]),
        ((1, 2, 3), 2, True, [3, 4]),
        ((1, 3, 3, 3, 2), 2, False, [-1, 5]),  # the middle of equal ones
        ((1, 3, 3, 2), 2, False, [-1, 4]),
        ((1, 1, 1), 2, True, [3, 4]),  # nothing moves the network: more
        ((1, 1, 0), 1, False, [-1, 3]),  # whatever moves it makes it worse
        ((0, 1, 1), 2, True, [3, 4]),
        ((2, 1, 2), 2, True, [3, 4]),
        ((1, 2, -inf), 1, False, [-1, 3]),
        ((2, -inf, -inf), 0, True, [-2, -1]),
        ((-inf, -inf), 0, True, [-2, -1]),
    ],
)
def test_it_grows_to_where_the_best_is(
    scores: tuple[float, ...], best: int, at_edge: bool, then: list[int]
) -> None:
    found = ladder(*scores)
    assert (found.best, found.at_edge, found.propose()) == (best, at_edge, then)
    assert found.all_diverged == (set(scores) == {-inf})


def test_all_are_given_as_many() -> None:
    sizes = {len(own.propose()) for own in (ladder(1, 2, 1), ladder(1, 2), ladder(-inf, -inf))}
    assert sizes == {2}


def test_rounds_go_on_while_somebody_is_at_the_edge() -> None:
    inner, edge = ladder(1, 2, 1), ladder(1, 2, 3)
    assert goes_on([inner], 0)
    assert not goes_on([inner, inner], 1)
    assert goes_on([inner, edge], 1)
    assert not goes_on([edge], ROUNDS)


def test_a_seed_that_diverged_loses_the_rate() -> None:
    places = [("a", 0), ("a", 0), ("a", 1), ("a", 1)]
    assert mean_scores(places, [1.0, -inf, 1.0, 3.0]) == {("a", 0): -inf, ("a", 1): 2.0}
