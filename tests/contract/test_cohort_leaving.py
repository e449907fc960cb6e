"""Members that leave, for whatever reason, and members that enter change no bit of the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from thalweg.engine import Evaluated, Finished, Group, Run, Step
from thalweg.engine.events import Diverged
from thalweg.errors import ModelError, SpecError, ThalwegError
from thalweg.spec import Spec

from .cohorts import (
    alone,
    assert_is_alone,
    assert_same_tensors,
    check,
    digits,
    diverged,
    finish,
    optimizer,
    spec,
)

BASE: dict[str, Any] = {
    "hidden": (17,), "batch_size": 64, "epochs": 4,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}  # fmt: skip


def told(**changes: Any) -> Spec:
    return spec(**{**BASE, **changes})


FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products are not worth a second thread."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


# ── divergence ───────────────────────────────────────────────────────────────────────────────

NETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch norm": {"norm": "batch"},
    "dropout": {"dropout": 0.3},
    "sam": {"optimizer": {"name": "sgd", "wrap": ("sam",)}},
    "svrg with dropout": {
        "optimizer": {"name": "sgd", "wrap": ("svrg",), "snapshot_every": 3}, "dropout": 0.2
    },
    "adam, clipped and with penalties": {"optimizer": "adam", "l2": 1e-3, "clip_norm": 1e30},
    "averages": {"optimizer": {"name": "sgd", "wrap": ("swa",)}, "norm": "batch"},
    "accumulated": {"batch_size": 30, "accumulate": 2},
    "lookahead": {"lookahead": {"k": 2}},
}  # fmt: skip

RATES: dict[str, tuple[float, ...]] = {
    "one": (0.01, 1e20, 0.1),
    "the first and the last": (1e20, 0.01, 0.1, 1e20),
    "two at once": (0.01, 1e20, 0.1, 1e20, 1e25, 0.02),
    "all but one": (1e20, 1e25, 0.01),
    "all": (1e20, 1e25, 1e20),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("shared", [True, False], ids=["one order", "orders of their own"])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_a_member_that_diverges_is_left_where_it_is_alone(
    net: dict[str, Any], shared: bool
) -> None:
    order = {"order_seed": 3} if shared else {}
    specs = [
        told(**{**net, "seed": k, **order}).override({"optimizer.lr": lr})
        for k, lr in enumerate((0.01, 1e20, 0.05, 1e28))
    ]
    group = check(specs, data=digits())
    reasons = [member.reason for member in group.progress.everyone]
    assert reasons[::2] == ["complete", "complete"]
    if net.get("optimizer") != "adam":
        assert reasons[1::2] == ["diverged", "diverged"]
    for member in group.progress.everyone:
        if member.reason == "diverged":
            weights = group.remains(member)
            assert all(weights[name].isfinite().all() for name in group.cohort.stack.places)


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_whoever_diverges(rates: tuple[float, ...]) -> None:
    group = Group([told(lr=lr, norm="batch", order_seed=1) for lr in rates], data=digits())
    events = finish(group)
    lost = diverged(events)
    assert set(lost) == {k for k, lr in enumerate(rates) if lr > 1}
    for member in group.progress.everyone:
        assert_is_alone(group, member, data=digits())
    ended = [event for event in events if isinstance(event, Finished)]
    assert sorted(n for event in ended for n in event.members) == list(range(len(rates)))
    for number, steps in lost.items():
        assert group.made(group.progress.everyone[number])[0] == steps


def _exploding() -> dict[str, Any]:
    """A linear regression whose error grows by a factor that the learning rate decides."""
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return {"data": {"train": (x, x.sum(1, keepdim=True)), "val": (x[:8], x[:8, :1])}}


@pytest.mark.parametrize("norm", [None, "batch"])
def test_members_that_diverge_one_after_the_other(norm: str | None) -> None:
    own = _exploding()
    specs = [
        spec(
            hidden=(5,) if norm else (), norm=norm, batch_size=16, epochs=20, seed=k, order_seed=0,
            optimizer={"name": "sgd", "lr": lr}, evaluate_every="5steps",
        )
        for k, lr in enumerate((1e-3, 1e3, 1e2, 1e1, 1e5, 1e-2))
    ]  # fmt: skip
    group = Group(specs, **own)
    lost = diverged(finish(group))
    if norm is None:
        assert len(set(lost.values())) == 4  # each at another step
    for member in group.progress.everyone:
        assert_is_alone(group, member, **own)


def test_what_is_said_of_those_that_diverge() -> None:
    group = Group(
        [told(lr=lr, norm="batch", order_seed=1) for lr in (0.1, 1e20, 0.2)], data=digits()
    )
    events = finish(group)
    place = next(k for k, event in enumerate(events) if isinstance(event, Diverged))
    before, step, event, last = events[place - 2 : place + 2]
    assert isinstance(step, Step)  # the others moved at that very step
    assert step.members == (0, 2)
    assert all(len(value) == 2 for value in step.metrics.values())
    assert len(step.lr) == 2
    assert event.members == (1,)
    assert not torch.tensor(event.loss).isfinite().any()
    assert (last.reason, last.members) == ("diverged", (1,))
    assert event.clock.step == step.clock.step - 1 == before.clock.step


# ── pruning ──────────────────────────────────────────────────────────────────────────────────


def crowd(K: int = 7, **changes: Any) -> list[Spec]:
    """Members with several rules, masks and orders."""
    names = ("adam", "adam", "sgd", "madgrad", "sgd", "sgd", "adam")
    return [
        told(**{
            "norm": "batch", "dropout": 0.1 + 0.05 * k, "optimizer": optimizer(names[k % 7], k),
            "seed": k, "order_seed": k % 3, **changes,
        })
        for k in range(K)
    ]  # fmt: skip


def as_it_stopped(one: Spec, steps: int) -> dict[str, torch.Tensor]:
    """What a run has after so many updates."""
    own = {"data": digits()}
    run = alone(one.override({"steps": steps}), **own) if steps else Run(one, **own)
    return dict(run.model.state_dict())


@pytest.mark.no_cover
@given(st.data())
@FEW
def test_pruned_in_any_order(draws: st.DataObject) -> None:
    specs = crowd()
    group = Group(specs, data=digits())
    pruned: dict[int, int] = {}
    for event in group.events():
        left = [member.number for member in group.progress.active]
        out = draws.draw(st.sets(st.sampled_from(left), max_size=2)) if left else set()
        if out and len(out) < len(left) and draws.draw(st.booleans()):
            group.prune(sorted(out))
            pruned |= dict.fromkeys(out, event.clock.step)
    for member in group.progress.everyone:
        if member.number in pruned:
            assert member.reason == "pruned"
            steps = pruned[member.number]
            assert group.made(member)[0] == steps
            expected = as_it_stopped(member.spec, steps)
            found = group.remains(member)
            assert_same_tensors({name: found[name] for name in expected}, expected)
        else:
            assert_is_alone(group, member, data=digits())


def test_pruned_before_the_first_step_and_after_the_last() -> None:
    group = Group(crowd(3), data=digits())
    group.prune([1])
    events = finish(group)
    assert [(e.reason, e.members) for e in events if isinstance(e, Finished)] == [
        ("pruned", (1,)), ("complete", (0, 2)),
    ]  # fmt: skip
    group.prune([0, 1])  # those that have ended are left as they are
    assert [member.reason for member in group.progress.everyone] == [
        "complete",
        "pruned",
        "complete",
    ]


def test_somebody_stays() -> None:
    group = Group(crowd(2), data=digits())
    with pytest.raises(SpecError, match="all members to prune"):
        group.prune([0, 1])
    check(crowd(2), data=digits())


# ── entering ─────────────────────────────────────────────────────────────────────────────────


def enter_at(
    group: Group, plan: dict[int, list[tuple[list[int], list[Spec]]]], prune: dict[int, list[int]]
) -> None:
    """Train; before an epoch let members enter, and then take others out."""

    def change(epoch: int) -> None:
        for numbers, specs in plan.pop(epoch, []):
            group.enter(specs, numbers)
        out = prune.pop(epoch, [])
        alive = {member.number for member in group.progress.active}
        if alive & set(out) and alive - set(out):
            group.prune(out)

    change(0)
    for event in group.events():
        if isinstance(event, Evaluated) and not group.progress.done and not group.progress.due:
            change(round(event.clock.epoch))


@pytest.mark.no_cover
@given(st.data())
@FEW
def test_members_that_come_and_go(draws: st.DataObject) -> None:
    specs = [one.override({"epochs": draws.draw(st.sampled_from([1, 2, 3]))}) for one in crowd(9)]
    first = draws.draw(st.integers(1, 4))
    plan: dict[int, list[tuple[list[int], list[Spec]]]] = {}
    for number in range(first, 9):
        epoch = draws.draw(st.integers(0, 2))
        plan.setdefault(epoch, []).append(([number], [specs[number]]))
    prune = {1: draws.draw(st.lists(st.integers(0, 8), max_size=2))}
    group = Group(specs[:first], data=digits())
    enter_at(group, plan, prune)
    seen = group.progress.everyone
    assert {*range(first)} <= {member.number for member in seen}
    for member in seen:
        if member.reason == "pruned":
            expected = as_it_stopped(member.spec, group.made(member)[0])
            found = group.remains(member)
            assert_same_tensors({name: found[name] for name in expected}, expected)
        else:
            assert member.reason == "complete"
            assert_is_alone(group, member, data=digits())


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "one-cycle", "per": "step"},
        {"schedule": "cosine"},
        {"schedule": {"name": "plateau", "wait": 0, "threshold": 0.2}, "evaluate": "test"},
        {"until": "train_accuracy>=0.6", "evaluate": "test"},
        {"patience": 1, "monitor": "train_loss", "evaluate": "test"},
        {"wrap": ("swa",)},
        {"lookahead": {"k": 3}},
        {"label_noise": 0.5},
        {"split_seed": 4, "label_noise": 0.1},
        {"lr": 1e20},
        {"optimizer": {"name": "torch.optim.Adam"}},
    ],
    ids=str,
)
def test_whatever_enters_is_as_alone(changes: dict[str, Any]) -> None:
    common = {"data": "digits", "subset": 200, "val": 50, "evaluate": "test", "norm": "batch"}
    old = [told(**common, seed=k) for k in (0, 1)]
    new = [told(**{**common, **changes, "epochs": 3}, seed=k) for k in (0, 1)]
    group = Group(old)
    enter_at(group, {1: [([2], new[:1])], 2: [([3], new[1:])]}, {})
    assert len(group.progress.everyone) == 4
    for member in group.progress.everyone:
        assert_is_alone(group, member)


def test_those_that_have_ended_make_room() -> None:
    specs = [told(seed=k, epochs=epochs) for k, epochs in enumerate((1, 2))]
    group = Group(specs[:1], data=digits())
    enter_at(group, {1: [([1], specs[1:])]}, {})
    assert [member.number for member in group.progress.members] == [1]
    assert [member.reason for member in group.progress.everyone] == ["complete", "complete"]
    for member in group.progress.everyone:
        assert_is_alone(group, member, data=digits())


def test_the_time_of_those_that_enter_is_their_own() -> None:
    specs = [told(), told(seed=1, max_seconds=1000.0), told(seed=2, max_seconds=0.0)]
    group = Group(specs[:1], data=digits())
    group.progress.seconds = 5000.0
    group.enter(specs[1:], [1, 2])
    again = Group(specs, data=digits())
    again.restore(group.snapshot())
    for one in (group, again):
        finish(one)
        reasons = [member.reason for member in one.progress.everyone]
        assert reasons == ["complete", "complete", "time"]


def test_what_others_watch_is_no_word_on_a_member_that_diverges() -> None:
    quick = {"norm": "batch", "evaluate": "val", "evaluate_every": "1steps", "order_seed": 0}
    watching = {"patience": 50, "monitor": "train_loss"}
    group = Group([told(**quick, **watching), told(**quick, lr=1e20)], data=digits())
    finish(group)
    lost = group.progress.everyone[1]
    assert lost.reason == "diverged"
    assert {name.partition("_")[0] for name in lost.last} == {"running", "val"}
    for member in group.progress.everyone:
        assert_is_alone(group, member, data=digits())


def test_a_group_that_is_over_goes_on_with_new_members() -> None:
    specs = [told(seed=k, epochs=1) for k in range(2)]
    group = Group(specs[:1], data=digits())
    finish(group)
    group.enter(specs[1:], [1])
    finish(group)
    for member in group.progress.everyone:
        assert_is_alone(group, member, data=digits())


def test_equal_data_are_one_tensor_for_those_that_enter_too() -> None:
    common = {"data": "digits", "subset": 200}
    group = Group([told(**common)])
    group.enter([told(**common, seed=1), told(**common, label_noise=0.5)], [1, 2])
    one, two, three = group.feed.splits
    assert one is two
    assert three.x is one.x
    assert three.y is not one.y


REFUSED: dict[str, tuple[dict[str, Any], int, type[ThalwegError], str]] = {
    "number": ({}, 0, SpecError, "number 0 for a member that enters"),
    "batches": ({"batch_size": 32}, 9, SpecError, "batch_size=64 and 32"),
    "loss": ({"loss": "label-smoothing"}, 9, SpecError, "loss.name=auto and label-smoothing"),
    "widths": ({"hidden": (9,)}, 9, SpecError, "model.hidden"),
    "rule": ({"optimizer": {"name": "sgd", "wrap": ("sam",)}}, 9, ModelError, "further gradients"),
    "metric": ({"until": "train_mood>=1"}, 9, SpecError, "train_mood"),
    "schedule": ({"schedule": "cosine", "target": "beta9"}, 9, SpecError, "beta9"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_who_may_not_enter_changes_nothing(case: Any) -> None:
    changes, number, kind, message = case
    group = Group([told(), told(seed=1)], data=digits())
    before = group.snapshot()
    with pytest.raises(kind, match=message):
        group.enter([told(**changes)], [number])
    after = group.snapshot()
    assert after.facts == before.facts
    assert_same_tensors(after.arrays, before.arrays)
    finish(group)
    for member in group.progress.everyone:
        assert_is_alone(group, member, data=digits())


def test_nobody_enters_within_an_epoch() -> None:
    group = Group([told(evaluate_every="1steps")], data=digits())
    refused = 0
    for event in group.events():
        if event.clock.step in {4, 8, 12, 16} and not isinstance(event, Step):
            continue
        with pytest.raises(SpecError, match="between two epochs"):
            group.enter([told(seed=1)], [1])
        refused += 1
    assert refused > 16
    assert len(group.progress.everyone) == 1
