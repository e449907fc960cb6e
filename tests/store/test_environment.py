from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import thalweg
from thalweg.store import differences, environment


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True)


def test_what_a_run_is_made_with():
    found = environment()
    assert found["thalweg"] in {thalweg.__version__, "unknown"}  # as it is installed, or not
    assert found["torch"] == torch.__version__
    assert found["threads"] == str(torch.get_num_threads())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "safetensors", "pyarrow", "system", "processor", "cores", "machine"} <= set(
        found
    )
    assert all(isinstance(value, str) and value for value in found.values())


def test_settings_of_the_process_that_change_bits(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = environment()
    assert found["MKL_CBWR"] == "AVX2"
    assert "OMP_NUM_THREADS" not in found


def test_the_state_of_the_users_code(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "commit" not in environment()  # no repository
    git("init", "--quiet", ".")
    assert "commit" not in environment()  # nothing in it
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "--quiet", "-m", "first")
    commit = environment()["commit"]
    assert len(commit) == 40
    (tmp_path / "a.py").write_text("2")
    assert environment()["commit"] == f"{commit} and changes"
    capfd.readouterr()


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 5), PermissionError("git")]
)
def test_without_git(monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    assert "commit" not in environment()


def test_what_could_change_the_bits_is_named():
    now = environment()
    assert differences(now, now) == []
    assert differences({**now, "machine": "another", "command": "another"}, now) == []
    then = {**now, "threads": "64"}
    del then["thalweg"]
    assert differences(then, now) == [
        f"thalweg none then, {now['thalweg']} now",
        f"threads 64 then, {now['threads']} now",
    ]
