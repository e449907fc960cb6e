"""IDX, the file format of MNIST and its kin (LeCun, Cortes and Burges)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def uncompressed(path: Path) -> bytes:
    """Return what a file holds, unpacked if it is a gzip archive, whatever it is called.

    Raises:
        DataError: The file cannot be read, or its archive is truncated or corrupt.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except EOFError:
        raise DataError(f"a truncated gzip archive, {path}", "a whole one", _AGAIN) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"a corrupt gzip archive, {path} ({error})", "a sound one", _AGAIN
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"a file that cannot be read, {path} ({reason})", "an IDX file") from None


def parse_idx(content: bytes, name: str = "the content") -> NDArray[Any]:
    """Return the array that IDX content describes.

    The header is two zero bytes, a type code, the number of dimensions and their sizes as
    big-endian 32-bit integers; the items follow, big-endian, the last dimension fastest.

    Args:
        content: The whole file, uncompressed.
        name: What to call it in an error.

    Returns:
        An array of the shape and type that the header gives, in the machine's byte order.

    Raises:
        DataError: Wrong magic number, or fewer or more bytes than the header promises.

    Example:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])).tolist()
        [7, 8, 9]
    """
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        expected = "00 00, a type code and the number of dimensions"
        raise DataError(f"{name} beginning with {magic.hex(' ') or 'nothing'}", expected, _AGAIN)
    dtype, ndim = np.dtype(_TYPES[magic[2]]), magic[3]
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(f"{name} cut off in its header", f"{start} bytes of header", _AGAIN)
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, 4))
    size = math.prod(shape) * dtype.itemsize
    if len(content) - start != size:
        raise DataError(
            f"{name} with {len(content) - start} bytes of items",
            f"{size} for the shape {shape} in its header",
            _AGAIN,
        )
    return (
        np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )


def read_idx(path: Path | str) -> NDArray[Any]:
    """Read an IDX file, compressed by gzip or not.

    Raises:
        DataError: The file is missing, truncated, corrupt, or not IDX.
    """
    return parse_idx(uncompressed(Path(path)), str(path))


_AGAIN = "delete the file and fetch it again"
