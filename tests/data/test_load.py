from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thalweg.data import Data, load_data
from thalweg.errors import DataError, SpecError

X = torch.arange(24.0).reshape(12, 2)
Y = torch.tensor([0, 1, 2] * 4)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        folder = tmp_path / "pets" / label
        folder.mkdir(parents=True)
        for i in range(5):
            Image.new("L", (4, 3), 40 * i).save(folder / f"{i}.png")
    return tmp_path / "pets"


def test_arrays() -> None:
    data = load_data((X.numpy(), Y.numpy()))
    assert (data.name, data.task, data.classes) == ("arrays", "classification", ("0", "1", "2"))
    assert torch.equal(data.train.x, X)
    assert list(data.splits()) == ["train"]


def test_arrays_for_regression() -> None:
    data = load_data((X, X * 0.5), val=0.25)
    assert (data.task, data.out_features, data.classes) == ("regression", 2, ())
    assert data.val is not None
    assert torch.equal(data.val.y, data.val.x * 0.5)


@pytest.mark.parametrize("val", ["val", "validation"])
def test_a_mapping_of_splits(val: str) -> None:
    source = {"test": (X[:2], Y[:2]), "train": (X, Y), val: (X[2:5], Y[2:5])}
    data = load_data(source)
    assert {k: len(s) for k, s in data.splits().items()} == {"train": 12, "val": 3, "test": 2}
    assert val in source


def test_a_dataset_is_named_after_its_class() -> None:
    data = load_data(torch.utils.data.TensorDataset(X, Y), classes=["a", "b", "c"])
    assert (data.name, data.classes) == ("TensorDataset", ("a", "b", "c"))


