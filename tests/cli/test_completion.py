from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from thalweg.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_scripts_know_commands_options_and_names(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("train", "recipes", "batch-size", "madgrad", "perfect-fit", "permute-each"):
        assert word in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["tra"], {"train"}),
        (["train", "fashion"], {"fashion-mnist"}),
        (["train", "--learn"], set()),
        (["train", "--batch"], {"--batch-size"}),
        (["train", "--optimizer", "madg"], {"madgrad"}),
        (["train", "--recipe", "perfect-fit-p"], {"perfect-fit-permuted"}),
        (["data", "fe"], {"fetch"}),
        (["runs", "re"], {"rename"}),
        (["evaluate", "--data", "fashion"], {"fashion-mnist"}),
        (["resume", "--pat"], {"--patience"}),
        (["model", "lab"], {"lab-mlp"}),
        (["schedule", "cosine-"], {"cosine-restarts"}),
        (["schedule", "--pl"], {"--plot"}),
    ],
)
def test_bash_offers(
    typed: list[str],
    offered: set[str],
    bash_script: Path,
) -> None:
    code = (
        f"source {bash_script}\n"
        f"COMP_WORDS=(thalweg {' '.join(typed)}); COMP_CWORD={len(typed)}\n"
        '"$(complete -p thalweg | sed "s/.*-F \\([^ ]*\\).*/\\1/")"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == offered


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from contextlib import redirect_stdout

    file = tmp_path_factory.mktemp("completion") / "thalweg.bash"
    with file.open("w") as out, redirect_stdout(out):
        assert main(["completion", "bash"]) == 0
    return file


def test_an_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bahs"]) == 2
    assert "did you mean bash?" in capsys.readouterr().err
