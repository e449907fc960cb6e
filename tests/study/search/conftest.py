"""What the tests of searches share: a small search, and a PostgreSQL of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

SMALL: dict[str, Any] = {
    "model": "mlp", "data": "digits", "hidden": (8,), "subset": 240, "val": 60, "batch_size": 60,
    "epochs": 3, "dropout": 0.2, "optimizers": "momentum-decay,adagrad,adam", "trials": 12,
    "best": 2, "seeds": 2, "threads": 1,
}  # fmt: skip
"""A search of two seconds, in which trials are sent away and others take their places."""


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    return dict(SMALL)


def _tool(name: str) -> str | None:
    places = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(places))


def _as_anybody() -> tuple[list[str], int, int]:
    """Return how to run a program as somebody who is not root, and who that is."""
    if os.getuid() != 0:
        return [], os.getuid(), os.getgid()
    for name in ("postgres", "nobody"):
        try:
            who = pwd.getpwnam(name)
        except KeyError:
            continue
        if shutil.which("setpriv"):
            ids = [f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
            return ["setpriv", *ids, "--"], who.pw_uid, who.pw_gid
    pytest.skip("PostgreSQL does not run as root, and there is nobody else to run it as")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL that was started on a free port in a temporary folder."""
    tools = {name: _tool(name) for name in ("initdb", "pg_ctl", "postgres")}
    if missing := [name for name, found in tools.items() if found is None]:
        pytest.skip(f"no PostgreSQL on this machine: {', '.join(missing)} not found")
    become, user, group = _as_anybody()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    os.chown(folder, user, group)
    data = folder / "data"

    def run(name: str, *words: str, wait: bool = True) -> None:
        command: Sequence[str] = [*become, str(tools[name]), *words]
        done = subprocess.run(
            command, cwd=folder, capture_output=wait, text=True, check=False, timeout=120,
            stdout=None if wait else subprocess.DEVNULL,
            stderr=None if wait else subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    try:
        run("initdb", "-D", str(data), "-U", "thalweg", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = str(folder / "log")
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "-l", log, "start", wait=False)
        try:
            yield f"postgresql+psycopg://thalweg@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