def test_a_class_that_only_the_test_split_has_counts() -> None:
    assert load_data({"train": (X[:2], Y[:2]), "test": (X, Y)}).out_features == 3


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ((X, Y - 1), {}, "label -1 of train sample 0"),
        ((X, Y), {"classes": ["a", "b"]}, "label 2 of train sample 2; expected labels from 0 to 1"),
        ((X, Y + 1), {}, "of which none is 0"),
        ((X, Y * 5), {}, "labels up to 10 of which none is 1"),
        ({"train": (X, Y), "test": (X, Y - 1)}, {}, "label -1 of test sample 0"),
        ({"train": (X, Y), "test": (X[:, :1], Y)}, {}, r"test samples \(1,\) with labels"),
        ({"train": (X, Y), "val": (X, Y.float())}, {}, "with 1 targets; expected .* with labels"),
        ({"training": (X, Y)}, {}, "a mapping with training"),
        ({}, {}, "a mapping with nothing"),
        ((X, Y), {"val": 13}, "val=13 of 12 samples"),
        ((X, Y.float()), {"classes": ["a", "b", "c"]}, "targets that are floats"),
    ],
)
def test_sources_that_do_not_fit(source: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_data(source, **options)


def test_data_are_returned_as_they_are() -> None:
    data = load_data("xor")
    assert load_data(data) is data
    assert load_data(data, device="meta").train.x.device.type == "meta"


def test_an_image_folder(images: Path) -> None:
    data = load_data(str(images), test=4, stratified=True)
    assert (data.name, data.classes, data.input_shape) == ("pets", ("cat", "dog"), (1, 3, 4))
    assert data.train.x.mean().item() == pytest.approx(0, abs=1e-5)  # computed by default
    assert data.raw(data.train.x).min() >= -1e-6
    assert load_data(images, size=2, normalize="none").input_shape == (1, 2, 2)
    assert load_data(images, size=[2, 5]).input_shape == (1, 2, 5)


def test_a_name_goes_before_a_folder(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.rename(images.parent / "digits")
    monkeypatch.chdir(images.parent)
    assert load_data("digits").out_features == 10
    assert load_data("./digits").out_features == 2


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        load_data(tmp_path / "absent")


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ("minst", {}, "did you mean mnist"),
        ("minst", {}, "a folder of class folders"),
        ("digits", {"noise": 0.1}, "noise=0.1 for digits.*label_noise"),
        ("digits", {"folder": "here"}, "folder='here' for digits"),
        ("digits", {"size": 14}, "size=14 for digits"),
        ("digits", {"classes": ["a"]}, "classes="),
        ("circle", {"noise": 0.6}, "0 to 0.5"),
        ("circle", {"noise": -0.1}, "0 to 0.5"),
        ("circle", {"noise": float("nan")}, "0 to 0.5"),
        ((X, Y), {"folder": "here"}, "for arrays or a Dataset"),
        ("digits", {"label_noise": -0.5}, "label_noise=-0.5"),
        ("digits", {"label_noise": 0.5, "label_noise_kind": "shuffle"}, "known: permute, random"),
        ("digits", {"pixels": "gausian"}, "did you mean gaussian"),
        ("digits", {"val": -0.1}, "val=-0.1"),
        ("digits", {"subset": -5}, "subset=-5"),
        ("digits", {"normalize": "halve"}, "did you mean half"),
        ("digits", {"device": "cdua"}, "device='cdua'"),
        ("reg-plane", {"stratified": True}, "stratified"),
    ],
)
def test_options_that_do_not_fit(source: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        load_data(source, **options)


@pytest.mark.parametrize(
    "option",
    [
        {"val": 0.1},
        {"test": 0},
        {"subset": 5},
        {"normalize": "half"},
        {"label_noise": 0.5},
        {"pixels": "gaussian"},
        {"noise": 0.1},
    ],
)
def test_data_take_no_options(option: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="methods"):
        load_data(load_data("xor"), **option)


@pytest.mark.parametrize("size", [0, [3], [3, 0], [1, 2, 3]])
def test_sizes_of_images(images: Path, size: Any) -> None:
    with pytest.raises(SpecError, match="size="):
        load_data(images, size=size)


def test_fractions_are_of_the_whole_pool() -> None:
    sizes = {k: len(s) for k, s in load_data("circle", val=0.05, test=0.05).splits().items()}
    assert sizes == {"train": 450, "val": 25, "test": 25}
    assert list(load_data("circle", test=0).splits()) == ["train"]


def test_the_same_call_gives_the_same_bits() -> None:
    def load(seed: int) -> Data:
        return load_data(
            "digits",
            val=0.1,
            subset=320,
            label_noise=0.5,
            label_noise_kind="random",
            pixels="permute",
            split_seed=seed,
        )

    first, again, other = load(1), load(1), load(2)
    for name, split in first.splits().items():
        twin = again.splits()[name]
        assert torch.equal(split.x, twin.x)
        assert torch.equal(split.y, twin.y)
        assert torch.equal(split.true_y, twin.true_y)
    assert not torch.equal(first.train.x, other.train.x)


def test_noise_does_not_change_who_is_in_which_split() -> None:
    clean, noisy = load_data("digits"), load_data("digits", label_noise=1.0, pixels="gaussian")
    assert torch.equal(clean.train.y, noisy.train.true_y)
    assert torch.equal(clean.test.x, noisy.test.x)  # type: ignore[union-attr]


def test_loading_leaves_the_global_generators_alone() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_data("spiral", noise=0.2, val=0.2, label_noise=0.3, pixels="permute-each")
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


def test_the_device_is_where_the_data_live() -> None:
    assert load_data("circle", device="meta").train.x.device.type == "meta"


@pytest.mark.mnist
def test_mnist_has_the_bits_of_to_tensor_and_normalize(mnist_folder: Path) -> None:
    raw = load_data("mnist", folder=mnist_folder, normalize="none")
    data = load_data("mnist", folder=mnist_folder)
    for i in (0, 1, 59_999):
        image = (raw.train.x[i] * 255).round().to(torch.uint8)
        tensor = image.to(torch.float32).div(255)
        mean, std = (torch.as_tensor([c], dtype=torch.float32) for c in (0.1307, 0.3081))
        tensor.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))
        assert torch.equal(data.train.x[i], tensor)


def test_every_byte_has_the_bits_of_to_tensor_and_normalize() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    data = load_data((x, [0] * 256), normalize=[0.1307, 0.3081])
    for byte in range(256):
        tensor = torch.tensor([[[byte]]], dtype=torch.uint8).to(torch.float32).div(255)
        mean, std = (torch.as_tensor([c], dtype=torch.float32) for c in (0.1307, 0.3081))
        tensor.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))
        assert torch.equal(data.train.x[byte], tensor)


@pytest.mark.mnist
def test_mnist_in_ninety_five_five_replaces_the_test_split(mnist_folder: Path) -> None:
    data = load_data("mnist", folder=mnist_folder, val=0.05, test=0.05, normalize="half")
    sizes = {k: len(s) for k, s in data.splits().items()}
    assert sizes == {"train": 54_000, "val": 3000, "test": 3000}
    assert (data.train.x.min().item(), data.train.x.max().item()) == (-1, 1)
