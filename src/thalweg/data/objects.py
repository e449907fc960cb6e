"""Data from the user's own objects, once they are known to fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from thalweg.data.convert import split_from
from thalweg.data.dataset import Data
from thalweg.data.split import Split
from thalweg.errors import DataError


def data_from_objects(source: Any, classes: tuple[str, ...] = ()) -> Data:
    """Make data of a pair ``(x, y)``, a Dataset, or a mapping of splits to such.

    Args:
        source: A pair or a Dataset to train on, see `split_from`; or a mapping of ``train`` and
            perhaps ``val`` (or ``validation``, as Hugging Face calls it) and ``test`` to such.
        classes: Names of the classes; by default the Dataset's own, else the numbers from 0.

    Raises:
        DataError: A split that is not what it should be, splits of different shapes, or labels
            that do not number the classes.

    Example:
        >>> data = data_from_objects(([[0.0], [1.0]], [0, 1]), ("low", "high"))
        >>> data.task, data.classes
        ('classification', ('low', 'high'))
    """
    sources = dict(source) if isinstance(source, Mapping) else {"train": source}
    if "validation" in sources:
        sources["val"] = sources.pop("validation")
    if "train" not in sources or not sources.keys() <= {"train", "val", "test"}:
        keys = ", ".join(map(str, sources))
        raise DataError(f"a mapping with {keys or 'nothing'}", "train, and perhaps val and test")
    splits: dict[str, Split] = {}
    names: tuple[str, ...] = ()
    for name, part in sources.items():
        splits[name], found = split_from(part, name)
        names = names or found
    train = splits["train"]
    for name, split in splits.items():
        if split.x.shape[1:] != train.x.shape[1:] or _targets(split) != _targets(train):
            raise DataError(
                f"{name} samples {tuple(split.x.shape[1:])} with {_targets(split)}",
                f"{tuple(train.x.shape[1:])} with {_targets(train)}, as in train",
            )
    is_regression = train.y.is_floating_point()
    if is_regression and classes:
        raise DataError("classes for targets that are floats", "labels", "make y whole numbers")
    return Data(
        "arrays" if isinstance(sources["train"], tuple) else type(sources["train"]).__name__,
        "regression" if is_regression else "classification",
        train,
        splits.get("val"),
        splits.get("test"),
        () if is_regression else _class_names(splits, classes or names),
    )


def _targets(split: Split) -> str:
    return f"{split.y.shape[1]} targets" if split.y.is_floating_point() else "labels"


def _class_names(splits: Mapping[str, Split], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the classes, once the labels are known to fit them."""
    for name, split in splits.items():
        outside = split.y < 0
        if names:
            outside |= split.y >= len(names)
        if outside.any():
            first = int(outside.nonzero()[0])
            raise DataError(
                f"label {int(split.y[first])} of {name} sample {first}",
                f"labels from 0 to {len(names) - 1}" if names else "labels from 0",
                "number the classes from 0",
            )
    if names:
        return names
    present = torch.unique(torch.cat([split.y for split in splits.values()]))
    if int(present[-1]) != len(present) - 1:
        missing = int((present != torch.arange(len(present))).nonzero()[0])
        raise DataError(
            f"labels up to {int(present[-1])} of which none is {missing}",
            "labels from 0 without gaps",
            "number the classes from 0, or name all of them with classes=[...]",
        )
    return tuple(map(str, range(len(present))))
