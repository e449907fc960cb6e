"""The folder of a series: made once, read with suspicion, and found."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.errors import FileError
from thalweg.spec import Spec
from thalweg.store import (
    DataFacts,
    SeriesFolder,
    find_run,
    find_series,
    locate_series,
    new_series_info,
    survey_runs,
    survey_series,
)
from thalweg.store.series import Planned, plain_column

DATA = DataFacts(
    name="x", task="regression", input_shape=[1], classes=[], mean=[0.0], std=[1.0],
    samples={"train": 1}, fingerprint="0", targets=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _leave_the_disk_in_peace(monkeypatch):
    """Nobody cuts the power here, and to wait for the disk is slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def make(path: Path, name: str = "first") -> SeriesFolder:
    info = new_series_info(
        kind="sweep", name=name, tags=["try"], own=[], data=DATA, about={"a": [1]},
        members=[Planned(changes={"lr": 0.1}, setting={"lr": 0.1})] * 2, groups=[[1, 0]],
    )  # fmt: skip
    return SeriesFolder.create(path, info, Spec(), {"torch": "2"})


def test_what_is_written_is_read(tmp_path):
    made = make(tmp_path / "a" / "b")
    assert made.results() == {}
    assert made.checkpoint(0) is None
    with made.locked():
        assert SeriesFolder.open(made.path) == made
    assert SeriesFolder.open(made.path).info.state == "killed"
    changed = made.change(state="complete", tags=[])
    assert SeriesFolder.open(made.path) == changed


def test_it_takes_a_new_or_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    with pytest.raises(FileError, match="which is not empty; expected an empty or a new folder"):
        make(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        make(tmp_path / "file")


def test_what_is_none(tmp_path):
    with pytest.raises(FileError, match="which is no series; expected the folder of a series"):
        SeriesFolder.open(tmp_path)
    with pytest.raises(FileError, match="which does not exist"):
        SeriesFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["series.json", "spec.toml", "environment.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"3", b'"text"', b"x = 1", b"[" * 100_000]
)
def test_texts_that_are_damaged(name, content, tmp_path):
    made = make(tmp_path / "s")
    (made.path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        SeriesFolder.open(made.path)
    assert name in str(caught.value)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_are_results_by_chance(content):
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder, "s"))
        (made.path / "results.parquet").write_bytes(content)
        (made.path / "weights").mkdir()
        (made.path / "weights" / "group-000.safetensors").write_bytes(content)
        with pytest.raises(FileError):
            made.results()
        with pytest.raises(FileError):
            made.weights(0)


def test_links_lead_nowhere_else(tmp_path):
    made = make(tmp_path / "s")
    (tmp_path / "other").write_text("")
    (made.path / "results.parquet").symlink_to(tmp_path / "other")
    with pytest.raises(FileError):
        made.results()


def test_they_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path))
    made = make(tmp_path / "folder", "a name")
    make(tmp_path / ".hidden")
    (tmp_path / "no-series").mkdir()
    assert locate_series("a name") == locate_series("folder") == made.path
    assert locate_series(made.path) == made.path
    assert locate_series("nobody") is None
    assert find_series("a name").path == made.path
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    assert locate_series("run") is None
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "series.json").write_text("{}")
    whole, damaged = survey_series(tmp_path)
    assert [each.path for each in whole] == [made.path]
    assert [each.path.name for each in damaged] == ["broken"]
    assert [each.path.name for each in survey_runs(tmp_path)[1]] == ["run"]
    with pytest.raises(FileError, match=r"which is a series of many runs; expected one run\. Hint"):
        find_run("a name")


VALUE = st.none() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3) | st.booleans()
COLUMN = st.lists(VALUE | st.lists(st.integers(0, 3), max_size=2), max_size=6)


@given(COLUMN)
def test_a_column_is_of_one_type(values):
    column = plain_column(values)
    assert [value is None for value in column] == [value is None for value in values]
    assert len({type(value) for value in column if value is not None}) <= 1


@settings(deadline=None)
@given(st.lists(COLUMN, min_size=1, max_size=3).filter(lambda c: len({len(x) for x in c}) == 1))
def test_any_settings_can_be_results(columns):
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder, "s"))
        made.write_results({str(n): values for n, values in enumerate(columns)})
        assert list(made.results()) == [str(n) for n in range(len(columns))]
