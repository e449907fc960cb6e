from __future__ import annotations

import json

import pytest
import torch

from thalweg.data import describe, load_data


def test_classification() -> None:
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    source = {"train": (x, [0, 2, 2]), "test": (x[:1], [1])}
    facts = describe(load_data(source, normalize=[1.0, 2.0]))
    assert facts["input_shape"] == [2]
    assert facts["out_features"] == 3
    assert (facts["mean"], facts["std"]) == ([1.0], [2.0])
    train = facts["splits"]["train"]
    assert train == {
        "samples": 3,
        "min": -0.5,
        "max": 2.0,
        "mean": 0.75,
        "std": pytest.approx(x.std(correction=0).item() / 2),
        "corrupted": 0,
        "class_counts": [1, 0, 2],
    }
    assert facts["splits"]["test"]["class_counts"] == [0, 1, 0]
    assert json.loads(json.dumps(facts)) == facts


def test_regression_and_corruption() -> None:
    data = load_data((torch.rand(50, 3), torch.arange(50.0)), label_noise=1.0)
    train = describe(data)["splits"]["train"]
    assert (train["target_min"], train["target_max"]) == (0, 49)
    assert train["corrupted"] == int((data.train.y != data.train.true_y).sum()) > 40


def test_one_constant_a_channel() -> None:
    assert len(describe(load_data("gauss", normalize="computed"))["std"]) == 2
