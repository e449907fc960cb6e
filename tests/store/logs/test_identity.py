from __future__ import annotations

from pathlib import Path

import pytest

from thalweg.errors import FileError
from thalweg.store.logs.identity import identity


def test_a_folder_keeps_its_identity_when_it_moves(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = identity(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert identity(tmp_path / "b") == first
    (tmp_path / "a").mkdir()
    assert identity(tmp_path / "a") != first


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        identity(tmp_path / "gone")
