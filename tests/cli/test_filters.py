from __future__ import annotations

from typing import Any

import pytest

from thalweg.cli.filters import Filter

RUNS: list[dict[str, Any]] = [
    {"name": "a", "tags": ["x", "y"], "hidden": [200, 100], "lr": 0.1, "bias": True, "until": None},
    {"name": "b", "tags": [], "hidden": [], "lr": None, "bias": False, "until": "loss<1", "k": 3},
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name=a", "a"),
        ("name!=a", "b"),
        ("tags=x", "a"),
        ("tags!=x", "b"),
        ("hidden=200,100", "a"),
        ("hidden=100", "a"),
        ("lr = 1e-1", "a"),
        ("lr<=0.1", "a"),
        ("lr<0.1", ""),
        ("lr=none", "b"),
        ("bias=true", "a"),
        ("bias>0", ""),
        ("until=loss<1", "b"),
        ("k>2", "b"),
        ("k!=3", "a"),
        ("k=three", ""),
    ],
)
def test_a_filter_finds(text: str, found: str) -> None:
    condition = Filter.parse(text)
    assert "".join(run["name"] for run in RUNS if condition.holds(run, RUNS)) == found
