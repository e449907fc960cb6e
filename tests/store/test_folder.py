from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from thalweg.errors import FileError
from thalweg.spec import Spec
from thalweg.store import (
    DataFacts,
    RunFolder,
    Table,
    new_info,
    write_checkpoint,
    write_parquet,
)

DATA = DataFacts(
    name="digits",
    task="classification",
    input_shape=[1, 8, 8],
    classes=["0", "1"],
    mean=[0.3],
    std=[0.4],
    samples={"train": 6, "test": 3},
    fingerprint="f" * 32,
)
SAID = {"true": [0, 1, 1], "predicted": [0, 1, 0], "probability": [0.9, 0.8, 0.7],
        "loss": [0.1, 0.2, 1.2]}  # fmt: skip


def make(path: Path, **facts: Any) -> RunFolder:
    """A run of three steps, and all that it may hold."""
    facts = {"name": "a run", "tags": ["old"], "own": [], "parameters": 7, "data": DATA, **facts}
    folder = RunFolder.create(path, new_info(**facts), Spec(), {"torch": "2.6", "machine": "here"})
    Table(path / "metrics" / "steps", ["step", "loss"]).write({"step": [1, 2], "loss": [3.0, 2.0]})
    Table(path / "metrics" / "epochs", ["step", "test_loss"]).write({"step": [], "test_loss": []})
    for name, updates in {"step-000000001": 1, "step-000000002": 2, "best": 1}.items():
        write_checkpoint(
            path / "checkpoints" / f"{name}.safetensors",
            {"parameters/w": torch.full((2,), float(updates))},
            {"updates": updates},
        )
    (path / "states").mkdir()
    for step in (0, 2):
        file = path / "states" / f"step-{step:09d}.safetensors"
        write_checkpoint(file, {"w": torch.ones(2)}, {"updates": step})
    write_parquet(path / "predictions.parquet", pa.table(SAID))
    wrong = {
        "images": torch.zeros(1, 1, 8, 8),
        "true": torch.tensor([1]),
        "predicted": torch.tensor([0]),
        "probability": torch.tensor([0.7], dtype=torch.float64),
    }
    write_checkpoint(path / "mistakes.safetensors", wrong, {"most": 24})
    return folder


# ── making and opening ───────────────────────────────────────────────────────────────────────


def test_what_was_made_is_opened(tmp_path):
    made = make(tmp_path / "run")
    found = RunFolder.open(tmp_path / "run")
    assert found.spec == made.spec
    assert found.environment == made.environment
    assert found.info == made.info.model_copy(update={"state": "killed"})
    assert (found.name, found.tags, found.state) == ("a run", ("old",), "killed")
    assert (found.parameters, found.classes, found.samples["train"]) == (7, ("0", "1"), 6)
    assert found.created.startswith("20")
    assert Spec.from_toml(found.spec_toml) == found.spec


def test_a_run_that_somebody_writes_is_running(tmp_path):
    made = make(tmp_path / "run")
    with made.locked():
        assert made.is_locked()
        assert RunFolder.open(tmp_path / "run").state == "running"
    assert RunFolder.open(tmp_path / "run").state == "killed"
    made.change(state="complete")
    assert RunFolder.open(tmp_path / "run").state == "complete"


def test_change_writes_and_keeps_the_rest(tmp_path):
    made = make(tmp_path / "run")
    changed = made.change(name="ein Läufer", tags=["a", "b"])
    assert (changed.name, changed.tags, made.name) == ("ein Läufer", ("a", "b"), "a run")
    assert "Läufer" in (tmp_path / "run" / "run.json").read_text("utf-8")
    assert RunFolder.open(tmp_path / "run").info.model_copy(update={"state": "running"}) == (
        changed.info
    )


