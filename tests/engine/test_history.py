from __future__ import annotations

import builtins

import pandas as pd
import pytest
import torch

from thalweg.engine import Clock, Evaluated, Finished, History, Step
from thalweg.errors import SpecError, ThalwegError


def history(*members: int) -> History:
    told, K = History(by_member=bool(members)), max(1, len(members))
    for step in (1, 2):
        clock = Clock(step, step / 2, 2 * step, 0.1 * step)
        told.add(Step(clock, {"loss": torch.full((K,), 1.0 / step)}, (0.5,) * K, members))
    told.add(Evaluated(clock, {"running_loss": (0.75,) * K}, (0.5,) * K, members))
    values = {"running_loss": (0.5,) * K, "val_loss": (2.0,) * K}
    told.add(Evaluated(clock, values, (0.0,) * K, members))
    told.add(Finished(clock, "complete", {}))
    return told


def test_columns_of_one_network_are_numbers():
    assert history().steps == {
        "step": [1, 2],
        "epoch": [0.5, 1.0],
        "gradients": [2, 4],
        "seconds": [0.1, 0.2],
        "lr": [0.5, 0.5],
        "loss": [1.0, 0.5],
    }
    epochs = history().epochs
    assert epochs["running_loss"] == [0.75, 0.5]
    assert epochs["val_loss"] == [None, 2.0]
    assert epochs["step"] == [2, 2]


def test_a_cohort_has_a_row_for_each_member():
    told = history(4, 7)
    assert told.steps["loss"] == [1.0, 1.0, 0.5, 0.5]
    assert told.steps["member"] == [4, 7, 4, 7]
    assert told.steps["step"] == [1, 1, 2, 2]
    assert told.epochs["val_loss"] == [None, None, 2.0, 2.0]
    assert told.rows() == {"steps": 4, "epochs": 4}


def test_an_empty_history_has_the_clock_alone():
    assert History().steps == {n: [] for n in ("step", "epoch", "gradients", "seconds", "lr")}


def test_tables_are_data_frames():
    steps, epochs = history().to_pandas("steps"), history().to_pandas()
    pd.testing.assert_frame_equal(steps, pd.DataFrame(history().steps))
    assert list(epochs.columns) == [*steps.columns[:5], "running_loss", "val_loss"]
    assert epochs["val_loss"].isna().tolist() == [True, False]


def test_there_are_two_tables():
    with pytest.raises(SpecError, match="got by='step'; expected steps or epochs"):
        history().to_pandas("step")


def test_without_pandas_the_hint_says_how_to_get_it(monkeypatch):
    load = builtins.__import__

    def absent(name, *rest, **more):
        if name == "pandas":
            raise ImportError(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ThalwegError, match=r"got no pandas; .* Hint: pip install pandas"):
        history().to_pandas()
