"""The benchmark of curvature runs through, with whichever peers are installed."""

from __future__ import annotations

import pytest

from .test_plumbing import lines


@pytest.mark.slow
def test_curvature_measures_every_question():
    options = ("--nets", "garment", "--samples", "40", "--seeds", "2", "--repetitions", "1")
    printed = lines(
        "curvature.py", *options, "--accuracy", "0.05", "--trace-accuracy", "1", "--steps", "4"
    )
    ours = [x for x in printed if x["kind"] == "curvature" and x["peer"] == "thalweg"]
    assert [line["what"] for line in ours] == ["eigenvalue", "trace", "density"]
    assert all(line["error"] <= 1 for line in ours[:2])
