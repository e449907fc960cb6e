"""Processes beside this one that work on the same search."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from thalweg.errors import SpecError
from thalweg.study.sweeps.size import SHARE, free_memory

PROGRAM = "import sys; from thalweg.cli import main; sys.exit(main())"
"""What another process runs."""


class Team:
    """Starts the workers beside this one, and ends them when it ends.

    The threads and the memory are divided among them.

    Args:
        folder: The folder of the search.
        workers: How many there are to be, with this process.
        storage: Address of the database, with the password if it needs one.

    Raises:
        SpecError: There is no folder in which they could meet.
    """

    def __init__(self, folder: Path | None, workers: int = 1, storage: str | None = None) -> None:
        if workers > 1 and folder is None:
            raise SpecError(f"workers={workers} without a record", "a folder in which they meet")
        self.folder, self.workers, self.storage = folder, workers, storage
        self._others: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Team:
        if self.workers > 1:
            threads = max(1, torch.get_num_threads() // self.workers)
            torch.set_num_threads(threads)
            for _ in range(self.workers - 1):
                self._others.append(self._start(threads))
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._others:
            each.terminate()
        self.wait()

    def wait(self) -> None:
        """Wait until the others have ended: they do when the last trial was told."""
        for each in self._others:
            each.wait()

    def share(self, memory: float | None) -> float | None:
        """Return the bytes that a worker may take; None for half of what is free."""
        if self.workers == 1:
            return memory
        return (SHARE * free_memory() if memory is None else memory) / self.workers

    def _start(self, threads: int) -> subprocess.Popen[bytes]:
        memory = self.share(None)
        assert memory is not None
        command: Sequence[str] = [
            sys.executable, "-c", PROGRAM, "tune", "--join", str(self.folder), "--quiet",
            "--memory", f"{memory / 2**20:.0f}",
        ]  # fmt: skip
        number = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        more = {} if self.storage is None else {"THALWEG_STORAGE": self.storage}
        return subprocess.Popen(command, env={**os.environ, **number, **more})
