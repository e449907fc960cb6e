from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from thalweg.cli.kinds import convert, is_list


@given(st.floats(allow_nan=False))
def test_numbers_are_read_as_python_writes_them(x: float) -> None:
    assert convert(float, repr(x)) == x
    assert convert(float | None, repr(x)) == x


@given(st.lists(st.integers(), max_size=5))
def test_lists_are_read_as_they_are_written(numbers: list[int]) -> None:
    text = ",".join(map(str, numbers)) or "none"
    assert convert(tuple[int, ...], text) == tuple(numbers)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "512", "512"),
        (str, "none", "none"),
        (str | None, "none", None),
        (int, "1e3", 1000.0),  # no integer; the spec says so
        (int, "many", "many"),
        (int | Literal["full"], "full", "full"),
        (Annotated[int, Field(ge=1, strict=True)] | Literal["full"], "0", 0),  # likewise
        (tuple[float, float], "1", 1.0),
        (str | tuple[float, float], "0.5", "0.5"),
    ],
)
def test_convert(kind: object, text: str, value: object) -> None:
    found = convert(kind, text)
    assert found == value
    assert type(found) is type(value)


def test_lists() -> None:
    assert is_list(tuple[int, ...] | None)
    assert not is_list(str)
