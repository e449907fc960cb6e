"""A series that is interrupted, killed or damaged: the same results bit for bit, or plain words."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from thalweg.engine import Evaluated, Finished, Step, short_keys
from thalweg.errors import DataError, FileError
from thalweg.spec import Spec
from thalweg.store import SeriesFolder, read_checkpoint, write_checkpoint
from thalweg.study import Interrupted, go_on_sweep, load_sweep, resume
from thalweg.study.sweeps import writing
from thalweg.study.sweeps.grid import grid
from thalweg.study.sweeps.recorded import begin_series
from thalweg.study.sweeps.series import Series

ROOM = 7 * 4 * 656 / 2**20
"""For seven of the 13 states of a member: 8 · 64 + 8 + 8 + 8 + 10 · 8 + 10 numbers, aligned."""

BASE = Spec().override(
    {
        "hidden": (8,), "norm": "batch", "dropout": 0.2, "subset": 240, "val": 60, "steps": 12,
        "evaluate_every": "3steps", "checkpoint_every": "2steps", "threads": 1,
        "record_states": 1, "record_budget": ROOM,
    },
    short_keys(),
)  # fmt: skip
OVER = {"batch_size": [30, 60], "lr": [0.01, 0.1, 1e30], "optimizer": ["sgd", "adam"]}

NURSERY = """
import os, random, signal, sys, time
from thalweg.cli import main
main(["train", "digits", "--steps", "1", "--threads", "1", "--no-record", "--quiet"])
seed, kills, out, *words = sys.argv[1:]
chance, killed = random.Random(int(seed)), 0
while True:
    child = os.fork()
    if not child:
        code = 70
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            os.dup2(quiet, 0), os.dup2(quiet, 1), os.dup2(quiet, 2)
            here = os.path.exists(os.path.join(out, "series.json"))
            code = main(["resume", out] if here else ["sweep", *words, "--out", out])
        finally:
            os._exit(code)
    if killed < int(kills):
        time.sleep(chance.uniform(0.05, 0.8))
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    killed += ended == -9
    if ended != -9 or not os.path.exists(os.path.join(out, "series.json")):
        if ended == 0:
            break
        assert ended == -9, ended
        for name in os.listdir(out) if os.path.isdir(out) else ():
            os.remove(os.path.join(out, name))
