"""What a data set holds, in numbers."""

from __future__ import annotations

from typing import Any

from thalweg.data.dataset import Data
from thalweg.data.split import Split


def describe(data: Data) -> dict[str, Any]:
    """Return shapes, class counts, value ranges and the normalisation, ready for JSON.

    Returns:
        ``name``, ``task``, ``input_shape``, ``out_features``, ``classes``, ``mean`` and ``std``
        (lists, one entry a channel or feature, or a single one), and ``splits``: for each split
        ``samples``; ``min``, ``max``, ``mean`` and ``std`` of the inputs as they are now;
        ``class_counts`` or ``target_min`` and ``target_max``; and ``corrupted``, the number of
        samples whose target is not the true one.

    Example:
        >>> from thalweg.data import load_data
        >>> describe(load_data("xor"))["splits"]["train"]["samples"]
        250
    """
    return {
        "name": data.name,
        "task": data.task,
        "input_shape": list(data.input_shape),
        "out_features": data.out_features,
        "classes": list(data.classes),
        "mean": data.mean.flatten().tolist(),
        "std": data.std.flatten().tolist(),
        "splits": {
            name: _describe(split, len(data.classes)) for name, split in data.splits().items()
        },
    }


def _describe(split: Split, classes: int) -> dict[str, Any]:
    low, high = split.x.aminmax()
    corrupted = (split.y != split.true_y).reshape(len(split), -1).any(dim=1).sum()
    facts = {
        "samples": len(split),
        "min": low.item(),
        "max": high.item(),
        "mean": split.x.mean().item(),
        "std": split.x.std(correction=0).item(),
        "corrupted": int(corrupted),
    }
    if classes:
        return facts | {"class_counts": split.y.bincount(minlength=classes).tolist()}
    return facts | {"target_min": split.y.min().item(), "target_max": split.y.max().item()}
