"""What holds for every log, whatever writes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thalweg.errors import FileError, SpecError, ThalwegError
from thalweg.store.logs import LOGS, Log, open_log

SPEC = {
    "model": {"name": "mlp", "init": None, "hidden": [3, 4]},
    "optimizer": {"lr": 0.1, "lookahead": {"k": 5}},
    "seed": 0,
    "drop_last": False,
}
WRITER = """
import os, runpy, sys, time
from pathlib import Path
from thalweg.store.logs import open_log

kind, folder, shared, first, last, batch, end = sys.argv[1:]
table = runpy.run_path(shared)["_table"]
log = open_log(kind, Path(folder), "a run", ("a", "b"), {"lr": 0.1})
for stop in range(int(first) + int(batch), int(last) + 1, int(batch)):
    for name in ("steps", "epochs"):
        log.write(name, table(name, int(first), stop))
    print("written", flush=True)
if end == "exit":
    os._exit(1)
if end == "wait":
    time.sleep(60)
log.close(end)
"""


@pytest.fixture(params=LOGS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def log(kind: str, folder: Path) -> Log:
    return make(kind, folder)


def make(kind: str, folder: Path) -> Log:
    return open_log(kind, folder, "a run", ("a", "b"), SPEC)


def write_both(log: Log, table: Callable, first: int, last: int) -> None:
    for name in ("steps", "epochs"):
        log.write(name, table(name, first, last))


def check(found: dict, expected: dict, kind: str) -> None:
    """Compare all steps and values: TensorBoard keeps single precision."""
    assert found.keys() == expected.keys()
    for name, entries in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in entries], name
        values = np.array([value for _, value in entries])
        if kind == "tensorboard":
            values = values.astype(np.float32)
        np.testing.assert_array_equal([value for _, value in found[name]], values, name)


def writer(kind: str, folder: Path, *words: object) -> subprocess.Popen:
    """Start another process that writes, with a service of Weights & Biases of its own."""
    shared = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", WRITER, kind, folder, shared, *words]
    env = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=env)


def test_rows_come_back(
    log: Log, kind: str, table: Callable, read: Callable, expected: Callable
) -> None:
    write_both(log, table, 0, 25)
    log.close("complete")
    check(read(), expected(25), kind)


def test_rows_may_be_written_again_with_more(
    log: Log, kind: str, table: Callable, read: Callable, expected: Callable
) -> None:
    for first, last in [(0, 7), (0, 25), (12, 31), (0, 31)]:
        write_both(log, table, first, last)
    log.close("complete")
    check(read(), expected(31), kind)


@pytest.mark.parametrize(("end", "again"), [("exit", 0), ("interrupted", 20)])
def test_a_run_goes_on_in_another_process(
    kind: str,
    folder: Path,
    end: str,
    again: int,
    table: Callable,
    read: Callable,
    expected: Callable,
) -> None:
    assert writer(kind, folder, 0, 45, 15, end).communicate()[0].count(b"written") == 3
    log = make(kind, folder)
    write_both(log, table, again, 61)
    log.close("complete")
    check(read(), expected(61), kind)


@pytest.mark.parametrize("kills", [(5,), pytest.param((3, 8), marks=pytest.mark.slow)])
def test_a_run_that_is_killed_while_it_writes(
    kills: tuple[int, ...],
    kind: str,
    folder: Path,
    table: Callable,
    read: Callable,
    expected: Callable,
) -> None:
    for written in kills:
        process = writer(kind, folder, 0, 1000, 5, "wait")
        assert process.stdout is not None
        for _ in range(written):
            process.stdout.readline()
        time.sleep(0.001 * written)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    time.sleep(0.5)  # the time that another process takes to begin
    log = make(kind, folder)
    write_both(log, table, 0, 1000)
    log.close("complete")
    check(read(), expected(1000), kind)


def test_rows_without_a_number_are_left_out(log: Log, kind: str, read: Callable) -> None:
    values = [float("nan"), None, float("inf"), -float("inf"), 1]
    log.write("epochs", {"step": [0, 1, 2, 3, 4], "train_loss": values, "val_loss": [None] * 5})
    log.close("diverged")
    found = dict(read()["train/loss"])
    infinite = {} if kind == "mlflow" else {2: values[2], 3: values[3]}  # whose databases have none
    np.testing.assert_equal(found, {0: values[0], **infinite, 4: 1})


def test_rows_without_any_number(log: Log, read: Callable) -> None:
    log.write("epochs", {"step": [0, 1], "val_loss": [None, None]})
    log.write("epochs", {"step": [0, 1, 2], "val_loss": [None, None, 0.5]})
    log.close("complete")
    assert read() == {"val/loss": [(2, 0.5)]}


def test_a_column_may_come_later(log: Log, read: Callable) -> None:
    log.write("epochs", {"step": [0], "train_loss": [1.0]})
    log.write("epochs", {"step": [0, 5], "train_loss": [1.0, 0.5], "test_accuracy": [None, 0.25]})
    log.close("complete")
    assert read() == {"train/loss": [(0, 1.0), (5, 0.5)], "test/accuracy": [(5, 0.25)]}


def test_nothing_to_write(log: Log, folder: Path, table: Callable) -> None:
    before = set(folder.iterdir())
    write_both(log, table, 0, 0)
    assert set(folder.iterdir()) == before


def test_a_run_without_rows_has_its_end(log: Log, read: Callable) -> None:
    log.close("complete")
    assert read() == {}


def test_any_thread_may_write(
    log: Log, kind: str, table: Callable, read: Callable, expected: Callable
) -> None:
    for last in (5, 12):
        thread = threading.Thread(target=write_both, args=(log, table, 0, last))
        thread.start()
        thread.join()
    log.close("complete")
    check(read(), expected(12), kind)


def test_the_terminal_is_left_alone(
    log: Log, table: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    write_both(log, table, 0, 12)
    log.close("interrupted")
    assert capfd.readouterr() == ("", "")


def test_a_log_that_was_left_open(
    kind: str, folder: Path, table: Callable, read: Callable, expected: Callable
) -> None:
    write_both(make(kind, folder), table, 0, 12)
    log = make(kind, folder)
    write_both(log, table, 0, 25)
    log.close("complete")
    check(read(), expected(25), kind)


def test_what_fails_is_an_error_that_can_be_mended(
    log: Log, kind: str, folder: Path, table: Callable, read: Callable, expected: Callable
) -> None:
    hindrance = folder / {"tensorboard": "tensorboard"}.get(kind, "log-id.txt")
    if kind == "tensorboard":
        hindrance.touch()
    else:
        hindrance.mkdir()
    for _ in range(2):
        with pytest.raises(ThalwegError, match=f"{kind}: .*; expected a log that takes rows"):
            write_both(log, table, 0, 12)
    with pytest.raises(ThalwegError):
        log.close("complete")
    if kind == "tensorboard":
        hindrance.unlink()
    else:
        hindrance.rmdir()
    write_both(log, table, 0, 25)
    log.close("complete")
    check(read(), expected(25), kind)


def test_a_row_that_failed_halfway_is_made_up_for(
    log: Log,
    kind: str,
    table: Callable,
    read: Callable,
    expected: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_both(log, table, 0, 5)
    append = type(log)._append

    def fail(self: Log, rows: list) -> None:
        append(self, rows[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(log), "_append", fail)
        with pytest.raises(ThalwegError, match=f"{kind}: .*No space left"):
            write_both(log, table, 0, 20)
    time.sleep(0.3)  # the service of Weights & Biases writes when it likes
    write_both(log, table, 0, 20)
    log.close("complete")
    check(read(), expected(20), kind)


def test_an_error_of_ours_stays_what_it_is(
    log: Log, table: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FileError("a disk", "a better one")

    monkeypatch.setattr(type(log), "_open", fail)
    with pytest.raises(FileError, match="got a disk"):
        write_both(log, table, 0, 5)


def test_the_table_must_exist(log: Log) -> None:
    with pytest.raises(SpecError, match=r"table 'step'; .* did you mean steps\?"):
        log.write("step", {"step": [1], "loss": [0.1]})


@pytest.mark.parametrize("named", ["tensorbord", "wandb ", 3])
def test_the_log_must_exist(named: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="known: mlflow, tensorboard, wandb"):
        open_log(named, tmp_path, "a run")


def test_a_library_that_is_missing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.store.logs.library.find_spec", lambda name: None)
    with pytest.raises(ThalwegError, match=f"pip install 'thalweg.{kind}.'") as caught:
        open_log(kind, tmp_path, "a run")
    assert caught.value.got == f"{kind}, which is not installed"
    assert not list(tmp_path.iterdir())


def test_libraries_are_imported_when_they_are_used(tmp_path: Path) -> None:
    program = f"""
import sys
from thalweg.store.logs import LOGS, open_log
from pathlib import Path
for kind in LOGS:
    open_log(kind, Path({str(tmp_path)!r}), "a run")
print({{"tensorboard", "mlflow", "wandb", "sqlalchemy"}} & set(sys.modules))
"""
    assert subprocess.check_output([sys.executable, "-c", program]) == b"set()\n"
    assert not list(tmp_path.iterdir())
