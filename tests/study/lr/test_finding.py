"""Searches for a learning rate, on problems whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.data import Data
from thalweg.errors import SpecError
from thalweg.study.lr import finding as finding_lr
from thalweg.study.lr.finding import find_lr, search_lr
from thalweg.study.lr.forks import Fork
from thalweg.study.lr.found import FoundLr, rates_of
from thalweg.study.lr.range_test import RangeTest
from thalweg.study.sweeps.grid import half_decade
from thalweg.study.training import train

SMALL: dict[str, Any] = {
    "model": "mlp", "hidden": (8,), "optimizer": "sgd", "batch_size": 20, "seeds": 3, "steps": 12,
    "warm": 4, "low": 1e-3, "high": 100.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(digits: Data) -> FoundLr:
    return find_lr(data=digits, **SMALL)


def same(one: FoundLr, other: FoundLr) -> bool:
    pairs = [(one.columns, other.columns), (one.fork_columns, other.fork_columns)]
    pairs += [(one.peers, other.peers), (one.curve, other.curve)]
    return all(repr(a) == repr(b) for a, b in pairs)


def test_the_answer_is_an_interval_and_rests_on_its_rates(found: FoundLr):
    assert found.best is not None
    assert found.interval is not None
    assert found.largest is not None
    assert found.interval[0] <= found.best <= found.largest
    rates = {rate.lr: rate for rate in found.rates}
    assert list(rates) == sorted(rates)
    assert rates[found.best].loss == min(rate.loss for rate in rates.values() if rate.whole)
    assert rates[found.best].behind is None
    beside = [rate for lr, rate in rates.items() if found.interval[0] <= lr <= found.interval[1]]
    assert not any(rate.is_behind for rate in beside)
    assert found.learned
    assert f"{found.best:g}" in found.verdict


def test_half_of_the_rates_leave_at_each_rung(found: FoundLr):
    counts = sorted(rate.steps for rate in found.rates)
    assert set(counts) <= {3, 6, 12}
    assert counts.count(3) >= 2
    assert all(rate.pruned == (rate.steps < 12) for rate in found.rates)


def test_the_steps_are_counted(found: FoundLr):
    updates = sum(max(fork.losses) for fork in found.forks)
    again = found.spent["forks"] - 3 * 4 - updates  # those that were begun once more
    assert again >= 0
    assert again % 3 == 0
    assert found.spent["range test"] == 3 * len(found.range.lr)
    assert found.spent["peers"] == 2 * 3 * 100
    assert found.steps == found.spent["range test"] + found.spent["forks"]


def test_a_second_search_finds_the_same(found: FoundLr, digits: Data):
    assert same(found, find_lr(data=digits, **SMALL))


def test_members_in_groups_find_the_same(
    found: FoundLr, digits: Data, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(finding_lr, "largest_group", lambda *given: 2)
    assert same(found, find_lr(data=digits, **SMALL))


@pytest.mark.parametrize("extra", [{}, {"dropout": 0.3, "norm": "batch", "lookahead.k": 3}])
def test_a_fork_is_the_run_that_changes_its_rate(digits: Data, extra: dict[str, Any]):
    settings = {**SMALL, **extra, "optimizer": "adam"}
    found = find_lr(data=digits, **settings)
    own = {k: v for k, v in settings.items() if k not in {"seeds", "steps", "warm", "low", "high"}}
    for rate in [rate for rate in found.rates if rate.whole][:2]:
        course = {"name": "piecewise", "per": "step", "boundaries": (4,)}
        for seed in (0, 2):
            factors = {"factors": (found.warm_lr, rate.lr)}
            run = train(
                data=digits, lr=1.0, schedule={**course, **factors}, steps=16, seed=seed,
                out=False, **own,
            )  # fmt: skip
            (fork,) = (
                each
                for each in found.forks
                if each.seed == seed and half_decade(each.place) == rate.lr
            )
            assert fork.losses[12] == run.metrics["val_loss"]


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "rule",
    [
        {"optimizer": "torch.optim.Adagrad"},
        {"optimizer": "muon"},
        {"optimizer": "momentum", "wrap": ("sam",)},
        {"optimizer": "schedule-free-sgd"},
    ],
    ids=str,
)
def test_any_rule_with_a_learning_rate(digits: Data, rule: dict[str, Any]):
    found = find_lr(data=digits, **{**SMALL, **rule, "steps": 20})
    assert found.best is not None
    assert found.notes == []


def test_a_rate_that_multiplies_another_is_said_to(digits: Data):
    found = find_lr(data=digits, **{**SMALL, "optimizer": "prodigy", "low": 0.01})
    (note,) = found.notes
    assert "prodigy has no learning rate of the usual kind" in note
    assert "multiplies" in note


def test_a_model_data_and_a_loss_of_ones_own():
    x = torch.randn(120, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, :1] > 0).long().squeeze(1)
    found = find_lr(
        nn.Linear(5, 2), (x, y), loss=nn.CrossEntropyLoss(), optimizer="sgd", seeds=2, steps=40,
        batch_size=10,
    )  # fmt: skip
    assert found.learned
    assert 0.1 <= (found.best or 0) <= 30


def quadratic(n: int = 64) -> tuple[tuple[torch.Tensor, torch.Tensor], float]:
    """Return samples of a linear problem, and the greatest eigenvalue of its training loss."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g) * torch.tensor([1.0, 0.8, 0.6, 0.5])
    train = x[: n // 2]
    return (x, x @ torch.ones(4, 1)), float(
        torch.linalg.eigvalsh(2 / len(train) * train.T @ train)[-1]
    )


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
def test_gradient_descent_is_stable_up_to_two_over_the_greatest_eigenvalue(rule: str):
    (x, y), top = quadratic()
    half = len(x) // 2
    data = {"train": (x[:half], y[:half]), "val": (x[half:], y[half:])}
    found = find_lr(
        nn.Linear(4, 1, bias=False), data, optimizer=rule, batch_size="full", seeds=2, steps=60,
        low=1e-4, high=100.0, init="he-normal",
    )  # fmt: skip
    share = 1.9 if rule == "momentum" else 1.0
    limit = 2 * share / top
    assert found.gd_limit is not None
    assert found.gd_limit["begin"] == pytest.approx([limit] * 2, rel=1e-2)
    assert found.gd_limit["end"] == pytest.approx([limit] * 2, rel=1e-2)
    assert (found.interval or (0, 0))[1] < limit
    for rate in found.rates:
        assert rate.lr < limit or rate.diverged or rate.loss > 1


def test_the_check_by_curvature_is_for_plain_gradient_descent(found: FoundLr, digits: Data):
    assert found.gd_limit is None  # not the whole set
    whole = {**SMALL, "batch_size": "full", "steps": 4, "warm": 0}
    assert find_lr(data=digits, **whole, l2=0.1).gd_limit is None
    assert find_lr(data=digits, **{**whole, "optimizer": "adam"}).gd_limit is None
    assert [len(own) for own in (find_lr(data=digits, **whole).gd_limit or {}).values()] == [3, 3]


def test_a_warm_start_that_diverges_is_left_out(digits: Data, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finding_lr, "WARM_RATE", 1e30)
    found = find_lr(data=digits, **SMALL)
    assert found.warm == 0
    assert found.learned


def test_where_all_diverge_there_is_no_verdict():
    x = 1e18 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    found = find_lr(
        nn.Linear(3, 1), (x, x[:, :1]), optimizer="sgd", seeds=2, steps=20, low=1e-2, high=10.0
    )
    assert found.verdict == "no verdict: every learning rate diverged"
    assert (found.best, found.interval, found.largest) == (None, None, None)
    assert found.figure() is not None


def test_where_nothing_learns_one_cannot_tell(digits: Data):
    found = find_lr(data=digits, **{**SMALL, "low": 1e-12, "high": 1e-9, "warm": 0})
    assert found.range.edge is None
    assert found.verdict == "cannot tell: no learning rate lowered the held-out loss in 12 steps"


def test_a_best_at_the_end_of_what_may_be_tried_is_said_to_be(digits: Data):
    found = find_lr(data=digits, **{**SMALL, "high": 0.01, "steps": 40})
    assert found.best == 0.01
    assert found.verdict.endswith("0.01 is the highest that was tried")


def test_a_short_run_has_short_forks_and_a_schedule_is_left_aside(digits: Data):
    settings = {k: v for k, v in SMALL.items() if k != "steps"}
    found = find_lr(data=digits, epochs=0.5, schedule="cosine", **settings)
    assert found.fork_steps == 6
    assert same(found, find_lr(data=digits, steps=6, **settings))


def test_a_schedule_that_begins_low_asks_for_a_warm_start(digits: Data):
    settings = {k: v for k, v in SMALL.items() if k != "warm"}
    assert find_lr(data=digits, **settings).warm == 0
    rising = {"name": "warm-up", "length": 30, "per": "step"}
    assert find_lr(data=digits, schedule=rising, **settings).warm == 20


def test_data_without_a_validation_split_give_a_tenth(digits: Data):
    bare = Data(**{**vars(digits), "val": None})
    found = find_lr(data=bare, **SMALL)
    assert found.learned


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lr": 0.1}, "lr=0.1"),
        ({"seeds": 1}, "seeds=1"),
        ({"seeds": [1, 1]}, "seeds="),
        ({"low": 1.0, "high": 0.1}, "low=1 and high=0.1"),
        ({"low": 0.04, "high": 0.09}, "low=0.04 and high=0.09"),
        ({"steps": 3}, "steps=3"),
        ({"warm": -1}, "warm=-1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(digits: Data, wrong: dict[str, Any], told: str):
    with pytest.raises(SpecError, match=told):
        find_lr(data=digits, **{**SMALL, **wrong})


def test_parts_are_told_in_order(digits: Data):
    parts = [stage.part for stage in search_lr(data=digits, **SMALL)]
    kinds = list(dict.fromkeys(part.split(" at ")[0] for part in parts))
    assert kinds == ["range test", "warm start", "forks"]


def test_it_becomes_a_table_and_a_page(found: FoundLr, tmp_path: Path):
    table = found.to_pandas()
    assert table["lr"].tolist() == [rate.lr for rate in found.rates]
    assert set(found.fork_columns) == {"lr", "seed", "steps", "loss"}
    assert set(found.curve) >= {"lr", "loss", "low", "high", "seed 0"}
    found.save(tmp_path / "lr.html")
    assert "held-out loss" in (tmp_path / "lr.html").read_text()
    with pytest.raises(SpecError, match=r"lr\.gif"):
        found.save(tmp_path / "lr.gif")


def test_without_pandas_it_says_so(found: FoundLr, monkeypatch: pytest.MonkeyPatch):
    import sys

    from thalweg.errors import ThalwegError

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ThalwegError, match="no pandas"):
        found.to_pandas()


def forks(losses: dict[int, list[float]], **reasons: str) -> list[Fork]:
    return [
        Fork(place, seed, {0: 3.0, 10: loss} if math.isfinite(loss) else {0: 3.0},
             "complete" if math.isfinite(loss) else "diverged")
        for place, own in losses.items()
        for seed, loss in enumerate(own)
    ]  # fmt: skip


def test_rates_are_compared_in_pairs():
    # The seeds differ by much more than the rates do.
    base = [1.0, 2.0, 3.0, 4.0]
    rates = rates_of(
        forks({0: base, 1: [b + 0.1 + 0.01 * (-1) ** k for k, b in enumerate(base)]}), range(4), 10
    )
    assert rates[1].behind == pytest.approx(0.1)
    assert rates[1].is_behind
    assert rates[1].error > 0.5 > rates[1].behind_error  # type: ignore[operator]


def test_a_rate_that_lost_a_seed_is_behind():
    low, high = rates_of(forks({0: [2.0, 2.0], 1: [1.0, math.inf]}), range(2), 10)
    assert (low.diverged, high.diverged) == (0, 1)
    assert high.is_behind
    assert not high.whole
    assert math.isinf(high.loss)


def test_the_edge_is_where_half_of_what_was_won_is_lost_for_good():
    lr = np.logspace(-3, 0, 7)
    won = np.array([2.0, 2.0, 1.5, 1.0, 1.2, 1.6, 1.8])
    assert RangeTest(lr, np.stack([won, won])).edge == lr[5]
    assert RangeTest(lr, np.stack([won[::-1], won[::-1]]) * 0 + np.arange(7)[::-1]).edge is None
    assert RangeTest(lr, np.full((2, 7), np.nan)).edge == lr[0]
    back = np.array([2.0, 2.0, 1.0, 1.9, 1.0, 1.0, 1.9])
    assert RangeTest(lr, back[None]).edge == lr[6]
