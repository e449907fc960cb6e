from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch

from thalweg.cli import main
from thalweg.cli.bar import Bar
from thalweg.engine import Clock, Finished, Run, Step
from thalweg.spec import Spec

PROGRAM = "import sys; from thalweg.cli import main; sys.exit(main())"


def on_a_terminal(*words: str, columns: int = 80, to: int | None = None) -> tuple[int, str]:
    """Run the program on a terminal of its own; ``to`` takes its stdout."""
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stdin=follower,
        stdout=follower if to is None else to,
        stderr=follower,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(follower)
    text = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(leader)
    return run.wait(), text.decode()


WORDS = ["train", "digits", "--hidden", "16", "--epochs", "3"]


def test_rows_and_a_bar_on_a_terminal() -> None:
    code, text = on_a_terminal(*WORDS)
    assert code == 0
    bars = re.findall(r"epoch \d/3 .*? \S+/s \S+", text)
    assert bars
    assert "loss" in bars[0]
    assert "accuracy" in bars[0]
    assert "lr 0.001" in bars[0]
    *lines, result, recorded, _ = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if re.match(r" +\d ", line)] == ["1", "2", "3"]
    assert "done after 3 epochs" in result
    assert recorded.startswith("recorded in ")


@pytest.mark.slow
def test_a_pipe_gets_plain_lines_while_the_bar_is_on_the_terminal() -> None:
    read, write = os.pipe()
    code, text = on_a_terminal(*WORDS, columns=120, to=write)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read()
    assert code == 0
    assert "epoch" in text
    assert len(lines.splitlines()) == 2 + 3 + 1
    assert "\x1b" not in lines


def test_a_bar_and_lines_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(WORDS) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2 + 3 + 1
    assert "epoch 1/3" in told.err


def test_the_bar_reads_no_tensor_between_two_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    run = Run(Spec().override({"steps": 30}))
    read: list[int] = []

    class Spy(dict[str, torch.Tensor]):
        def items(self):  # type: ignore[no-untyped-def]
            read.append(1)
            return super().items()

    with Bar(run) as bar:
        for step in range(1, 31):
            now += 0.01
            metrics = Spy(loss=torch.tensor([1.0]))
            bar(Step(Clock(step, step / 23, step, step / 100), metrics, (0.1,)))
        bar(Finished(Clock(30, 30 / 23, 30, 0.3), "complete", {}))
    assert len(read) == 3
