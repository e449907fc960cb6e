from __future__ import annotations

import pytest

from thalweg.plots.text import amount, falls, is_share, plain


def test_markup_is_shown_and_not_done() -> None:
    assert plain('<a href="x">&amp;</a>') == '&lt;a href="x"&gt;&amp;amp;&lt;/a&gt;'
    assert plain("<<<<", most=3) == "&lt;&lt;…"


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 1.0, "100.00 %"),
        ("top10", 0.5, "50.00 %"),
        ("loss", 0.0, "0.0000"),
        ("loss", 12345.0, "1.23e+04"),
        ("loss", float("inf"), "not a finite number"),
    ],
)
def test_amounts(metric: str, value: float, text: str) -> None:
    assert amount(metric, value) == text


def test_kinds_of_metrics() -> None:
    assert [name for name in ("loss", "mae", "accuracy", "f1") if falls(name)] == ["loss", "mae"]
    assert [name for name in ("top", "topology", "top3") if is_share(name)] == ["top3"]