def test_a_folder_that_is_taken_is_left_alone(tmp_path):
    make(tmp_path / "run")
    with pytest.raises(FileError, match=r"run, which holds a run already; .*thalweg resume"):
        make(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("mine")
    with pytest.raises(FileError, match="other, which holds something else already"):
        make(tmp_path / "other")
    assert [each.name for each in (tmp_path / "other").iterdir()] == ["a.txt"]
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty").name == "a run"
    with pytest.raises(FileError, match=r"a\.txt \(File exists\)"):
        make(tmp_path / "other" / "a.txt")


def test_what_is_no_run(tmp_path):
    with pytest.raises(FileError, match="which does not exist"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(FileError, match="which is no run"):
        RunFolder.open(tmp_path)
    with pytest.raises(FileError, match="which does not exist"):
        RunFolder.open(tmp_path / ("x" * 300))


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes))


WRONG_INFO = {
    "format": [2, "one", None, -1, 1.5, True, [1], "1"],
    "name": [3, None],
    "tags": ["old", [3], None],
    "created": [3],
    "state": ["bored", None],
    "own": [{"model": 1}, "model"],
    "parameters": ["7", 7.5, True],
    "data": [None, {}, {**DATA.model_dump(), "task": "guessing"}, {**DATA.model_dump(), "more": 1}],
    "mood": ["good"],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k in WRONG_INFO for v in WRONG_INFO[k]])
def test_facts_of_a_wrong_kind(tmp_path, key, value):
    make(tmp_path / "run")
    change_json(tmp_path / "run" / "run.json", **{key: value})
    with pytest.raises(FileError, match=r"run\.json") as caught:
        RunFolder.open(tmp_path / "run")
    assert key in str(caught.value)


def test_a_newer_run_says_how_to_read_it(tmp_path):
    make(tmp_path / "run")
    change_json(tmp_path / "run" / "run.json", format=2, what_is_new=True)
    with pytest.raises(FileError, match=r"run\.json of format 2; .* pip install --upgrade thalweg"):
        RunFolder.open(tmp_path / "run")


TEXTS = [b"", b"\xff\xfe", b"{", b"[1, 2]", b"3", b'"text"', b"null", b"[" * 100_000,
         b"1" * 5000, b"a = " + b"[" * 5000, b"n = " + b"9" * 5000, b"self = 1", b"d = 2020-99-99",
         b"seed = 'x'", b"[model]\nname = 3", b"optimizer = 3"]  # fmt: skip


