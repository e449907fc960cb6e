"""A disk that is full, and a folder that only reads: one error, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Any

import pytest

from thalweg.errors import FileError
from thalweg.store import RunFolder
from thalweg.study import resume, train


@pytest.fixture(scope="module")
def options(settings) -> dict[str, Any]:
    return {**settings, "data": "digits", "steps": 8, "record_states": 4, "name": "run"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, options, results) -> dict[str, str]:
    path = tmp_path_factory.mktemp("whole") / "run"
    train(**options, out=path)
    return results(path)


class Disk:
    """Everything that writes, counted; from one write on it fails.

    Args:
        room: How many writes succeed.
        number: What is wrong then.
    """

    def __init__(self, room: int, number: int) -> None:
        self.room, self.number = room, number

    def take(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(self.number, os.strerror(self.number))

    @contextmanager
    def mounted(self) -> Iterator[None]:
        write_bytes, write_open = Path.write_bytes, Path.open

        def write(file: Path, content: bytes) -> None:
            try:
                self.take()
            except OSError:
                if self.number == errno.ENOSPC:
                    write_bytes(file, content[: len(content) // 2])
                raise
            write_bytes(file, content)

        def opened(file: Path, mode: str = "r", *rest: Any, **more: Any) -> IO[Any]:
            if not mode.startswith("r"):
                self.take()
            return write_open(file, mode, *rest, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "write_bytes", write)
            patch.setattr(Path, "open", opened)
            patch.setattr(os, "fsync", lambda descriptor: self.take())
            for name in ("replace", "mkdir", "unlink"):
                real = getattr(Path, name)
                if name == "unlink":  # a full disk removes; one that only reads does not
                    patch.setattr(Path, name, self._counted(real) if self._only_reads else real)
                else:
                    patch.setattr(Path, name, self._counted(real))
            yield

    @property
    def _only_reads(self) -> bool:
        return self.number == errno.EROFS

    def _counted(self, real: Any) -> Any:
        def call(file: Path, *rest: Any, **more: Any) -> Any:
            self.take()
            return real(file, *rest, **more)

        return call


def attempt(disk: Disk, call: Callable[[], Any]) -> FileError | None:
    """Train on a disk, and return what went wrong."""
    with disk.mounted():
        try:
            call()
        except FileError as error:
            return error
    return None


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("number", "stride"),
    [(errno.ENOSPC, 5), (errno.EROFS, 11), pytest.param(errno.ENOSPC, 1, marks=pytest.mark.slow)],
)
def test_a_disk_that_fails_at_any_write(tmp_path, options, whole, results, number, stride):
    for room in count(0, stride):
        path = tmp_path / str(room) / "run"
        error = attempt(Disk(room, number), partial(train, **options, out=path))
        if number == errno.ENOSPC:
            assert list(path.parent.rglob(".part-*")) == []
        if error is not None:
            assert f"({os.strerror(number)})" in error.got
            assert str(path.parent) in error.got
            assert error.hint
        if (path / "run.json").exists():
            run = RunFolder.open(path)
            if run.checkpoints():
                assert run.checkpoint().facts["updates"] == max(run.checkpoints())
            if run.state != "complete":
                assert run.state == "killed"
                resume(path)
            assert results(path) == whole
        shutil.rmtree(path.parent, ignore_errors=True)
        if error is None:
            break
    assert room > 50


def test_a_disk_that_fails_while_a_run_goes_on(tmp_path, options, whole, results):
    train(**options, out=tmp_path / "run")
    for room in range(0, 60, 3):
        path = tmp_path / str(room)
        shutil.copytree(tmp_path / "run", path)
        (path / "checkpoints" / "step-000000008.safetensors").unlink()
        facts = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**facts, "state": "interrupted"}))
        error = attempt(Disk(room, errno.ENOSPC), partial(resume, path))
        if error is not None:
            assert str(path) in error.got
            assert error.hint == "free some space"
            assert RunFolder.open(path).state in {"killed", "interrupted"}
            resume(path)
        assert results(path) == whole


# ── real ones, in a namespace of their own ───────────────────────────────────────────────────


def can_mount() -> bool:
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


REAL = """
import json, shutil, subprocess, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from thalweg.errors import FileError
from thalweg.study import begin, resume
from thalweg.engine import Run, Step, short_keys
from thalweg.spec import Spec
from thalweg.store import RunFolder

places, options = Path(sys.argv[1]), json.loads(sys.argv[2])
name = options.pop("name")
mount = lambda *words: subprocess.run(["mount", *words], check=True)
for kind in ("full", "reads"):
    root = places / kind
    root.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "none", str(root))
    path = root / "run"
    run = Run(Spec().override(options, short_keys()))
    try:
        for event in begin(run, out=path, name=name):
            if isinstance(event, Step) and event.clock.step == 5:
                while not (path / "checkpoints" / "step-000000004.safetensors").exists():
                    time.sleep(0.01)
                if kind == "full":
                    (root / "filler").write_bytes(b"x" * 2_000_000)
                else:
                    mount("--bind", str(path), str(path))
                    mount("-o", "remount,bind,ro", str(path))
    except FileError as error:
        print(json.dumps([kind, error.got, error.hint]))
    assert not list(root.rglob(".part-*")), list(root.rglob(".part-*"))
    folder = RunFolder.open(path)
    updates = folder.checkpoint().facts["updates"]
    assert updates == max(folder.checkpoints()) >= 4, folder.checkpoints()
    if kind == "full":
        (root / "filler").unlink()
    else:
        try:
            resume(path)
        except FileError as error:
            print(json.dumps([kind, error.got, error.hint]))
        subprocess.run(["umount", str(path)], check=True)
    resume(path)
    shutil.copytree(path, places / f"copy of {kind}")
"""

REASONS = {
    "full": ("No space left on device", "free some space"),
    "reads": ("Read-only file system", "name a folder that can be written"),
}


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a file system")
def test_real_file_systems(tmp_path, options, results):
    large = {**options, "hidden": (600,), "record_states": 0}  # half a megabyte a checkpoint
    train(**large, out=tmp_path / "whole")
    arguments = [str(tmp_path), json.dumps(large)]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-c", REAL, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [kind for kind, *_ in said] == ["full", "reads", "reads"]
    for kind, got, hint in said:
        reason, expected = REASONS[kind]
        assert str(tmp_path / kind / "run") in got
        assert reason in got
        assert hint == expected
    whole = results(tmp_path / "whole")
    assert all(results(tmp_path / f"copy of {kind}") == whole for kind in REASONS)
