"""Data from whatever the user has: a name, a folder, arrays, a Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from thalweg.data.dataset import Data
from thalweg.data.image_folder import read_image_folder
from thalweg.data.named import NAMED_SETS, NamedSet, named_set
from thalweg.data.normalize import Normalization
from thalweg.data.objects import data_from_objects
from thalweg.errors import DataError, SpecError
from thalweg.spec import DataSpec


def load_data(
    source: Any,
    *,
    folder: str | Path | None = None,
    normalize: Normalization = "default",
    val: float | None = None,
    test: float | None = None,
    stratified: bool = False,
    subset: float | None = None,
    label_noise: float = 0.0,
    label_noise_kind: str = "permute",
    pixels: str = "intact",
    noise: float = 0.0,
    split_seed: int = 0,
    size: int | Sequence[int] | None = None,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Data:
    """Load data into memory, split, cut down, normalise and corrupt them, in this order.

    Args:
        source: One of

            - a name that `known` lists. A name goes before a folder of that name: write ``./mnist``
              for the folder;
            - the path of a folder of class folders with PNG or JPEG images, or of folders
              ``train``, ``val`` and ``test`` of such;
            - a pair ``(x, y)`` of arrays or tensors, see `split_from_arrays`;
            - a map-style Dataset: torch's, torchvision's, Hugging Face's; its transforms apply;
            - a mapping of ``train`` and perhaps ``val`` and ``test`` to such pairs or Datasets;
            - a `Data`, which is returned as it is, on ``device``.
        folder: Data folder in which to look first for a named set's files.
        normalize: ``"default"``: what is customary for a named set, ``"computed"`` for a folder of
            images, and nothing for the rest; ``"computed"``, ``"half"``, ``"none"``, or
            ``[mean, std]``. See `Data.normalize`.
        val: Validation samples to cut from the training samples: below 1 a fraction, else a count;
            0 for none; None for what the data come with. See `Data.split`.
        test: Test samples, likewise. Of the named sets, those that are one pool come with a cut:
            a fifth of the digits, half of a toy set.
        stratified: Keep the proportions of the classes in all parts.
        subset: Training samples to keep. See `Data.subset`.
        label_noise: Fraction of training labels to corrupt. See `Data.corrupt`.
        label_noise_kind: ``"permute"`` or ``"random"``.
        pixels: ``"intact"``, ``"permute"``, ``"permute-each"`` or ``"gaussian"``.
        noise: Noise of the toy sets, 0 to 0.5.
        split_seed: Seed of everything here that is random; each purpose has its own stream.
        size: Height and width to resize a folder's images to; one number for a square.
        classes: Names of the classes of arrays or a Dataset; by default the Dataset's own, else
            the numbers from 0.
        device: Where the tensors shall live.

    Returns:
        The data.

    Raises:
        SpecError: An unknown name or option, or an option that does not apply to the source.
        DataError: Data that are missing, damaged, empty, not finite, or do not fit together.
        DownloadError: The set is not on this machine, and no mirror could be reached.

    Example:
        >>> data = load_data("circle", noise=0.1)
        >>> len(data.train), len(data.test), data.input_shape, data.out_features
        (250, 250, (2,), 2)
        >>> load_data((torch.rand(9, 4), [0, 1, 2] * 3), test=3, stratified=True).test.y.bincount()
        tensor([1, 1, 1])
    """
    # What not every source takes, each with the value that asks for nothing.
    options: dict[str, tuple[Any, Any]] = {
        "folder": (folder, None),
        "noise": (noise, 0),
        "size": (size, None),
        "classes": (tuple(classes), ()),
    }
    place = _device(device)
    entry = None
    asked = {
        "folder": None if folder is None else str(folder),
        "normalize": normalize,
        "val": val,
        "test": test,
        "stratified": stratified,
        "subset": subset,
        "label_noise": label_noise,
        "label_noise_kind": label_noise_kind,
        "pixels": pixels,
        "noise": noise,
        "size": size,
        "split_seed": split_seed,
    }
    origin = _origin(source, asked)
    if isinstance(source, Data) and source.origin is not None and source.origin == origin:
        return source if source.train.x.device == place else source.to(place)
    if isinstance(source, Data):
        options |= {"val": (val, None), "test": (test, None), "subset": (subset, None)}
        options |= {"normalize": (normalize, "default"), "pixels": (pixels, "intact")}
        options |= {"label_noise": (label_noise, 0)}
        _refuse(options, (), "a Data", "use its methods split, subset, normalize and corrupt")
        return source if source.train.x.device == place else source.to(place)
    if isinstance(source, str) and (source in NAMED_SETS or not Path(source).is_dir()):
        entry = named_set(source)
        takes = ("folder",) * (entry.collection is not None) + ("noise",) * entry.noisy
        _refuse(options, takes, source, "label_noise and pixels corrupt any set")
        data = _named(entry, folder, noise, split_seed)
    elif isinstance(source, str | Path):
        _refuse(options, ("size",), "a folder of images")
        data = _from_folder(Path(source), size)
    else:
        _refuse(options, ("classes",), "arrays or a Dataset")
        data = data_from_objects(source, tuple(classes))
    by_class = stratified
    if entry is not None and entry.test is not None and test is None:
        test, by_class = entry.test, stratified or entry.stratified

    data = data.split(val, test, stratified=by_class, seed=split_seed)
    if subset is not None:
        data = data.subset(subset, stratified=stratified, seed=split_seed)
    data = data.normalize(normalize)
    data = data.corrupt(
        label_noise=label_noise, label_noise_kind=label_noise_kind, pixels=pixels, seed=split_seed
    )
    return replace(data.to(place), origin=origin)


def _origin(source: Any, asked: Mapping[str, Any]) -> DataSpec | None:
    """Return what was asked for as a spec has it; None if no spec can say it."""
    if isinstance(source, Data):
        source = source.origin and source.origin.source
    elif isinstance(source, Path) or (isinstance(source, str) and source not in NAMED_SETS):
        source = str(Path(source).absolute())
    if not isinstance(source, str):
        return None
    try:
        return DataSpec(source=source, **asked)
    except ValidationError:  # what is wrong in it is said where it is used
        return None


def _device(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError(f"device={str(device)!r}", "a device of this machine", reason) from None


def _refuse(
    options: Mapping[str, tuple[Any, Any]], takes: Sequence[str], source: str, hint: str = ""
) -> None:
    """Refuse options that are set and that the source does not take."""
    for name, (value, unset) in options.items():
        if value != unset and name not in takes:
            expected = f"no {name}, which it does not take"
            raise SpecError(f"{name}={value!r} for {source}", expected, hint)


def _named(entry: NamedSet, folder: str | Path | None, noise: float, seed: int) -> Data:
    if not 0 <= noise <= 0.5:
        raise SpecError(f"noise={noise}", "a number from 0 to 0.5")
    return entry.load(None if folder is None else Path(folder), noise, seed)


def _from_folder(folder: Path, size: int | Sequence[int] | None) -> Data:
    if not folder.is_dir():
        raise DataError(f"{folder}, which is no folder", "a folder of class folders with images")
    shape = None if size is None else (size, size) if isinstance(size, int) else tuple(size)
    if shape is not None and (len(shape) != 2 or min(shape) < 1):
        raise SpecError(
            f"size={size!r}", "a height and a width in pixels", "size=28, size=[28, 32]"
        )
    arrays, classes = read_image_folder(folder, shape)
    return replace(
        data_from_objects(arrays, classes), name=folder.resolve().name, customary="computed"
    )
