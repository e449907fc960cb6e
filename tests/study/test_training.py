from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from thalweg.data import load_data
from thalweg.errors import FileError
from thalweg.store import RunFolder
from thalweg.study import load_run, train
from thalweg.study.predictions import MISTAKES, mistakes, predictions
from thalweg.study.training import data_facts, fingerprint

QUICK = {"hidden": (4,), "subset": 120, "steps": 3, "batch_size": 30}


def test_a_run_is_recorded_in_the_folder_of_runs_unless_it_is_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path / "runs"))
    run = train("mlp", "digits", **QUICK)
    assert run.folder is not None
    assert run.folder.parent == tmp_path / "runs"
    assert RunFolder.open(run.folder).name == run.folder.name
    named = train("mlp", "digits", **QUICK, name="my first", tags=["a", "b"])
    assert named.folder == tmp_path / "runs" / "my-first"
    folder = RunFolder.open(named.folder)
    assert (folder.name, folder.tags, folder.state) == ("my first", ("a", "b"), "complete")
    assert train("mlp", "digits", **QUICK, out=False).folder is None
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_folder_that_is_given_is_new_or_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train("mlp", "digits", **QUICK, out="deep/run")
    assert run.folder == tmp_path / "deep" / "run"
    with pytest.raises(FileError, match=r"deep/run, which holds a run already"):
        train("mlp", "digits", **QUICK, out="deep/run")


def test_what_stands_in_the_folder(tmp_path):
    run = train("mlp", "digits", **QUICK, val=20, out=tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    assert folder.spec == run.spec
    assert folder.environment["command"] == " ".join(sys.argv)
    assert folder.parameters == sum(p.numel() for p in run.model.parameters())
    assert folder.samples == {name: len(split) for name, split in run.data.splits().items()}
    assert folder.classes == tuple("0123456789")
    log = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.partition("  ")[2] for line in log] == [
        "began at step 0", "ended after step 3: complete",
    ]  # fmt: skip
    assert folder.steps() == run.history.steps
    assert {n: v for n, v in folder.epochs().items() if v != [None]} == run.history.epochs
    assert sorted(each.name for each in (tmp_path / "run").iterdir()) == [
        ".lock", "checkpoints", "environment.json", "log.txt", "metrics", "mistakes.safetensors",
        "predictions.parquet", "run.json", "spec.toml",
    ]  # fmt: skip


# ── what is known of the data ────────────────────────────────────────────────────────────────


def test_facts_of_data(digits):
    facts = data_facts(digits)
    assert (facts.name, facts.task, facts.input_shape) == ("digits", "classification", [1, 8, 8])
    assert (facts.mean, facts.std) == (
        pytest.approx([digits.mean.item()]), pytest.approx([digits.std.item()]),
    )  # fmt: skip
    x = torch.randn(30, 2)
    plane = load_data((x, x.sum(1, keepdim=True)), normalize="computed", test=5)
    facts = data_facts(plane)
    assert (facts.task, facts.classes, facts.samples) == (
        "regression",
        [],
        {"train": 25, "test": 5},
    )
    assert facts.mean == plane.mean.tolist()


def test_the_same_data_have_the_same_fingerprint_and_others_another(digits):
    assert fingerprint(digits) == fingerprint(load_data("digits", val=60, subset=240))
    x, y = digits.train.x, digits.train.y
    others = [
        replace(digits, train=replace(digits.train, x=x + 1)),
        replace(digits, train=replace(digits.train, x=x.double())),
        replace(digits, train=replace(digits.train, y=y.roll(1))),
        replace(digits, train=digits.train.take(torch.arange(239))),
        replace(digits, val=None),
        replace(digits, val=digits.test, test=digits.val),
    ]
    assert len({fingerprint(each) for each in (digits, *others)}) == 7


# ── what the network says at the end ─────────────────────────────────────────────────────────


def test_predictions_are_those_of_the_network(digits, tmp_path):
    run = train("mlp", digits, hidden=(4,), steps=20, lr=0.03, out=tmp_path / "run")
    said = predictions(run)
    assert said is not None
    p = torch.softmax(run.model(digits.test.x).double(), -1)
    torch.testing.assert_close(said["probability"], p.max(-1).values)
    assert torch.equal(said["predicted"], p.argmax(-1))
    assert torch.equal(said["true"], digits.test.y)
    assert said["loss"].mean().item() == pytest.approx(run.metrics["test_loss"], rel=1e-5)
    right = (said["true"] == said["predicted"]).double().mean().item()
    assert right == pytest.approx(run.metrics["test_accuracy"])
    stored = RunFolder.open(tmp_path / "run").predictions()
    assert stored is not None
    assert all((stored[name] == column.numpy()).all() for name, column in said.items())
    again = predictions(load_run(tmp_path / "run", data=digits))
    assert again is not None
    assert all(torch.equal(again[name], column) for name, column in said.items())


def test_logarithms_of_probabilities_are_taken_as_such(digits):
    torch.manual_seed(0)
    logits = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    logs = nn.Sequential(*logits, nn.LogSoftmax(-1))
    one = train(logits, digits, loss="cross-entropy", steps=5, out=False)
    other = train(logs, digits, loss="nll", steps=5, out=False)
    a, b = predictions(one), predictions(other)
    assert a is not None
    assert b is not None
    torch.testing.assert_close(a["probability"], b["probability"], rtol=1e-5, atol=1e-6)


def test_mistakes_are_the_surest_ones_as_pictures(digits):
    run = train("mlp", digits, hidden=(4,), steps=5, out=False)
    said = predictions(run)
    assert said is not None
    wrong = mistakes(run.data, said)
    assert wrong is not None
    assert len(wrong["true"]) == MISTAKES
    assert (wrong["true"] != wrong["predicted"]).all()
    assert wrong["probability"].tolist() == sorted(wrong["probability"].tolist(), reverse=True)
    everyone = said["probability"][said["true"] != said["predicted"]]
    assert wrong["probability"][-1] >= everyone.sort(descending=True).values[MISTAKES - 1]
    assert wrong["images"].shape == (MISTAKES, 1, 8, 8)
    assert wrong["images"].min() >= 0
    assert wrong["images"].max() <= 1 + 1e-6
    few = mistakes(run.data, said, most=2)
    assert few is not None
    assert torch.equal(few["images"], wrong["images"][:2])
    right = {**said, "predicted": said["true"]}
    assert mistakes(run.data, right) is None


def test_nothing_is_said_without_a_test_split_or_classes(digits):
    x = torch.randn(30, 2)
    plane = train("mlp", (x, x.sum(1, keepdim=True)), hidden=(), test=5, steps=1, out=False)
    assert predictions(plane) is None
    assert predictions(train("mlp", replace(digits, test=None), steps=1, out=False)) is None
    points = train("mlp", "spiral", steps=1, hidden=(4,), out=False)
    said = predictions(points)
    assert said is not None
    assert mistakes(points.data, said) is None  # no pictures
