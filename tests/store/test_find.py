from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.errors import FileError
from thalweg.spec import Spec
from thalweg.store import (
    DataFacts,
    RunFolder,
    claim_path,
    find_run,
    list_runs,
    locate_run,
    new_info,
    runs_root,
    survey_runs,
)

DATA = DataFacts(
    name="digits", task="classification", input_shape=[4], classes=[], mean=[0.0], std=[1.0],
    samples={}, fingerprint="",
)  # fmt: skip


def make(path: Path, name: str, created: str = "2026-01-01T00:00:00+00:00") -> RunFolder:
    info = new_info(name=name, tags=[], own=[], parameters=1, data=DATA)
    return RunFolder.create(path, info.model_copy(update={"created": created}), Spec(), {})


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A folder of runs: two of one name, one that is damaged, and what is no run."""
    root = tmp_path / "runs"
    monkeypatch.setenv("THALWEG_RUNS", str(root))
    make(root / "b", "second", "2026-01-02T00:00:00+00:00")
    make(root / "c", "first")
    make(root / "d", "twin")
    make(root / "e", "twin")
    make(root / "damaged", "damaged")
    (root / "damaged" / "run.json").write_bytes(b"")
    make(root / "headless", "headless")
    (root / "headless" / "run.json").unlink()
    make(root / ".part-0123", "half copied")
    (root / "notes").mkdir()
    (root / "notes.txt").write_text("")
    return root


def test_where_runs_are(monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", "elsewhere")
    assert runs_root() == Path("elsewhere")
    for value in ("", None):
        monkeypatch.setenv("THALWEG_RUNS", value) if value is not None else monkeypatch.delenv(
            "THALWEG_RUNS"
        )
        assert runs_root() == Path("runs")


def test_runs_by_the_time_they_began_and_those_that_are_damaged(root):
    runs, damaged = survey_runs()
    assert [(run.path.name, run.name) for run in runs] == [
        ("c", "first"), ("d", "twin"), ("e", "twin"), ("b", "second"),
    ]  # fmt: skip
    assert [each.path.name for each in damaged] == ["damaged", "headless"]
    assert "run.json" in str(damaged[0].error)
    assert list_runs() == list_runs(root) == runs
    assert list_runs(root / "nowhere") == []


def test_a_run_is_found_by_folder_and_by_name(root, monkeypatch):
    assert find_run(root / "b").name == "second"
    assert find_run("b").path == find_run("second").path == root / "b"
    monkeypatch.chdir(root / "b")
    assert find_run(".").name == "second"
    assert locate_run("damaged") == root / "damaged"  # by its folder, though it cannot be read
    with pytest.raises(FileError, match=r"damaged/run\.json"):
        find_run("damaged")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("secnod", r"got 'secnod', which does not exist; .* did you mean second\?"),
        ("twin", r"'twin', the name of 2 runs; .* name a folder: .*d, .*e"),
        ("notes", r"'notes', which does not exist"),
        ("x" * 300, "which does not exist"),
        ("a\0b", "which does not exist"),
        ("", "the folder or the name of a run"),
    ],
)
def test_a_run_that_is_not_found(root, name, message):
    with pytest.raises(FileError, match=message):
        find_run(name)


def test_a_folder_that_is_no_run_and_no_runs_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path / "nowhere"))
    with pytest.raises(FileError, match=r"which is no run; .* see thalweg runs"):
        find_run(tmp_path)
    with pytest.raises(FileError, match=r"which does not exist; .* see thalweg runs"):
        find_run("first")


# ── a new folder ─────────────────────────────────────────────────────────────────────────────


def test_a_run_is_called_by_its_data_model_rule_and_time(root):
    spec = Spec().override({"data": "some/folder/cats & dogs", "model": "lab-mlp"})
    path = claim_path(spec)
    assert re.fullmatch(r"cats-dogs_lab-mlp_adam_\d{8}-\d{6}", path.name)
    assert path.parent == root
    assert list(path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first try", "first-try"), ("../../up", "up"), (".", "run"), ("/", "run"), ("é", "é"),
        ("a/b\\c", "a-b-c"), ("-x-", "x"), ("lr=0.1", "lr-0.1"), ("\0\n", "run"),
    ],
)  # fmt: skip
def test_a_name_becomes_one_folder_in_the_folder_of_runs(root, name, expected):
    assert claim_path(Spec(), name) == root / expected


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(tmp_path):
    """Of one process, and of two at once."""
    paths = [claim_path(Spec(), root=tmp_path) for _ in range(20)]
    assert len(set(paths)) == 20
    script = (
        "import sys; from pathlib import Path; from thalweg.spec import Spec\n"
        "from thalweg.store import claim_path\n"
        "sys.stdin.readline()\n"
        "print(*(claim_path(Spec(), 'twin', Path(sys.argv[1])) for _ in range(50)), sep='\\n')"
    )
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    claimed = [path for process in processes for path in process.communicate()[0].splitlines()]
    assert len(claimed) == len(set(claimed)) == 100


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file, which is a file; .* another by --out"):
        claim_path(Spec(), "x", tmp_path / "file")
    with pytest.raises(FileError, match=r"file/runs.x \(Not a directory\)"):
        claim_path(Spec(), "x", tmp_path / "file" / "runs")
    with pytest.raises(FileError, match=r"\(File name too long\); .* by --out or THALWEG_RUNS"):
        claim_path(Spec(), "x" * 300, tmp_path)
    (tmp_path / "nowhere").symlink_to("not there")
    with pytest.raises(FileError, match="nowhere"):
        claim_path(Spec(), "x", tmp_path / "nowhere")
