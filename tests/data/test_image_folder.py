from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg.data.image_folder import image_array, read_image_folder
from thalweg.errors import DataError


def put(path: Path, value: object = 0, *, mode: str = "L", size: tuple[int, int] = (5, 4)) -> None:
    """Write an image of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)  # type: ignore[arg-type]


def test_grey_images_in_alphabetical_order(tmp_path: Path) -> None:
    put(tmp_path / "dog" / "b.png", 20)
    put(tmp_path / "dog" / "a.PNG", 10)
    put(tmp_path / "cat" / "z.png", 30)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    arrays, classes = read_image_folder(tmp_path)
    images, labels = arrays["train"]
    assert classes == ("cat", "dog")
    assert (images.shape, images.dtype) == ((3, 1, 4, 5), np.uint8)
    assert images[:, 0, 0, 0].tolist() == [30, 10, 20]
    assert labels.tolist() == [0, 1, 1]


def test_one_coloured_image_makes_all_of_them_coloured(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", 7)
    put(tmp_path / "a" / "2.png", (1, 2, 3), mode="RGB")
    put(tmp_path / "a" / "3.png", (4, 5, 6, 0), mode="RGBA")
    put(tmp_path / "a" / "4.png", 1, mode="1")
    images, _ = read_image_folder(tmp_path)[0]["train"]
    assert images[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3], [4, 5, 6], [255, 255, 255]]


def test_jpeg(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.jpg", 100)
    put(tmp_path / "a" / "2.jpeg", 200)
    images, _ = read_image_folder(tmp_path)[0]["train"]
    assert images[:, 0, 0, 0].tolist() == pytest.approx([100, 200], abs=3)


def test_folders_of_splits(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("val", 1), ("test", 3)):
        for name in ("a", "b"):
            for i in range(count):
                put(tmp_path / split / name / f"{i}.png")
    arrays, classes = read_image_folder(tmp_path)
    assert classes == ("a", "b")
    assert {name: labels.tolist() for name, (_, labels) in arrays.items()} == {
        "train": [0, 0, 1, 1],
        "val": [0, 1],
        "test": [0, 0, 0, 1, 1, 1],
    }


def test_several_sizes_need_to_be_resized(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png", 50)
    put(tmp_path / "a" / "2.png", 90, size=(9, 9))
    with pytest.raises(DataError, match=r"\(4, 5\) to \(9, 9\).*size=28"):
        read_image_folder(tmp_path)
    images, _ = read_image_folder(tmp_path, (6, 3))[0]["train"]
    assert images.shape == (2, 1, 6, 3)
    assert images[:, 0].reshape(2, -1).tolist() == [[50] * 18, [90] * 18]


@pytest.mark.parametrize("content", [b"", b"GIF89a no", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "odd.png").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.png"):
        read_image_folder(tmp_path)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a" / "cut.png"
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"damaged image, .*cut\.png"):
        read_image_folder(tmp_path)


def test_a_folder_without_classes(tmp_path: Path) -> None:
    put(tmp_path / "1.png")
    with pytest.raises(DataError, match="without class folders"):
        read_image_folder(tmp_path)


def test_a_class_without_images(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="b without images"):
        read_image_folder(tmp_path)


def test_a_class_that_train_does_not_have(tmp_path: Path) -> None:
    put(tmp_path / "train" / "a" / "1.png")
    put(tmp_path / "test" / "b" / "1.png")
    with pytest.raises(DataError, match="the class b"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_images_are_not_cut_to_bytes(mode: str) -> None:
    with pytest.raises(DataError, match="8 bits"):
        image_array(Image.new(mode, (2, 2)))
