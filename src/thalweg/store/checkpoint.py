"""A checkpoint: one safetensors file, with all that is no tensor as JSON in its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from thalweg.errors import FileError
from thalweg.files import check_is_file, write_atomically
from thalweg.store.version import FORMAT, check_format

if TYPE_CHECKING:  # a list of runs is to be had without torch
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Args:
        arrays: Tensors by path, on the CPU.
        facts: All the rest, as JSON has it.
        file: Where it was read.
    """

    arrays: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    file: Path = field(repr=False)


class DamagedError(FileError):
    """A checkpoint is not what was written."""


def write_checkpoint(file: Path, arrays: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    The format is safetensors: it holds numbers and nothing that could run. A SHA-256 over names,
    shapes, numbers and facts stands in the header, so that a flipped bit is found.

    Args:
        file: Where to; its folder must exist.
        arrays: Tensors by path, none of which share memory.
        facts: All the rest; must be what JSON can hold.

    Raises:
        FileError: It cannot be written; an older file of that name is as it was.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "a.safetensors")
        ...     write_checkpoint(file, {"w": torch.ones(2)}, {"updates": 3})
        ...     read_checkpoint(file)
        Checkpoint(arrays={'w': tensor([1., 1.])}, facts={'updates': 3})
    """
    from safetensors.torch import save

    here = {name: array.detach().cpu().contiguous() for name, array in arrays.items()}
    text = json.dumps(dict(facts))
    header = {"thalweg": text, "format": str(FORMAT), "sha256": _digest(here, text)}
    write_atomically(file, save(here, metadata=header))


def read_checkpoint(file: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DamagedError: The file is not what was written.
        FileError: It is missing, or from a newer version.
    """
    with _opened(file, "pt") as (opened, header):
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if header.get("sha256") != _digest(arrays, header["thalweg"]):
            raise _damaged(file, "damaged: its checksum is wrong")
        return Checkpoint(arrays, _facts(header), file)


def read_facts(file: Path) -> dict[str, Any]:
    """Return what a checkpoint holds beside its tensors, without reading these.

    Raises:
        DamagedError: The file is not what was written.
        FileError: It is missing, or from a newer version.
    """
    with _opened(file, "numpy") as (_, header):
        return _facts(header)


@contextmanager
def _opened(file: Path, framework: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a checkpoint, and call whatever is wrong with it damage."""
    check_is_file(file)
    try:
        with safe_open(file, framework=framework) as opened:
            header = opened.metadata() or {}
            if "thalweg" not in header:
                raise _damaged(file, "no checkpoint")
            check_format(file, header.get("format"))
            yield opened, header
    except FileError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, MemoryError):
        raise _damaged(file, "damaged") from None


def _facts(header: Mapping[str, str]) -> dict[str, Any]:
    facts = json.loads(header["thalweg"])
    if not isinstance(facts, dict):
        raise ValueError("no JSON object")
    return facts


def _damaged(file: Path, how: str) -> DamagedError:
    others = sorted(each.name for each in file.parent.glob("*.safetensors") if each != file)
    hint = f"others there: {', '.join(others)}" if others else ""
    return DamagedError(f"{file} ({how})", "a whole checkpoint", hint)


def _digest(arrays: Mapping[str, Tensor], text: str) -> str:
    from torch import uint8

    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        if array.numel():
            digest.update(array.reshape(-1).view(uint8).numpy().data)
    return digest.hexdigest()
