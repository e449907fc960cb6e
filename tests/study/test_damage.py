"""Damaged run folders: each is read or refused with one error that names it, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.engine.history import Columns
from thalweg.errors import ThalwegError
from thalweg.store import RunFolder, list_runs, read_checkpoint, write_checkpoint
from thalweg.study import load_run, resume, train

SECONDS = 20
MEMORY = 400 * 2**20
"""What a folder of fifty kilobytes may take, at the very most."""

FORBIDDEN = {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}
"""What happens when something runs that was in a file, or when something is fetched."""


# ── what is damaged ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a run that was killed, and with files outside of it."""
    place = tmp_path_factory.mktemp("place")
    changes = {"hidden": (3,), "subset": 60, "val": 20, "batch_size": 30, "steps": 8, "lr": 0.01}
    train(data="digits", **changes, record_states=2, checkpoint_every="2steps", keep_last=3,
          evaluate_every="3steps", lookahead={"k": 2, "alpha": 0.5}, patience=9,
          out=place / "run")  # fmt: skip
    run = place / "run"
    (run / "checkpoints" / "step-000000008.safetensors").unlink()
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "state": "running"}))
    shutil.copytree(run, place / "outside")
    (place / "outside" / "harm.txt").write_text("unharmed")
    return place


Damage = Callable[[random.Random, Path], None]


def files_of(run: Path) -> list[Path]:
    """Files, and nothing that leads elsewhere or waits for somebody."""
    return sorted(file for file in run.rglob("*") if file.is_file() and not file.is_symlink())


def plain(file: Path) -> Path:
    """The file, if it is one still."""
    if file.is_symlink() or not file.is_file():
        raise OSError
    return file


def everything_of(run: Path) -> list[Path]:
    return sorted(run.rglob("*"))


def clear(path: Path) -> None:
    """Make way for something else."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cut(chance: random.Random, run: Path) -> None:
    file = chance.choice(files_of(run))
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content) + 1)])


def flip(chance: random.Random, run: Path) -> None:
    file = chance.choice(files_of(run))
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 50])):
        if content:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def swap(chance: random.Random, run: Path) -> None:
    one, other = chance.choice(everything_of(run)), chance.choice(everything_of(run))
    if one in (other, *other.parents) or other in one.parents:
        return
    between = run / "between"
    one.rename(between)
    other.rename(one)
    between.rename(other)


def empty(chance: random.Random, run: Path) -> None:
    chance.choice(files_of(run)).write_bytes(b"")


def noise(chance: random.Random, run: Path) -> None:
    chance.choice(files_of(run)).write_bytes(chance.randbytes(chance.choice([1, 8, 100, 5000])))


def inflate(chance: random.Random, run: Path) -> None:
    """Make a file a terabyte of nothing, or claim that there is one."""
    file = chance.choice(files_of(run))
    if chance.random() < 0.5:
        with file.open("r+b") as stream:
            stream.truncate(2**40)
    else:
        content = file.read_bytes()
        at = chance.randrange(max(1, len(content) - 8))
        huge = chance.choice([2**31 - 1, 2**40, 2**63 - 1, 2**64 - 1])
        file.write_bytes(content[:at] + huge.to_bytes(8, "little") + content[at + 8 :])


def lose(chance: random.Random, run: Path) -> None:
    clear(chance.choice(everything_of(run)))


def folder(chance: random.Random, run: Path) -> None:
    path = chance.choice(files_of(run))
    clear(path)
    path.mkdir()
    if chance.random() < 0.5:
        (path / "part-00000.parquet").write_bytes(b"PAR1")


def pipe(chance: random.Random, run: Path) -> None:
    path = chance.choice(files_of(run))
    clear(path)
    os.mkfifo(path)


def link(chance: random.Random, run: Path) -> None:
    path = chance.choice(everything_of(run))
    targets = [run.parent / "outside" / path.relative_to(run), run.parent / "outside", path,
               Path("/dev/zero"), run.parent / "nowhere", run]  # fmt: skip
    target = chance.choice(targets)
    clear(path)
    path.symlink_to(target)


VALUES: list[Any] = [None, -1, 0, 1, 2, 7, 2**40, 2**70, 0.5, -0.5, 1e308, float("nan"), True, "",
                     "x", "never", "1steps", "../outside", "\0", "é" * 50, [], [1], ["x"], [[]], {},
                     {"name": "adam"}, {"x": {"y": 1}}]  # fmt: skip


def change(tree: Any, chance: random.Random) -> Any:
    """Change, remove or add one value somewhere in nested mappings and lists."""
    if isinstance(tree, dict) and tree and chance.random() < 0.9:
        key = chance.choice(list(tree))
        how = chance.random()
        if how < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        if how < 0.2:
            return {**tree, chance.choice(["self", "x", "name", "a.b"]): chance.choice(VALUES)}
        return {**tree, key: change(tree[key], chance)}
    return chance.choice(VALUES)


def rewrite_json(chance: random.Random, run: Path) -> None:
    file = plain(run / chance.choice(["run.json", "environment.json"]))
    tree = json.loads(file.read_text("utf-8"))
    file.unlink()
    file.write_text(json.dumps(change(tree, chance)))


def rewrite_spec(chance: random.Random, run: Path) -> None:
    file = plain(run / "spec.toml")
    before = tomllib.loads(file.read_text("utf-8"))
    tree = _toml(change(before, chance))
    if isinstance(tree, dict):
        model = tree.get("model", {})
        if isinstance(model, dict) and model.get("hidden") not in ([3], None):
            model["hidden"] = [chance.choice([0, -1, 2, "x", 0.5])]
        file.unlink()
        file.write_text(tomli_w.dumps(tree), "utf-8")


def _toml(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _toml(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [_toml(value) for value in tree if value is not None]
    return tree if not isinstance(tree, int) or abs(tree) < 2**63 else 2**62


def rewrite_facts(chance: random.Random, run: Path) -> None:
    """Change what a checkpoint says, with a checksum that is right."""
    files = sorted((run / "checkpoints").glob("*.safetensors"))
    found = read_checkpoint(chance.choice(files))
    facts = change(dict(found.facts), chance)
    write_checkpoint(found.file, found.arrays, facts if isinstance(facts, dict) else {})


def rewrite_arrays(chance: random.Random, run: Path) -> None:
    """Change what a checkpoint, a state or the mistakes hold, with a checksum that is right."""
    file = chance.choice([file for file in files_of(run) if file.suffix == ".safetensors"])
    found = read_checkpoint(file)
    arrays = {name: array.clone() for name, array in found.arrays.items()}
    name = chance.choice(list(arrays))
    how = chance.randrange(6)
    if how == 0:
        del arrays[name]
    elif how == 1:
        arrays["x"] = arrays[name].clone()
    elif how == 2:
        arrays[name] = arrays[name].to(chance.choice([torch.float64, torch.uint8, torch.bfloat16]))
    elif how == 3:
        arrays[name] = arrays[name].reshape(-1)[: chance.randrange(3)].clone()
    elif how == 4:
        arrays[name] = torch.zeros_like(arrays[name])
    else:
        arrays[name] = arrays[name].unsqueeze(0)
    write_checkpoint(file, arrays, found.facts)


def nest(chance: random.Random, run: Path) -> None:
    name = chance.choice(["run.json", "environment.json", "spec.toml"])
    depth = chance.choice([500, 50_000])
    opened = chance.choice(["[", '{"a":'])
    clear(run / name)
    (run / name).write_text(("a = " if name == "spec.toml" else "") + opened * depth)


DAMAGES: list[Damage] = [
    cut, flip, swap, empty, noise, inflate, lose, folder, pipe, link, rewrite_json, rewrite_spec,
    rewrite_facts, rewrite_arrays, nest,
]  # fmt: skip


# ── what is done with it ─────────────────────────────────────────────────────────────────────


def print_of(folder: Path) -> str:
    """A hash of all that is in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path} {path.lstat().st_mode}".encode() + content)
    return digest.hexdigest()


