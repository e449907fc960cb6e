from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, nan, sqrt

import numpy as np
import pytest

from thalweg.engine.stop import Condition
from thalweg.study.races.standings import (
    Cost,
    Standing,
    Trace,
    common_target,
    curves,
    equal_budget,
    holm,
    paired_p,
    profile,
    standings,
    verdict,
)

GOAL = Condition("val_accuracy", ">=", 0.5)


def trace(
    seed: int,
    values: Sequence[float],
    *,
    step: float = 1.0,
    diverged: bool = False,
    metric: str = "val_accuracy",
) -> Trace:
    """A run that was evaluated at equal distances; its seconds are twice its epochs."""
    epochs = [step * (k + 1) for k in range(len(values))]
    costs: dict[Cost, Sequence[float]] = {
        "epochs": epochs, "gradients": epochs, "seconds": [2 * each for each in epochs]
    }  # fmt: skip
    return Trace(seed, costs, {metric: list(values)}, diverged)


def ends(**values: Sequence[float]) -> dict[str, list[Trace]]:
    """Runs of which only the end was evaluated, a seed each."""
    return {n: [trace(seed, [v]) for seed, v in enumerate(own)] for n, own in values.items()}


def ranked(found: Sequence[Standing]) -> list[str]:
    return [each.contestant for each in found]


# ── one comparison ───────────────────────────────────────────────────────────────────────────────


def test_two_pairs_follow_the_cauchy_distribution() -> None:
    # Student's t with one degree of freedom: p = 1 − 2/π·atan(t), and here t = 3
    assert paired_p([1.0, 2.0], [0.0, 0.0]) == pytest.approx(1 - 2 / np.pi * np.arctan(3.0))


def test_three_pairs_follow_students_t_with_two_degrees_of_freedom() -> None:
    # there, p = 1 − t/√(t² + 2)
    gaps = [1.0, 2.0, 3.0]
    t = 2.0 / (1.0 / sqrt(3))
    assert paired_p(gaps, [0.0] * 3) == pytest.approx(1 - t / sqrt(t**2 + 2))
    assert paired_p([0.0] * 3, gaps) == paired_p(gaps, [0.0] * 3)


