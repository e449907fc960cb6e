from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.errors import FileError
from thalweg.files import (
    cannot,
    check_is_file,
    inside,
    make_folder,
    remove,
    remove_unfinished,
    write_atomically,
)

# ── written whole, or as it was ──────────────────────────────────────────────────────────────


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=300) | st.text(max_size=300), min_size=1, max_size=4))
def test_the_last_content_is_there_whole_and_nothing_beside_it(tmp_path_factory, contents):
    file = tmp_path_factory.mktemp("files") / "a.bin"
    for content in contents:
        write_atomically(file, content)
    last = contents[-1]
    assert file.read_bytes() == (last.encode() if isinstance(last, str) else last)
    assert [each.name for each in file.parent.iterdir()] == ["a.bin"]


def test_a_callable_writes_to_the_path_that_it_is_given(tmp_path):
    seen = []

    def write(to: Path) -> None:
        seen.append(to)
        to.write_text("whole")
        assert not (tmp_path / "a.png").exists()

    write_atomically(tmp_path / "a.png", write)
    assert (tmp_path / "a.png").read_text() == "whole"
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".png"  # libraries go by it


def test_a_callable_that_puts_another_file_there_is_synced_too(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino) or real(fd))

    def write(to: Path) -> None:
        other = to.with_name("other")
        other.write_text("whole")
        other.replace(to)

    write_atomically(tmp_path / "a.txt", write)
    assert synced == [(tmp_path / "a.txt").stat().st_ino, tmp_path.stat().st_ino]


def test_it_is_synced_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    order = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: order.append(_kind(fd)) or sync(fd))
    monkeypatch.setattr(Path, "replace", lambda a, b: order.append("rename") or replace(a, b))
    write_atomically(tmp_path / "a.txt", "whole")
    assert order == ["file", "rename", "folder"]


def _kind(fd: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"


def test_others_may_read_what_was_written_as_the_umask_says(tmp_path):
    kept = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a.txt", "whole")
    finally:
        os.umask(kept)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside, folder = tmp_path / "outside.txt", tmp_path / "folder"
    outside.write_text("mine")
    folder.mkdir()
    (folder / "a.txt").symlink_to(outside)
    write_atomically(folder / "a.txt", "whole")
    assert outside.read_text() == "mine"
    assert not (folder / "a.txt").is_symlink()


FAULTS = {
    errno.ENOSPC: ("No space left on device", "free some space"),
    errno.EDQUOT: ("Disk quota exceeded", "free some space"),
    errno.EROFS: ("Read-only file system", "name a folder that can be written"),
    errno.EACCES: ("Permission denied", "name a folder that you may write to"),
}
PLACES = {
    "write": (Path, "write_bytes"),
    "sync": (os, "fsync"),
    "rename": (Path, "replace"),
}


@pytest.mark.parametrize("number", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, number, place):
    file = tmp_path / "a.txt"
    write_atomically(file, "old")

    def fail(*_: object) -> None:
        raise OSError(number, "whatever the system says")

    monkeypatch.setattr(*PLACES[place], fail)
    with pytest.raises(FileError) as caught:
        write_atomically(file, "new")
    reason, hint = FAULTS[number]
    assert str(caught.value) == (
        f"got {file} ({reason}); expected a file that can be written. Hint: {hint}"
    )
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_callable_that_fails_in_another_way_is_not_hidden(tmp_path):
    def fail(to: Path) -> None:
        to.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no/folder/a.txt", "x" * 300])
def test_a_place_where_nothing_can_be(tmp_path, name):
    with pytest.raises(FileError, match=r"a file that can be written"):
        write_atomically(tmp_path / name, "whole")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(FileError, match=r"a\.txt \(Is a directory\)"):
        write_atomically(tmp_path / "a.txt", "whole")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_of_a_library_has_no_number():
    error = cannot("read", Path("a.txt"), OSError("it broke"))
    assert str(error) == "got a.txt (it broke); expected a file that can be read."


# ── removing and making ──────────────────────────────────────────────────────────────────────


def test_remove(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    remove(tmp_path / "link")
    assert (tmp_path / "a.txt").exists()
    remove(tmp_path / "a.txt")
    remove(tmp_path / "a.txt")  # there is none any more, as was wanted
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match=r"expected a folder that can be removed"):
        remove(tmp_path)


def test_make_folder(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file \(File exists\); expected a file that can be made"):
        make_folder(tmp_path / "file")


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (folder / "deep" / "deeper").mkdir(parents=True)
    outside.mkdir()
    for place in (folder, folder / "deep", folder / "deep" / "deeper", outside):
        (place / ".part-0123").write_text("half")
        (place / "part-0123").write_text("whole")
    (folder / "link").symlink_to(outside)
    (folder / ".part-link").symlink_to(outside / "part-0123")
    (folder / ".part-folder").mkdir()
    remove_unfinished(folder)
    left = sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*part-*"))
    assert left == [
        "folder/.part-folder", "folder/deep/deeper/part-0123", "folder/deep/part-0123",
        "folder/part-0123", "outside/.part-0123", "outside/part-0123",
    ]  # fmt: skip


# ── where a file really is ───────────────────────────────────────────────────────────────────


def _link(to: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "a").symlink_to(to)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_link("/etc/hostname"), "a link to /etc/hostname; expected a file inside .* not followed"),
        (_link("../elsewhere"), "a link to .*elsewhere"),
        (_link("a"), "a link in a circle"),
    ],
)
def test_a_link_that_leads_elsewhere(tmp_path, prepare, message):
    folder = tmp_path / "folder"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(FileError, match=message):
        inside(folder, "a")


def test_a_folder_that_is_a_link_out_of_the_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(FileError, match="a link to"):
        inside(tmp_path / "folder", "checkpoints/best")


def test_what_is_inside(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").symlink_to("b")
    (tmp_path / "link").symlink_to("folder")
    for name in ("a", "b", "not there", "c/d"):
        assert inside(tmp_path / "folder", name) == tmp_path / "folder" / name
        assert inside(tmp_path / "link", name) == tmp_path / "link" / name
    with pytest.raises(FileError, match="expected a file inside"):
        inside(tmp_path / "folder", "../x")


def test_what_is_no_file(tmp_path):
    (tmp_path / "file").write_text("")
    check_is_file(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("not there")
    for name in ("", "pipe", "nowhere"):
        with pytest.raises(FileError, match=r"\(which is no file\); expected a file"):
            check_is_file(tmp_path / name)
    with pytest.raises(FileError, match=r"\(no such file\); expected a file"):
        check_is_file(tmp_path / "missing")
