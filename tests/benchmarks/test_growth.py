"""How the cost of a surface grows, drawn from lines that a run has printed."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import _growth

    yield _growth
    sys.modules.pop("_growth")


def test_a_slope_is_that_of_what_is_beyond_fixed_costs(growth):
    x = [10.0, 100.0, 1000.0, 10000.0]
    slope, begin = growth.fitted(x, [1.0 + a**1.5 for a in x])
    assert slope == pytest.approx(1.5, abs=0.01)
    assert begin == 100
    assert all(math.isnan(each) for each in growth.fitted([1.0, 2.0], [1.0, 1.5]))


def test_both_panels_are_drawn_from_saved_lines(growth, tmp_path):
    cases = [(6, 3200), (11, 3200), (21, 3200), (11, 800), (11, 6400), (51, 60000)]
    lines = [{"kind": "header"}] + [
        {"kind": "growth", "side": side, "samples": n, "seconds": {"median": side**2 * n / 1e6}}
        for side, n in cases
    ]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    growth.draw_growth(growth.read_lines(tmp_path / "lines.jsonl"), tmp_path / "growth.html")
    page = (tmp_path / "growth.html").read_text("utf-8")
    assert "3,200 samples, slope 1.00 from 121 on" in page
    assert "11 × 11 points, slope 1.00 from 3,200 on" in page or "\\u00d7" in page
    assert page.count('"slope 1"') == 2
