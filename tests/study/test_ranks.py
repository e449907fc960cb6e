"""Two processes that train one network, beside one: the same losses, one folder, one message.

Most of them are forked from one that has imported torch already; ``torchrun`` starts some as anyone
would.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.store import RunFolder

NURSERY = """
import json, os, sys
from thalweg.cli import main
main(["train", "digits", "--steps", "1", "--threads", "1", "--no-record", "--quiet"])
print("ready", flush=True)
for line in sys.stdin:
    words, world, port, out = json.loads(line)
    children = []
    for rank in range(world):
        child = os.fork()
        if not child:
            code = 70
            try:
                several = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank,
                           "LOCAL_RANK": rank, "WORLD_SIZE": world}
                os.environ |= {name: str(value) for name, value in several.items()}
                file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0), os.dup2(file, 1), os.dup2(file, 2)
                code = main(words)
                sys.stdout.flush()
            finally:
                os._exit(code)
        children.append(child)
    print(json.dumps(children), flush=True)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]),
          flush=True)
"""

NETS = {
    "deep-bn": "--model deep-bn -s hidden=[32,16] --accumulate 2 --until train_loss<=0.01",
    "lab-mlp": "--model lab-mlp --optimizer momentum --lr 0.1 --clip-norm 1 --drop-last",
    "practice-mlp": "--model practice-mlp -s dropout=0.3 --lr 0.003 --wrap ema --l2 1e-4",
}
LENGTH = "--batch-size 64 --steps 40 --evaluate-every 10steps --threads 1"


class Nursery:
    """Bears processes that run ``thalweg`` together."""

    def __init__(self, folder: Path) -> None:
        path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
        pipe = subprocess.PIPE
        self.out, self.process = folder / "out", subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=pipe, stdout=pipe, text=True,
            env={**os.environ, **path, "THALWEG_RUNS": str(folder)},
        )  # fmt: skip
        while self._line() != "ready":
            pass

    def start(self, words: str, world: int = 2) -> list[int]:
        """Start processes, and return their numbers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.out.unlink(missing_ok=True)
        assert self.process.stdin is not None
        order = [words.split(), world, port, str(self.out)]
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return [int(number) for number in json.loads(self._line())]

    def wait(self) -> tuple[list[int], str]:
        """Return the exit codes of the processes, and all that they have printed."""
        return json.loads(self._line()), self.out.read_text()

    def __call__(self, words: str, world: int = 2) -> str:
        """Let processes do something that they can do, and return what they have printed."""
        self.start(words, world)
        codes, said = self.wait()
        assert codes == [0] * world, said
        return said

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the nursery died"
        return line.strip()


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    bearer = Nursery(tmp_path_factory.mktemp("nursery"))
    with bearer.process:
        yield bearer


def same(path: Path, whole: Path, rel: float = 1e-5) -> None:
    """Check that two runs have gone the same way, but for roundings."""
    found, known = RunFolder.open(path), RunFolder.open(whole)
    assert found.state == known.state == "complete"
    for mine, theirs in ((found.steps(), known.steps()), (found.epochs(), known.epochs())):
        assert list(mine) == list(theirs)
        for name in mine.keys() - {"seconds"}:
            slack = 0.02 if name.endswith("accuracy") else 1e-7
            both = [[-1.0 if x is None else x for x in table[name]] for table in (mine, theirs)]
            assert both[0] == pytest.approx(both[1], rel=rel, abs=slack), name


@pytest.mark.parametrize("net", NETS)
def test_two_are_as_good_as_one(nursery, net, tmp_path):
    words = f"train digits {NETS[net]} {LENGTH} --quiet"
    one = nursery(f"{words} --out {tmp_path / 'one'}", 1)
    two = nursery(f"{words} --out {tmp_path / 'two'}")
    same(tmp_path / "two", tmp_path / "one")
    assert two.partition("  done")[0] == one.partition("  done")[0]
    assert two.count("\n") == 1
    assert "began at step 0, in 2 processes" in (tmp_path / "two" / "log.txt").read_text()


