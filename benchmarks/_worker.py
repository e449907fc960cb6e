"""A worker process: prepares itself, then hands over to a peer. Started by `_bench.Worker`."""

from __future__ import annotations

import json
import os
import sys

from _bench import Task, Watch


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    settings: dict[str, str] = {}
    if task.runtime:
        from thalweg import configure_runtime  # before torch is imported

        settings = configure_runtime()
    import torch

    if task.threads is not None:
        torch.set_num_threads(task.threads)
    import _peers

    watch = Watch(
        answers,
        threads=torch.get_num_threads(),
        mkl_cbwr=os.environ.get("MKL_CBWR"),
        runtime=settings,
    )
    _peers.PEERS[task.peer](task, watch)


if __name__ == "__main__":
    main()
