from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thalweg import nn
from thalweg.cli import main


def test_the_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == list(nn.MODELS)


@pytest.mark.parametrize(
    ("words", "total"),
    [
        (["lab-mlp"], 784 * 16 + 16 + 16 * 32 + 32 + 32 * 24 + 24 + 24 * 10 + 10),
        (["one-fc", "--data", "digits"], 64 * 10 + 10),
        (["mlp", "--data", "digits", "--hidden", "20", "--no-bias"], 64 * 20 + 20 * 10),
        (["playground"], 2 * 4 + 4 + 4 * 2 + 2 + 2 + 1),
    ],
)
def test_the_table_counts_parameters(
    words: list[str], total: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{words[0]}: {nn.MODELS[words[0]].summary}\n")
    assert f"Total params: {total:,}\n" in out


def test_a_folder_of_images_gives_its_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.fromarray(np.full((4, 3), index, np.uint8)).save(tmp_path / name / f"{index}.png")
    assert main(["model", "one-fc", "--data", str(tmp_path)]) == 0
    assert f"Total params: {12 * 2 + 2}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["lab-mpl"], 2, "did you mean lab-mlp?"),
        (["mlp", "--hiden", "3"], 2, "did you mean --hidden?"),
        (["garment", "--hidden", "3"], 2, "option 'hidden' for the model garment"),
        (["garment", "--data", "digits"], 1, "16x16"),
        (["mlp", "--data", "mnits"], 2, "did you mean mnist?"),
    ],
)
def test_errors(words: list[str], code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", *words]) == code
    assert line in capsys.readouterr().err
