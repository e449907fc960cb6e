"""One process writes to a run; a lock is the process's, and goes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from thalweg.errors import FileError
from thalweg.store.lock import is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from thalweg.store.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock."""
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, holder):
    assert is_locked(tmp_path)
    busy = pytest.raises(FileError, match=rf"{tmp_path}, which another process is writing")
    with busy, locked(tmp_path):
        raise AssertionError
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_second_writer_in_the_same_process_is_refused(tmp_path):
    busy = pytest.raises(FileError, match="another process is writing")
    with locked(tmp_path), busy, locked(tmp_path):
        raise AssertionError


def test_who_only_asks_does_not_stand_in_the_way(tmp_path):
    over, asked = threading.Event(), []

    def ask() -> None:
        while not over.is_set():
            asked.append(is_locked(tmp_path))
            time.sleep(0.002)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline, rounds = time.monotonic() + 20, 0
    try:
        while rounds < 20 or (True not in asked and time.monotonic() < deadline):
            with locked(tmp_path):
                assert is_locked(tmp_path)
            rounds += 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert True in asked


def test_a_lock_may_be_given_back_by_another_thread(tmp_path):
    context = locked(tmp_path)
    context.__enter__()
    thread = threading.Thread(target=context.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert not is_locked(tmp_path)


def test_the_lock_is_given_back_whatever_happens(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert not is_locked(tmp_path)


def test_what_a_killed_writer_left_is_removed_when_the_next_one_begins(tmp_path):
    for folder in ("checkpoints", "metrics/steps", "states"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".part-0123.parquet").write_text("half")
    with locked(tmp_path):
        assert list(tmp_path.rglob(".part-*")) == []


def test_a_folder_that_was_never_locked(tmp_path):
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not is_locked(tmp_path / "nowhere")


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    (folder / ".lock").symlink_to(outside)
    with pytest.raises(FileError, match="a link to"), locked(folder):
        raise AssertionError
    assert not outside.exists()
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to("inner")
    with pytest.raises(FileError, match="Too many levels of symbolic links"), locked(folder):
        raise AssertionError
    assert not is_locked(folder)


def test_a_folder_in_the_place_of_the_lock(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(FileError, match=r"\(Is a directory\)"), locked(tmp_path):
        raise AssertionError
    assert not is_locked(tmp_path)


def test_a_refusal_does_not_take_long(tmp_path):
    with locked(tmp_path):
        begin = time.monotonic()
        with pytest.raises(FileError), locked(Path(tmp_path)):
            raise AssertionError
        assert time.monotonic() - begin < 5