print(killed)
"""


def results(path: Path) -> dict[str, Any]:
    """All that a series has come to, but for the time that it took."""
    folder = SeriesFolder.open(path)
    table = folder.results()
    table.pop("seconds")
    metrics, weights = list[Any](), list[Any]()
    for index in range(len(folder.info.groups)):
        columns = folder.metrics(index)
        columns.pop("seconds")
        metrics.append(columns)
        weights.append(
            {
                (number, name): array.numpy().tobytes()
                for number, own in folder.weights(index).items()
                for name, array in own.items()
            }
        )
    states = {
        number: {step: files.read(step).numpy().tobytes() for step in files.steps()}
        for number in range(len(folder.info.members))
        for files in [folder.states(number)]
    }
    left = sorted(p.name for p in path.rglob(".part-*")) + sorted(path.glob("checkpoints/*/*"))
    state = folder.info.state
    return {
        "state": state, "table": table, "metrics": metrics, "weights": weights, "states": states,
        "left": left,
    }  # fmt: skip


def begun(out: Path, base: Spec = BASE, over: Any = OVER) -> tuple[SeriesFolder, Iterator[Any]]:
    return begin_series(Series(grid(base, over, 2)), base, kind="sweep", out=out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, events = begun(tmp_path_factory.mktemp("whole") / "sweep")
    for _ in events:
        pass
    return folder.path


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copied"))


def test_what_is_there(whole: Path) -> None:
    found = results(whole)
    assert found["state"] == "complete"
    assert found["left"] == []
    assert found["table"]["number"] == list(range(24))
    assert found["table"]["reason"].count("diverged") >= 4
    ways = [list(own) for own in found["states"].values()]
    assert {len(steps) for steps in ways} == {2, 7}
    assert [0, 2, 4, 6, 8, 10, 12] in ways
    said = (whole / "log.txt").read_text().splitlines()
    assert [line.split("  ")[1] for line in said] == ["began", "complete"]


# ── stopped, and gone on with ────────────────────────────────────────────────────────────────


def is_step(number: int, group: int) -> Callable[[int, Any], bool]:
    return lambda index, e: isinstance(e, Step) and (index, e.clock.step) == (group, number)


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "moment",
    [
        is_step(1, 0),
        is_step(5, 0),
        is_step(12, 0),
        is_step(4, 1),
        lambda index, e: isinstance(e, Evaluated),
        lambda index, e: isinstance(e, Finished) and e.reason == "diverged",
        lambda index, e: isinstance(e, Finished) and index == 1,
    ],
)
@pytest.mark.parametrize("how", ["signal", "death"])
def test_it_goes_on_to_the_same_bits(
    moment: Callable[[int, Any], bool], how: str, whole: Path, tmp_path: Path
) -> None:
    folder, events = begun(tmp_path / "sweep")
    stopped = False
    try:
        for index, event in events:
            if not stopped and moment(index, event):
                stopped = True
                if how == "death":
                    break
                os.kill(os.getpid(), signal.SIGINT)
    except Interrupted as stop:
        assert stop.hint == f"saved; thalweg resume {folder.path} goes on"  # noqa: PT017
        assert SeriesFolder.open(folder.path).info.state == "interrupted"
    events.close()  # type: ignore[attr-defined]
    assert stopped
    if SeriesFolder.open(folder.path).info.state != "complete":
        resume(folder.path)
    assert results(folder.path) == results(whole)


def test_stopped_again_and_again(whole: Path, tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    chance = random.Random(0)
    for _ in range(12):
        for _, event in events:
            if isinstance(event, Step) and chance.random() < 0.2:
                break
        events.close()  # type: ignore[attr-defined]
        if SeriesFolder.open(folder.path).info.state == "complete":
            break
        _, events = go_on_sweep(folder.path)
    for _ in events:
        pass
    assert results(folder.path) == results(whole)


def test_a_checkpoint_every_so_many_seconds_or_epochs_or_never(whole: Path, tmp_path: Path) -> None:
    for every in ("0.001s", "1epochs", "never"):
        base = BASE.override({"record.checkpoint_every": every})
        folder, events = begun(tmp_path / every, base)
        for index, event in events:
            if isinstance(event, Step) and (index, event.clock.step) == (1, 9):
                break
        events.close()  # type: ignore[attr-defined]
        kept = list(folder.path.glob("checkpoints/group-001/*"))
        assert len(kept) == (every != "never")
        resume(folder.path)
        assert results(folder.path) == results(whole)


def test_other_data_are_noticed(tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    for _ in events:
        break
    events.close()  # type: ignore[attr-defined]
    text = (folder.path / "series.json").read_text()
    changed = text.replace(folder.info.data.fingerprint, "0" * 32)
    (folder.path / "series.json").write_text(changed)
    with pytest.raises(DataError, match="got data that are not those of"):
        resume(folder.path)


def kills(number: int, seed: int, out: Path) -> int:
    """Kill a sweep so often at random moments, let it come to its end, and count the kills."""
    words = ["digits", "--seeds", "2", "--quiet", "--memory", "500"]
    words += [word for key, values in OVER.items() for word in ("--over", _over(key, values))]
    settings = BASE.override({"steps": 400, "record.checkpoint_every": "0.02s"})
    for line in (
        "hidden=[8]", "norm=batch", "dropout=0.2", "subset=240", "val=60", "threads=1",
        f"steps={settings.steps}", "evaluate_every=100steps", "checkpoint_every=0.02s",
        "record_states=10", f"record_budget={ROOM}",
    ):  # fmt: skip
        words += ["-s", line]
    command = [sys.executable, "-c", NURSERY, str(seed), str(number), str(out), *words]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"
    }  # fmt: skip
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-1])


def _over(key: str, values: list[Any]) -> str:
    return f"{key}={','.join(map(str, values))}"


@pytest.mark.slow
def test_a_few_kills_cost_nothing(tmp_path: Path) -> None:
    assert kills(0, 0, tmp_path / "whole") == 0
    assert kills(4, 1, tmp_path / "killed") >= 2
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_kills_cost_nothing(seed: int, tmp_path: Path) -> None:
    assert kills(0, 0, tmp_path / "whole") == 0
    assert kills(10, seed, tmp_path / "killed") >= 2
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_states_that_are_flipped_are_noticed_when_they_are_read(copied: Path) -> None:
    file = max(copied.glob("states/member-00000/*"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x10
    file.write_bytes(content)
    states = load_sweep(copied).states(0)
    with pytest.raises(FileError, match=rf"{re.escape(str(file))} \(damaged"):
        states.theta[-1]


def test_states_that_were_removed_are_none(copied: Path) -> None:
    shutil.rmtree(copied / "states")
    assert load_sweep(copied).states(0).steps == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": "all"}, "of steps all; expected states from its step on"),
        ({"steps": [0, 1.5]}, "states from its step on"),
        ({"steps": [1]}, "states from its step on"),
        ({"steps": [0, 0]}, "states from its step on"),
        ({"steps": [0, 3]}, "evenly spaced ones from 0 on"),
    ],
)
def test_states_that_say_what_cannot_be(wrong: Any, message: str, copied: Path) -> None:
    file = min(copied.glob("states/member-00000/*"))
    write_checkpoint(file, read_checkpoint(file).arrays, {"places": {}, **wrong})
    with pytest.raises(FileError, match=re.escape(message)):
        load_sweep(copied)


def test_states_of_another_shape(copied: Path) -> None:
    file, states = min(copied.glob("states/member-00000/*")), load_sweep(copied).states(0)
    found = read_checkpoint(file)
    write_checkpoint(file, {"theta": found.arrays["theta"][1:]}, found.facts)
    with pytest.raises(FileError, match="without its"):
        states.theta[0]
    file.unlink()
    with pytest.raises(FileError, match="without step 0"):
        states.theta[0]
    files = SeriesFolder.open(copied).states(0)
    with pytest.raises(FileError, match="without step 999"):
        files.read(999)


@pytest.mark.parametrize("wrong", [{"0": -1}, {"0": "2"}, [1]])
def test_checkpoints_that_say_what_cannot_be_of_states(wrong: Any, tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    for _, event in events:
        if isinstance(event, Step) and event.clock.step == 4:
            break
    events.close()  # type: ignore[attr-defined]
    (file,) = folder.path.glob("checkpoints/group-000/*")
    found = read_checkpoint(file)
    write_checkpoint(file, found.arrays, {**found.facts, "states": wrong})
    with pytest.raises(FileError, match="a whole number of them"):
        resume(folder.path)


def test_states_that_do_not_reach_to_the_checkpoint(tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    for _, event in events:
        if isinstance(event, Step) and event.clock.step == 4:
            break
    events.close()  # type: ignore[attr-defined]
    min(folder.path.glob("states/member-00000/*")).unlink()
    with pytest.raises(FileError, match="without step 0 of member 0"):
        resume(folder.path)


def test_states_go_to_the_disk_between_checkpoints(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LOOSE", 0)
    base = BASE.override({"record.checkpoint_every": "7steps"})
    series = Series(grid(base, OVER, 2))
    folder, events = begin_series(series, base, kind="sweep", out=tmp_path / "sweep")
    for index, event in events:
        if isinstance(event, Step):
            assert all(len(states.loose) <= 1 for states in series.states.values())
            if (index, event.clock.step) == (1, 9):
                break
    events.close()  # type: ignore[attr-defined]
    resume(folder.path)
    assert results(folder.path) == results(whole)


# ── damage ───────────────────────────────────────────────────────────────────────────────────

FILES = (
    "series.json", "spec.toml", "environment.json", "results.parquet",
    "weights/group-000.safetensors", "metrics/group-000", "states/member-00000",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["gone", "empty", "half", "noise", "flipped", "a folder"])
def test_damage_is_said_in_plain_words(name: str, how: str, copied: Path, whole: Path) -> None:
    file = copied / name
    if file.is_dir():
        file = min(file.glob("*.*"))
    content, chance = file.read_bytes(), random.Random(0)
    file.unlink()
    match how:
        case "empty":
            file.write_bytes(b"")
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "noise":
            file.write_bytes(chance.randbytes(len(content)))
        case "flipped":
            middle = len(content) // 2
            flipped = bytes([content[middle] ^ 0x10])
            file.write_bytes(content[:middle] + flipped + content[middle + 1 :])
        case "a folder":
            file.mkdir()
    if name == "results.parquet" and how == "gone":  # as before the first group is over
        assert load_sweep(copied).results["number"] == []
        return
    try:
        sweep = load_sweep(copied)
    except FileError as error:
        assert str(copied) in str(error)  # noqa: PT017
    else:  # a letter that was flipped may still be one, and pages alone have checksums
        assert how == "flipped"
        assert len(sweep.table()) == 12
        if name == "results.parquet":
            assert list(sweep.results.values()) == list(load_sweep(whole).results.values())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"kind": "sweep"', '"kind": 3', "kind: Input should be a valid string"),
        ('"format": ', '"format": 9', "newer"),
        ('"groups": [', '"groups": [[0],', "with other groups; expected each member in one group"),
        ('"lr": 0.01', '"larning_rate": 0.01', "larning_rate"),
        ('"lr": 0.01', '"lr": "high"', "lr"),
    ],
)
def test_series_json_that_says_what_cannot_be(
    old: str, new: str, message: str, copied: Path
) -> None:
    file = copied / "series.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError, match=re.escape(message)):
        load_sweep(copied)


def test_results_of_other_members(copied: Path) -> None:
    folder = SeriesFolder.open(copied)
    columns = folder.results()
    for wrong in (
        {**columns, "number": [n + 1 for n in columns["number"]]},
        {**columns, "number": [str(n) for n in columns["number"]]},
        {name: values for name, values in columns.items() if name != "reason"},
    ):
        folder.write_results(wrong)
        with pytest.raises(FileError, match=r"results.parquet \(damaged\)"):
            load_sweep(copied)


def test_weights_of_other_members(copied: Path) -> None:
    folder = SeriesFolder.open(copied)
    own = dict(folder.weights(0))
    first = min(own)
    rest = {number: own[number] for number in own if number != first}
    for wrong in (rest, {**rest, 99: own[first]}, {"x": own[first]}):
        folder.write_weights(0, wrong)
        with pytest.raises(FileError, match=r"group-000.safetensors"):
            load_sweep(copied)


def test_a_damaged_checkpoint_costs_the_group(whole: Path, tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    for _, event in events:
        if isinstance(event, Step) and event.clock.step == 6:
            break
    events.close()  # type: ignore[attr-defined]
    (file,) = folder.path.glob("checkpoints/group-000/*")
    file.write_bytes(file.read_bytes()[:-40])
    resume(folder.path)
    assert results(folder.path) == results(whole)


def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    folder, events = begun(tmp_path / "sweep")
    for _, event in events:
        if isinstance(event, Step) and event.clock.step == 6:
            break
    events.close()  # type: ignore[attr-defined]
    found = folder.checkpoint(0)
    assert found is not None
    for facts in (
        {**found.facts, "shares": 3},
        {**found.facts, "shares": {"x": 1.0}},
        {**found.facts, "rows": {"epochs": 10_000}},
        {name: fact for name, fact in found.facts.items() if name != "members"},
    ):
        folder.write_checkpoint(0, found.arrays, facts)
        with pytest.raises((FileError, ValueError)) as caught:
            resume(folder.path)
        assert "got" in str(caught.value)
