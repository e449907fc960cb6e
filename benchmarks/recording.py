"""What recording costs: training with a run folder beside training without, in turn.

Checkpoints every ten seconds, every step's metrics, the log, and the predictions at the end. See
README.md in this folder for how to read the output.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench import header, ratio, say, spread

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

from thalweg.data import Data, load_data  # noqa: E402
from thalweg.study import train  # noqa: E402

NETS: dict[str, dict[str, Any]] = {
    "mish-bn": {
        "optimizer": "madgrad",
        "lr": 1.7e-4,
        "loss": "nll",
        "batch_size": 1024,
        "lookahead": {"k": 4, "alpha": 0.8},
        "epochs": 8,
    },
    "lab-mlp": {"optimizer": "adam", "lr": 1e-3, "loss": "nll", "batch_size": 512, "epochs": 150},
}
AIMS = {"mish-bn": 1.02, "lab-mlp": 1.05}


def seconds(net: str, data: Data, settings: dict[str, Any], out: Path | bool) -> float:
    """Train once and return how long that took, from the first line to the last."""
    begin = time.perf_counter()
    train(net, data, out=out, evaluate="test", **settings)  # type: ignore[arg-type]
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETS, default=tuple(NETS))
    add("--repetitions", type=int, default=5)
    add("--every", default="10s", help="checkpoint interval")
    add("--folder", help="where the runs go; a temporary folder if not given")
    add("--quick", action="store_true", help="the embedded digits, 1 epoch: checks plumbing")
    add("--threads", type=int)
    options = parser.parse_args()
    header("recording", **vars(options))
    data = load_data("digits" if options.quick else "mnist")
    for net in options.nets:
        settings = {**NETS[net], "checkpoint_every": options.every, "threads": options.threads}
        settings |= {"epochs": 1, "batch_size": 64} if options.quick else {}
        plain, recorded = [], []
        for turn in range(options.repetitions + 1):
            room = Path(tempfile.mkdtemp(dir=options.folder))
            pair = [lambda: plain.append(seconds(net, data, settings, out=False)),  # noqa: B023
                    lambda: recorded.append(seconds(net, data, settings, room / "run"))]  # noqa: B023  # fmt: skip
            for one in pair if turn % 2 else reversed(pair):
                one()
            size = sum(file.stat().st_size for file in room.rglob("*") if file.is_file())
            shutil.rmtree(room)
        plain, recorded = plain[1:], recorded[1:]  # the first pair warms up
        cost = ratio(recorded, plain)
        say(
            "recording",
            net=net,
            epochs=settings["epochs"],
            plain=spread(plain),
            recorded=spread(recorded),
            cost=cost,
            cost_of_pairs=statistics.median(a / b for a, b in zip(recorded, plain, strict=True)),
            megabytes=size / 1e6,
            aim=AIMS[net],
            met=cost["medians"] <= AIMS[net],
        )


if __name__ == "__main__":
    main()
