"""MLflow: a run on the user's tracking server, or in a database beside the run folder."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, final

from filelock import FileLock

from thalweg.files import write_atomically
from thalweg.store.logs.identity import identity
from thalweg.store.logs.library import check_installed, load
from thalweg.store.logs.log import FAILED, STOPPED, Log, Row
from thalweg.store.logs.names import flatten

T = TypeVar("T")

EXPERIMENT = "thalweg"
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
TAG = "thalweg.id"
METRICS_A_BATCH, PARAMS_A_BATCH, PARAM_LENGTH = 1000, 100, 6000
"""What the tracking API takes at once."""
PATIENCE = 60
"""Seconds to wait for another process that makes the database."""


@final
class MLflowLog(Log):
    """A run in MLflow, where ``MLFLOW_TRACKING_URI`` says, under ``MLFLOW_EXPERIMENT_NAME``.

    Without them it is the experiment thalweg in ``mlflow.db`` beside the run folder, so that all
    runs of one place are together: ``mlflow ui`` shows them, started there. An MLflow run carries
    the identity of ours as a tag and is found again by it. A row may be there in part after a kill;
    what is missing is made up for metric by metric. MLflow's databases keep NaN but no infinity,
    which is left out. The settings are parameters.
    """

    kind: ClassVar[str] = "mlflow"

    @classmethod
    def check(cls) -> None:
        check_installed(cls.kind, "mlflow")
        if not _server():
            check_installed(cls.kind, "sqlalchemy", "alembic")

    def _open(self) -> dict[str, int]:
        with _quietly():
            uri = _server() or database(self.folder.resolve().parent / DATABASE)
            self._client = load("mlflow").MlflowClient(tracking_uri=uri)
            run = self._find() or self._create()
            self._run_id: str = run.info.run_id
            if run.info.status != "RUNNING":
                self._client.update_run(self._run_id, status="RUNNING")
            self._set_params(run.data.params)
            histories = {
                name: self._client.get_metric_history(self._run_id, name)
                for name in run.data.metrics
            }
        return {name: max(entry.step for entry in rows) for name, rows in histories.items() if rows}

    def _append(self, rows: Sequence[Row]) -> None:
        Metric = load("mlflow.entities").Metric
        metrics = [
            Metric(name, value, int(1000 * when), step)
            for step, when, values in rows
            for name, value in values.items()
            if not math.isinf(value)
        ]
        for batch in _batches(metrics, METRICS_A_BATCH):
            self._log_batch(metrics=batch)

    def _finish(self, state: str) -> None:
        status = "FAILED" if state in FAILED else "KILLED" if state in STOPPED else "FINISHED"
        with _quietly():
            self._client.set_tag(self._run_id, "thalweg.state", state)
            self._client.set_terminated(self._run_id, status)

    def _experiment(self) -> str:
        """Return the number of the experiment, which another process may be making just now."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        beside = self.folder.resolve().parent / ARTIFACTS
        artifacts = None if _server() else beside.as_uri()
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifacts))
            except load("mlflow.exceptions").MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find(self) -> Any:
        ours = f"tags.`{TAG}` = '{identity(self.folder)}'"
        runs = self._client.search_runs([self._experiment()], ours, max_results=1)
        return runs[0] if runs else None

    def _create(self) -> Any:
        tags = {TAG: identity(self.folder), "thalweg.folder": str(self.folder.resolve())}
        if self.tags:
            tags["thalweg.tags"] = ", ".join(self.tags)
        return self._client.create_run(self._experiment(), tags=tags, run_name=self.name)

    def _set_params(self, known: dict[str, str]) -> None:
        """Write the settings; what is written cannot be changed."""
        Param = load("mlflow.entities").Param
        settings = flatten(self.spec).items()
        new = [Param(k, str(v)[:PARAM_LENGTH]) for k, v in settings if k not in known]
        for batch in _batches(new, PARAMS_A_BATCH):
            self._log_batch(params=batch)

    def _log_batch(self, **what: Any) -> None:
        with _quietly():
            self._client.log_batch(self._run_id, synchronous=True, **what)


def database(file: Path) -> str:
    """Return the URI of a database of MLflow, which is made if it is not there.

    To make one takes MLflow many seconds and a hundred steps. Two processes at once would spoil it,
    and so would a kill: it is made by one, under another name.
    """
    if not file.exists():
        with FileLock(file.with_name(f"{file.name}.lock"), timeout=PATIENCE):
            if not file.exists():
                write_atomically(file, _make)
    return _uri(file)


def _make(file: Path) -> None:
    kind = load("mlflow.store.tracking.sqlalchemy_store").SqlAlchemyStore
    kind(_uri(file), file.with_name(ARTIFACTS).as_uri()).engine.dispose()


def _uri(file: Path) -> str:
    return f"sqlite:///{file.as_posix()}"


def _server() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to itself that a database is made, and that MLflow uses deprecated parts of others."""
    load("mlflow")  # sets up its logger
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # SQLAlchemy has deprecated the way in which MLflow lays out its tables.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
