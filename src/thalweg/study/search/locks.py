"""Who is alive: locks that the system, or the database, takes back when a worker dies."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from thalweg.errors import FileError
from thalweg.files import cannot

PAUSE = 0.05
"""Seconds between two attempts to take a lock that somebody holds."""


class Locks(Protocol):
    """Named locks, of which each worker may hold several."""

    def take(self, name: str) -> bool:
        """Take a lock, unless another worker holds it."""

    def give(self, name: str) -> None:
        """Give a lock back."""

    def close(self) -> None:
        """Give all back."""


@contextmanager
def holding(locks: Locks, name: str) -> Iterator[None]:
    """Hold a lock for a while; wait for it if another worker holds it."""
    while not locks.take(name):
        time.sleep(PAUSE)
    try:
        yield
    finally:
        locks.give(name)


class FileLocks:
    """Locks that are files: for workers that see one folder.

    Args:
        folder: Where the files are.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     one, other = FileLocks(Path(folder)), FileLocks(Path(folder))
        ...     one.take("wave-0"), other.take("wave-0"), one.close(), other.take("wave-0")
        (True, False, None, True)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, FileLock] = {}

    def take(self, name: str) -> bool:
        """Take a lock, unless another worker holds it.

        Raises:
            FileError: The folder cannot be written.
        """
        lock = FileLock(self.folder / f"{name}.lock", thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise cannot("written", self.folder, error) from None
        self._held[name] = lock
        return True

    def give(self, name: str) -> None:
        """Give a lock back."""
        self._held.pop(name).release()

    def close(self) -> None:
        """Give all back."""
        for name in list(self._held):
            self.give(name)


class PostgresLocks:
    """Advisory locks of PostgreSQL, which has them back when the connection of a worker ends.

    Args:
        url: Where the database is.
        study: The study, whose locks have nothing to do with those of others.

    Raises:
        FileError: The database cannot be reached.
    """

    def __init__(self, url: str, study: str) -> None:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        self.study, self._held = study, set[str]()
        try:
            self._engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
            self._connection = self._engine.connect()
            # A worker whose machine is gone is noticed within a minute.
            self._connection.execute(sqlalchemy.text("SET tcp_keepalives_idle = 20"))
            self._connection.execute(sqlalchemy.text("SET tcp_keepalives_interval = 10"))
            self._connection.execute(sqlalchemy.text("SET tcp_keepalives_count = 4"))
        except SQLAlchemyError as error:
            raise unreachable(error) from None

    def take(self, name: str) -> bool:
        """Take a lock, unless another worker holds it.

        Raises:
            FileError: The database cannot be reached any more.
        """
        if not self._ask("pg_try_advisory_lock", name):
            return False
        self._held.add(name)
        return True

    def give(self, name: str) -> None:
        """Give a lock back."""
        self._held.discard(name)
        self._ask("pg_advisory_unlock", name)

    def close(self) -> None:
        """Give all back."""
        from sqlalchemy.exc import SQLAlchemyError

        with suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()

    def _ask(self, function: str, name: str) -> bool:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        digest = hashlib.sha256(f"thalweg {self.study} {name}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        question = sqlalchemy.text(f"SELECT {function}(:key)")
        try:
            return bool(self._connection.execute(question, {"key": key}).scalar())
        except SQLAlchemyError as error:
            raise unreachable(error) from None


def unreachable(error: Exception) -> FileError:
    """Return the error of a database that does not answer."""
    cause = error.__cause__ or error  # Optuna says what SQLAlchemy said
    reason = (str(getattr(cause, "orig", None) or cause).strip() or "no word").splitlines()[0]
    return FileError(f"a database that does not answer ({reason})", "one that runs", "is it up?")


class NoLocks:
    """Locks where there is one worker.

    Example:
        >>> locks = NoLocks()
        >>> locks.take("ask"), locks.give("ask"), locks.close()
        (True, None, None)
    """

    def take(self, name: str) -> bool:
        """Take a lock."""
        return True

    def give(self, name: str) -> None:
        """Give a lock back."""

    def close(self) -> None:
        """Give all back."""
