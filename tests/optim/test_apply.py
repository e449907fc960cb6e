from __future__ import annotations

import pytest
import torch

from thalweg import optim
from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients


def per_member(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("block", [1, 5, 7, 14, 20, 21, 1000])
def test_blocks_cover_every_element_once(block: int) -> None:
    theta, g = torch.zeros(3, 7), torch.arange(21.0).view(3, 7)
    rule = optim.build("sgd", lr=per_member(1.0, 10.0, 100.0))
    optim.apply(rule, theta, g, rule.init(theta), 0, block=block)
    assert torch.equal(theta, -g * torch.tensor([[1.0], [10.0], [100.0]]))


def test_slots_of_another_shape_are_passed_whole() -> None:
    shapes = []

    class Watch(optim.SGDRule):
        def update(self, theta, g, state, t, c):  # type: ignore[no-untyped-def]
            shapes.append((tuple(theta.shape), tuple(state["like"].shape), tuple(state["n"].shape)))

    theta = torch.zeros(1, 10)
    state = {"like": torch.zeros(1, 10), "n": torch.zeros(2)}
    optim.apply(Watch(), theta, theta, state, 0, block=6)
    assert shapes == [((1, 6), (1, 6), (2,)), ((1, 4), (1, 4), (2,))]


def test_a_rule_that_is_not_elementwise_is_given_everything() -> None:
    class Whole(optim.SGDRule):
        @property
        def elementwise(self) -> bool:
            return False

        def update(self, theta, g, state, t, c):  # type: ignore[no-untyped-def]
            theta.sub_(g.sum())

    theta, g = torch.zeros(1, 10), torch.ones(1, 10)
    lookahead = optim.LookaheadRule(Whole(), k=100)
    optim.apply(lookahead, theta, g, lookahead.init(theta), 0, block=2)
    assert torch.equal(theta, torch.full((1, 10), -10.0))
    assert lookahead.gradients_per_step == Whole().gradients_per_step == 1


def test_hyperparameters_in_force_come_first() -> None:
    theta, rule = torch.ones(1, 2), optim.build("sgd", lr=0.25)
    optim.apply(rule, theta, torch.ones(1, 2), {}, 0, {**rule.hyper(), "lr": 0.5})
    assert theta.tolist() == [[0.5, 0.5]]


def test_parameters_that_want_gradients_are_moved_all_the_same() -> None:
    theta = torch.ones(1, 2, requires_grad=True)
    rule = optim.build("adam")
    optim.apply(rule, theta, torch.ones(1, 2), rule.init(theta), 0)
    assert theta.is_leaf
    assert theta[0, 0] < 1.0


def test_coefficients_are_rounded_once() -> None:
    c = Coefficients(
        lambda h: {"1-b": 1 - h["b"]}, {"b": per_member(0.9, 0.999)}, torch.zeros(2, 5)
    )
    assert torch.equal(c["1-b"], torch.tensor([[1 - 0.9], [1 - 0.999]]))


def test_coefficients_know_what_is_zero() -> None:
    h = {"some": per_member(0.0, 1.0), "none": 0.0, "every": per_member(1.0, 2.0)}
    c = Coefficients(dict, h, torch.zeros(2, 5))
    assert [c.any(name) for name in h] == [True, False, True]
    assert [c.all(name) for name in h] == [False, False, True]


def test_one_value_among_many_members_is_for_all() -> None:
    h = {"a": per_member(0.5), "b": per_member(1.0, 2.0)}
    assert Coefficients(dict, h, torch.zeros(2, 5))["a"].tolist() == [[0.5], [0.5]]


def test_another_number_of_members_is_one_clear_error() -> None:
    with pytest.raises(SpecError, match=r"for 3 members, parameters of shape \(2, 5\)"):
        Coefficients(dict, {"lr": per_member(1, 2, 3)}, torch.zeros(2, 5))
    with pytest.raises(SpecError, match=r"\{'lr': 3, 'eps': 2\} members"):
        Coefficients(dict, {"lr": per_member(1, 2, 3), "eps": per_member(1, 2)}, torch.zeros(3, 5))


def test_coefficients_know_what_is_lost_in_rounding() -> None:
    kept = {
        dtype: Coefficients(dict, {"eps": 1e-8}, torch.zeros(2, 5, dtype=dtype)).all("eps")
        for dtype in (torch.float16, torch.bfloat16, torch.float32)
    }
    assert kept == {torch.float16: False, torch.bfloat16: True, torch.float32: True}
