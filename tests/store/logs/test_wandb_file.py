from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.store.logs import WandbLog
from thalweg.store.logs.wandb_file import BLOCK, history

ROWS = 800


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory, settled: Callable) -> bytes:
    """A file as Weights & Biases writes it, of several blocks."""
    folder = tmp_path_factory.mktemp("run")
    log = WandbLog(folder, "a run")
    log.write("steps", {"step": list(range(ROWS)), "loss": [step / 3 for step in range(ROWS)]})
    log.close("complete")
    (file,) = settled(folder)
    return file.read_bytes()


def rows(content: bytes, folder: Path) -> list[dict[str, Any]]:
    (folder / "a.wandb").write_bytes(content)
    return list(history(folder / "a.wandb"))


def test_rows_cross_blocks(content: bytes, tmp_path: Path) -> None:
    assert len(content) > 4 * BLOCK
    found = rows(content, tmp_path)
    assert [row["step"] for row in found] == list(range(ROWS))
    assert [row["batch/loss"] for row in found] == [step / 3 for step in range(ROWS)]


def test_a_file_that_was_cut_off_is_a_beginning(content: bytes, tmp_path: Path) -> None:
    whole = rows(content, tmp_path)
    sizes = [*range(40), *range(BLOCK - 30, BLOCK + 30), len(content) // 2, len(content) - 1]
    counts = []
    for size in sizes:
        found = rows(content[:size], tmp_path)
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert 0 < counts[-2] < ROWS


def test_at_a_flipped_bit_it_ends(content: bytes, tmp_path: Path) -> None:
    whole = rows(content, tmp_path)
    for place in range(0, len(content), 9973):
        flipped = bytearray(content)
        flipped[place] ^= 4
        found = rows(bytes(flipped), tmp_path)
        assert found == whole[: len(found)]
    assert rows(b"something else", tmp_path) == []
