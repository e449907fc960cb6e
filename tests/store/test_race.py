from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from thalweg.errors import FileError
from thalweg.spec import Spec
from thalweg.store import DataFacts
from thalweg.store.lock import locked
from thalweg.store.race import (
    RaceInfo,
    create_race,
    is_race,
    locate_race,
    new_race_info,
    read_race,
    survey_races,
    write_race,
)

DATA = DataFacts(
    name="digits", task="classification", input_shape=[1, 8, 8], classes=["0", "1"], mean=[0.0],
    std=[1.0], samples={"train": 10, "val": 2}, fingerprint="f",
)  # fmt: skip


def info(**changes: Any) -> RaceInfo:
    facts: dict[str, Any] = {
        "name": "test", "tags": ["try"], "own": [], "data": DATA, "contestants": ["adam", {"a": 1}],
        "seeds": [0], "order": "shared", "tune": True, "tuning_seeds": [1000],
        "metric": "val_loss", "target": None,
    }  # fmt: skip
    return new_race_info(**facts | changes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder, spec = tmp_path / "below" / "race", Spec(batch_size=7)
    create_race(folder, info(), spec)
    found, base = read_race(folder)
    told = {"state": "killed", "created": found.created}
    assert found == info().model_copy(update=told)
    assert base == spec
    assert is_race(folder)
    with locked(folder):
        assert read_race(folder)[0].state == "running"
    write_race(folder, found.model_copy(update={"state": "complete"}))
    assert read_race(folder)[0].state == "complete"
    assert sorted(os.listdir(folder)) == [".lock", "race.json", "spec.toml"]


def test_a_race_is_one_once_all_of_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("thalweg.store.race.write_race", full)
        with pytest.raises(OSError, match="No space"):
            create_race(tmp_path / "race", info(), Spec())
    assert not is_race(tmp_path / "race")
    with pytest.raises(FileError, match="which is no race"):
        read_race(tmp_path / "race")
    with pytest.raises(FileError, match="which is not empty"):
        create_race(tmp_path / "race", info(), Spec())
    monkeypatch.setattr("thalweg.files.os.fsync", full)
    with pytest.raises(FileError, match="No space"):
        create_race(tmp_path / "other", info(), Spec())


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("race.json", "{", "(damaged)"),
        ("race.json", "[1]", "(all of it: "),
        ("race.json", "{}", "format"),
        ("race.json", '{"format": 1, "seeds": "many"}', "expected what a race writes"),
        ("spec.toml", "batch_size = -1", "spec.toml with batch_size=-1"),
        ("spec.toml", "batch_size = ", "spec.toml"),
    ],
)
def test_damage(file: str, content: str, complaint: str, tmp_path: Path) -> None:
    create_race(tmp_path / "race", info(), Spec())
    (tmp_path / "race" / file).write_text(content)
    with pytest.raises(FileError) as raised:
        read_race(tmp_path / "race")
    assert complaint in str(raised.value)
    whole, damaged = survey_races(tmp_path)
    assert whole == []
    assert [each.path.name for each in damaged] == ["race"]


def test_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path))
    create_race(tmp_path / "one", info(name="first"), Spec())
    create_race(tmp_path / "two", info(name="second"), Spec())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / ".hidden").mkdir()
    assert locate_race("one") == locate_race(tmp_path / "one") == tmp_path / "one"
    assert locate_race("second") == tmp_path / "two"
    assert locate_race("run") is locate_race("nothing") is None
    assert [found.name for _, found in survey_races()[0]] == ["first", "second"]
    create_race(tmp_path / "three", info(name="second"), Spec())
    with pytest.raises(FileError, match="the name of 2 races"):
        locate_race("second")
