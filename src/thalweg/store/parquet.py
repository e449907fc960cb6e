"""Parquet files: written whole, with a checksum of every page, and read with suspicion."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thalweg.errors import FileError
from thalweg.files import check_is_file, write_atomically


def write_parquet(file: Path, table: pa.Table, by: Path | None = None) -> None:
    """Write a table atomically.

    Args:
        file: Where to; its folder must exist.
        table: What to write.
        by: Folder of the temporary file; the file's own if None.

    Raises:
        FileError: It cannot be written; an older file of that name is as it was.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(file, sink.getvalue().to_pybytes(), by)


def read_parquet(file: Path, most: int) -> pa.Table:
    """Read a table.

    Args:
        file: One file, never a folder of them.
        most: More rows than these are not read: a few bytes can claim any number.

    Raises:
        FileError: The file is missing, damaged, or has more rows.
    """
    check_is_file(file)
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            rows = opened.metadata.num_rows
            if not 0 <= rows <= most:
                raise FileError(f"{file} with {rows} rows", f"{most} at most", "it is damaged")
            return opened.read()
    except FileError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError):
        raise FileError(f"{file} (damaged)", "a whole Parquet file") from None
