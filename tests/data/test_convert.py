from __future__ import annotations

from collections import UserDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, Subset, TensorDataset

from thalweg.data.convert import split_from, split_from_arrays
from thalweg.errors import DataError

X = np.arange(12, dtype=np.float64).reshape(4, 3)
Y = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(">f4"),
        X.astype(np.int16),
        X.tolist(),
        torch.tensor(X),
        torch.tensor(X, requires_grad=True),
        pd.DataFrame(X),
        X[::-1][::-1],
        np.asfortranarray(X),
    ],
)
def test_inputs_of_any_real_type(x: Any) -> None:
    split = split_from_arrays(x, Y)
    assert (split.x.dtype, split.x.requires_grad) == (torch.float32, False)
    assert split.x.tolist() == X.tolist()
    assert split.x.is_contiguous()


@pytest.mark.parametrize("y", [Y, np.array(Y, np.uint8), torch.tensor(Y), np.array(Y, bool)])
def test_whole_numbers_are_labels(y: Any) -> None:
    split = split_from_arrays(X, y)
    assert (split.y.dtype, split.y.tolist()) == (torch.int64, Y)
    assert split.true_y is split.y


@pytest.mark.parametrize("y", [np.array(Y, float), torch.tensor(Y, dtype=torch.float16)[:, None]])
def test_floats_are_targets(y: Any) -> None:
    split = split_from_arrays(X, y)
    assert (split.y.dtype, split.y.tolist()) == (torch.float32, [[value] for value in Y])


def test_the_users_arrays_are_not_shared() -> None:
    x, y = torch.zeros(2, 3), torch.tensor([0, 1])
    split = split_from_arrays(x, y)
    x += 1
    y += 1
    assert split.x.sum() == 0
    assert split.y.tolist() == [0, 1]


