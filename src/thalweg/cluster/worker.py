"""The other side of `Processes`: waits for jobs, does them, and says what comes of them."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from thalweg.runtime import keep_large_blocks


def main() -> None:  # pragma: no cover - in a process of its own
    """Do jobs until there is nobody who asks for them."""
    connection, folder = Connection(int(sys.argv[1])), Path(sys.argv[2])
    keep_large_blocks()  # and nothing else: products are to be as in the process that asks
    asked: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, asked, folder), daemon=True).start()
    work: Any = None
    while True:
        what, content = asked.get()
        if what == "work":
            work = read_work(Path(content))
            continue
        for answer in answers(work, content):
            connection.send_bytes(answer)


def _listen(
    connection: Connection, asked: queue.SimpleQueue[tuple[str, Any]], folder: Path
) -> None:  # pragma: no cover - in a process of its own
    """Hear what is asked for, and end this process when the other one has ended."""
    try:
        while True:
            asked.put(connection.recv())
    except (EOFError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def answers(work: Any, job: bytes) -> Any:
    """Do a job, and yield what is told of it: pairs of a word and what belongs to it, pickled."""
    from thalweg.cluster.packing import dumps, load

    try:
        doing = work.do(load(job))
        while True:
            try:
                yield dumps(("told", next(doing)))
            except StopIteration as end:
                yield dumps(("done", end.value))
                return
    except Exception as error:
        yield dumps(("failed", portable(error)))


def portable(error: Exception) -> Exception:
    """Return an error that can go to another process, with a note of where it was raised."""
    from thalweg.cluster.packing import dumps, load
    from thalweg.errors import ThalwegError

    found: Exception
    try:
        found = load(dumps(error))
        assert type(found) is type(error)
    except Exception:
        found = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(found, ThalwegError):
        found.add_note("in another process:\n" + "".join(traceback.format_exception(error)))
    return found


def write_work(folder: Path, work: Any) -> None:
    """Write work to files which several processes have in their memory as one."""
    import numpy as np

    from thalweg.cluster.packing import dump

    folder.mkdir()
    data, buffers = dump(work)
    for number, buffer in enumerate(buffers):
        np.save(folder / f"{number}.npy", buffer)
    (folder / "work").write_bytes(data)


def read_work(folder: Path) -> Any:
    """Read what `write_work` wrote; its tensors are the files, and changes are not written."""
    import numpy as np

    from thalweg.cluster.packing import load

    count = len(list(folder.glob("*.npy")))
    buffers = [np.load(folder / f"{number}.npy", mmap_mode="c") for number in range(count)]
    return load((folder / "work").read_bytes(), buffers)
