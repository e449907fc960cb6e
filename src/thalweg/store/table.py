"""A table of numbers on disk that grows: Parquet files in a folder, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from thalweg.errors import FileError
from thalweg.files import inside, make_folder, remove
from thalweg.store.parquet import read_parquet, write_parquet

PART_ROWS = 50_000
"""Rows of a file; the last one is written anew until it has so many."""

INTEGERS = {"member", "step", "gradients"}


class Table:
    """Writes a table that only grows.

    The folder holds ``part-00000.parquet`` and so on, each with `PART_ROWS` rows but the last,
    which is replaced atomically as rows come: at any moment the files together are a whole table,
    which pandas, Polars and DuckDB read without thalweg.

    Args:
        folder: Where the files are; made if it is not there.
        names: The columns, of which ``member``, ``step`` and ``gradients`` hold integers and the
            others floating-point numbers.
        part_rows: Rows of a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Table(Path(folder, "steps"), ["step", "loss"])
        ...     table.write({"step": [1, 2], "loss": [0.5, None]})
        ...     read_table(Path(folder, "steps"))
        {'step': [1, 2], 'loss': [0.5, None]}
    """

    def __init__(self, folder: Path, names: Sequence[str], part_rows: int = PART_ROWS) -> None:
        self.folder, self.part_rows = folder, part_rows
        self.schema = pa.schema(
            [(name, pa.int64() if name in INTEGERS else pa.float64()) for name in names]
        )
        self.rows: int | None = None  # what is in the files; None if that is not known
        self._whole = 0  # files at the beginning that are as they shall be

    def write(self, columns: Mapping[str, Sequence[Any]], rows: int | None = None) -> None:
        """Bring the files up to date.

        Args:
            columns: The whole table; the rows that were written before must be there and unchanged.
                Columns without a name here are left out, absent ones are null.
            rows: How many of its rows to write; all if None.

        Raises:
            FileError: A file cannot be written; the table is as it was.
        """
        total = len(columns["step"]) if rows is None else rows
        if total == self.rows:
            return
        make_folder(self.folder)
        for part in range(self._whole, max(1, -(-total // self.part_rows))):
            self._write_part(part, columns, total)
        self.rows, self._whole = total, total // self.part_rows

    def forget(self, rows: int) -> None:
        """Drop the rows from a place on; they are replaced by the next write.

        Raises:
            FileError: A file cannot be removed.
        """
        self.rows, self._whole = None, rows // self.part_rows
        files = sorted(self.folder.glob("part-*.parquet"))
        for file in reversed(files[-(-rows // self.part_rows) :]):  # there is never a gap
            remove(file)

    def _write_part(self, part: int, columns: Mapping[str, Sequence[Any]], total: int) -> None:
        start, stop = part * self.part_rows, min(total, (part + 1) * self.part_rows)
        arrays = [
            pa.array(columns[field.name][start:stop], field.type)
            if field.name in columns
            else pa.nulls(stop - start, field.type)
            for field in self.schema
        ]
        table = pa.Table.from_arrays(arrays, schema=self.schema)
        # What is not whole yet is not in the folder, which others read as one table.
        write_parquet(_part(self.folder, part), table, by=self.folder.parent)


def read_table(folder: Path) -> dict[str, list[Any]]:
    """Return the columns of a table; empty if there is none yet.

    Raises:
        FileError: A file is damaged, or the files do not go together.
    """
    columns: dict[str, list[Any]] = {}
    for file in _parts(folder):
        part = _read(file)
        if columns and list(part) != list(columns):
            raise FileError(f"{file} with columns {list(part)}", f"columns {list(columns)}")
        for name, values in part.items():
            columns.setdefault(name, []).extend(values)
    return columns


def read_ends(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first row of a table and the last one; empty if there is none yet.

    Raises:
        FileError: A file is damaged, or missing.
    """
    files = _parts(folder)
    if not files:
        return {}, {}
    first, last = _read(files[0], slice(0, 1)), _read(files[-1], slice(-1, None))
    return _row(first), _row(last)


def _row(columns: dict[str, list[Any]]) -> dict[str, Any]:
    return {name: values[0] for name, values in columns.items() if values}


def _parts(folder: Path) -> list[Path]:
    """Return the files of a table in their order.

    Raises:
        FileError: One of them is missing.
    """
    files = sorted(folder.glob("part-*.parquet"))
    for number, file in enumerate(files):
        if file != _part(folder, number):
            raise FileError(f"{file}", f"{_part(folder, number)}", "a file of the table is missing")
    return files


def _read(file: Path, rows: slice = slice(None)) -> dict[str, list[Any]]:
    found = read_parquet(inside(file.parent, file.name), PART_ROWS)
    names = found.schema.names
    if set(found.schema.types) - {pa.int64(), pa.float64()} or len(set(names)) < len(names):
        raise FileError(f"{file} with columns {found.schema.names}", "columns of numbers")
    return dict(found[rows].to_pydict())


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"