@pytest.mark.parametrize("name", ["run.json", "spec.toml", "environment.json"])
@pytest.mark.parametrize("content", TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_damaged(tmp_path, name, content):
    make(tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    if name == "spec.toml" and content == b"":
        assert RunFolder.open(tmp_path / "run").spec == Spec()  # an empty spec is the default
        return
    with pytest.raises(FileError) as caught:
        RunFolder.open(tmp_path / "run")
    assert str(tmp_path / "run" / name) in str(caught.value)


@pytest.mark.parametrize("name", ["run.json", "spec.toml", "environment.json"])
def test_texts_that_cannot_be_read(tmp_path, name):
    make(tmp_path / "run")
    file = tmp_path / "run" / name
    file.unlink()
    if name != "run.json":
        with pytest.raises(FileError, match=rf"{name} \(no such file\)"):
            RunFolder.open(tmp_path / "run")
    file.mkdir()
    with pytest.raises(FileError, match=rf"{name} \(which is no file\)"):
        RunFolder.open(tmp_path / "run")
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(FileError, match=rf"{name} \(which is no file\)"):
        RunFolder.open(tmp_path / "run")
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(FileError, match=rf"{name}, a link to /etc/hostname"):
        RunFolder.open(tmp_path / "run")
    file.unlink()
    file.symlink_to(name)
    with pytest.raises(FileError, match=rf"{name}, a link in a circle"):
        RunFolder.open(tmp_path / "run")
    file.unlink()
    with file.open("wb") as stream:
        stream.truncate(2**40)  # a terabyte of nothing
    with pytest.raises(FileError, match=rf"{name} of 1099511627776 bytes; expected 16777216"):
        RunFolder.open(tmp_path / "run")


# ── what is in it ────────────────────────────────────────────────────────────────────────────


def test_tables(tmp_path):
    made = make(tmp_path / "run")
    assert made.steps() == {"step": [1, 2], "loss": [3.0, 2.0]}
    assert made.epochs() == {"step": [], "test_loss": []}
    shutil.rmtree(tmp_path / "run" / "metrics")
    assert made.steps() == made.epochs() == {}


def test_checkpoints(tmp_path):
    made = make(tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for name in ("step-x", "step-12", "other", "step-000000003x"):
        (folder / f"{name}.safetensors").write_bytes(b"")
    write_checkpoint(folder / "step-1000000000.safetensors", {}, {"updates": 10**9})
    assert [file.stem for file in made.checkpoints().values()] == [
        "step-000000001", "step-000000002", "step-1000000000",
    ]  # fmt: skip
    assert made.checkpoint().facts["updates"] == 10**9
    assert made.checkpoint("2").facts["updates"] == 2
    assert made.checkpoint("best").file == folder / "best.safetensors"
    with pytest.raises(FileError, match=r"checkpoint 'bets' of .* did you mean best\?"):
        made.checkpoint("bets")
    with pytest.raises(FileError, match="checkpoint '3' of"):
        made.checkpoint("3")


def test_the_newest_checkpoint_that_is_whole(tmp_path):
    made = make(tmp_path / "run")
    first, second = made.checkpoints().values()
    second.write_bytes(second.read_bytes()[:-1])
    assert made.checkpoint().file == first
    with pytest.raises(FileError, match=r"step-000000002\.safetensors \(damaged\)"):
        made.checkpoint("2")
    first.write_bytes(b"")
    with pytest.raises(FileError, match=r"step-000000002\.safetensors \(damaged\)"):
        made.checkpoint()
    for file in (first, second):
        file.unlink()
    with pytest.raises(FileError, match=r"no checkpoint yet; .* thalweg train --spec .*spec\.toml"):
        made.checkpoint()
    (tmp_path / "run" / "checkpoints" / "best.safetensors").unlink()
    with pytest.raises(FileError, match="Hint: there is none yet"):
        made.checkpoint("best")


def test_what_is_newer_or_leads_elsewhere_is_not_passed_over(tmp_path):
    made = make(tmp_path / "run")
    last = made.checkpoints()[2]
    content = last.read_bytes()
    last.write_bytes(content.replace(b'"format":"1"', b'"format":"2"'))
    with pytest.raises(FileError, match="from a newer thalweg"):
        made.checkpoint()
    last.unlink()
    last.symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(FileError, match="a link to"):
        made.checkpoint()


@pytest.mark.parametrize("facts", [{}, {"updates": -1}, {"updates": "3"}, {"updates": 1.0}])
def test_a_checkpoint_that_does_not_say_of_which_step_it_is(tmp_path, facts):
    made = make(tmp_path / "run")
    write_checkpoint(made.checkpoints()[2], {}, facts)
    with pytest.raises(FileError, match=r"step-000000002\.safetensors after .* updates"):
        made.checkpoint()


@pytest.mark.parametrize("name", ["checkpoints", "states", "metrics", "metrics/steps"])
def test_folders_that_lead_elsewhere_are_not_followed(tmp_path, name):
    made = make(tmp_path / "run")
    outside = tmp_path / "outside"
    (tmp_path / "run" / name).rename(outside)
    (tmp_path / "run" / name).symlink_to(outside)
    with pytest.raises(FileError, match="a link to"):
        _ = made.steps(), made.epochs(), made.states(), made.checkpoints()


def test_states(tmp_path):
    made = make(tmp_path / "run")
    (tmp_path / "run" / "states" / "step-x.safetensors").write_bytes(b"")
    assert list(made.states()) == [0, 2]
    shutil.rmtree(tmp_path / "run" / "states")
    assert made.states() == {}


def test_predictions(tmp_path):
    made = make(tmp_path / "run")
    found = made.predictions()
    assert found is not None
    assert {name: column.tolist() for name, column in found.items()} == SAID
    file = tmp_path / "run" / "predictions.parquet"
    file.unlink()
    assert made.predictions() is None
    for table in (
        {"true": SAID["true"]},
        {**SAID, "true": ["0", "1", "1"]},
        {**SAID, "more": [1, 2, 3]},
    ):
        write_parquet(file, pa.table(table))
        with pytest.raises(FileError, match=r"predictions\.parquet with columns"):
            made.predictions()
    write_parquet(file, pa.table({name: [*column, column[0]] for name, column in SAID.items()}))
    with pytest.raises(FileError, match=r"predictions\.parquet with 4 rows; expected 3 at most"):
        made.predictions()
    file.write_bytes(b"PAR1")
    with pytest.raises(FileError, match=r"predictions\.parquet \(damaged\)"):
        made.predictions()
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(FileError, match="a link to"):
        made.predictions()


def test_mistakes(tmp_path):
    made = make(tmp_path / "run")
    found = made.mistakes()
    assert found is not None
    assert found["images"].shape == (1, 1, 8, 8)
    assert all(isinstance(array, np.ndarray) for array in found.values())
    file = tmp_path / "run" / "mistakes.safetensors"
    whole = {name: torch.from_numpy(array.copy()) for name, array in found.items()}
    for changed in (
        {**whole, "more": torch.ones(1)},
        {**whole, "true": torch.tensor([1.0])},
        {**whole, "true": torch.tensor([1, 0])},
        {**whole, "images": torch.zeros(1, 8, 8)},
        {**whole, "images": torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16)},
        {name: array for name, array in whole.items() if name != "images"},
        {},
    ):
        write_checkpoint(file, changed, {})
        with pytest.raises(FileError, match=r"mistakes\.safetensors with"):
            made.mistakes()
    file.unlink()
    assert made.mistakes() is None


def test_log(tmp_path):
    made = make(tmp_path / "run")
    made.log("began")
    made.log("ended: größer")
    first, second = (tmp_path / "run" / "log.txt").read_text("utf-8").splitlines()
    assert first.endswith("  began")
    assert second.endswith("  ended: größer")
    (tmp_path / "run" / "log.txt").unlink()
    (tmp_path / "run" / "log.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(FileError, match="a link to"):
        made.log("elsewhere")
    assert not (tmp_path / "outside.txt").exists()
    (tmp_path / "run" / "log.txt").unlink()
    (tmp_path / "run" / "log.txt").mkdir()
    with pytest.raises(FileError, match=r"log\.txt \(which is no file\); expected a file"):
        made.log("nowhere")


# ── without thalweg ──────────────────────────────────────────────────────────────────────────

READ = """
import json, sys
from pathlib import Path
import pandas as pd, polars as pl, duckdb
sys.modules["thalweg"] = None  # whoever imports it fails
run = Path(sys.argv[1])
for name in ("steps", "epochs"):
    folder = run / "metrics" / name
    tables = [
        pd.read_parquet(folder).astype(object).where(lambda t: t.notna(), None).to_dict("list"),
        pl.read_parquet(folder).to_dict(as_series=False),
        pl.read_parquet(folder / "*.parquet").to_dict(as_series=False),
        duckdb.sql(f"from '{folder}/*.parquet' order by step").pl().to_dict(as_series=False),
    ]
    print(json.dumps(tables))
print(json.dumps(pd.read_parquet(run / "predictions.parquet").to_dict("list")))
"""


def test_a_copy_is_read_by_pandas_polars_and_duckdb(tmp_path):
    for library in ("pandas", "polars", "duckdb"):
        pytest.importorskip(library)
    made = make(tmp_path / "run")
    count, part_rows = 17, 5
    steps = {"step": [*range(1, count + 1)], "loss": [None] + [1 / n for n in range(3, count + 2)]}
    Table(tmp_path / "run" / "metrics" / "steps", ["step", "loss"], part_rows).write(steps)
    (tmp_path / "run" / "metrics" / ".part-0123.parquet").write_bytes(b"half")
    shutil.copytree(tmp_path / "run", tmp_path / "copies" / "a copy")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path / "copies" / "a copy")],
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    by_step, by_epoch, said = map(json.loads, done.stdout.splitlines())
    assert by_step == [steps] * 4
    assert by_epoch == [made.epochs()] * 4
    assert said == SAID
    assert RunFolder.open(tmp_path / "copies" / "a copy").steps() == steps