@pytest.mark.parametrize(
    ("gaps", "p"), [([0.5], 1.0), ([0.0, 0.0], 1.0), ([], 1.0), ([0.1] * 5, 1 / 16)]
)
def test_where_students_t_says_nothing(gaps: list[float], p: float) -> None:
    shift = [0.3 + 0.1 * k for k in range(len(gaps))]  # the sums are not quite exact
    assert paired_p([a + g for a, g in zip(shift, gaps, strict=True)], shift) == p


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.02, 0.3, 0.01, 0.02]) == pytest.approx([0.06, 0.3, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


# ── standings ────────────────────────────────────────────────────────────────────────────────────


def test_the_best_comes_first_and_the_others_are_compared_with_it() -> None:
    found = standings(ends(b=[0.7, 0.8, 0.9], a=[0.80, 0.92, 0.98]), "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["a", "b"]
    first, second = found
    assert (first.behind, first.p) == (None, None)
    assert second.value is not None
    assert second.value.mean == pytest.approx(0.8)
    assert second.value.half == pytest.approx(4.302653 * 0.1 / sqrt(3), rel=1e-6)
    assert second.behind is not None
    assert second.behind.mean == pytest.approx(0.1)
    assert second.behind.half == pytest.approx(4.302653 * 0.02 / sqrt(3), rel=1e-5)
    assert second.p == pytest.approx(paired_p([0.80, 0.92, 0.98], [0.7, 0.8, 0.9]))
    assert second.is_behind


def test_pairs_see_what_the_spread_over_seeds_hides() -> None:
    level = [0.5, 0.6, 0.7, 0.8, 0.9]
    pairs = ends(a=[v + 0.02 + 0.001 * k for k, v in enumerate(level)], b=level)
    found = standings(pairs, "val_accuracy", "epochs", GOAL)
    assert found[0].value is not None
    assert found[1].value is not None
    assert found[0].value.low < found[1].value.mean
    assert verdict(found, tuned=True) == "a is the best"


def test_losses_should_fall() -> None:
    own = {
        name: [trace(s, [v], metric="val_loss") for s, v in enumerate(values)]
        for name, values in {"a": [0.5, 0.51, 0.49], "b": [0.1, 0.12, 0.11]}.items()
    }
    found = standings(own, "val_loss", "epochs", Condition("val_loss", "<=", 0.2))
    assert ranked(found) == ["b", "a"]
    assert found[1].behind is not None
    assert found[1].behind.mean == pytest.approx(0.39)
    assert [each.reached for each in found] == [3, 0]


def test_costs_are_equal_and_no_run_sees_past_the_budget() -> None:
    own = {"long": [trace(0, [0.1, 0.5, 0.9])], "short": [trace(0, [0.2, 0.6])]}
    assert equal_budget(own, "epochs") == 2.0
    assert equal_budget(own, "seconds") == 4.0
    found = standings(own, "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["short", "long"]
    assert found[1].value is not None
    assert found[1].value.mean == 0.5
    assert [each.to_target and each.to_target.mean for each in found] == [2.0, 2.0]
    assert verdict(found, tuned=True) == "cannot tell between short and long"  # one seed


def test_who_has_not_begun_within_the_budget_goes_last_and_is_not_judged() -> None:
    own = {"slow": [trace(0, [0.9], step=5.0)], "fast": [trace(0, [0.2, 0.3])]}
    found = standings(own, "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["fast", "slow"]
    assert (found[1].value, found[1].behind, found[1].is_behind) == (None, None, False)


def test_who_diverges_more_often_goes_behind() -> None:
    own = ends(a=[0.7, 0.71], b=[0.9, 0.91])
    own["b"][1] = trace(1, [], diverged=True)
    found = standings(own, "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["a", "b"]
    assert [each.diverged for each in found] == [0, 1]
    assert (found[1].value and found[1].value.mean, found[1].p) == (0.9, 0.0)
    assert verdict(found, tuned=True) == "a is the best"
    assert isnan(own["b"][1].at("val_accuracy", "epochs", 9.0))
    assert found[1].to_target is None


def test_all_who_diverge_as_often_are_compared_on_what_is_left() -> None:
    own = ends(a=[0.7, 0.71, 0.69], b=[0.9, 0.91, 0.89])
    own["a"][0] = own["b"][0] = trace(0, [nan], diverged=True)
    found = standings(own, "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["b", "a"]
    assert found[1].behind is not None
    assert found[1].behind.n == 2
    assert verdict(found, tuned=True).startswith("cannot tell")  # 2^(1 − 2)


def test_where_everybody_diverged_there_is_no_verdict() -> None:
    own = {name: [trace(0, [], diverged=True)] for name in "ab"}
    found = standings(own, "val_accuracy", "epochs", common_target(own, "val_accuracy"))
    assert verdict(found, tuned=True) == "no verdict: every run diverged"
    assert equal_budget(own, "epochs") == 0.0
    assert curves(own, "val_accuracy", "epochs")["a"].x == []
    assert profile(own, [GOAL], "epochs") == {"a": [], "b": []}


def test_a_mean_ahead_on_other_seeds_is_not_behind_on_the_common_ones() -> None:
    own = ends(a=[0.9, 0.5, 0.52], b=[0.6, 0.61, 0.1])
    own["a"][2], own["b"][0] = (trace(s, [nan], diverged=True) for s in (2, 0))
    found = standings(own, "val_accuracy", "epochs", GOAL)
    assert ranked(found) == ["a", "b"]  # 0.7 and 0.36; but on the seed of both 0.5 and 0.61
    assert found[1].p == 1.0


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


def test_verdicts_in_words() -> None:
    rng = np.random.default_rng(1)
    values = {n: rng.normal(m, 0.001, 8) for n, m in zip("abcd", (0.9, 0.9, 0.5, 0.4), strict=True)}
    found = standings(ends(**values), "val_accuracy", "epochs", GOAL)
    assert verdict(found, tuned=True).endswith("; c and d are behind")
    assert verdict(found[:1], tuned=True) == f"{found[0].contestant} ran alone"
    edge = verdict(found, tuned=False, at_edge=["a"])
    assert edge == "no verdict: the best learning rate of a is at the edge of those tried"
    assert "rates of a and b are" in verdict(found, tuned=False, at_edge=["a", "b"])


def _wrong(contestants: int, seeds: int, races: int, quantum: float = 0.0) -> tuple[float, float]:
    """How often somebody is behind, with and without correction, among equals."""
    rng, corrected, plain = np.random.default_rng(0), 0, 0
    for _ in range(races):
        common = rng.normal(0, 0.01, (1, seeds))
        values = 0.9 + common + rng.normal(0, 0.01, (contestants, seeds))
        if quantum:
            values = np.round(values / quantum) * quantum
        own = ends(**{f"c{k}": list(map(float, row)) for k, row in enumerate(values)})
        found = standings(own, "val_accuracy", "epochs", GOAL)
        corrected += any(each.is_behind for each in found)
        plain += any(each.behind is not None and each.behind.low > 0 for each in found)
    return corrected / races, plain / races


@pytest.mark.no_cover
@pytest.mark.parametrize(("seeds", "quantum"), [(5, 0.0), (3, 0.0), (5, 0.005)])
def test_of_two_equal_ones_the_best_is_named_in_a_twentieth_of_the_races(
    seeds: int, quantum: float
) -> None:
    rate, plain = _wrong(2, seeds, 1000, quantum)
    assert 0.02 < rate < 0.05 + 3 * sqrt(0.05 * 0.95 / 1000)
    assert plain >= rate


def test_among_six_equal_ones_the_correction_is_what_keeps_the_verdict_honest() -> None:
    rate, plain = _wrong(6, 5, 300)
    assert rate < 0.05 + 3 * sqrt(0.05 * 0.95 / 300)
    assert plain > 0.2


def test_a_clear_winner_among_six_is_found() -> None:
    rng = np.random.default_rng(0)
    names = 0
    for _ in range(50):
        values = 0.9 + rng.normal(0, 0.005, (6, 5))
        values[0] += 0.05
        own = ends(**{f"c{k}": list(map(float, row)) for k, row in enumerate(values)})
        names += (
            verdict(standings(own, "val_accuracy", "epochs", GOAL), tuned=True) == "c0 is the best"
        )
    assert names > 25


# ── targets, curves, profiles ────────────────────────────────────────────────────────────────────


def test_half_of_the_contestants_reach_the_common_target() -> None:
    accuracy = ends(a=[0.9], b=[0.8], c=[0.7], d=[0.6])
    assert common_target(accuracy, "val_accuracy") == Condition("val_accuracy", ">=", 0.8)
    loss = {n: [trace(0, [v], metric="val_loss")] for n, v in {"a": 0.1, "b": 0.3}.items()}
    assert common_target(loss, "val_loss") == Condition("val_loss", "<=", 0.1)


def test_curves_are_means_over_the_seeds_that_came_to_their_ends() -> None:
    own = [trace(0, [0.1, 0.3]), trace(1, [0.3, 0.5]), trace(2, [0.9], diverged=True)]
    found = curves({"a": own}, "val_accuracy", "seconds")["a"]
    assert (found.x, found.mean) == ([2.0, 4.0], pytest.approx([0.2, 0.4]))
    half = 12.7062 * 0.1
    assert found.high == pytest.approx([0.2 + half, 0.4 + half], rel=1e-4)
    assert found.low == pytest.approx([0.2 - half, 0.4 - half], rel=1e-4)


def test_performance_ratios_by_hand() -> None:
    own = {
        "a": [trace(0, [0.5, 0.9]), trace(1, [0.1, 0.2])],
        "b": [trace(0, [0.1, 0.2, 0.3, 0.5]), trace(1, [0.6])],
    }
    hard = Condition("val_accuracy", ">=", 0.99)
    assert profile(own, [GOAL, hard], "epochs") == {"a": [1.0, inf], "b": [1.0, 4.0]}
    one = Condition("test_accuracy", ">=", 0.1)  # never measured, so never reached
    assert profile(own, [one], "epochs") == {"a": [], "b": []}
    free = {"a": [Trace(0, {"epochs": [0.0]}, {"val_accuracy": [0.9]}, diverged=False)]}
    free["b"] = [Trace(0, {"epochs": [1.0]}, {"val_accuracy": [0.9]}, diverged=False)]
    assert profile(free, [GOAL], "epochs") == {"a": [1.0], "b": [inf]}
