"""A folder of class folders with PNG or JPEG images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from thalweg.errors import DataError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_SPLITS = ("train", "val", "test")
_GREY = ("1", "L")
_DEEP = ("I", "F")  # and I;16: more than a byte a pixel

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


def image_array(image: Image.Image, mode: str | None = None) -> NDArray[np.uint8]:
    """Return an image's bytes as ``(C, H, W)``, with one channel if it is grey and else three.

    Args:
        image: The image; an alpha channel is dropped.
        mode: ``"L"`` or ``"RGB"``; by default as the image is.

    Raises:
        DataError: The image has more than eight bits a channel.
    """
    array = np.asarray(_in_mode(image, mode or ("L" if image.mode in _GREY else "RGB")))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def read_image_folder(
    folder: Path, size: tuple[int, int] | None = None
) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """Read ``folder/CLASS/*.png`` or ``folder/{train,val,test}/CLASS/*.png``.

    Images are PNG or JPEG. If all of them are grey they have one channel, else three. Classes and
    files are taken in alphabetical order.

    Args:
        folder: The folder.
        size: Height and width to resize to, bilinearly and with antialiasing; None leaves the
            images as they are, and then they must all have one size.

    Returns:
        For each split, images ``(N, C, H, W)`` and labels ``(N,)``; and the names of the classes.

    Raises:
        DataError: No classes, a class without images, an unreadable image, or several sizes.
    """
    roots = {name: folder / name for name in _SPLITS if (folder / name).is_dir()}
    if "train" not in roots:
        roots = {"train": folder}
    classes = tuple(path.name for path in _directories(roots["train"]))
    if not classes:
        raise DataError(f"{roots['train']} without class folders", "one folder a class")
    found = {split: _labelled(root, classes) for split, root in roots.items()}
    headers = [read_header(path) for files in found.values() for path, _ in files]
    mode = "L" if all(mode in _GREY for mode, _ in headers) else "RGB"
    if size is None and len({shape for _, shape in headers}) > 1:
        shapes = sorted({shape for _, shape in headers})
        raise DataError(
            f"images of {len(shapes)} sizes, {shapes[0]} to {shapes[-1]} (height, width)",
            "one size",
            "resize them on loading: size=28 or size=[28, 28]",
        )
    height, width = size or headers[0][1]
    arrays = {}
    for split, files in found.items():
        images = np.empty((len(files), 1 if mode == "L" else 3, height, width), np.uint8)
        for i, (path, _) in enumerate(files):
            images[i] = read_image(path, mode, height, width)
        arrays[split] = images, np.array([label for _, label in files], np.int64)
    return arrays, classes


def read_header(path: Path) -> tuple[str, tuple[int, int]]:
    """Return an image's mode, and its height and width, without decoding it.

    Raises:
        DataError: It cannot be read.
    """
    with _open(path) as image:
        return image.mode, (image.height, image.width)


def read_image(path: Path, mode: str, height: int, width: int) -> NDArray[np.uint8]:
    """Return the bytes of an image as ``(C, height, width)``, resized bilinearly if need be.

    Args:
        path: PNG or JPEG.
        mode: ``"L"`` for one channel, ``"RGB"`` for three.
        height: Height in pixels.
        width: Width in pixels.

    Raises:
        DataError: It cannot be read, is damaged, or has more than eight bits a channel.
    """
    with _open(path) as image:
        if image.mode.startswith(_DEEP):
            raise DataError(f"an image of mode {image.mode}, {path}", "8 bits a channel")
        try:
            converted = image.convert(mode)
        except (OSError, SyntaxError) as error:
            raise DataError(f"a damaged image, {path}", "a whole one", str(error)) from None
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    return image_array(converted, mode)


def _directories(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _labelled(root: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """List the images under ``root`` with their labels."""
    for folder in _directories(root):
        if folder.name not in classes:
            raise DataError(f"the class {folder.name} in {root}", "classes that train has, too")
    files = []
    for label, name in enumerate(classes):
        folder = root / name
        images = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)
        if not images:
            raise DataError(f"{folder} without images", f"at least one of {', '.join(_SUFFIXES)}")
        files += [(path, label) for path in images]
    return files


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"an image that cannot be read, {path}", "PNG or JPEG", str(error)
        ) from None


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith(_DEEP):
        raise DataError(f"an image of mode {image.mode}", "8 bits a channel")
    return image.convert(mode)
