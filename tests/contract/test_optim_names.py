"""Every wrapper around every rule: they share one space of names, and none is used twice."""

from __future__ import annotations

import pytest
import torch

from thalweg import optim

PAIRS = [
    (wrapper, name)
    for wrapper in optim.wrappers()
    for name in optim.rules()
    if name not in optim.wrappers()
]


@pytest.mark.parametrize(("wrapper", "name"), PAIRS)
def test_no_name_is_used_twice(wrapper: str, name: str) -> None:
    inner = optim.build(name)
    rule = optim.build(wrapper, inner=inner)
    own = {each.name for each in optim.hyperparameters(wrapper)}
    assert own.isdisjoint(each.name for each in optim.hyperparameters(name))

    theta = torch.zeros(1, 3)
    slots = inner.init(theta)
    assert all(torch.equal(rule.init(theta)[slot], value) for slot, value in slots.items())

    numbers = inner.coefficients(7, inner.hyper())
    assert numbers.items() <= rule.coefficients(7, rule.hyper()).items()
