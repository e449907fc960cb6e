"""Files that hold named tensors: written whole, read without ever running what is in them."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from thalweg.errors import FileError, ModelError, SpecError
from thalweg.files import write_atomically

SAFETENSORS = ".safetensors"
SUFFIXES = (SAFETENSORS, ".pt", ".pth")
CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Under which keys trainers keep the weights in a checkpoint."""
CHECKSUM = "thalweg.crc32"
"""Where a safetensors file of ours keeps the checksum of its tensors; the format has none."""


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name; one object under two names stays one in the files of torch.

    Raises:
        SpecError: The suffix is not of ``SUFFIXES``.
        ModelError: A type of tensor that safetensors does not know.
        FileError: The file cannot be written.
    """
    if _is_safetensors(file):
        own = {name: _copy(value) for name, value in tensors.items()}
        try:
            content = safetensors_bytes(own, {CHECKSUM: _checksum(own)})
        except (SafetensorError, KeyError, ValueError) as error:
            raise ModelError(
                f"tensors that safetensors does not take ({error})",
                "types that it knows",
                "a .pt file takes them",
            ) from None
    else:
        copies = {id(value): _copy(value) for value in tensors.values()}
        stream = io.BytesIO()
        torch.save({name: copies[id(value)] for name, value in tensors.items()}, stream)
        content = stream.getvalue()
    write_atomically(file, content)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read tensors by name, onto the CPU.

    Raises:
        SpecError: The suffix is not of ``SUFFIXES``.
        FileError: The file is missing, damaged, not what its suffix says, or holds code.
    """
    read = _read_safetensors if _is_safetensors(file) else _read_torch
    if not file.is_file():
        what = "a folder" if file.is_dir() else "which does not exist"
        raise FileError(f"{file}, {what}", "a file with weights")
    return read(file)


def _is_safetensors(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise SpecError(
            f"the file {file.name!r}",
            f"a name that ends in {' or '.join(SUFFIXES)}",
            "safetensors can be read everywhere and never holds code",
        )
    return suffix == SAFETENSORS


def _copy(value: Tensor) -> Tensor:
    """Return a tensor that owns its memory: of a view torch would write all that lies below."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of names, types, shapes and bytes."""
    total = 0
    for name in sorted(tensors):
        value = tensors[name]
        total = zlib.crc32(f"{name} {value.dtype} {tuple(value.shape)}".encode(), total)
        total = zlib.crc32(value.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            values = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            written = (opened.metadata() or {}).get(CHECKSUM)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(file, "safetensors", str(error)) from None
    if written is not None and written != _checksum(values):
        raise _damaged(file, "safetensors", "its checksum is not that of its tensors")
    return values


def _read_torch(file: Path) -> dict[str, Tensor]:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:  # torch itself does not look at the checksums
                if entry := archive.testzip():
                    raise _damaged(file, "torch", f"its checksum is not that of {entry}")
        with warnings.catch_warnings():
            # torch doubts pickles of other versions: they are read, or refused below.
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except FileError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise _unreadable(file, error) from None
    return _tensors(file, content)


def _unreadable(file: Path, error: Exception) -> FileError:
    """Return the error for what torch would not load: it may hold code, or it is damaged."""
    reason = str(error).strip()
    if isinstance(error, pickle.UnpicklingError):
        asks = re.search(r"GLOBAL (\S+)", reason)
        return FileError(
            f"{file}, a pickle that " + (f"asks for {asks[1]}" if asks else "is none of torch's"),
            "tensors alone",
            "loading that could run any code, so it was not executed; "
            "save model.state_dict() instead of the model",
        )
    if "TorchScript" in reason:
        return FileError(f"{file}, a TorchScript program", "tensors alone", "save its state_dict()")
    sentence = re.split(r"\.?(?:\s*\n|\. )", reason)[0]
    return _damaged(file, "torch", sentence if " " in sentence else "")


def _damaged(file: Path, kind: str, reason: str) -> FileError:
    return FileError(
        f"{file}, which is damaged or no {kind} file" + (f" ({reason})" if reason else ""),
        f"weights that were saved as {file.suffix}",
        "copy or download it again",
    )


def _tensors(file: Path, content: Any) -> dict[str, Tensor]:
    """Return the weights of a checkpoint: itself, or what it keeps under a known key."""
    for inner in (content, *(_get(content, key) for key in CONTAINERS)):
        if isinstance(inner, Mapping) and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in inner.items()
        ):
            return dict(inner)
    raise FileError(
        f"{file}, which holds {_described(content)}",
        f"a state_dict, or a checkpoint with one under {' or '.join(CONTAINERS)}",
    )


def _get(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, Mapping) else None


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a mapping with {len(content)} keys"
    return f"a {type(content).__name__}"
