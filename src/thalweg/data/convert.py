"""The user's own arrays, tensors and Datasets as splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Subset

from thalweg.data.image_folder import image_array
from thalweg.data.split import Split
from thalweg.errors import DataError

_INPUTS = ("image", "img", "pixel_values", "x", "input", "inputs")
_TARGETS = ("label", "labels", "fine_label", "y", "target", "targets")


def split_from(source: Any, where: str = "train") -> tuple[Split, tuple[str, ...]]:
    """Make a split of a pair ``(x, y)`` or of a map-style Dataset.

    Args:
        source: A pair of arrays or tensors; or anything with ``__len__`` and ``__getitem__`` whose
            items are pairs ``(x, y)``, or mappings with an image and a label, such as torch's,
            torchvision's and Hugging Face's data sets. Its transforms are applied, once.
        where: What to call it in an error.

    Returns:
        The split, and the names of the classes if the Dataset has them, else ``()``.

    Raises:
        DataError: Empty, ragged or non-numeric data, a NaN, lengths that differ.
    """
    if isinstance(source, tuple) and len(source) == 2:
        x, y = source
        return split_from_arrays(x, y, where), ()
    if not hasattr(source, "__getitem__") or not hasattr(source, "__len__"):
        raise DataError(
            f"a {type(source).__name__} for {where}",
            "(x, y), or a Dataset with a length and indexed items",
        )
    x, y = _collect(source, where)
    return split_from_arrays(x, y, where), _class_names(source)


def split_from_arrays(x: Any, y: Any, where: str = "train") -> Split:
    """Make a split of inputs and targets; both are copied.

    Bytes (uint8) are taken for pixels and scaled to [0, 1]. Images of bytes get the axes
    ``(N, C, H, W)``: a missing channel axis is added, a trailing one of 1 or 3 moved. Anything
    else keeps its values and its shape.

    Args:
        x: Inputs, ``(N, *input_shape)``, of any real type.
        y: Whole numbers ``(N,)`` for class labels; floats ``(N,)`` or ``(N, T)`` for regression.
        where: What to call them in an error.

    Raises:
        DataError: Empty or non-numeric data, a NaN or infinity, lengths that differ, or labels
            that are not a vector.

    Example:
        >>> split = split_from_arrays(np.zeros((2, 28, 28), np.uint8), [0, 1])
        >>> split.x.shape, split.y.dtype
        (torch.Size([2, 1, 28, 28]), torch.int64)
    """
    inputs, targets = _tensor(x, f"{where} x"), _tensor(y, f"{where} y")
    if inputs.ndim < 2 or not inputs.numel():
        hint = (
            "x[:, None] makes a column of one feature" if inputs.ndim == 1 and len(inputs) else ""
        )
        shape = tuple(inputs.shape)
        raise DataError(f"{where} x of shape {shape}", "samples by features, or by pixels", hint)
    if targets.ndim not in (1, 2) or len(targets) != len(inputs):
        shape = tuple(targets.shape)
        raise DataError(
            f"{where} y of shape {shape} for {len(inputs)} samples", "one target a sample"
        )
    if not targets.is_floating_point() and targets.ndim == 2:
        hint = "y[:, 0], y.argmax(1) of one-hot rows, or floats for regression"
        raise DataError(f"{where} labels of shape {tuple(targets.shape)}", "a vector", hint)
    inputs = (
        _bytes_to_unit(inputs) if inputs.dtype == torch.uint8 else _finite(inputs, f"{where} x")
    )
    if targets.is_floating_point():
        targets = _finite(targets, f"{where} y").reshape(len(targets), -1)
    else:
        targets = targets.to(torch.int64, copy=True)
    return Split(inputs, targets, targets)


def _tensor(values: Any, where: str) -> Tensor:
    """Return values of any real type as a tensor."""
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
    else:
        try:
            array = np.asarray(values)
        except ValueError:  # rows of different lengths
            array = np.empty(0, object)
        if array.dtype.kind not in "biuf":
            raise DataError(f"{where} of type {array.dtype}", "an array of real numbers")
        native = array.dtype.newbyteorder("=")
        tensor = torch.from_numpy(np.require(array, native, ["C_CONTIGUOUS", "WRITEABLE"]))
    if tensor.is_complex():
        raise DataError(f"{where} of type {tensor.dtype}", "real numbers")
    return tensor


def _bytes_to_unit(x: Tensor) -> Tensor:
    """Scale bytes to [0, 1] exactly as torchvision's ToTensor does, and order an image's axes."""
    if x.ndim == 3:
        x = x.unsqueeze(1)
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.permute(0, 3, 1, 2)
    return x.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _finite(values: Tensor, where: str) -> Tensor:
    """Return a float32 copy, once it is known to hold nothing but numbers."""
    copied = values.to(torch.float32, copy=True)
    bad = ~copied.isfinite()
    if bad.any():
        first = int(bad.reshape(len(bad), -1).any(dim=1).nonzero()[0])
        raise DataError(
            f"{int(bad.sum())} values in {where} that are NaN or infinite, first in sample {first}",
            "finite numbers that fit float32",
            "drop those samples, or fill the gaps",
        )
    return copied


def _collect(dataset: Any, where: str) -> tuple[Tensor, Tensor]:
    """Take every item of a Dataset once."""
    n = len(dataset)
    if not n:
        raise DataError(f"an empty Dataset for {where}", "at least one sample")
    targets: list[Tensor] = []
    for i in range(n):
        x, y = _pair(dataset[i], where)
        sample = _tensor(image_array(x) if isinstance(x, Image.Image) else x, f"{where} x")
        if i == 0:
            inputs = torch.empty((n, *sample.shape), dtype=sample.dtype)
        if sample.shape != inputs.shape[1:] or sample.dtype != inputs.dtype:
            raise DataError(
                f"{where} sample {i} of shape {tuple(sample.shape)} and type {sample.dtype}",
                f"{tuple(inputs.shape[1:])} and {inputs.dtype}, as sample 0",
                "make them alike in the Dataset's transform",
            )
        inputs[i] = sample
        targets.append(_tensor(y, f"{where} y"))
    if len({target.shape for target in targets}) > 1:
        raise DataError(f"{where} targets of several shapes", "one shape")
    return inputs, torch.stack(targets)


def _pair(item: Any, where: str) -> tuple[Any, Any]:
    """Return the input and the target of a Dataset's item."""
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    if not isinstance(item, Mapping):
        raise DataError(f"{where} items that are not (x, y)", "pairs, or mappings")
    pair = [next((item[key] for key in keys if key in item), None) for keys in (_INPUTS, _TARGETS)]
    if pair[0] is None or pair[1] is None:
        raise DataError(
            f"{where} items with the keys {', '.join(map(str, item))}",
            f"one of {', '.join(_INPUTS)} and one of {', '.join(_TARGETS)}",
            "rename the columns",
        )
    return pair[0], pair[1]


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return the names that a Dataset, or what it is a Subset of, gives its classes."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    names = getattr(dataset, "classes", None)
    features = getattr(dataset, "features", None)
    if names is None and isinstance(features, Mapping):
        names = next(
            (features[key].names for key in _TARGETS if hasattr(features.get(key), "names")), None
        )
    return tuple(str(name) for name in names or ())
