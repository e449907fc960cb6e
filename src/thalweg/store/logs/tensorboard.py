"""TensorBoard: event files in a folder ``tensorboard`` of the run."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

from thalweg.store.logs.library import check_installed, load
from thalweg.store.logs.log import FAILED, STOPPED, Log, Row
from thalweg.store.logs.names import flatten

FOLDER = "tensorboard"
PREFIX = "events.out.tfevents."
VERSION = "brain.Event:2"


@final
class TensorBoardLog(Log):
    """A run in TensorBoard; ``tensorboard --logdir`` shows all runs below a folder.

    A row is one event and one record of the file: it is there as a whole or not at all. Records are
    written by TensorBoard's own writer, at once rather than by a thread, so that a full disk is an
    error here and nothing waits in a queue when the process is killed. Each process writes a file
    of its own; a record that was cut off ends a file, and nothing is lost but itself. Scalars have
    single precision. The settings are hyperparameters.
    """

    kind: ClassVar[str] = "tensorboard"

    @classmethod
    def check(cls) -> None:
        check_installed(cls.kind, "tensorboard")

    def _open(self) -> dict[str, int]:
        folder = self.folder / FOLDER
        folder.mkdir(exist_ok=True)
        files = sorted(folder.glob(f"{PREFIX}*"))
        recorded: dict[str, int] = {}
        for event in (event for file in files for event in _events(file)):
            for value in event.summary.value:
                recorded[value.tag] = max(event.step, recorded.get(value.tag, -1))
        self._file = folder / _next_name(files)
        events = [{"file_version": VERSION}]
        if load("tensorboard.plugins.hparams.metadata").SESSION_START_INFO_TAG not in recorded:
            hparams = load("tensorboard.plugins.hparams.summary_v2").hparams_pb
            events += [{"summary": hparams(self._hyperparameters(), trial_id=self.name)}]
        self._write(events)
        return recorded

    def _append(self, rows: Sequence[Row]) -> None:
        Summary = load("tensorboard.compat.proto.summary_pb2").Summary
        self._write(
            {
                "wall_time": when,
                "step": step,
                "summary": Summary(
                    value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]
                ),
            }
            for step, when, values in rows
        )

    def _finish(self, state: str) -> None:
        plugin = load("tensorboard.plugins.hparams.plugin_data_pb2")
        metadata = load("tensorboard.plugins.hparams.metadata")
        Status = load("tensorboard.plugins.hparams.api_pb2").Status
        Summary = load("tensorboard.compat.proto.summary_pb2").Summary
        status = "FAILURE" if state in FAILED else "UNKNOWN" if state in STOPPED else "SUCCESS"
        end = plugin.SessionEndInfo(
            status=Status.Value(f"STATUS_{status}"), end_time_secs=time.time()
        )
        value = Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(
                plugin.HParamsPluginData(session_end_info=end)
            ),
            tensor=metadata.NULL_TENSOR,
        )
        self._write([{"summary": Summary(value=[value])}])

    def _write(self, events: Iterable[dict[str, Any]]) -> None:
        """Write events to the file, which is closed in between: nobody else may do it."""
        RecordWriter = load("tensorboard.summary.writer.record_writer").RecordWriter
        Event = load("tensorboard.compat.proto.event_pb2").Event
        with self._file.open("ab") as stream:
            writer = RecordWriter(stream)
            for fields in events:
                event = Event(**{"wall_time": time.time(), **fields})
                writer.write(event.SerializeToString())

    def _hyperparameters(self) -> dict[str, bool | float | str]:
        settings = flatten(self.spec) | ({"tags": ", ".join(self.tags)} if self.tags else {})
        return {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in settings.items()
        }


def _events(file: Path) -> Any:
    """Yield the whole records of an event file; at one that was cut off it ends."""
    loader = load("tensorboard.backend.event_processing.event_file_loader")
    return loader.LegacyEventFileLoader(str(file)).Load()


def _next_name(files: Sequence[Path]) -> str:
    """Return a name that TensorBoard reads after those that are there: it goes by the second."""
    newest = max((int(file.name.split(".")[3]) for file in files), default=0)
    stamp = max(int(time.time()), newest + 1)
    return f"{PREFIX}{stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"
