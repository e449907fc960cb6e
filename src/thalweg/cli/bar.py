"""The progress bar."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.cli.text import metric
from thalweg.engine import Event, Finished, Run, Step

_PAUSE = 0.1  # seconds between two drawings


class Bar:
    """A bar on stderr that shows where the run is.

    It is drawn by the loop itself, at most ten times a second: there is no thread, and the step's
    tensors are read only when they are shown.

    Args:
        run: The run, about to begin.
    """

    def __init__(self, run: Run) -> None:
        self._samples = len(run.data.train)
        self._length = run.length
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}", justify="right"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            expand=True,
            redirect_stdout=sys.stdout.isatty(),  # rows appear above; a pipe gets its own
        )
        self._task = self._progress.add_task(
            "epoch 0", total=self._length.updates, completed=run.cohort.updates, figures=""
        )
        self._drawn = 0.0

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Draw the bar if it is time to."""
        now = time.monotonic()
        if isinstance(event, Finished):
            self._progress.stop()
        if not isinstance(event, Step) or now - self._drawn < _PAUSE:
            return
        self._drawn, clock = now, event.clock
        shown = list(event.metrics.items())[:2]  # the loss and one more
        figures = [f"{name} {metric(name, value.tolist()[0])}" for name, value in shown]
        speed = clock.epoch * self._samples / max(clock.seconds, 1e-9)
        figures += [f"lr {event.lr[0]:.3g}", f"{speed:,.0f}/s"]
        epochs, current = (
            math.ceil(step / self._length.per_epoch) for step in (self._length.updates, clock.step)
        )
        self._progress.update(
            self._task,
            completed=clock.step,
            description=f"epoch {current}/{epochs}",
            figures="  ".join(figures),
        )
        self._progress.refresh()