@pytest.mark.parametrize("worlds", [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(nursery, worlds, tmp_path):
    words = f"train digits {NETS['deep-bn']} -s dropout=0.1 {LENGTH} --quiet"
    nursery(f"{words} --out {tmp_path / 'whole'}", 1)
    nursery(f"{words} --steps 17 --out {tmp_path / 'run'}", worlds[0])
    nursery(f"resume {tmp_path / 'run'} --steps 40 --quiet", worlds[1])
    found, known = (RunFolder.open(tmp_path / name) for name in ("run", "whole"))
    assert found.steps()["loss"] == pytest.approx(known.steps()["loss"], rel=1e-5)
    assert found.epochs()["test_loss"][-1] == pytest.approx(known.epochs()["test_loss"][-1], 1e-5)


def test_all_stop_when_one_is_asked_to(nursery, tmp_path):
    path = tmp_path / "run"
    words = f"train digits {LENGTH} --epochs 500 --steps none --quiet --out {path}"
    _, second = nursery.start(words)
    while not (path / "log.txt").exists():
        time.sleep(0.005)
    time.sleep(0.2)
    os.kill(second, signal.SIGTERM)
    codes, said = nursery.wait()
    assert codes == [128 + signal.SIGTERM] * 2
    assert said.count("thalweg:") == 1
    assert "saved: thalweg resume" in said
    assert RunFolder.open(path).state == "interrupted"
    assert RunFolder.open(path).checkpoint().facts["updates"] > 0


def test_what_one_cannot_do_all_say_once(nursery, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    cases = {
        "train nowhere": "got the data set 'nowhere'",
        "train digits --lr x": "expected a number",
        f"train digits --out {tmp_path / 'taken'}": "which holds something else",  # the first alone
        "train digits --batch-size 1437": "got a batch of 1 for 2 processes",
        "resume nothing": "nothing",
    }
    for words, expected in cases.items():
        nursery.start(words)
        codes, said = nursery.wait()
        assert codes[0] == codes[1] > 0
        assert expected in said
        assert said.count("thalweg: ") == 1, said


def test_a_killed_process_ends_the_others(nursery, tmp_path):
    path = tmp_path / "run"
    words = f"train digits {LENGTH} --epochs 500 --steps none --quiet --checkpoint-every 5steps"
    _, second = nursery.start(f"{words} --out {path}")
    while not list((path / "checkpoints").glob("*")):
        time.sleep(0.005)
    os.kill(second, signal.SIGKILL)
    codes, said = nursery.wait()
    assert codes == [1, -signal.SIGKILL]
    assert "got a process of this run that has ended" in said
    assert said.count("thalweg: ") == 1
    assert RunFolder.open(path).state == "killed"
    assert RunFolder.open(path).checkpoint().facts["updates"] >= 5


def torchrun(words: str) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "thalweg", *words.split()]
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torchrun(nursery, tmp_path):
    words = f"train digits {NETS['deep-bn']} {LENGTH} --quiet"
    nursery(f"{words} --out {tmp_path / 'one'}", 1)
    assert torchrun(f"{words} --out {tmp_path / 'two'}").startswith("train ")
    same(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.mnist
def test_torchrun_with_convolutions_on_real_pictures(nursery, tmp_path, mnist_folder, monkeypatch):
    monkeypatch.setenv("THALWEG_DATA", str(mnist_folder))
    words = "train fashion-mnist --model garment --optimizer momentum --lr 0.02 --batch-size 64"
    words += " --subset 6400 --steps 150 --evaluate-every 50steps --threads 1 --quiet"
    torchrun(f"{words} --out {tmp_path / 'two'}")
    command = [sys.executable, "-m", "thalweg", *words.split(), "--out", str(tmp_path / "one")]
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    subprocess.run(command, env={**os.environ, **path}, check=True, timeout=300)
    same(tmp_path / "two", tmp_path / "one", rel=1e-2)
