"""Sweeps: their tables, what they bring back, and what they refuse."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.errors import FileError, SpecError, ThalwegError
from thalweg.recipes import load_sweep_recipe
from thalweg.spec import Spec
from thalweg.study import begin, go_on_sweep, mean_interval
from thalweg.study.sweeps.recorded import begin_series
from thalweg.study.sweeps.sweeping import plan_sweep

SMALL = {"hidden": (8,), "subset": 240, "val": 60, "batch_size": 60, "epochs": 2}
OVER = {"lr": [0.01, 0.1, 1e30], "optimizer": ["adam", "sgd"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "sweep"
    return tw.sweep("mlp", "digits", over=OVER, seeds=3, out=out, tags=["try"], **SMALL)


def test_a_row_for_each_setting(made):
    rows = made.table()
    assert [row.setting for row in rows] == [
        {"lr": lr, "optimizer": name} for lr in OVER["lr"] for name in OVER["optimizer"]
    ]
    assert [row.diverged for row in rows] == [0, 0, 0, 0, 3, 3]
    assert [row.over for row in rows] == [3] * 6
    assert rows[-1].means == {}
    for row in rows[:4]:
        values = [made.series.results[n].metrics["val_loss"] for n in row.numbers]
        assert row.means["val_loss"] == mean_interval(values)
        assert row.seconds > 0


def test_a_table_after_an_epoch(made):
    first, last = made.table(epoch=1)[1], made.table(epoch=2)[1]
    assert first.means["running_loss"].n == 3
    assert first.means["running_loss"].mean != last.means["running_loss"].mean
    assert last.means["val_loss"] == made.table()[1].means["val_loss"]
    assert made.table(epoch=3)[1].means == {}


def test_the_course_of_a_member(made):
    number = made.table()[0].numbers[1]
    run = tw.train(spec=made.series.points[number].spec, out=False)
    course = made.course(number)
    assert course["step"] == run.history.epochs["step"] == [4, 8]
    assert course["val_loss"] == run.history.epochs["val_loss"]
    with pytest.raises(SpecError, match="got member 99; expected one of 18 that are over"):
        made.course(99)


def test_the_best_never_diverged(made):
    best = made.best("val_accuracy")
    rows = [row for row in made.table() if not row.diverged]
    assert best.means["val_accuracy"].mean == max(r.means["val_accuracy"].mean for r in rows)
    assert made.best("val_loss").means["val_loss"].mean == min(
        r.means["val_loss"].mean for r in rows
    )
    with pytest.raises(SpecError, match=r"metric='vall_loss'.*did you mean val_loss"):
        made.best("vall_loss")


def test_it_comes_back_from_its_folder(made):
    back = tw.load_sweep(made.folder)
    assert back.axes == made.axes == ["lr", "optimizer"]
    assert back.base == made.base
    for name, values in made.results.items():
        assert back.results[name] == values
    for one, other in zip(made.table(), back.table(), strict=True):
        assert (one.setting, one.means, one.diverged) == (
            other.setting,
            other.means,
            other.diverged,
        )
    assert back.table(epoch=1)[0].means == made.table(epoch=1)[0].means
    state = back.model(4).state_dict()
    assert all(torch.equal(a, state[name]) for name, a in made.model(4).state_dict().items())


def test_it_is_found_by_its_name(made, tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path))
    plain = tw.sweep("mlp", "digits", over=[{}], seeds=2, name="two seeds", **SMALL)
    assert plain.folder == tmp_path / "two-seeds"
    assert tw.load_sweep("two seeds").results == plain.results
    assert plain.axes == []
    assert len(plain.table()) == 1
    again = tw.sweep("mlp", "digits", over=[{}], seeds=2, name="two seeds", **SMALL)
    assert again.folder == tmp_path / "two-seeds-2"
    with pytest.raises(FileError, match="'two seeds', the name of 2 series; expected one of them"):
        tw.load_sweep("two seeds")
    with pytest.raises(FileError, match="which does not exist; expected the folder of a series"):
        tw.load_sweep("three seeds")


def test_axes_that_are_called_as_facts(tmp_path):
    small = {**SMALL, "epochs": None}
    found = tw.sweep("mlp", "digits", over={"steps": [2, 4]}, out=tmp_path / "s", **small)
    back = tw.load_sweep(found.folder)
    assert back.results["steps"] == back.results["over_steps"] == [2, 4]
    assert back.series.results[1] == found.series.results[1]


def test_lists_and_nothing_as_values(tmp_path):
    over = {"hidden": [(8,), (8, 4)], "schedule": ["constant", "cosine"], "clip_norm": [None, 1.0]}
    found = tw.sweep("mlp", "digits", over=over, out=tmp_path / "s", **SMALL)
    back = tw.load_sweep(found.folder)
    assert [row.setting["hidden"] for row in back.table()] == [[8]] * 4 + [[8, 4]] * 4
    assert [len(row.numbers) for row in back.table()] == [1] * 8
    assert back.series.results == found.series.results
    assert math.isinf(back.table()[0].means["val_loss"].half)


def test_what_was_given_in_python_is_needed_for_networks(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    small = {**SMALL, "hidden": None}
    made = tw.sweep(net, "digits", over={"lr": [0.01, 0.1]}, out=tmp_path / "s", **small)
    bare = tw.load_sweep(made.folder)
    assert bare.table()[0].means == made.table()[0].means
    with pytest.raises(SpecError, match="whose model came from Python; expected the same again"):
        bare.model(0)
    state = tw.load_sweep(made.folder, model=net).model(1).state_dict()
    assert all(torch.equal(a, state[name]) for name, a in made.model(1).state_dict().items())


def test_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = tw.sweep("mlp", "digits", over={"lr": [0.1]}, seeds=[4, 7], out=False, **SMALL)
    assert found.folder is None
    assert found.results["seed"] == [4, 7]
    assert list(tmp_path.iterdir()) == []
    assert found.model(0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_own_orders():
    shared, own = (
        plan_sweep(Spec(), {"lr": [0.1]}, 2, order=order).points for order in ("shared", "own")
    )
    assert [point.spec.order_seed for point in shared] == [0, 0]
    assert [point.spec.order_seed for point in own] == [None, None]
    with pytest.raises(SpecError, match="got order='mine'; expected shared or own"):
        plan_sweep(Spec(), {"lr": [0.1]}, order="mine")


def test_all_diverged():
    found = tw.sweep("mlp", "digits", over={"lr": [1e30]}, optimizer="sgd", out=False, **SMALL)
    assert found.table()[0].diverged == 1
    if found.metrics:
        with pytest.raises(SpecError, match="settings that all diverged"):
            found.best(found.metrics[0])


def test_a_data_frame(made, monkeypatch):
    assert made.to_pandas().shape[0] == 18
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ThalwegError, match="got no pandas"):
        made.to_pandas()


def test_what_cannot_go_on(made, tmp_path):
    with pytest.raises(SpecError, match=r"which has ended \(complete\); expected a sweep that was"):
        tw.resume(made.folder)
    series = plan_sweep(made.base, {"lr": [0.1]})
    folder, _ = begin_series(series, made.base, kind="other", out=tmp_path / "other")
    with pytest.raises(SpecError, match="which is a other; expected a sweep"):
        tw.load_sweep(folder.path)
    folder, events = begin_series(series, made.base, kind="sweep", out=tmp_path / "mine")
    with pytest.raises(SpecError, match=r"got epochs=… for the sweep .*; expected its own"):
        tw.resume(folder.path, epochs=3)
    next(events)
    with pytest.raises(FileError, match="which another process is writing"):
        go_on_sweep(folder.path)
    events.close()


def test_a_run_is_no_sweep(tmp_path):
    run = tw.train("mlp", "digits", out=tmp_path / "run", **SMALL)
    with pytest.raises(FileError, match="which is no series; expected the folder of a series"):
        tw.load_sweep(run.folder)
    assert begin is not None


def test_a_recipe_is_swept_as_it_is_written():
    recipe = load_sweep_recipe("lr-extremes")
    found = tw.sweep(**{**vars(recipe), "seeds": 1}, out=False)
    assert [row.diverged for row in found.table()] == [1, 1, 1, 1, 0]
    final = found.table()[-1].means["train_loss"].mean
    assert 0.01 < final < 0.1  # from 616,000
