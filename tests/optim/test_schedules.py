from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from thalweg import optim
from thalweg.errors import SpecError

LR = 0.037


def torch_rates(
    make: Callable[[torch.optim.Optimizer], Any], total: int, first_step_after: int = 0
) -> list[float]:
    """Learning rates in epochs 0, 1, ... when step() is called after each but the first ones."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler = make(optimizer)
    rates = []
    for epoch in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if epoch >= first_step_after and epoch < total - 1:
            scheduler.step()
    return rates


def our_rates(name: str, total: int, **options: Any) -> list[float]:
    schedule = optim.build_schedule(name, total=total, **options)
    return [LR * schedule.factor(n) for n in range(total)]


@pytest.mark.parametrize(
    ("name", "options", "theirs"),
    [
        ("constant", {}, lambda o: lr_scheduler.LambdaLR(o, lambda n: 1.0)),
        ("step", {"step_size": 7}, lambda o: lr_scheduler.StepLR(o, 7)),
        ("step", {"step_size": 1, "gamma": 0.9}, lambda o: lr_scheduler.StepLR(o, 1, 0.9)),
        (
            "multistep",
            {"milestones": [10, 11, 40], "gamma": 0.4},
            lambda o: lr_scheduler.MultiStepLR(o, [10, 11, 40], 0.4),
        ),
        ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, 60)),
        (
            "cosine",
            {"minimum": 0.1},
            lambda o: lr_scheduler.CosineAnnealingLR(o, 60, eta_min=0.1 * LR),
        ),
        ("one-cycle", {}, lambda o: lr_scheduler.OneCycleLR(o, LR, 60, cycle_momentum=False)),
        (
            "one-cycle",
            {"pct_start": 0.21, "div_factor": 10.0, "final_div_factor": 50.0},
            lambda o: lr_scheduler.OneCycleLR(
                o,
                LR,
                60,
                pct_start=0.21,
                div_factor=10.0,
                final_div_factor=50.0,
                cycle_momentum=False,
            ),
        ),
        ("one-cycle", {"pct_start": 0.0}, lambda o: one_cycle(o, 60, 0.0)),
        ("one-cycle", {"pct_start": 1.0}, lambda o: one_cycle(o, 60, 1.0)),
        (
            "warm-up",
            {"length": 13, "first": 0.2},
            lambda o: lr_scheduler.LinearLR(o, 0.2, total_iters=13),
        ),
        ("exponential", {"gamma": 0.93}, lambda o: lr_scheduler.ExponentialLR(o, 0.93)),
        ("exponential", {"gamma": 1.05}, lambda o: lr_scheduler.ExponentialLR(o, 1.05)),
        ("inverse-time", {}, lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.01 * t))),
        (
            "inverse-time",
            {"decay": 0.7},
            lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.7 * t)),
        ),
        ("polynomial", {}, lambda o: lr_scheduler.PolynomialLR(o, 60, power=2.0)),
        ("polynomial", {"power": 0.5}, lambda o: lr_scheduler.PolynomialLR(o, 60, power=0.5)),
        (
            "linear",
            {"first": 0.25},
            lambda o: lr_scheduler.LinearLR(o, 0.25, end_factor=0.0, total_iters=60),
        ),
        (
            "linear",
            {"first": 0.1, "last": 0.9},
            lambda o: lr_scheduler.LinearLR(o, 0.1, end_factor=0.9, total_iters=60),
        ),
        (
            "piecewise",
            {"boundaries": [10, 11, 40], "factors": [1.0, 0.3, 2.0, 0.0]},
            lambda o: lr_scheduler.LambdaLR(
                o, lambda t: 1.0 if t < 10 else 0.3 if t < 11 else 2.0 if t < 40 else 0.0
            ),
        ),
        (
            "cosine-restarts",
            {"period": 7},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
        ),
        (
            "cosine-restarts",
            {"period": 1},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1),
        ),
        (
            "cosine-restarts",
            {"period": 3, "stretch": 2, "minimum": 0.1},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2, eta_min=0.1 * LR),
        ),
        (
            "cosine-restarts",
            {"period": 2, "stretch": 3},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 3),
        ),
        ("cyclic", {"up": 8}, lambda o: cyclic(o, step_size_up=8)),
        ("cyclic", {"up": 8, "down": 3}, lambda o: cyclic(o, step_size_up=8, step_size_down=3)),
        (
            "cyclic",
            {"up": 5, "shrink": 0.5},
            lambda o: cyclic(o, step_size_up=5, mode="triangular2"),
        ),
        (
            "warm-up",
            {"length": 60, "first": 0.0},
            lambda o: lr_scheduler.LambdaLR(o, lambda n: n / 60),
        ),
        (
            "cyclic",
            {"up": 4, "down": 9, "gamma": 0.97},
            lambda o: cyclic(o, step_size_up=4, step_size_down=9, mode="exp_range", gamma=0.97),
        ),
    ],
)
def test_equals_torch_over_the_whole_run(
    name: str, options: dict[str, Any], theirs: Callable[[torch.optim.Optimizer], Any]
) -> None:
    assert our_rates(name, 60, **options) == pytest.approx(torch_rates(theirs, 60), rel=1e-12)


def cyclic(optimizer: torch.optim.Optimizer, **options: Any) -> Any:
    return lr_scheduler.CyclicLR(optimizer, 0.1 * LR, LR, cycle_momentum=False, **options)


def one_cycle(optimizer: torch.optim.Optimizer, total: int, pct_start: float) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, LR, total, pct_start=pct_start, cycle_momentum=False)


@settings(deadline=None)
@given(total=st.integers(1, 40), pct_start=st.floats(0, 1))
def test_one_cycle_of_any_length(total: int, pct_start: float) -> None:
    rates = our_rates("one-cycle", total, pct_start=pct_start)
    assert max(rates) <= LR * (1 + 1e-12)
    assert min(rates) >= LR / 25 / 1e4 * (1 - 1e-12)
    if pct_start * total != 1.0:  # torch divides by 0 there
        theirs = torch_rates(lambda o: one_cycle(o, total, pct_start), total)
        assert rates == pytest.approx(theirs, rel=1e-9)


def test_one_cycle_whose_way_up_is_one_step_begins_at_the_peak() -> None:
    assert optim.build_schedule("one-cycle", total=4, pct_start=0.25).factor(0) == 1.0


def test_steps_that_begin_after_the_second_epoch() -> None:
    """StepLR(step_size=5, gamma=0.1), stepped at the end of each epoch if epoch >= 1."""
    ours = our_rates("step", 20, step_size=5, gamma=0.1, start=1)
    theirs = torch_rates(lambda o: lr_scheduler.StepLR(o, 5, 0.1), 20, first_step_after=1)
    assert ours == pytest.approx(theirs, rel=1e-12)
    drops = [n for n in range(1, 20) if ours[n] < ours[n - 1]]
    assert drops == [6, 11, 16]  # the 7th, 12th and 17th epoch


@settings(deadline=None)
@given(period=st.integers(1, 9), stretch=st.integers(1, 4), n=st.integers(0, 10_000))
def test_each_restart_begins_where_the_periods_before_it_end(
    period: int, stretch: int, n: int
) -> None:
    restarts, length = [0], period
    while restarts[-1] <= n:
        restarts.append(restarts[-1] + length)
        length *= stretch
    begin, end = restarts[-2:]
    schedule = optim.build_schedule("cosine-restarts", total=10_001, period=period, stretch=stretch)
    single = optim.build_schedule("cosine", total=end - begin)
    assert schedule.factor(n) == single.factor(n - begin)


def test_polynomial_ends_at_its_minimum() -> None:
    ours = our_rates("polynomial", 60, power=3.0, minimum=0.1)
    whole = our_rates("polynomial", 60, power=3.0)
    assert ours == pytest.approx([0.1 * LR + 0.9 * rate for rate in whole], rel=1e-12)
    assert our_rates("polynomial", 60, power=1.0) == pytest.approx(our_rates("linear", 60))


def test_schedules_multiply_as_in_a_chained_scheduler_of_torch() -> None:
    rule = optim.build("sgd", lr=LR)
    pair = [
        optim.build_schedule("warm-up", total=60, length=13, first=0.2),
        optim.build_schedule("exponential", total=60, gamma=0.93),
    ]
    ours = [optim.in_force(rule, pair, epoch=n, step=0)["lr"] for n in range(60)]
    theirs = torch_rates(
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.LinearLR(o, 0.2, total_iters=13), lr_scheduler.ExponentialLR(o, 0.93)]
        ),
        60,
    )
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_warm_up_and_then_a_cosine_is_a_sequential_scheduler_of_torch() -> None:
    rule = optim.build("sgd", lr=LR)
    pair = [
        optim.build_schedule("warm-up", total=60, length=13, first=0.2),
        optim.build_schedule("cosine", total=60, start=13, minimum=0.1),
    ]
    ours = [optim.in_force(rule, pair, epoch=n, step=0)["lr"] for n in range(60)]

    def sequence(optimizer: torch.optim.Optimizer) -> Any:
        parts = [
            lr_scheduler.LinearLR(optimizer, 0.2, total_iters=13),
            lr_scheduler.CosineAnnealingLR(optimizer, 47, eta_min=0.1 * LR),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[13])

    assert ours == pytest.approx(torch_rates(sequence, 60), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "theirs"),
    [
        (
            "one-cycle",
            {"div_factor": 0.8 / 0.95, "final_div_factor": 1.0},
            lambda o: lr_scheduler.OneCycleLR(o, LR, 60, base_momentum=0.8, max_momentum=0.95),
        ),
        (
            "cyclic",
            {"up": 8, "down": 3, "minimum": 0.95 / 0.8, "shrink": 0.5},
            lambda o: lr_scheduler.CyclicLR(
                o, 0.1 * LR, LR, 8, 3, "triangular2", base_momentum=0.8, max_momentum=0.95
            ),
        ),
    ],
)
def test_the_cycle_of_the_momentum_is_the_same_schedule_on_momentum(
    name: str, options: dict[str, Any], theirs: Callable[[torch.optim.Optimizer], Any]
) -> None:
    rule = optim.build("sgd", lr=LR, momentum=0.8)
    ours = optim.build_schedule(name, total=60, target="momentum", **options)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR, momentum=0.8)
    scheduler = theirs(optimizer)
    for n in range(60):
        h = optim.in_force(rule, [ours], epoch=n, step=0)
        assert h["momentum"] == pytest.approx(optimizer.param_groups[0]["momentum"], rel=1e-12)
        assert h["lr"] == LR
        optimizer.step()
        if n < 59:
            scheduler.step()


@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize("target", ["lr", "momentum", "dampening", "weight_decay"])
@pytest.mark.parametrize("name", optim.schedules())
def test_any_shape_is_for_any_hyperparameter_by_epoch_or_step(
    name: str, target: str, per: str
) -> None:
    base = {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}
    rule, example = optim.build("sgd", **base), optim.schedules()[name].example
    schedule = optim.build_schedule(name, total=60, per=per, target=target, **example)
    for n in (0, 1, 29, 45, 59):
        counts = {"epoch": 3, "step": 3} | {per: n}
        h = optim.in_force(rule, [schedule], **counts, reaction=1.0)
        assert h[target] == base[target] * schedule.factor(n)
        assert {key: h[key] for key in base if key != target} == {
            key: value for key, value in base.items() if key != target
        }


def test_what_was_measured_counts_for_a_schedule_that_reacts_alone() -> None:
    rule = optim.build("sgd", lr=0.5, momentum=0.5)
    plateau = optim.build_schedule("plateau", total=9, target="momentum")
    others = [optim.build_schedule("constant", total=9)]
    h = optim.in_force(rule, [plateau, *others], epoch=0, step=0, reaction=0.25)
    assert (h["lr"], h["momentum"]) == (0.5, 0.125)
    many = torch.tensor([[1.0], [0.1]], dtype=torch.float64)
    h = optim.in_force(rule, [plateau], epoch=0, step=0, reaction=many)
    assert h["momentum"].tolist() == [[0.5], [0.05]]
    with pytest.raises(SpecError, match="schedule plateau where nothing is measured"):
        optim.in_force(rule, [plateau], epoch=0, step=0)


def test_momentum_with_inverse_time_decay_is_the_formula_of_the_text() -> None:
    rule = optim.build("momentum", lr=0.2, momentum=0.9)
    decay = optim.build_schedule("inverse-time", total=50, per="step", decay=0.1)
    theta = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    state = rule.init(theta)
    x, v = theta.clone(), torch.zeros_like(theta)
    for t in range(50):
        h = optim.in_force(rule, [decay], epoch=0, step=t)
        optim.apply(rule, theta, torch.cos(theta), state, t, h)
        v = 0.9 * v - 0.2 / (1 + 0.1 * t) * torch.cos(x)
        x = x + v
    torch.testing.assert_close(theta, x, rtol=1e-12, atol=1e-12)


@given(total=st.integers(1, 30), start=st.integers(0, 40), n=st.integers(0, 90))
def test_a_later_start_is_a_shift(total: int, start: int, n: int) -> None:
    late = optim.build_schedule("cosine", total=total + start, start=start)
    early = optim.build_schedule("cosine", total=total)
    assert late.factor(n + start) == early.factor(n)
    assert late.factor(min(n, start)) == 1.0


def test_the_last_value_stays_after_the_run() -> None:
    schedule = optim.build_schedule("cosine", total=10)
    assert schedule.factor(10) == schedule.factor(1000) == schedule.factor(9) < schedule.factor(8)


def test_a_start_beyond_the_run_leaves_the_first_value() -> None:
    schedule = optim.build_schedule("step", total=3, start=5, step_size=1)
    assert [schedule.factor(n) for n in range(3)] == [1.0, 1.0, 1.0]


def test_epochs_and_steps_are_told_apart_and_factors_multiply() -> None:
    rule = optim.build("sgd", lr=torch.tensor([[1.0], [8.0]], dtype=torch.float64), momentum=0.5)
    by_epoch = optim.build_schedule("step", total=9, step_size=1, gamma=0.5)
    by_step = optim.build_schedule("multistep", total=90, per="step", milestones=[25], gamma=0.1)
    momentum = optim.build_schedule("warm-up", total=9, length=4, first=0.0, target="momentum")
    h = optim.in_force(rule, [by_epoch, by_step, momentum], epoch=2, step=29)
    torch.testing.assert_close(h["lr"], torch.tensor([[0.025], [0.2]], dtype=torch.float64))
    assert h["momentum"] == 0.25
    assert optim.in_force(rule, [by_step], epoch=2, step=24)["lr"] is not rule.lr
    assert rule.hyper()["momentum"] == 0.5


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("setp", {"total": 3}, "schedule 'setp'; expected a schedule by name. Hint: did you mean"),
        ("step", {"total": 3}, "no step_size for schedule step"),
        ("step", {"total": 3, "step_size": 0}, "step_size=0"),
        ("step", {"total": 3, "stepsize": 2}, "did you mean step_size?"),
        ("step", {"total": 3, "step_size": 2, "gamma": 0.0}, "gamma=0.0"),
        ("constant", {"total": 0}, "total=0 for schedule constant; expected an integer"),
        ("constant", {"total": 2.5}, "total=2.5"),
        ("constant", {"total": 3, "start": -1}, "start=-1"),
        ("constant", {"total": 3, "start": True}, "start=True"),
        ("constant", {"total": 3, "per": "batch"}, "per='batch'"),
        ("multistep", {"total": 3, "milestones": 2}, "milestones=2 for schedule multistep"),
        ("multistep", {"total": 3, "milestones": [0]}, "expected integers in [1, inf)"),
        ("multistep", {"total": 3, "milestones": [1.5]}, "milestones=[1.5]"),
        ("one-cycle", {"total": 3, "pct_start": 1.1}, "pct_start=1.1"),
        ("one-cycle", {"total": 3, "div_factor": 0}, "div_factor=0"),
        ("cosine", {"total": 3, "minimum": torch.ones(2, 1).double()}, "minimum=tensor"),
        ("exponential", {"total": 3}, "no gamma for schedule exponential"),
        ("piecewise", {"total": 3, "boundaries": [2], "factors": [1, -2]}, "numbers in [0, inf)"),
        ("piecewise", {"total": 3, "boundaries": [2, 2], "factors": [1, 1, 2]}, "rising ones"),
        ("piecewise", {"total": 3, "boundaries": [2], "factors": [1]}, "1 factors and 1 boundar"),
        ("plateau", {"total": 3, "gamma": 1.0}, "gamma=1.0"),
        ("plateau", {"total": 3, "threshold_mode": "both"}, "expected a word in {rel, abs}"),
        ("plateau", {"total": 3, "threshold": 1}, "threshold=1 for schedule plateau; expected a"),
    ],
)
def test_wrong_options_are_one_clear_error(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        optim.build_schedule(name, **options)
    assert says in str(caught.value)


def test_an_unknown_target_is_one_clear_error() -> None:
    schedule = optim.build_schedule("constant", total=3, target="momentun")
    with pytest.raises(SpecError, match="did you mean momentum"):
        optim.in_force(optim.build("sgd"), [schedule], epoch=0, step=0)


def test_options_are_listed_for_people() -> None:
    listed = {each.name: each for each in optim.schedule_options("multistep")}
    assert list(listed) == ["milestones", "gamma"]
    assert listed["milestones"].type is tuple
    assert all(shape.__doc__ for shape in optim.schedules().values())


def test_a_name_is_given_once() -> None:
    @dataclass(frozen=True)
    class Impostor(optim.Shape):
        name: ClassVar[str] = "step"

        def factor(self, n: int, total: int) -> float:
            return 0.0

    with pytest.raises(SpecError, match="a second schedule named step"):
        optim.register_schedule(Impostor)
    assert optim.schedules()["step"] is not Impostor


def test_a_list_of_numbers_is_floats() -> None:
    schedule = optim.build_schedule("piecewise", total=9, boundaries=[3], factors=[1, 0])
    assert schedule.shape == optim.schedules()["piecewise"](boundaries=(3,), factors=(1.0, 0.0))
    assert [type(schedule.factor(n)) for n in (0, 3)] == [float, float]
    (_, factors) = optim.schedule_options("piecewise")
    assert factors.type == tuple[float, ...]
