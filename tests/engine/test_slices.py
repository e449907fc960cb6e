"""Neighbours that one rule moves as one."""

from __future__ import annotations

import pytest
import torch

from thalweg import optim
from thalweg.engine.again import Again
from thalweg.engine.cohort import Cohort
from thalweg.engine.course import Course
from thalweg.engine.slices import Slice, kind, merged, neighbours, separate
from thalweg.errors import ModelError
from thalweg.nn import build_loss

LAYOUT = [(0, torch.Size([7]))]


def sgd(lr: float = 0.1, **options) -> optim.Rule:
    return optim.build("sgd", lr=lr, **options)


def ahead(inner: optim.Rule, **options) -> optim.Rule:
    return optim.build("lookahead", inner=inner, **options)


FOREIGN = "torch.optim.Adam"


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ([sgd()], [1]),
        ([sgd(), sgd(0.5), sgd(momentum=0.9)], [3]),
        ([sgd(), sgd(nesterov=True, momentum=0.5)], [1, 1]),
        ([sgd(), optim.build("adam"), sgd()], [1, 1, 1]),
        ([ahead(sgd()), ahead(sgd(0.2), alpha=0.7)], [2]),
        ([ahead(sgd()), ahead(sgd(), k=3)], [1, 1]),
        ([ahead(sgd()), ahead(optim.build("adam")), sgd()], [1, 1, 1]),
        ([optim.build(FOREIGN), optim.build(FOREIGN)], [1, 1]),
        ([], []),
    ],
)
def test_who_can_be_moved_as_one(rules, counts):
    assert neighbours(rules) == counts


def test_kinds_are_all_but_numbers():
    assert kind(sgd()) == kind(sgd(0.5))
    assert kind(ahead(sgd())) == kind(ahead(sgd(0.5), alpha=0.1))
    assert kind(ahead(sgd())) != kind(ahead(optim.build("adam")))


def test_one_rule_for_all_has_columns_where_they_differ():
    both = merged([ahead(sgd(0.1, momentum=0.9)), ahead(sgd(0.5, momentum=0.9), alpha=0.7)])
    hyper = both.hyper()
    assert hyper["momentum"] == 0.9
    assert hyper["lr"].tolist() == [[0.1], [0.5]]
    assert hyper["alpha"].tolist() == [[0.5], [0.7]]
    assert hyper["lr"].dtype == torch.float64


def test_what_is_merged_is_separated_again():
    rules = [ahead(sgd(0.1 * k, momentum=0.5)) for k in range(1, 4)]
    assert separate(merged(rules), 3) == rules
    assert merged(rules[:1]) is rules[0]
    same = [sgd(), sgd()]
    assert merged(same) is same[0]
    assert separate(same[0], 2) == same


def course(name: str, target: str = "lr", **options) -> Course:
    return Course(optim.build_schedule(name, total=9, per="step", target=target, **options))


HALF = {"step_size": 1, "gamma": 0.5}


@pytest.mark.parametrize(
    "courses",
    [
        [None, None],
        [None, course("step", **HALF)],
        [course("step", **HALF)] * 2,
        [course("cosine"), course("step", **HALF)],
        [course("step", "momentum", **HALF), course("cosine")],
        [course("step", "momentum", **HALF), None],
    ],
)
@pytest.mark.parametrize("t", [0, 1, 5, 20])
def test_everybody_follows_their_own_course(courses, t):
    rules = [sgd(0.1, momentum=0.3), sgd(0.7, momentum=0.3)]
    together = Slice(rules, courses).hyper(t)
    for k in range(2):
        alone = Slice(rules[k : k + 1], courses[k : k + 1]).hyper(t)
        for name, value in alone.items():
            both = together[name]
            mine = float(both[k]) if isinstance(both, torch.Tensor) else float(both)
            assert mine == float(value)


def begun(rules, start: int = 0, since: int = 0) -> Slice:
    made = Slice(rules, [None] * len(rules), start=start, begun=since)
    theta = torch.arange(7.0 * len(rules)).view(-1, 7) + start
    made.state = optim.initial_state(made.rule, theta, LAYOUT)
    for number, slot in enumerate(made.state.values()):
        slot.copy_(theta + 100 * number)
    return made


