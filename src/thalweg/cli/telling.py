"""What is told while a network trains: lines for people, or JSON for machines."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any

from thalweg import __version__
from thalweg.cli.text import counts, ending, metric, number, plural
from thalweg.engine import Diverged, Evaluated, Event, Finished, Run, Step

Report = Callable[[Event], None]


def tell(event: str, **values: Any) -> None:
    """Print one JSON object as a line; a number that is not finite is null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    print(json.dumps({"event": event, **finite}, ensure_ascii=False), flush=True)


class JsonLines:
    """One JSON object a line on stdout.

    Args:
        run: The run, about to begin.
        every: Tell of every so many steps, too; 0 for none.
    """

    def __init__(self, run: Run, every: int = 0) -> None:
        import torch

        self._every = every
        versions = {
            "thalweg": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        parameters = sum(p.numel() for p in run.model.parameters())
        samples = {name: len(split) for name, split in run.data.splits().items()}
        self._folder = None if run.folder is None else str(run.folder.absolute())
        tell(
            "started",
            folder=self._folder,
            step=run.cohort.updates,
            spec=run.spec.model_dump(mode="json"),
            samples=samples,
            parameters=parameters,
            versions=versions,
        )

    def __call__(self, event: Event) -> None:
        """Tell of an event."""
        clock = {name: getattr(event.clock, name) for name in event.clock.__slots__}
        match event:
            case Step(metrics=metrics, lr=lr):
                if self._every and event.clock.step % self._every == 0:
                    values = {name: value.tolist()[0] for name, value in metrics.items()}
                    tell("step", **clock, lr=lr[0], **values)
            case Evaluated(metrics=metrics, lr=lr):
                tell("evaluated", **clock, lr=lr[0], **_first(metrics))
            case Diverged(loss=loss):
                tell("diverged", **clock, loss=loss[0])
            case Finished(reason=reason, metrics=metrics):  # pragma: no branch
                tell("finished", **clock, reason=reason, folder=self._folder, **_first(metrics))


class Result:
    """The last line: how good the network is, and why the run ended."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __call__(self, event: Event) -> None:
        """Wait for the end."""
        if isinstance(event, Diverged):
            step, loss = event.clock.step, event.loss[0]
            print(
                f"thalweg: got a loss of {loss} after step {step}; expected a finite number. "
                "Hint: a smaller lr, or --clip-norm 1",
                file=sys.stderr,
            )
        elif isinstance(event, Finished):
            print(self._summary(event), flush=True)

    def _summary(self, event: Finished) -> str:
        measured = _first(event.metrics)
        parts = []
        for split, samples in self.run.data.splits().items():
            if (accuracy := measured.get(f"{split}_accuracy")) is not None:
                parts.append(f"{split} {counts(accuracy, len(samples))}")
            elif (loss := measured.get(f"{split}_loss")) is not None:
                parts.append(f"{split} loss {number(loss)}")
        clock, spec = event.clock, self.run.spec
        why = ending(event.reason, spec)
        length = f"{plural(clock.epoch, 'epoch')}, {plural(clock.step, 'step')}"
        parts.append(f"{why} after {length}, {clock.seconds:.1f} s")
        return "  ".join(parts)


class Lines(Result):
    """A table that grows by a row an evaluation, then the result.

    Args:
        run: The run, about to begin.
        columns: Characters a line may have: without enough the running averages are left out.
    """

    def __init__(self, run: Run, columns: int | None = None) -> None:
        super().__init__(run)
        self._columns = columns
        self._splits: list[str] = []

    def __call__(self, event: Event) -> None:
        """Print a row for an evaluation."""
        if isinstance(event, Evaluated):
            self._row(event, _first(event.metrics))
        super().__call__(event)

    def _row(self, event: Evaluated, measured: Mapping[str, float]) -> None:
        names = [name.removeprefix("running_") for name in measured if name.startswith("running_")]
        widths = [max(len(name), 8) + 1 for name in names]
        if not self._splits:
            self._splits = ["running", *self.run.data.splits()]
            if self._columns and 24 + len(self._splits) * sum(widths) > self._columns:
                self._splits.remove("running")
            above = "".join(f"{split:>{sum(widths)}}" for split in self._splits)
            below = "".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True))
            print(f"{'':7}{above}")
            print(f"{'epoch':>7}{below * len(self._splits)}{'lr':>9}{'seconds':>8}")
        cells = "".join(
            f"{_cell(name, measured.get(f'{split}_{name}')):>{width}}"
            for split in self._splits
            for name, width in zip(names, widths, strict=True)
        )
        clock = event.clock
        print(f"{clock.epoch:>7.4g}{cells}{event.lr[0]:>9.3g}{clock.seconds:>8.1f}", flush=True)


def _cell(name: str, value: float | None) -> str:
    return "" if value is None else metric(name, value)


def _first(metrics: Mapping[str, tuple[float | None, ...]]) -> dict[str, float]:
    """Return the metrics of the only member."""
    return {name: values[0] for name, values in metrics.items() if values[0] is not None}
