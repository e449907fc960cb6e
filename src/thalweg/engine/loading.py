"""The data that specs ask for: what is equal is one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.data import Data, Split, load_data
from thalweg.spec import DataSpec, Spec


def load_all(
    specs: Sequence[Spec], data: Any = None, loaded: dict[DataSpec, Data] | None = None
) -> list[Data]:
    """Return the data of each spec, on its device; what is equal is one tensor.

    Args:
        specs: What asks for them.
        data: Data of your own, instead of the specs' sources.
        loaded: What was loaded before; what is new is added to it.

    Raises:
        DataError: They cannot be loaded.
    """
    loaded = {} if loaded is None else loaded
    for spec in specs:
        if spec.data in loaded:
            continue
        loading = {k: getattr(spec.data, k) for k in DataSpec.model_fields if k != "source"}
        source = spec.data.source if data is None else data
        new = load_data(source, **loading, device=spec.device)
        for old in loaded.values():
            new = _shared(new, old)
        loaded[spec.data] = new
    return [loaded[spec.data] for spec in specs]


def _shared(new: Data, old: Data) -> Data:
    """Return data whose tensors are another's where they are equal."""

    def one(mine: Tensor, theirs: Tensor) -> Tensor:
        same = mine.shape == theirs.shape and torch.equal(mine, theirs)
        return theirs if same else mine

    splits = dict(new.splits())
    for name in splits.keys() & old.splits().keys():
        mine, theirs = splits[name], old.splits()[name]
        x, y = one(mine.x, theirs.x), one(mine.y, theirs.y)
        true_y = y if mine.true_y is mine.y else one(mine.true_y, theirs.true_y)
        same = x is theirs.x and y is theirs.y and true_y is theirs.true_y
        splits[name] = theirs if same else Split(x, y, true_y)
    val, test = splits.get("val"), splits.get("test")
    return replace(new, train=splits["train"], val=val, test=test)
