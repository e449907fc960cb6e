from __future__ import annotations

import pytest
import torch

from thalweg.nn import together as room
from thalweg.nn.together import together


def double(out, x):
    torch.mul(x, 2, out=out)


def nearly_double(out, x):
    torch.mul(x, 2, out=out)
    if len(out) > 1:
        out.mul_(1 + 1e-6)


@pytest.fixture
def calls():
    room._choice.cache_clear()
    yield []
    room._choice.cache_clear()


def counted(form, calls):
    def count(out, *operands):
        calls.append((form.__name__, len(out)))
        form(out, *operands)

    return count


def run(forms, calls, members, **how):
    forms = [counted(form, calls) for form in forms]
    x, out = torch.arange(float(members)).view(members, 1), torch.empty(members, 1)
    for _ in range(2):
        calls.clear()
        together(tuple(forms[:-1]), forms[-1], out, x, **how)
    return out.flatten().tolist()


def test_a_member_alone_is_computed_the_way_that_defines_its_bits(calls):
    assert run([nearly_double, double], calls, 1) == [0.0]
    assert calls == [("double", 1)]


def test_a_form_with_the_same_bits_is_used(calls):
    assert run([double, double], calls, 3) == [0.0, 2.0, 4.0]
    assert calls == [("double", 3)]


def test_a_form_with_other_bits_is_passed_over(calls):
    run([nearly_double, double, double], calls, 3)
    assert calls == [("double", 3)]
    assert run([nearly_double, double], calls, 3) == [0.0, 2.0, 4.0]
    assert calls == [("double", 1)] * 3


def test_where_bits_do_not_matter_the_first_form_is_used(calls):
    run([nearly_double, double], calls, 3, exact=False)
    assert calls == [("nearly_double", 3)]


def test_trying_a_form_leaves_the_global_generator_alone(calls):
    before = torch.get_rng_state()
    run([double, double], calls, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_all_share_goes_to_each(calls):
    out = torch.empty(3, 2)
    shared = torch.ones(1, 2)
    room.one_by_one(lambda out, a, b: torch.add(a, b, out=out), out, torch.zeros(3, 2), shared)
    assert torch.equal(out, torch.ones(3, 2))
