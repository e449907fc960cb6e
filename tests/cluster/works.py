"""Work for executors that takes no time, and what is done with it on the way."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import cloudpickle
import numpy as np

from thalweg.cluster import Done, Lost, Told, Work
from thalweg.errors import SpecError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no worker can import a test


class Sums(Work):
    """Adds a number to an array; may be slow, fail, or end the process that does it."""

    def __init__(self, x: np.ndarray, seconds: float = 0.0, folder: Path | None = None) -> None:
        self.x, self.seconds, self.folder = x, seconds, folder

    def do(self, job):
        if job == "bad":
            raise SpecError("a bad job", "a good one")
        if job == "worse":
            raise ValueError("worse than bad")
        if job == "deadly" or (self.folder and job == 1 and not (self.folder / "killed").exists()):
            if self.folder:
                (self.folder / "killed").touch()
            yield f"begins {job}"
            os.kill(os.getpid(), signal.SIGKILL)
        yield f"begins {job}"
        time.sleep(self.seconds)
        yield f"ends {job}"
        return self.x + job


def check(happened, jobs):
    """Check that every job has told everything and is over, once."""
    for number, job in enumerate(jobs):
        own = [each for each in happened if getattr(each, "job", None) == number]
        last = max((k for k, each in enumerate(own) if isinstance(each, Lost)), default=-1)
        told, (done,) = own[last + 1 : -1], own[-1:]
        assert told == [Told(number, f"begins {job}"), Told(number, f"ends {job}")]
        assert isinstance(done, Done)
        assert np.array_equal(done.what, np.arange(100_000) + job)
