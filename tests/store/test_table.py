from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.errors import FileError
from thalweg.store import Table, read_ends, read_parquet, read_table, write_parquet

NAMES = ["step", "gradients", "loss", "val_loss"]


@pytest.fixture(autouse=True)
def _leave_the_disk_in_peace(monkeypatch):
    """Nobody cuts the power here, and to wait for the disk is slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


VALUE = st.none() | st.floats(allow_nan=False)


def columns(count: int) -> dict[str, list]:
    return {
        "step": list(range(1, count + 1)),
        "gradients": [2 * step for step in range(count)],
        "loss": [1 / (step + 1) for step in range(count)],
    }


def rows(table: dict[str, list], count: int) -> dict[str, list]:
    """The first rows of a table, as they are read."""
    return {name: [*table.get(name, [None] * count)][:count] for name in NAMES}


# ── a table is the list that it was made from ────────────────────────────────────────────────


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), VALUE), max_size=12), st.integers(1, 5))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_writing_in_pieces_and_forgetting_is_slicing_a_list(tmp_path_factory, moves, part_rows):
    folder = tmp_path_factory.mktemp("tables") / "metrics" / "steps"
    table, whole = Table(folder, NAMES, part_rows), rows({}, 0)
    table.write(whole)
    for forgets, count, value in moves:
        if forgets:  # another process goes on from an earlier row
            kept = max(0, len(whole["step"]) - count)
            whole = {name: column[:kept] for name, column in whole.items()}
            table = Table(folder, NAMES, part_rows)
            table.forget(kept)
            found = read_table(folder)
            assert all(found.get(name, [])[:kept] == whole[name] for name in NAMES)
        else:
            start = len(whole["step"])
            new = range(start, start + count)
            whole["step"] += new
            whole["gradients"] += new
            whole["loss"] += [value] * count
            whole["val_loss"] += [None] * count
        table.write(whole)
        assert read_table(folder) == whole
        names = sorted(each.name for each in folder.iterdir())
        parts = max(1, math.ceil(len(whole["step"]) / part_rows))
        assert names == [f"part-{part:05d}.parquet" for part in range(parts)]


def test_numbers_keep_their_bits(tmp_path):
    odd = [0.1, 5e-324, -0.0, math.inf, -math.inf, math.nan, None]
    table = Table(tmp_path, ["step", "loss"])
    table.write({"step": [2**62] * len(odd), "loss": odd})
    found = read_table(tmp_path)
    assert [repr(value) for value in found["loss"]] == [repr(value) for value in odd]
    assert found["step"] == [2**62] * len(odd)


def test_only_the_rows_that_are_asked_for_are_written(tmp_path):
    table = Table(tmp_path, NAMES, part_rows=3)
    table.write(columns(10), rows=4)
    assert read_table(tmp_path) == rows(columns(10), 4)
    table.write({**columns(10), "unknown": [0] * 10}, rows=7)
    assert read_table(tmp_path) == rows(columns(10), 7)


def test_full_files_are_not_written_again(tmp_path):
    table = Table(tmp_path, NAMES, part_rows=3)
    table.write(columns(7))
    before = {file.name: file.stat().st_ino for file in tmp_path.iterdir()}
    table.write(columns(8))
    table.write(columns(8))
    after = {file.name: file.stat().st_ino for file in tmp_path.iterdir()}
    assert [before[name] == after[name] for name in sorted(after)] == [True, True, False]
    later = Table(tmp_path, NAMES, part_rows=3)
    later.forget(6)
    later.write(columns(6))
    assert {f.name: f.stat().st_ino for f in tmp_path.iterdir()} == {
        name: inode for name, inode in after.items() if name != "part-00002.parquet"
    }


def test_rows_that_are_forgotten_entirely_are_gone_though_none_come_after(tmp_path):
    Table(tmp_path, NAMES).write(columns(5))
    table = Table(tmp_path, NAMES)
    table.forget(0)
    table.write(columns(0))
    assert read_table(tmp_path) == rows({}, 0)


def test_forgetting_never_leaves_a_gap(tmp_path, monkeypatch):
    Table(tmp_path, NAMES, part_rows=2).write(columns(9))
    removed = []
    unlink = Path.unlink

    def twice(self: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise OSError(errno.EIO, "")
        removed.append(self.name)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", twice)
    with pytest.raises(FileError, match=r"part-00002\.parquet \(Input/output error\)"):
        Table(tmp_path, NAMES, part_rows=2).forget(3)
    assert removed == ["part-00004.parquet", "part-00003.parquet"]
    assert read_table(tmp_path) == rows(columns(9), 6)


def test_what_is_not_whole_yet_is_not_among_the_files_that_others_read(tmp_path, monkeypatch):
    write, seen = Path.write_bytes, []
    monkeypatch.setattr(Path, "write_bytes", lambda f, b: seen.append(f.parent) or write(f, b))
    table = Table(tmp_path / "metrics" / "steps", NAMES, part_rows=2)
    table.write(columns(3))
    assert seen == [tmp_path / "metrics"] * 2


def test_the_ends_of_a_table(tmp_path):
    assert read_ends(tmp_path) == ({}, {})
    table = Table(tmp_path, NAMES, part_rows=3)
    table.write(columns(0))
    assert read_ends(tmp_path) == ({}, {})
    table.write(columns(7))
    first, last = read_ends(tmp_path)
    assert (first["step"], last["step"], last["val_loss"]) == (1, 7, None)


def test_a_table_that_cannot_be_written_is_as_it_was(tmp_path, monkeypatch):
    table = Table(tmp_path / "steps", NAMES, part_rows=3)
    table.write(columns(4))

    def fail(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(FileError, match=r"part-00001\.parquet \(No space left .*free some"):
            table.write(columns(8))
    assert read_table(tmp_path / "steps") == rows(columns(4), 4)
    table.write(columns(8))
    assert read_table(tmp_path / "steps") == rows(columns(8), 8)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file \(File exists\); expected a file that can be made"):
        Table(tmp_path / "file", NAMES).write(columns(1))


# ── damage ───────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_missing_in_the_middle(tmp_path):
    Table(tmp_path, NAMES, part_rows=2).write(columns(5))
    (tmp_path / "part-00001.parquet").unlink()
    for read in (read_table, read_ends):
        with pytest.raises(FileError, match=r"part-00001\.parquet\. Hint: a file of the table is"):
            read(tmp_path)


def test_files_of_different_tables_do_not_go_together(tmp_path):
    Table(tmp_path, NAMES, part_rows=2).write(columns(4))
    Table(tmp_path / "other", NAMES[:3], part_rows=2).write(columns(4))
    (tmp_path / "other" / "part-00001.parquet").replace(tmp_path / "part-00001.parquet")
    with pytest.raises(FileError, match=r"part-00001\.parquet with columns .*'loss'\]; expected"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"step": ["one"]},
        {"step": [[1]]},
        {"step": [True]},
        {"step": [{"a": 1}]},
        {"step": [b"x"]},
    ],
)
def test_columns_that_hold_no_numbers(tmp_path, content):
    pq.write_table(pa.table(content), tmp_path / "part-00000.parquet")
    with pytest.raises(FileError, match=r"part-00000\.parquet with columns \['step'\]; expected c"):
        read_table(tmp_path)


def test_columns_of_one_name(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["step", "step"])
    pq.write_table(twice, tmp_path / "part-00000.parquet")
    with pytest.raises(FileError, match="expected columns of numbers"):
        read_table(tmp_path)


def test_a_few_bytes_that_claim_many_rows_are_not_unpacked(tmp_path):
    many = pa.table({"step": pa.array([0], pa.int64()).take(pa.nulls(2_000_000, pa.int64()))})
    pq.write_table(many, tmp_path / "part-00000.parquet")
    with pytest.raises(FileError, match="with 2000000 rows; expected 50000 at most"):
        read_table(tmp_path)


def test_no_number_can_change_unnoticed(tmp_path):
    """Parquet has no checksum of its own; the pages of ours have one."""
    file = tmp_path / "part-00000.parquet"
    Table(tmp_path, ["step", "loss"]).write({"step": [1, 2, 3], "loss": [0.1, 0.2, 0.3]})
    whole, expected = file.read_bytes(), read_table(tmp_path)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            found = read_table(tmp_path)
        except FileError as error:
            assert str(file) in str(error)  # noqa: PT017 - it may as well be read
        else:  # a statistic, a name, or the writer's version
            assert [*found.values()] == [*expected.values()]


def test_no_end_can_be_cut_off(tmp_path):
    file = tmp_path / "part-00000.parquet"
    Table(tmp_path, ["step", "loss"]).write({"step": [1, 2, 3], "loss": [0.1, 0.2, 0.3]})
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"part-00000\.parquet \(damaged\); expected a whole"):
            read_table(tmp_path)


def test_what_is_no_file_is_not_read(tmp_path):
    file = tmp_path / "part-00000.parquet"
    file.mkdir()
    (file / "inner.parquet").symlink_to("/etc/hostname")
    with pytest.raises(FileError, match=r"part-00000\.parquet \(which is no file\)"):
        read_table(tmp_path)
    (file / "inner.parquet").unlink()
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(FileError, match=r"part-00000\.parquet \(which is no file\)"):
        read_table(tmp_path)
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(FileError, match=r"a link to /etc/hostname"):
        read_table(tmp_path)
    assert read_table(tmp_path / "nowhere") == {}


# ── one Parquet file ─────────────────────────────────────────────────────────────────────────


def test_a_parquet_file_of_any_columns(tmp_path):
    table = pa.table({"name": ["a", "b"], "count": [1, 2]})
    write_parquet(tmp_path / "a.parquet", table)
    assert read_parquet(tmp_path / "a.parquet", most=2).equals(table)
    with pytest.raises(FileError, match=r"a\.parquet with 2 rows; expected 1 at most"):
        read_parquet(tmp_path / "a.parquet", most=1)
    with pytest.raises(FileError, match=r"b\.parquet \(no such file\)"):
        read_parquet(tmp_path / "b.parquet", most=1)
    with pytest.raises(FileError, match=r"nowhere.a\.parquet \(No such file"):
        write_parquet(tmp_path / "nowhere" / "a.parquet", table)
