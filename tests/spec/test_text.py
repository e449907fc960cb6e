from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.errors import SpecError
from thalweg.spec import parse_interval, parse_setting


@given(st.integers(1, 10**9), st.sampled_from(["epoch", "step"]), st.sampled_from(["", "s"]))
def test_an_interval_is_a_count_and_a_unit(count, unit, plural):
    assert parse_interval(f"{count}{unit}{plural}") == (count, unit)


@given(st.text(max_size=12))
def test_any_other_text_is_refused_in_one_way(text):
    with pytest.raises(ValueError, match="an interval such as 1epoch"):
        parse_interval(f"{text}!")


@pytest.mark.parametrize("text", ["", "epoch", "0steps", "-1epochs", "²epochs", "1.5epochs", "3"])
def test_what_is_no_interval(text):
    with pytest.raises(ValueError, match="an interval such as"):
        parse_interval(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=3", 3),
        ("k=1e-3", 0.001),
        ("k=.5", 0.5),
        ("k = 5.", 5.0),
        ("k=true", True),
        ("k=[200, 100]", [200, 100]),
        ('k="3"', "3"),
        ("k=val_loss<=0.1", "val_loss<=0.1"),
        ("k=a=b", "a=b"),
        ("k={a = 1}", {"a": 1}),
        ("k=", ""),
    ],
)
def test_a_setting_is_toml_or_a_number_or_text(text, value):
    key, found = parse_setting(text)
    assert key == "k"
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["lr", "", "=3", " =3"])
def test_a_setting_has_a_key_and_a_sign(text):
    with pytest.raises(SpecError, match="expected KEY=VALUE"):
        parse_setting(text)


@pytest.mark.parametrize("text", ["lr=nan", "lr=inf", "lr=-inf", "lr=Infinity"])
def test_a_number_is_finite(text):
    with pytest.raises(SpecError, match=rf"got {text}; expected a finite number"):
        parse_setting(text)
