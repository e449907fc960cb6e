"""Things as bytes that another process makes the same things of, tensors without a copy."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np

if TYPE_CHECKING:  # a worker imports torch with the work that needs it
    import torch
    from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

SMALL = 2**16
"""Bytes up to which a buffer is not worth a place of its own."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles tensors by their memory, which several may share."""

    def __init__(self, file: io.BytesIO, **options: Any) -> None:
        super().__init__(file, protocol=5, **options)
        self._memories: dict[int, Array] = {}

    def reducer_override(self, obj: Any) -> Any:
        torch = sys.modules.get("torch")
        plain = torch is not None and type(obj) is torch.Tensor and obj.layout is torch.strided
        if torch is not None and plain and obj.device.type == "cpu":
            memory = obj.untyped_storage()
            key = memory.data_ptr()
            if key not in self._memories:  # kept, so that what is shared stays so
                flat = torch.empty(0, dtype=torch.uint8).set_(memory)
                self._memories[key] = flat.numpy()
            return _tensor, (
                self._memories[key], obj.dtype, obj.storage_offset(), obj.shape, obj.stride(),
            )  # fmt: skip
        return super().reducer_override(obj)


def _tensor(
    memory: Array, kind: torch.dtype, offset: int, shape: Sequence[int], strides: Sequence[int]
) -> Tensor:
    """Return a tensor in some memory, which may be for reading only."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        storage = torch.from_numpy(memory).untyped_storage()
    return torch.empty(0, dtype=kind).set_(storage, offset, tuple(shape), tuple(strides))


def dump(thing: Any) -> tuple[bytes, list[Array]]:
    """Return a thing as bytes, and the large buffers that belong to them, (n,) of uint8 each.

    What is defined in a script or a notebook goes along. Tensors that share memory still do.

    Raises:
        ThalwegError: It cannot be pickled.

    Example:
        >>> import torch
        >>> x = torch.arange(100_000.0)
        >>> data, buffers = dump({"x": x, "last": x[-1:]})
        >>> len(buffers), load(data, buffers)["last"]
        (1, tensor([99999.]))
    """
    buffers: list[Array] = []

    def place(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes <= SMALL:
            return True
        buffers.append(np.frombuffer(raw, dtype=np.uint8))
        return False

    file = io.BytesIO()
    _Pickler(file, buffer_callback=place).dump(thing)
    return file.getvalue(), buffers


def dumps(thing: Any) -> bytes:
    """Return a thing as bytes, with all that belongs to it."""
    file = io.BytesIO()
    _Pickler(file).dump(thing)
    return file.getvalue()


def load(data: bytes, buffers: Sequence[Array] = ()) -> Any:
    """Return what `dump` or `dumps` was given; its tensors lie in the buffers."""
    return pickle.loads(data, buffers=buffers)
