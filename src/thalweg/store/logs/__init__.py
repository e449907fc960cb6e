"""Runs written, as they go, to where people already look: TensorBoard, MLflow, Weights & Biases.

All of them have the same names: ``batch/loss`` and ``lr`` of each update, and ``train/loss``,
``test/accuracy``, ``running/accuracy``, ``clock/seconds`` and so on of each evaluation, over the
number of updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.errors import SpecError, nearest
from thalweg.store.logs.log import Log
from thalweg.store.logs.mlflow import MLflowLog
from thalweg.store.logs.names import metric_name
from thalweg.store.logs.tensorboard import TensorBoardLog
from thalweg.store.logs.wandb import WandbLog

__all__ = [
    "LOGS",
    "Log",
    "MLflowLog",
    "TensorBoardLog",
    "WandbLog",
    "metric_name",
    "open_log",
]

LOGS: dict[str, type[Log]] = {log.kind: log for log in (TensorBoardLog, MLflowLog, WandbLog)}
"""The logs by name."""


def open_log(
    kind: str,
    folder: Path,
    name: str,
    tags: tuple[str, ...] = (),
    spec: Mapping[str, Any] | None = None,
) -> Log:
    """Return the log of a run, new or to go on with.

    Args:
        kind: A log of ``LOGS``.
        folder: The folder of the run.
        name: What the run is called.
        tags: Words to find it by.
        spec: What is run: nested settings, as JSON has them.

    Raises:
        SpecError: There is no such log.
        ThalwegError: Its client library is not installed.

    Example:
        >>> open_log("tensorbord", Path("."), "a run")
        Traceback (most recent call last):
        ...
        thalweg.errors.SpecError: got log 'tensorbord'; expected ... did you mean tensorboard? ...
    """
    if kind not in LOGS:
        raise SpecError(f"log {kind!r}", "the name of a log", nearest(str(kind), LOGS))
    LOGS[kind].check()
    return LOGS[kind](folder, name, tags, spec)
