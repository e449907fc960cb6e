"""The benchmark of the driver runs through, with a few groups."""

from __future__ import annotations

from .test_plumbing import lines


def test_the_driver_brings_everybody_home():
    header, plan, alone, stored = lines("driver.py")
    assert header["kind"] == "header"
    assert plan["members"] == 100
    assert (alone["members"], alone["events"] >= 20 * 6) == (20 * 64, True)
    assert stored["members"] == 5 * 64
    assert stored["files"] > 10
    assert alone["cpu_seconds"] > 0
