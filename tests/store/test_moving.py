from __future__ import annotations

import errno
import filecmp
import os
import shutil
from pathlib import Path

import pytest

from thalweg.errors import FileError
from thalweg.store import delete_run, move_run
from thalweg.store.lock import locked


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What looks like a run to who moves it, with a link in it."""
    folder = tmp_path / "run"
    (folder / "metrics" / "steps").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "metrics" / "steps" / "part").write_bytes(bytes(range(256)))
    (folder / "link").symlink_to("run.json")
    return folder


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the folder be on another disk than where it goes to."""
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "run":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)


def whole(folder: Path) -> bool:
    return (
        (folder / "run.json").read_text() == "{}"
        and (folder / "metrics" / "steps" / "part").read_bytes() == bytes(range(256))
        and (folder / "link").is_symlink()
    )


def test_a_run_is_renamed(run: Path, tmp_path: Path) -> None:
    assert move_run(run, tmp_path / "new" / "name") == tmp_path / "new" / "name"
    assert whole(tmp_path / "new" / "name")
    assert not run.exists()


@pytest.mark.usefixtures("other_disk")
def test_a_run_is_copied_to_another_disk(run: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    assert move_run(run, tmp_path / "disk") == tmp_path / "disk" / "run"
    assert whole(tmp_path / "disk" / "run")
    assert not run.exists()
    assert [each.name for each in (tmp_path / "disk").iterdir()] == ["run"]


@pytest.mark.usefixtures("other_disk")
def test_a_copy_that_is_not_the_same_is_thrown_away(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(filecmp, "cmp", lambda *_, **__: False)
    with pytest.raises(FileError, match="that is not the same"):
        move_run(run, tmp_path / "disk")
    assert whole(run)
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.usefixtures("other_disk")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        shutil.Error([("a", "b", "[Errno 28] No space left on device")]),
    ],
)
def test_a_full_disk_leaves_the_run_where_it_is(
    error: Exception, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(FileError, match="No space left on device"):
        move_run(run, tmp_path / "disk")
    assert whole(run)
    assert list((tmp_path / "disk").iterdir()) == []


def test_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "run2").write_text("kept")
    with pytest.raises(FileError, match="there already"):
        move_run(run, tmp_path / "run2")
    with pytest.raises(FileError, match="there already"):
        move_run(run, tmp_path)
    with pytest.raises(FileError, match="run2"):
        move_run(run, tmp_path / "run2" / "below")
    assert (tmp_path / "run2").read_text() == "kept"
    assert whole(run)


def test_a_run_is_not_moved_into_itself(run: Path) -> None:
    with pytest.raises(FileError, match="Invalid argument"):
        move_run(run, run / "below")
    assert whole(run)


def test_a_link_to_a_run_is_not_moved(run: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(run)
    with pytest.raises(FileError, match="a link to"):
        move_run(tmp_path / "alias", tmp_path / "new")
    delete_run(tmp_path / "alias")
    assert whole(run)


def test_a_run_that_is_being_written_stays(run: Path, tmp_path: Path) -> None:
    with locked(run):
        with pytest.raises(FileError, match="another process is writing"):
            move_run(run, tmp_path / "new")
        with pytest.raises(FileError, match="another process is writing"):
            delete_run(run)
    assert whole(run)
    delete_run(run)
    assert not run.exists()
