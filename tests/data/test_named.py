from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from thalweg.data import NAMED_SETS, fetch, known, load_data, named, named_set
from thalweg.data.remote import Collection, RemoteFile
from thalweg.errors import DataError, DownloadError, SpecError

SYNTHETIC = [name for name in known() if NAMED_SETS[name].collection is None]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_set_is_what_the_registry_says(name: str) -> None:
    entry, data = named_set(name), load_data(name)
    assert data.name == entry.name == name
    assert (data.task, data.input_shape, data.out_features) == (
        entry.task,
        entry.input_shape,
        entry.out_features,
    )
    assert sum(len(split) for split in data.splits().values()) == entry.samples
    assert ("test" in data.splits()) == (entry.test is not None)
    assert entry.description
    assert entry.origin


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_sets_are_what_the_registry_says(name: str, mnist_folder: Path) -> None:
    entry, data = named_set(name), load_data(name, folder=mnist_folder)
    assert (data.input_shape, data.out_features) == (entry.input_shape, entry.out_features)
    assert {k: len(s) for k, s in data.splits().items()} == {"train": 60_000, "test": 10_000}
    assert (data.mean.item(), data.std.item()) == pytest.approx(entry.load.args[3])
    # The customary constants are the training split's own, to four digits.
    assert data.train.x.mean().item() == pytest.approx(0, abs=3e-4)
    assert data.train.x.std().item() == pytest.approx(1, abs=3e-4)


@pytest.mark.mnist
def test_mnist_has_the_class_counts_that_are_published(mnist_folder: Path) -> None:
    data = load_data("mnist", folder=mnist_folder)
    assert data.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.train.y.bincount().tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip


@pytest.mark.mnist
def test_fetch_finds_what_is_there(mnist_folder: Path) -> None:
    assert fetch("mnist", mnist_folder) == mnist_folder / "MNIST" / "raw"


def test_digits_are_scikit_learns() -> None:
    data = load_data("digits", test=0, normalize="none")
    reference = load_digits()
    np.testing.assert_array_equal(data.train.x[:, 0].numpy() * 16, reference.images)
    np.testing.assert_array_equal(data.train.y.numpy(), reference.target)
    scaled = load_data("digits", test=0)
    assert scaled.train.x.mean().item() == pytest.approx(0, abs=3e-4)
    assert scaled.train.x.std().item() == pytest.approx(1, abs=3e-4)


def test_the_default_test_split_of_digits_is_stratified() -> None:
    data = load_data("digits")
    shares = data.test.y.bincount() / NAMED_SETS["digits"].samples  # type: ignore[union-attr]
    whole = load_digits().target
    assert shares.tolist() == pytest.approx(0.2 * np.bincount(whole) / len(whole), abs=1 / 1797)


def test_regression_draws_what_the_global_seed_draws() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        x = torch.randn(1000, 100)
    assert torch.equal(load_data("regression-100", split_seed=7).train.x, x)
    assert torch.equal(load_data("regression-100-per-sample", split_seed=7).train.x, x)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean fashion-mnist"):
        named_set("Fashion_MNIST")


def test_there_is_nothing_to_fetch_for_a_set_without_files() -> None:
    with pytest.raises(SpecError, match="needs no download"):
        fetch("digits")


def _idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Register a set of five images in four files, and return what they hold."""
    rng = np.random.default_rng(0)
    inside = {
        "x.gz": _idx(rng.integers(0, 256, (3, 2, 2), np.uint8)),
        "y.gz": _idx(np.array([0, 1, 0], np.uint8)),
        "x-test.gz": _idx(rng.integers(0, 256, (2, 2, 2), np.uint8)),
        "y-test.gz": _idx(np.array([1, 0], np.uint8)),
    }
    files = tuple(RemoteFile(n, hashlib.sha256(c).hexdigest()) for n, c in inside.items())
    collection = Collection("Tiny", files, ("http://127.0.0.1:9/",))
    load = partial(named._images, "tiny", collection, ("a", "b"), "half")
    entry = replace(NAMED_SETS["mnist"], name="tiny", load=load, collection=collection)
    monkeypatch.setitem(NAMED_SETS, "tiny", entry)
    return inside


def test_idx_files_become_data(tiny: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in tiny.items():
        (tmp_path / name).write_bytes(gzip.compress(content))
    data = load_data("tiny", folder=str(tmp_path))
    assert data.train.x.shape == (3, 1, 2, 2)
    pixels = np.frombuffer(tiny["x.gz"][16:], np.uint8)
    expected = (torch.tensor(pixels).float() / 255 - 0.5) / 0.5
    assert torch.equal(data.train.x.flatten(), expected)
    assert data.test is not None
    assert data.test.y.tolist() == [1, 0]
    assert fetch("tiny", tmp_path) == tmp_path


def test_a_damaged_file_is_found_by_its_checksum(tiny: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in tiny.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "y.gz").write_bytes(tiny["y.gz"][:-1] + b"\1")
    for use in (fetch, lambda name, folder: load_data(name, folder=folder)):
        with pytest.raises(DataError, match=r"y\.gz with the SHA-256"):
            use("tiny", tmp_path)


def test_without_files_and_network(tiny: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="THALWEG_DATA"):
        load_data("tiny", folder=tmp_path)