def test_read_only_arrays_are_fine() -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    assert split_from_arrays(frozen, Y).x.tolist() == X.tolist()


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((2, 5, 4), (2, 1, 5, 4)),
        ((2, 1, 5, 4), (2, 1, 5, 4)),
        ((2, 3, 5, 4), (2, 3, 5, 4)),
        ((2, 5, 4, 3), (2, 3, 5, 4)),
        ((2, 5, 4, 1), (2, 1, 5, 4)),
        ((2, 3, 5, 3), (2, 3, 5, 3)),
        ((2, 20), (2, 20)),
    ],
)
def test_bytes_are_pixels(shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    split = split_from_arrays(x, [0, 1])
    assert split.x.shape == result
    assert split.x.is_contiguous()
    moved = np.moveaxis(x, -1, 1) if len(shape) == 4 and result[1] == shape[3] != shape[1] else x
    np.testing.assert_array_equal(
        split.x.numpy().reshape(moved.shape), moved.astype(np.float32) / np.float32(255)
    )


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.zeros((0, 3)), [], "shape"),
        ([], [], "shape"),
        (np.zeros((3, 0)), [0, 1, 2], "shape"),
        (np.zeros(4), Y, r"x\[:, None\]"),
        (np.float64(1), 1, "shape"),
        (X, Y[:3], "for 4 samples"),
        (X, 1, "for 4 samples"),
        (X, np.zeros((4, 1, 1)), "for 4 samples"),
        (X, np.zeros((4, 2), int), "argmax"),
        (X + 1j, Y, "real numbers"),
        (torch.tensor(X) + 1j, Y, "real numbers"),
        (X.astype(object), Y, "object"),
        (X, list("abba"), "real numbers"),
        ([[1, 2], [3]], [0, 1], "real numbers"),
    ],
)
def test_what_is_no_data(x: Any, y: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        split_from_arrays(x, y)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_what_is_not_finite_is_named_with_its_place(value: float) -> None:
    x = X.copy()
    x[2, 1] = x[3, 0] = value
    with pytest.raises(DataError, match=r"2 values in test x .* first in sample 2"):
        split_from_arrays(x, Y, "test")
    with pytest.raises(DataError, match=r"1 values in train y .* first in sample 3"):
        split_from_arrays(X, [0.0, 1.0, 2.0, value])


class Items:
    """A Dataset of whatever it is given."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


def test_a_tensor_dataset() -> None:
    split, classes = split_from(TensorDataset(torch.tensor(X), torch.tensor(Y)))
    assert split.x.tolist() == X.tolist()
    assert split.y.tolist() == Y
    assert classes == ()


def test_targets_of_a_dataset_can_be_numbers_or_vectors() -> None:
    assert split_from(Items([(X[0], 0.5), (X[1], 1.5)]))[0].y.tolist() == [[0.5], [1.5]]
    pair = Items([(X[0], [1.0, 2.0]), (X[1], torch.tensor([3.0, 4.0]))])
    assert split_from(pair)[0].y.tolist() == [[1, 2], [3, 4]]


def _image(value: int, mode: str = "L") -> Image.Image:
    return Image.new(mode, (5, 4), value if mode == "L" else (value, 0, 255))


class Vision:
    """A Dataset as torchvision makes them: bytes inside, a transform on the way out."""

    classes = ("zero", "one")

    def __init__(self, transform: Any = None) -> None:
        self.data = torch.tensor([[[0, 255]], [[255, 51]]], dtype=torch.uint8)
        self.targets = torch.tensor([1, 0])
        self.transform = transform
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        self.asked.append(i)
        image = Image.fromarray(self.data[i].numpy())
        return (self.transform(image) if self.transform else image), int(self.targets[i])


def test_images_of_a_dataset_are_scaled() -> None:
    split, classes = split_from(Vision())
    assert split.x.shape == (2, 1, 1, 2)
    assert split.x.flatten().tolist() == pytest.approx([0, 1, 1, 0.2])
    assert split.y.tolist() == [1, 0]
    assert classes == ("zero", "one")


def test_the_transform_of_a_dataset_is_applied_once_a_sample() -> None:
    vision = Vision(lambda image: torch.from_numpy(np.array(image)).float().flatten() - 7)
    split, _ = split_from(vision)
    assert split.x.tolist() == [[-7, 248], [248, 44]]
    assert vision.asked == [0, 1]


def test_a_subset_of_a_dataset_knows_the_classes() -> None:
    split, classes = split_from(Subset(Vision(), [1]))
    assert split.y.tolist() == [0]
    assert classes == ("zero", "one")


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("pixel_values", "labels")])
@pytest.mark.parametrize("kind", [dict, UserDict])
def test_mappings_as_hugging_face_gives_them(image: str, label: str, kind: Any) -> None:
    items = [kind({"id": i, image: _image(255 * i, "RGB"), label: i}) for i in range(2)]
    features = {label: SimpleNamespace(names=["cat", "dog"]), image: object()}
    split, classes = split_from(Items(items, features=features))
    assert split.x.shape == (2, 3, 4, 5)
    assert split.x[1, :, 0, 0].tolist() == [1, 0, 1]
    assert split.y.tolist() == [0, 1]
    assert classes == ("cat", "dog")


def test_a_label_of_zero_is_a_label() -> None:
    assert split_from(Items([{"x": X[0], "label": 0, "y": 1}]))[0].y.tolist() == [0]


def test_features_without_names_are_no_classes() -> None:
    assert split_from(Items([{"x": X[0], "y": 0}], features={"y": object()}))[1] == ()


class Stream(IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter([(X[0], 0)])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Items([]), "empty"),
        (Stream(), "a length and indexed items"),
        (3, "a length and indexed items"),
        (Items([X[0]]), "not .x, y."),
        (Items([{"picture": X[0], "label": 0}]), "keys picture, label.*rename"),
        (Items([(X[0], 0), (X[0, :2], 1)]), r"sample 1 of shape \(2,\)"),
        (Items([(_image(0), 0), (_image(0, "RGB"), 1)]), r"sample 1 of shape \(3, 4, 5\)"),
        (Items([(X[0].astype(np.uint8), 0), (X[0], 1)]), "type torch.float64"),
        (Items([(X[0], 0), (X[1], [1, 2])]), "several shapes"),
        (Items([(X[0], "cat")]), "real numbers"),
    ],
)
def test_datasets_that_are_none(source: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        split_from(source)
