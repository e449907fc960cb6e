"""The file that Weights & Biases writes beside every run, read back.

It is a LevelDB log behind a header of seven bytes: blocks of 32 KiB, in them records of CRC-32 (4
bytes), length (2), kind (1) and data, where a record that crosses blocks is kept in parts. The
checksum is zlib's, of kind and data. Source: LevelDB, doc/log_format.md; wandb-core.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thalweg.store.logs.library import load

MAGIC = b":W&B"
HEADER, BLOCK, LEAD = 7, 32768, 7
FULL, LAST = 1, 4
"""Kinds of records that end one: the whole of it, or its last part."""


def history(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows that were logged; at a record that was cut off or damaged it ends.

    Args:
        file: ``run-….wandb``.
    """
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            yield {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }


def records(file: Path) -> Iterator[Any]:
    """Yield all records of a file, of the class ``Record`` of its library."""
    Record = load("wandb.proto.wandb_internal_pb2").Record
    return map(Record.FromString, _chunks(file.read_bytes()))


def _chunks(content: bytes) -> Iterator[bytes]:
    place, parts = HEADER, b""
    if not content.startswith(MAGIC):
        return
    while True:
        left = BLOCK - place % BLOCK
        if left < LEAD:  # too little for another record: the block is padded
            place += left
            continue
        if place + LEAD > len(content):
            return
        checksum, length, kind = struct.unpack_from("<IHB", content, place)
        data = content[place + LEAD : place + LEAD + length]
        if len(data) < length or zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            return
        parts += data
        place += LEAD + length
        if kind in (FULL, LAST):
            yield parts
            parts = b""
