from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thalweg.data import read_idx
from thalweg.data.idx import parse_idx
from thalweg.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(">HBB", 0, CODES[array.dtype.str[1:]], array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(max_dims=3, max_side=4))
    )
)
def test_reading_is_the_inverse_of_writing(array: np.ndarray) -> None:
    read = parse_idx(idx_bytes(array))
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_compressed_or_not_whatever_the_name(tmp_path: Path, name: str) -> None:
    content = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))
    for written in (content, gzip.compress(content)):
        (tmp_path / name).write_bytes(written)
        assert read_idx(tmp_path / name).tolist() == [[0, 1, 2], [3, 4, 5]]


WHOLE = idx_bytes(np.arange(200, dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "beginning with nothing"),
        (b"\0\0\x08", "beginning with 00 00 08"),
        (b"<html>", "beginning with 3c 68 74 6d"),
        (b"\0\0\x0a\1" + WHOLE[4:], "beginning with 00 00 0a 01"),
        (WHOLE[:6], "cut off in its header"),
        (WHOLE[:-1], "with 199 bytes of items; expected 200"),
        (WHOLE + b"\0", "with 201 bytes of items; expected 200"),
        (gzip.compress(WHOLE, mtime=0)[:-12], "truncated gzip"),
        (gzip.compress(WHOLE, mtime=0)[:30], "truncated gzip"),
        (b"\x1f\x8b" + b"\7" * 40, "corrupt gzip"),
        (gzip.compress(WHOLE, mtime=0)[:-8] + b"\0" * 8, "corrupt gzip"),
        (gzip.compress(WHOLE, mtime=0)[:12] + b"\xff" * 40, "corrupt gzip"),
    ],
)
def test_damage_is_named_with_the_file(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "absent")
