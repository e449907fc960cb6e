"""Where trials are remembered: in memory, in a SQLite file, or in PostgreSQL."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage

from thalweg.errors import FileError, SpecError, ThalwegError
from thalweg.study.search.locks import FileLocks, Locks, NoLocks, PostgresLocks, unreachable

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

DATABASE = "study.db"
"""The file in the folder of a search, if it is kept in no other place."""

LOCKS = ".workers"
"""The folder of the locks of its workers."""

BUSY = 60.0
"""Seconds that a worker waits while another one writes to the file."""


@contextmanager
def answering() -> Iterator[None]:
    """Say of a database that does not answer that it does not.

    Raises:
        FileError: It does not.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise unreachable(error) from None


def read_url(text: str) -> URL:
    """Return the address of a PostgreSQL database, for the driver that there is.

    Raises:
        SpecError: It is none.
        ThalwegError: The driver is not installed.

    Example:
        >>> str(read_url("postgresql://me@host/db"))
        'postgresql+psycopg://me@host/db'
    """
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    hint = "postgresql+psycopg://user@host:5432/database; without it there is a file"
    try:
        url = sqlalchemy.make_url(text)
    except ArgumentError:
        raise SpecError(f"storage={text!r}", "the address of a database", hint) from None
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise SpecError(f"storage={url.drivername}://…", "PostgreSQL", hint)
    if find_spec("psycopg") is None:
        raise ThalwegError("no psycopg", "psycopg", "pip install 'thalweg[postgres]'")
    return url.set(drivername="postgresql+psycopg")


def without_password(text: str) -> str:
    """Return an address that may be written down: who needs the password has it elsewhere.

    Example:
        >>> without_password("postgresql://me:secret@host/db")
        'postgresql+psycopg://me@host/db'
    """
    from sqlalchemy.engine import URL

    url = read_url(text)
    bare = URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    )
    return bare.render_as_string(hide_password=False)


def open_storage(folder: Path | None, url: str | None, study: str) -> tuple[BaseStorage, Locks]:
    """Open where trials are remembered, and the locks of those who work on them.

    Args:
        folder: The folder of the search; None if it has none.
        url: The address of a PostgreSQL database; None for a file in the folder.
        study: Name of the study.

    Raises:
        FileError: The database cannot be reached, or the file not be read.
    """
    import sqlalchemy

    if url is not None:
        address = read_url(url).render_as_string(hide_password=False)
        locks = PostgresLocks(address, study)
        try:
            with answering():
                return RDBStorage(address), locks
        except FileError:
            locks.close()
            raise
    if folder is None:
        return InMemoryStorage(), NoLocks()
    file = folder / DATABASE
    with answering():
        connection = sqlite3.connect(file, timeout=BUSY)
        try:
            # One writes while others read, and the disk is waited for once, not ten times a trial:
            # a tenth of the time. What is told survives the death of any process.
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
        arguments = {"connect_args": {"timeout": BUSY}}
        storage = RDBStorage(f"sqlite:///{file}", engine_kwargs=arguments)
        sqlalchemy.event.listen(storage.engine, "connect", _hurry)
        storage.engine.dispose()  # connections from now on are such
    return storage, FileLocks(folder / LOCKS)


def _hurry(connection: sqlite3.Connection, record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def close_storage(storage: BaseStorage) -> None:
    """Close what is open."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.scoped_session.remove()
        storage.engine.dispose()


def make_study(
    storage: BaseStorage,
    name: str,
    direction: Literal["minimize", "maximize"],
    metric: str = "value",
) -> optuna.Study:
    """Make a study.

    Args:
        storage: Where.
        name: Its name.
        direction: Whether less of the metric is better, or more.
        metric: What is measured.

    Raises:
        SpecError: There is one of that name.
        FileError: The database does not answer.
    """
    with answering():
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=direction)
        except optuna.exceptions.DuplicatedStudyError:
            hint = "--name another, or --join it"
            raise SpecError(f"a second study called {name!r}", "a name of its own", hint) from None
        with warnings.catch_warnings():  # it is called experimental since 2023
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names([metric])
        return study


def find_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Open a study.

    Raises:
        FileError: There is none of that name, or the database does not answer.
    """
    with answering():
        try:
            return optuna.load_study(storage=storage, study_name=name)
        except KeyError:
            raise FileError(f"no study called {name!r}", "one that is there") from None
