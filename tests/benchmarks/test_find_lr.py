"""The benchmark of learning rates runs through, and goes on where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines(folder: Path) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    script = str(ROOT / "benchmarks" / "find_lr.py")
    options = ["--cases", "one-fc sgd digits", "--out", str(folder), "--quick", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, script, *options, "--steps", "8"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_it_compares_the_rules_and_keeps_what_it_trained(tmp_path: Path):
    first = lines(tmp_path)
    kinds = [line["kind"] for line in first]
    assert kinds[:2] == ["header", "reference"]
    rules = {line["rule"] for line in first if line["kind"] == "summary"}
    assert {"thalweg", "thalweg, largest", "fastai valley", "lightning"} <= rules
    assert all(line["worst"] >= line["median"] for line in first if line["kind"] == "case")
    kept = json.loads((tmp_path / "one-fc-sgd-digits.json").read_text())
    assert all(len(losses) == 2 for losses in kept["losses"].values())
    again = lines(tmp_path)
    assert again[1:] == first[1:]
