"""The data sets that have a name, and how each is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from thalweg.data import regression, toys
from thalweg.data.convert import split_from_arrays
from thalweg.data.dataset import Data, Task
from thalweg.data.digits import read_digits
from thalweg.data.idx import parse_idx
from thalweg.data.normalize import Normalization
from thalweg.data.remote import Collection, RemoteFile, download, locate, verified
from thalweg.data.split import Split
from thalweg.data.streams import stream
from thalweg.errors import SpecError, nearest


@dataclass(frozen=True)
class NamedSet:
    """What is known of a named set before it is loaded.

    Args:
        name: What `load_data` calls it.
        description: One line on what it holds.
        task: Classification or regression.
        samples: Samples there are in all.
        input_shape: Shape of one sample.
        out_features: Number of classes, or of targets a sample.
        origin: Who made it, and under what licence.
        load: Makes the raw `Data` from a folder to look in, the toy sets' noise and a seed.
        test: Fraction that is cut off for testing by default; None where the set ships a test
            split, or has none.
        stratified: Whether that cut keeps the proportions of the classes.
        noisy: Whether the set takes noise.
        collection: The files it is read from; None if there are none.
    """

    name: str
    description: str
    task: Task
    samples: int
    input_shape: tuple[int, ...]
    out_features: int
    origin: str
    load: Callable[[Path | None, float, int], Data]
    test: float | None = None
    stratified: bool = False
    noisy: bool = False
    collection: Collection | None = None


def known() -> tuple[str, ...]:
    """Return the names that `load_data` knows.

    Example:
        >>> known()[:3]
        ('mnist', 'fashion-mnist', 'digits')
    """
    return tuple(NAMED_SETS)


def named_set(name: str) -> NamedSet:
    """Return what is known of a named set.

    Raises:
        SpecError: No set has that name.

    Example:
        >>> named_set("mnist").samples
        70000
    """
    if name not in NAMED_SETS:
        hint = nearest(name.lower(), NAMED_SETS) + "; or the path of a folder of class folders"
        raise SpecError(f"the data set {name!r}", "a known name", hint)
    return NAMED_SETS[name]


def fetch(name: str, folder: Path | str | None = None) -> Path:
    """Download a named set unless it is there already, and check it.

    Args:
        name: A set that is read from files, such as ``"mnist"``.
        folder: Data folder to look in first and to put it into; by default that named by
            ``THALWEG_DATA``, else the user's cache.

    Returns:
        The folder that holds its files.

    Raises:
        SpecError: An unknown name, or a set that has no files.
        DownloadError: No mirror answered, or the folder cannot be written.
        DataError: The files that were found or fetched are damaged.
    """
    collection = named_set(name).collection
    if collection is None:
        with_files = [n for n, entry in NAMED_SETS.items() if entry.collection]
        raise SpecError(
            f"{name}, which needs no download", f"one of {', '.join(with_files)}", "just load it"
        )
    paths = _paths(collection, None if folder is None else Path(folder))
    for file in collection.files:
        verified(paths[file.name], file)
    return paths[collection.files[0].name].parent


def _paths(collection: Collection, folder: Path | None) -> dict[str, Path]:
    return locate(collection, folder) or download(collection, folder)


def _images(
    name: str,
    collection: Collection,
    classes: tuple[str, ...],
    customary: Normalization,
    folder: Path | None,
    noise: float,
    seed: int,
) -> Data:
    """Read train and test images and labels, in this order, from IDX files."""
    paths = _paths(collection, folder)
    x, y, x_test, y_test = (
        parse_idx(verified(paths[file.name], file), str(paths[file.name]))
        for file in collection.files
    )
    train, test = split_from_arrays(x, y, "train"), split_from_arrays(x_test, y_test, "test")
    return Data(name, "classification", train, test=test, classes=classes, customary=customary)


def _digits(folder: Path | None, noise: float, seed: int) -> Data:
    images, labels = read_digits()
    split = split_from_arrays((images / 16)[:, None], labels)
    return Data("digits", "classification", split, classes=_DIGITS, customary=(0.3053, 0.3760))


def _toy(
    name: str,
    make: Callable[[float, torch.Generator], tuple[Tensor, Tensor]],
    folder: Path | None,
    noise: float,
    seed: int,
) -> Data:
    x, y = make(noise, stream(seed, "toy"))
    classes = () if y.is_floating_point() else ("−", "+")
    return Data(
        name, "classification" if classes else "regression", Split(x, y, y), classes=classes
    )


def _hundred(name: str, per_sample: bool, folder: Path | None, noise: float, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)  # the draws of torch.manual_seed(seed)
    x, y = regression.hundred_features(generator, per_sample=per_sample)
    return Data(name, "regression", Split(x, y, y))


def _image_set(
    name: str,
    description: str,
    origin: str,
    collection: Collection,
    classes: tuple[str, ...],
    customary: Normalization,
) -> NamedSet:
    load = partial(_images, name, collection, classes, customary)
    return NamedSet(
        name,
        f"{description}, 60,000 to train and 10,000 to test",
        "classification",
        70_000,
        (1, 28, 28),
        10,
        origin,
        load,
        collection=collection,
    )


def _toy_set(
    name: str, description: str, make: Callable[[float, torch.Generator], tuple[Tensor, Tensor]]
) -> NamedSet:
    regression_set = name.startswith("reg-")
    return NamedSet(
        name,
        description,
        "regression" if regression_set else "classification",
        toys.REGRESSION_SAMPLES if regression_set else toys.CLASSIFICATION_SAMPLES,
        (2,),
        1 if regression_set else 2,
        "made on demand, after TensorFlow Playground (Smilkov et al. 2017)",
        partial(_toy, name, make),
        test=0.5,
        noisy=True,
    )


def _hundred_set(name: str, description: str, per_sample: bool) -> NamedSet:
    return NamedSet(
        name,
        description,
        "regression",
        regression.SAMPLES,
        (regression.FEATURES,),
        1,
        "made on demand",
        partial(_hundred, name, per_sample),
    )


def _collection(
    directory: str, mirrors: tuple[str, ...], sums: tuple[str, ...], *installed: Path
) -> Collection:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    files = (RemoteFile(f"{n}-ubyte.gz", s) for n, s in zip(names, sums, strict=True))
    return Collection(directory, tuple(files), mirrors, installed)


_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_MNIST = _collection(
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
_FASHION = _collection(
    "FashionMNIST",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    Path("/usr/share/datasets/fashion-mnist"),  # Debian's package dataset-fashion-mnist
)

NAMED_SETS: dict[str, NamedSet] = {
    entry.name: entry
    for entry in (
        _image_set(
            "mnist",
            "handwritten digits",
            "LeCun, Cortes and Burges, CC BY-SA 3.0",
            _MNIST,
            _DIGITS,
            (0.1307, 0.3081),
        ),
        _image_set(
            "fashion-mnist",
            "articles of clothing",
            "Xiao, Rasul and Vollgraf 2017, Zalando, MIT",
            _FASHION,
            _GARMENTS,
            (0.2860, 0.3530),
        ),
        NamedSet(
            "digits",
            "small handwritten digits, embedded; 20 % to test",
            "classification",
            1797,
            (1, 8, 8),
            10,
            "Alpaydin and Kaynak 1998, UCI, CC BY 4.0; part of scikit-learn",
            _digits,
            test=0.2,
            stratified=True,
        ),
        _toy_set("circle", "a disc inside a ring", toys.circle),
        _toy_set("xor", "four squares, two by two", toys.xor),
        _toy_set("gauss", "two Gaussian clouds", toys.gauss),
        _toy_set("spiral", "two spirals", toys.spiral),
        _toy_set("reg-plane", "a tilted plane over two coordinates", toys.plane),
        _toy_set("reg-gauss", "six hills and hollows over two coordinates", toys.hills),
        _hundred_set("regression-100", "a hundred features, one target for all samples", False),
        _hundred_set("regression-100-per-sample", "a hundred features, a target a sample", True),
    )
}
"""The named sets, in the order in which they are listed."""
