"""Writing a run down as it goes: metrics, checkpoints, and at the end what it said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from thalweg.engine import Diverged, Evaluated, Event, Finished, Run, Snapshot, Step
from thalweg.engine.history import CLOCK
from thalweg.engine.stop import Patience
from thalweg.errors import FileError
from thalweg.files import cannot, inside, make_folder, remove
from thalweg.spec import parse_interval
from thalweg.store import RunFolder, Table, write_checkpoint
from thalweg.study.predictions import write_predictions

if TYPE_CHECKING:
    from thalweg.store.logs import Log


class Recorder:
    """Writes what a run says into its folder.

    What a checkpoint rests on is on the disk before it: first the metrics up to its step, then the
    recorded states, then the best checkpoint if there is a new one, then the checkpoint itself,
    each atomically; only then what it replaces is removed. Copies are taken at once and written by
    a thread, so that the training does not wait for the disk.

    What the folder holds from after the place where the run goes on is forgotten.

    Args:
        run: The run, about to begin or to go on.
        folder: Its folder, which this process has locked.
        logs: Where else to write.
    """

    def __init__(self, run: Run, folder: RunFolder, logs: Sequence[Log] = ()) -> None:
        self.run, self.folder, self._logs = run, folder, list(logs)
        self._tables = {
            name: Table(inside(folder.path, f"metrics/{name}"), columns)
            for name, columns in columns_of(run).items()
        }
        for name, rows in run.history.rows().items():
            self._tables[name].forget(rows)
        for step, file in folder.checkpoints().items():
            if step > run.cohort.updates:  # damaged: else the run would go on from it
                remove(file)
        for name in ("predictions.parquet", "mistakes.safetensors"):
            remove(folder.path / name)
        record = run.spec.record
        self._interval = parse_interval(record.checkpoint_every, seconds=True)
        self._watch = self._best_so_far() if record.keep_best else None
        self._best: Snapshot | None = None
        self._saved = time.monotonic()
        self._writer = _Writer(folder.path)

    def __call__(self, event: Event) -> None:
        """Write what this event makes due.

        Raises:
            FileError: It, or what was due before, could not be written; what was written is whole.
        """
        self._writer.check()
        match event:
            case Step(clock=clock):
                if self._is_due(clock.step):
                    self.save()
            case Evaluated():
                if self._watch is not None and self._watch.improves(self.run.metrics):
                    self._best = self.run.snapshot()
            case Diverged(clock=clock, loss=loss):
                self.folder.log(f"diverged after step {clock.step}: a loss of {loss[0]}")
            case Finished(reason=reason):  # pragma: no branch
                self.close(reason)

    def save(self, *, anyway: bool = False) -> None:
        """Write a checkpoint and all that goes before it, without waiting for the disk.

        Args:
            anyway: Even if a parameter is not finite, and nobody could go on from there.

        Raises:
            FileError: An earlier one could not be written.
        """
        self._writer.wait()
        last, best, self._best = self.run.snapshot(), self._best, None
        states = dict(zip(self.run.states.steps, self.run.states.theta, strict=True))
        # One number that is none makes the sum none; in double precision nothing else does.
        finite = bool(self.run.cohort.stack.theta.sum(dtype=torch.float64).isfinite())
        self._writer.start(partial(self._write, last, best, states, keep=anyway or finite))
        self._saved = time.monotonic()

    def close(self, state: str) -> None:
        """Save, wait for the disk, write what the network says of the test split, and the state.

        Raises:
            FileError: It could not be written.
        """
        is_result = state not in {"interrupted", "diverged"}
        self.save(anyway=is_result)
        self._writer.wait()
        if is_result:
            write_predictions(self.run, self.folder)
        self.folder.log(f"ended after step {self.run.cohort.updates}: {state}")
        self.folder = self.folder.change(state=state)
        for log in list(self._logs):
            self._try(log, partial(log.close, state))

    def abandon(self) -> None:
        """Let what is being written come to its end, whatever that is."""
        self._writer.join()

    # ── what is due ──────────────────────────────────────────────────────────────────────────

    def _is_due(self, step: int) -> bool:
        if self._interval is None:
            return False
        count, unit = self._interval
        if unit == "second":
            return time.monotonic() - self._saved >= count
        return step % int(count * (self.run.length.per_epoch if unit == "epoch" else 1)) == 0

    def _best_so_far(self) -> Patience | None:
        """Return what tells whether the monitored metric improves, knowing the history."""
        monitor, history = self.run.spec.monitor, self.run.history.epochs
        split, _, name = monitor.partition("_")
        splits = {"running", *self.run.data.splits()}
        if split not in splits or name not in {"loss", *self.run.cohort.metrics}:
            return None
        watch = Patience(monitor, limit=1)
        for value in history.get(monitor, []):
            watch.improves({} if value is None else {monitor: value})
        return watch

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def _write(
        self, last: Snapshot, best: Snapshot | None, states: dict[int, Tensor], *, keep: bool
    ) -> None:
        """Write what a checkpoint rests on, then the checkpoint.

        The columns of the history grow meanwhile, but the rows that are written stay as they are.
        """
        path, updates = self.folder.path, last.facts["updates"]
        for name, table in self._tables.items():
            table.write(getattr(self.run.history, name), last.facts["rows"][name])
        for step in states.keys() - self.folder.states().keys():
            make_folder(path / "states")
            file = inside(path, f"states/step-{step:09d}.safetensors")
            write_checkpoint(file, self.run.cohort.parameters(states[step]), {"updates": step})
        make_folder(path / "checkpoints")
        if best is not None:
            file = inside(path, "checkpoints/best.safetensors")
            write_checkpoint(file, best.arrays, best.facts)
        if keep:
            file = inside(path, f"checkpoints/step-{updates:09d}.safetensors")
            write_checkpoint(file, last.arrays, last.facts)
            self._tidy(states)
        else:
            self.folder.log(f"no checkpoint after step {updates}: a parameter is not finite")
        for log in list(self._logs):
            self._try(log, partial(self._write_log, log, last.facts["rows"]))

    def _tidy(self, states: dict[int, Tensor]) -> None:
        """Remove old checkpoints, and states that the run has dropped."""
        for file in [*self.folder.checkpoints().values()][: -self.run.spec.record.keep_last]:
            remove(file)
        for step, file in self.folder.states().items():
            if step not in states:
                remove(file)

    def _write_log(self, log: Log, rows: dict[str, int]) -> None:
        for name, count in rows.items():
            columns = list(getattr(self.run.history, name).items())  # there may soon be more
            log.write(name, {key: column[:count] for key, column in columns})

    def _try(self, log: Log, write: Callable[[], None]) -> None:
        """Write to another's log; if that fails, say so in ours and go on without it."""
        try:
            write()
        except Exception as error:  # a client of others' servers fails in any way
            self._logs.remove(log)
            self.folder.log(f"no longer logging to {log.kind}: {error}")


def columns_of(run: Run) -> dict[str, list[str]]:
    """Return the columns of a run's tables, by table."""
    measured = ["loss", *run.cohort.metrics]
    splits = ["running", *run.data.splits()]
    return {
        "steps": [*CLOCK, *measured],
        "epochs": [*CLOCK, *(f"{split}_{name}" for split in splits for name in measured)],
    }


class _Writer:
    """One thread at a time that writes; its failure is raised in the thread that trains."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], None]) -> None:
        def run() -> None:
            try:
                write()
            except BaseException as error:  # raised where it can be handled
                self._error = error

        self._thread = threading.Thread(target=run, name="thalweg-recorder")
        self._thread.start()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        self.join()
        self.check()

    def check(self) -> None:
        error, self._error = self._error, None
        if isinstance(error, OSError) and not isinstance(error, FileError):
            raise cannot("written", self._path, error) from None
        if error is not None:
            raise error