def test_those_that_stay_take_their_tensors_along():
    rules = [optim.build("adam", lr=0.1 * k) for k in range(1, 5)]
    whole = begun(rules, start=3, since=8)
    kept = whole.keep([1, 3], start=2)
    assert kept.rules == [rules[1], rules[3]]
    assert (kept.rows, kept.begun) == (slice(2, 4), 8)
    assert kept.rule.hyper()["lr"].flatten().tolist() == [0.2, 0.4]
    for name, slot in whole.state.items():
        assert torch.equal(kept.state[name], slot[[1, 3]])
    assert len(kept.tensors) == 2


def test_slices_of_one_kind_and_one_beginning_are_joined():
    one, other = begun([sgd(momentum=0.5)]), begun([sgd(0.5, momentum=0.5)] * 2, start=1)
    assert one.joins(other)
    joined = one.join(other)
    assert joined.rows == slice(0, 3)
    assert joined.rules == [*one.rules, *other.rules]
    for name, slot in joined.state.items():
        assert torch.equal(slot, torch.cat([one.state[name], other.state[name]]))
    assert not one.joins(begun([sgd()], since=4))
    assert not one.joins(begun([optim.build("adam")]))
    foreign = Slice([optim.build(FOREIGN)], [None])
    assert not foreign.joins(Slice([optim.build(FOREIGN)], [None]))


# ── in a cohort ──────────────────────────────────────────────────────────────────────────────


def cohort(*rules: optim.Rule, **options) -> Cohort:
    nets = []
    for seed in range(len(rules)):
        torch.manual_seed(seed)
        nets.append(torch.nn.Linear(3, 2))
    return Cohort(nets, list(rules), build_loss("cross-entropy"), **options)


def batch(seed: int, K: int = 1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(K, 5, 3, generator=draw), torch.tensor([0, 1, 1, 0, 1])


def test_slices_meet_where_those_between_them_leave():
    adam = optim.build("adam")
    them = cohort(adam, sgd(), adam, adam)
    assert [each.rows for each in them.slices] == [slice(0, 1), slice(1, 2), slice(2, 4)]
    them.step([batch(0)])
    theta = them.stack.theta.clone()
    them.keep([0, 2, 3])
    assert [each.rows for each in them.slices] == [slice(0, 3)]
    assert torch.equal(them.stack.theta, theta[[0, 2, 3]])
    whole = cohort(adam, sgd(), adam, adam)
    for seed in (0, 1):
        whole.step([batch(seed)])
    them.step([batch(1)])
    assert torch.equal(them.stack.theta, whole.stack.theta[[0, 2, 3]])


def test_those_that_enter_later_have_a_slice_of_their_own():
    them = cohort(sgd(), sgd(0.2))
    them.enter([torch.nn.Linear(3, 2)], [sgd(0.3)])
    assert [each.rows for each in them.slices] == [slice(0, 3)]
    them.step([batch(0)])
    them.enter([torch.nn.Linear(3, 2)], [sgd(0.3)])
    assert [(each.rows, each.begun) for each in them.slices] == [(slice(0, 3), 0), (slice(3, 4), 1)]


def test_optimizers_of_other_packages_go_on_in_another_row():
    rules = [optim.build(FOREIGN, lr=0.1 * k) for k in (1, 2)]
    them, whole = cohort(sgd(), *rules), cohort(sgd(), *rules)
    for each in (them, whole):
        each.step([batch(0)])
    them.keep([2])
    for each in (them, whole):
        each.step([batch(1)])
    assert torch.equal(them.stack.theta[0], whole.stack.theta[2])


def test_rules_that_need_further_gradients_stay_among_their_kind():
    sam = optim.build("sam", inner=sgd())
    with pytest.raises(ModelError, match="further gradients"):
        cohort(sam, sgd())
    for present, new in ((sam, sgd()), (sgd(), sam), (sam, sam)):
        them = cohort(present)
        with pytest.raises(ModelError, match="further gradients"):
            them.enter([torch.nn.Linear(3, 2)], [new])
        assert them.members == 1
        them.step([batch(0)])


@pytest.mark.parametrize("own", [False, True])
def test_members_that_leave_between_a_look_and_the_move(own):
    rules = [optim.build("sam", inner=sgd(0.1 * k)) for k in (1, 2, 3)]
    them, whole = cohort(*rules), cohort(*rules)
    x, y = batch(0, K=3 if own else 1)
    for each in (them, whole):
        each.look([(x, y)])
        assert isinstance(each._again, Again)
    them.keep([0, 2])
    them.move()
    whole.move()
    assert torch.equal(them.stack.theta, whole.stack.theta[[0, 2]])
