from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thalweg.cli.chart import chart

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@given(values=VALUES, width=st.integers(1, 80), height=st.integers(2, 9))
def test_it_has_its_height_and_no_more_than_its_width(values, width, height):
    lines = chart(values, width=width, height=height)
    assert len(lines) == height
    assert max(len(line.partition("┤")[2]) for line in lines) <= width
    label, _, cells = lines[0].partition(" ┤")
    assert label.strip() == f"{max(values):.4g}"
    assert not max(values) or "█" in cells
    assert lines[-1].startswith("0 ┤".rjust(len(label) + 2))


def test_zeros_are_an_empty_chart():
    assert chart([0.0, 0.0], width=4, height=2) == ["0 ┤", "0 ┤"]


def test_a_column_is_the_greatest_of_several():
    assert chart([0.0, 2.0, 0.0, 0.0, 0.0, 1.0], width=3, height=2) == ["2 ┤█", "0 ┤█ █"]
