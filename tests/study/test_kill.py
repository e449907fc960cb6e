"""kill -9 at any moment: what is there can be read, and the run goes on to the same bits.

Most of the processes that are killed are forked from one that has imported torch already, for an
import takes longer than a run; some are started as anyone would start them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from thalweg.store import RunFolder
from thalweg.store.lock import is_locked

NURSERY = """
import json, os, sys
from thalweg.cli import main
main(["train", "digits", "--steps", "1", "--threads", "1", "--no-record", "--quiet"])
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 70
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            os.dup2(quiet, 0), os.dup2(quiet, 1)
            code = main(json.loads(line))
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
ALONE = "import sys; from thalweg.cli import main; sys.exit(main())"

SETTINGS = (
    "model=mlp", "hidden=[16]", "norm=batch", "dropout=0.2", "lr=0.01", "optimizer.lookahead.k=4",
    "subset=480", "val=60", "batch_size=60", "steps=1000", "evaluate_every=60steps",
    "record_states=100", "threads=1",
)  # fmt: skip
TRAIN = ["train", "digits", "--name", "test", "--quiet"]
TRAIN += [word for setting in SETTINGS for word in ("-s", setting)]
EVERY = (["--checkpoint-every", "0.02s"], ["--checkpoint-every", "7steps", "--keep-last", "1"])
KILLS = 20


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}


class Nursery:
    """Bears processes that run ``thalweg``, one at a time."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", NURSERY]
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment()
        )
        while self._line() != "ready":
            pass

    def start(self, *words: str) -> int:
        """Start a process and return its number."""
        assert self.process.stdin is not None
        print(json.dumps(words), file=self.process.stdin, flush=True)
        number = int(self._line())
        assert number > 1  # others would be everybody
        return number

    def wait(self) -> int:
        """Return the exit code of the process, the negative of a signal."""
        return int(self._line())

    def __call__(self, *words: str) -> int:
        self.start(*words)
        return self.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the nursery died"
        return line.strip()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    bearer = Nursery()
    with bearer.process:
        yield bearer


@pytest.fixture(scope="module")
def whole(nursery, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    assert nursery(*TRAIN, *EVERY[0], "--out", str(path)) == 0
    return path


def look(path: Path) -> str:
    """Read everything there is; a run that was killed is whole at any moment."""
    if not (path / "run.json").exists():
        return "nothing"
    run = RunFolder.open(path)
    steps, epochs = run.steps(), run.epochs()
    if run.checkpoints():
        facts = run.checkpoint().facts
        assert len(steps["step"]) >= facts["rows"]["steps"] == facts["updates"]
        assert len(epochs.get("step", [])) >= facts["rows"]["epochs"]
    for which in run.checkpoints():
        assert run.checkpoint(str(which)).facts["updates"] == which
    _ = run.predictions(), run.mistakes()
    return run.state


def kill(pid: int, path: Path, chance: random.Random) -> None:
    """Kill a process at a random moment: half of the time, while it writes a file."""
    time.sleep(chance.uniform(0.0, 0.5))
    deadline = time.monotonic() + chance.choice([0.0, 0.3])
    while time.monotonic() < deadline and not any(path.rglob(".part-*")):
        pass
    with suppress(ProcessLookupError):  # it was quicker
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_twenty_kills_cost_nothing(nursery, whole, tmp_path, results):
    chance, expected = random.Random(0), results(whole, page=True)
    kills, torn, moments, runs = 0, 0, list[str](), 0
    while kills < KILLS:
        runs += 1
        path = tmp_path / str(runs)
        first = [*TRAIN, *EVERY[runs % 2], "--out", str(path)]
        words = first
        for _ in range(5):
            kill(nursery.start(*words), path, chance)
            killed = nursery.wait() == -signal.SIGKILL
            kills += killed
            torn += any(path.rglob(".part-*"))
            moments.append(look(path))
            if not killed or moments[-1] == "complete":
                break
            assert moments[-1] in {"nothing", "killed", "running"}
            words = ["resume", str(path), "--quiet"]
            if moments[-1] == "nothing":
                shutil.rmtree(path, ignore_errors=True)
                words = first
        if look(path) != "complete":
            assert nursery(*words) == 0
        found = results(path, page=True)
        if runs % 2 == 0:  # the same but for the interval
            assert found["left over"] == "[]"
        differing = {name for name in expected if found[name] != expected[name]}
        assert differing <= ({"spec", "report"} if runs % 2 else set())
    assert moments.count("killed") >= KILLS / 2
    assert torn  # some were writing a file


@pytest.mark.no_cover
def test_processes_as_anyone_starts_them(whole, tmp_path, results):
    path = tmp_path / "run"
    words = [*TRAIN, *EVERY[0], "--out", str(path)]
    for number in (signal.SIGKILL, signal.SIGTERM):
        command = [sys.executable, "-c", ALONE, *words]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as p:
            before = _newest(path)
            while _newest(path) <= before and p.poll() is None:
                time.sleep(0.01)
            assert is_locked(path)
            p.send_signal(number)
            assert p.stderr is not None
            said = p.stderr.read()
        if number == signal.SIGKILL:
            assert (p.returncode, look(path)) == (-number, "killed")
        else:
            assert (p.returncode, look(path)) == (128 + number, "interrupted")
            assert f"by {number.name}; saved: thalweg resume {path} goes on" in said
        words = ["resume", str(path), "--quiet"]
    subprocess.run([sys.executable, "-c", ALONE, *words], env=environment(), check=True)
    assert results(path) == results(whole)


def _newest(path: Path) -> int:
    files = (path / "checkpoints").glob("step-*.safetensors")
    return max((int(file.stem[5:]) for file in files), default=0)
