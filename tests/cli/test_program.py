from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import thalweg
from thalweg.cli import main, program
from thalweg.errors import DataError
from thalweg.store import RunFolder

PROGRAM = [sys.executable, "-c", "import sys; from thalweg.cli import main; sys.exit(main())"]
COMMANDS = [
    ["train"], ["resume"], ["runs"], ["runs", "rename"], ["runs", "tag"], ["runs", "move"],
    ["runs", "delete"], ["show"], ["report"], ["evaluate"], ["predict"], ["export"],
    ["landscape"], ["slice"], ["curvature"],
    ["data"], ["data", "list"], ["data", "fetch"], ["data", "show"],
    ["model"], ["recipes"], ["completion"],
]  # fmt: skip


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"thalweg {thalweg.__version__}\n"


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_every_command_has_help_with_examples(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("usage: thalweg")
    assert "examples:\n  thalweg" in told


@pytest.mark.parametrize("command", [[], ["data"]], ids=" ".join)
def test_no_command_is_wrong_usage(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "commands:" in told.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["trian"],
            "thalweg: got the command 'trian'; expected a command of thalweg. "
            "Hint: did you mean train?\n",
        ),
        (
            ["train", "--optimzer", "sgd"],
            "thalweg: got the unknown option --optimzer; expected an option of thalweg train. "
            "Hint: did you mean --optimizer? see thalweg train --help\n",
        ),
    ],
)
def test_wrong_usage_is_one_line(
    words: Sequence[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", line)


def test_an_error_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "mnits", "--json"]) == 2
    told = capsys.readouterr()
    error = json.loads(told.out)
    assert {"event": "error", "kind": "SpecError", "got": "the data set 'mnits'"}.items() <= (
        error.items()
    )
    assert "did you mean mnist?" in error["hint"]
    assert told.err.startswith("thalweg: got the data set 'mnits'; expected")


def test_an_error_that_is_not_of_usage_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: Sequence[str]) -> int:
        raise DataError("a file\nin two lines", "one")

    monkeypatch.setattr(program, "_run", fail)
    assert main([]) == 1
    assert capsys.readouterr().err == "thalweg: got a file in two lines; expected one.\n"


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(words: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "_run", interrupt)
    assert main([]) == 130
    assert capsys.readouterr().err == "thalweg: interrupted\n"


def test_the_process_is_prepared_before_torch() -> None:
    code = (
        "import os, sys, builtins\n"
        "os.environ.pop('MKL_CBWR', None)\n"
        "real, seen = builtins.__import__, []\n"
        "def spy(name, *rest):\n"
        "    if name.partition('.')[0] == 'torch' and 'torch' not in sys.modules:\n"
        "        seen.append(os.environ.get('MKL_CBWR'))\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = spy\n"
        "from thalweg.cli import main\n"
        "assert main(['train', '--print-spec']) == 0\n"
        "assert seen and all(seen), seen\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_what_needs_no_torch_does_not_wait_for_it() -> None:
    words = [
        ["--help"], ["--version"], ["recipes"], ["recipes", "lba"], ["trian"], ["runs"],
        ["runs", "--help"], ["show", "nix"], ["predict", "--help"],
    ]  # fmt: skip
    code = (
        "import sys\n"
        "from thalweg.cli import main\n"
        f"for words in {words}:\n"
        "    main(words)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(f'{words} imported torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, "recipes"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_run(number: signal.Signals, tmp_path: Path) -> None:
    told, code = _stopped(tmp_path, number, "--name", "stopped one")
    hint = f"thalweg resume {tmp_path}/stopped-one goes on"
    assert code == 128 + number
    assert told.startswith("thalweg: interrupted after step ")
    assert told.endswith(f" by {number.name}; saved: {hint}\n")
    assert told.count("\n") == 1
    assert RunFolder.open(tmp_path / "stopped-one").state == "interrupted"


def test_ctrl_c_ends_a_run_that_is_not_recorded(tmp_path: Path) -> None:
    assert _stopped(tmp_path, signal.SIGINT, "--no-record") == ("thalweg: interrupted\n", 130)
    assert list(tmp_path.iterdir()) == []


def _stopped(folder: Path, number: signal.Signals, *words: str) -> tuple[str, int]:
    """Train in a process, stop it with a signal, and return its stderr and its exit code."""
    endless = ["train", "circle", "--epochs", "1e6", "--evaluate-every", "never"]
    command = [*PROGRAM, *endless, "--json", "--log-every", "100", *words]
    environment = {**os.environ, "THALWEG_RUNS": str(folder)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as run:
        assert run.stdout is not None
        assert json.loads(run.stdout.readline())["event"] == "started"
        assert json.loads(run.stdout.readline())["event"] == "step"
        run.send_signal(number)
        _, told = run.communicate(timeout=60)
    return told, run.returncode
