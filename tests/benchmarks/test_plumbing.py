"""The benchmarks run through, on a few small digits; what they measure there means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines(script: str, *options: str) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--quick", "--threads", "1", *options],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_epoch_measures_every_peer_in_every_round():
    options = ("--repetitions", "2", "--precision", "float32", "--nets", "lab-mlp")
    printed = lines("epoch.py", *options, "--peers", "dataloader", "tensors")
    epochs = {line["peer"]: line for line in printed if line["kind"] == "epoch"}
    assert printed[0]["kind"] == "header"
    assert set(epochs) == {"thalweg", "dataloader", "tensors"}
    assert all(len(line["seconds"]["all"]) == 2 for line in epochs.values())
    assert epochs["thalweg"]["over_thalweg"]["medians"] == 1
    assert [line["over"] for line in printed if line["kind"] == "aim"] == ["dataloader", "tensors"]
    (ceiling,) = (line for line in printed if line["kind"] == "ceiling")
    macs = 784 * 16 * 2 + (16 * 32 + 32 * 24 + 24 * 10) * 3
    assert ceiling["gflop_an_epoch"] == pytest.approx(2e-9 * macs * 512, rel=1e-4)


@pytest.mark.slow
def test_perfect_fit_times_both_sides():
    options = ("--races", "perfect-fit", "--seeds", "3", "--slow-epochs", "1")
    printed = lines("perfect_fit.py", *options, "--measured-seeds", "0")
    kinds = [line["kind"] for line in printed if line["kind"] != "note"]
    assert kinds == ["header", "setup", "setup", "fast", "slow epoch", "aim"]
    aim = printed[-1]
    assert aim["slow_seconds"] == pytest.approx(8 * aim["slow_seconds_an_epoch"], rel=1e-3)
    assert aim["share"] == pytest.approx(
        aim["fast_seconds"]["median"] / aim["slow_seconds"], rel=1e-3
    )


@pytest.mark.slow
def test_cohort_measures_members_and_peers_and_many_in_groups():
    options = ("--nets", "lab-mlp", "--members", "2", "4", "--repetitions", "2", "--linear", "70")
    printed = lines("cohort.py", *options, "--peers", "dataloader", "vmap", "--no-exact")
    whats = {line["what"] for line in printed if line["kind"] == "member and epoch"}
    cohorts = {f"cohort {K}{how}" for K in (2, 4) for how in ("", ", not exact")}
    assert whats == {"alone", "dataloader", "vmap", *cohorts}
    series = {line["members"]: line for line in printed if line["kind"] == "series"}
    assert set(series) == {64, 70}
    assert all(line["peak_bytes"] <= line["budget_bytes"] for line in series.values())
    (aim,) = (line for line in printed if line["kind"] == "aim")
    assert aim["what"] == "linear"


@pytest.mark.slow
def test_tune_lets_each_side_search():
    options = ("--nets", "lab-mlp", "--trials", "4", "--repetitions", "1")
    printed = lines("tune.py", *options, "--peers", "optuna-median", "optuna-halving")
    searches = [line for line in printed if line["kind"] == "search"]
    assert [line["side"] for line in searches] == ["thalweg", "optuna-median", "optuna-halving"]
    for line in searches:
        values = [value for _, value in line["trace"]]
        assert values == sorted(set(values))
        assert line["best"] == values[-1]
    aims = [line for line in printed if line["kind"] == "aim"]
    assert [(line["over"], len(line["shares"])) for line in aims] == [
        ("optuna-median", 1), ("optuna-halving", 1),
    ]  # fmt: skip


@pytest.mark.slow
def test_landscape_finds_what_a_loop_finds():
    options = ("--nets", "lab-mlp", "--repetitions", "1", "--batches", "64")
    (line,) = (line for line in lines("landscape.py", *options) if line["kind"] == "landscape")
    assert line["points"] == 25
    assert line["largest_relative_difference"] < 1e-5
    assert set(line["loop_over_thalweg"]) == {"64"}


@pytest.mark.slow
def test_loss_landscapes_finds_it_a_cell_away_in_every_second_row():
    pytest.importorskip("loss_landscapes", reason="loss-landscapes is not installed")
    options = ("--nets", "lab-mlp", "--repetitions", "1", "--batches", "64")
    (line,) = (line for line in lines("landscape.py", *options) if line["kind"] == "landscape")
    assert line["largest_relative_difference_to_loss_landscapes"] < 1e-5


@pytest.mark.slow
def test_growth_is_measured():
    printed = lines("landscape.py", "--scaling", "--repetitions", "1")
    assert [line["kind"] for line in printed] == ["header", "ceiling", "growth"]


@pytest.mark.slow
def test_pictures_with_fewer_nodes_have_the_bits_of_the_whole_ones():
    printed = lines("landscape.py", "--tolerances", "0.1", "--repetitions", "1")
    refined = [line for line in printed if line["kind"] == "refined"]
    assert [line["plane"] for line in refined] == ["principal", "random"]
    for line in refined:
        assert line["same_bits"]
        assert 0 < line["share"] < 1
        assert line["median_off"] < 0.1
