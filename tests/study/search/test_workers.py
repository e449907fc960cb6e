"""Several workers on one study, killed and begun again: every trial is told, and told once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

import thalweg as tw
from thalweg.study import begin_tune, join_tune
from thalweg.study.search.storage import close_storage, open_storage
from thalweg.study.search.worker import Told

PROGRAM = """
import sys, time
from thalweg.study import join_tune
from thalweg.study.search.worker import Asked, Told, Trained
found, events = join_tune(sys.argv[1])
print("ready", flush=True)
for event in events:
    if isinstance(event, Told):
        print("told", event.trial.number, flush=True)
    elif isinstance(event, Asked):
        print("asked", event.wave, event.again, flush=True)
    elif isinstance(event, Trained):
        time.sleep(0.02)
print("over", flush=True)
"""


class Helper:
    """A process that works on a search."""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder)]
        self.log = folder.parent / f"{id(self)}.log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(command, env=env, stdout=stream, stderr=stream)

    @property
    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    def wait_for(self, word: str) -> None:
        deadline = time.monotonic() + 120
        while not any(line.startswith(word) for line in self.said):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        assert self.process.wait(timeout=180) == 0, self.said
        assert self.said[-1] == "over"


def told_of(helpers: list[Helper]) -> Counter[int]:
    """How often each trial was told, by whomever."""
    lines = [line.split() for helper in helpers for line in helper.said]
    return Counter(int(words[1]) for words in lines if words[0] == "told")


def states(folder: Path | None, url: str | None, name: str) -> Mapping[TrialState, int]:
    storage, locks = open_storage(folder, url, name)
    try:
        study = optuna.load_study(storage=storage, study_name=name)
        found = study.get_trials(deepcopy=False)
        assert all("wave" in each.user_attrs for each in found if each.state != TrialState.FAIL)
        return Counter(each.state for each in found)
    finally:
        locks.close()
        close_storage(storage)


def four_workers(small: Mapping[str, Any], tmp_path: Path, url: str | None) -> None:
    settings = {**small, "trials": 24, "group": 4, "sampler": "random"}
    folder = tmp_path / "search"
    name = f"kill-{os.getpid()}"
    _, events = begin_tune(**settings, out=folder, storage=url, name=name)
    events.close()  # type: ignore[attr-defined]
    helpers = [Helper(folder) for _ in range(4)]
    try:
        for helper in helpers[:2]:
            helper.wait_for("told")
        for helper in helpers[:2]:
            helper.kill()
        before = told_of(helpers)
        assert before
        resumed = Helper(folder)
        helpers.append(resumed)
        for helper in helpers[2:]:
            helper.end()
    finally:
        for helper in helpers:
            helper.process.kill()
            helper.process.wait()
    counts = told_of(helpers)
    found = states(folder if url is None else None, url, name)
    assert found[TrialState.COMPLETE] + found[TrialState.PRUNED] == 24
    assert found[TrialState.RUNNING] == 0
    assert max(counts.values()) == 1
    assert len(counts) >= 22  # a worker may be killed between telling and saying so
    again = [line for helper in helpers for line in helper.said if line.endswith("True")]
    assert again
    over = tw.resume(folder)
    assert isinstance(over, tw.Tuning)
    assert over.info.state == "complete"
    assert len(over.trials) == 24
    assert max(trial.begun for trial in over.trials) == 2
    assert over.winner.value is not None


@pytest.mark.slow
def test_four_workers_on_one_file_two_of_them_killed(small: dict[str, Any], tmp_path: Path) -> None:
    four_workers(small, tmp_path, None)


def test_four_workers_on_one_postgresql_two_of_them_killed(
    small: dict[str, Any], tmp_path: Path, postgres: str
) -> None:
    four_workers(small, tmp_path, postgres)


def test_who_sees_the_database_alone_can_help(
    small: dict[str, Any], tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_tune(**small, out=tmp_path / "a" / "search", storage=postgres, name="team")
    helped, events = join_tune("team", storage=postgres)
    assert helped.folder is None
    told = [event.trial.number for event in events if isinstance(event, Told)]
    assert sorted(told) == list(range(12))
    over = tw.resume(tmp_path / "a" / "search")
    assert isinstance(over, tw.Tuning)
    assert [trial.begun for trial in over.trials] == [1] * 12
    with pytest.raises(tw.SpecError, match="a second study called 'team'"):
        begin_tune(**small, out=tmp_path / "b", storage=postgres, name="team")
    assert not (tmp_path / "b").exists()
    with pytest.raises(tw.FileError, match="no study called 'other'"):
        join_tune("other", storage=postgres)