def uses(run: Path) -> Iterator[Callable[[], object]]:
    """Everything that is read of a run, and what goes on with it."""

    def of(read: Callable[[RunFolder], object]) -> Callable[[], object]:
        return lambda: read(RunFolder.open(run))

    yield of(lambda found: found.steps())
    yield of(lambda found: found.epochs())
    yield of(lambda found: [found.checkpoint(str(step)) for step in found.checkpoints()])
    yield of(lambda found: found.checkpoint())
    yield of(lambda found: found.checkpoint("best"))
    yield of(lambda found: found.predictions())
    yield of(lambda found: found.mistakes())
    yield of(lambda found: list(found.states().values()))
    yield lambda: list_runs(run.parent)
    yield lambda: load_run(run)
    yield lambda: load_run(run, "best")
    yield lambda: resume(run)
    yield of(lambda found: found.delete())


@pytest.fixture(scope="module")
def watched() -> Iterator[list[str]]:
    """What was done that never should be."""
    seen: list[str] = []
    listening = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening[0] and event in FORBIDDEN:
            seen.append(f"{event} {arguments}")

    sys.addaudithook(hook)  # for good: no hook is ever taken away
    yield seen
    listening[0] = False


def try_everything(place: Path, case: Path, seed: int, watched: list[str]) -> list[str]:
    """Damage a copy of the run, read it and go on with it; return what was refused."""
    chance = random.Random(seed)
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(place, case, symlinks=True)
    run, outside = case / "run", case / "outside"
    done = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        damage = chance.choice(DAMAGES)
        try:
            damage(chance, run)
            done.append(damage.__name__)
        except (OSError, ThalwegError, IndexError, ValueError, RecursionError, MemoryError):
            pass  # there was nothing left to damage in that way
    before, refused = print_of(outside), []

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{done} of seed {seed}: it hangs")

    signal.signal(signal.SIGALRM, late)
    watched.clear()
    for use in uses(run):
        signal.alarm(SECONDS)
        try:
            use()
        except ThalwegError as error:
            refused.append(str(error))
        finally:
            signal.alarm(0)
    assert all(str(run) in error for error in refused), (done, refused)
    assert print_of(outside) == before, done
    assert watched == [], done
    shutil.rmtree(case)
    return refused


def check(place: Path, seed: int, watched: list[str]) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try_everything(place, place.parent / f"case {os.getpid()}", seed, watched)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used < MEMORY


@pytest.fixture(autouse=True)
def _no_cases_are_left(place) -> Iterator[None]:
    yield
    shutil.rmtree(place.parent / f"case {os.getpid()}", ignore_errors=True)


QUIETLY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=QUIETLY, database=None)
def test_damage_is_refused_with_one_error_that_names_it(place, watched, seed):
    check(place, seed, watched)


@pytest.mark.slow
@given(st.integers(0, 2**32))
@settings(max_examples=2500, deadline=None, suppress_health_check=QUIETLY, database=None)
def test_much_damage_is_refused_with_one_error_that_names_it(place, watched, seed):
    check(place, seed, watched)


def test_the_run_that_is_damaged_was_whole(place, watched, tmp_path):
    shutil.copytree(place, tmp_path / "case")
    for use in uses(tmp_path / "case" / "run"):
        use()
    assert watched == []


def test_the_watch_sees(watched):
    import pickle

    pickle.loads(pickle.dumps(Columns))
    assert watched
    watched.clear()
