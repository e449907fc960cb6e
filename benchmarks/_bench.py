"""What the benchmarks share: workers that compute one at a time, statistics, the header."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "thalweg", "torch", "torchvision", "lightning", "skorch", "optuna", "madgrad", "pillow",
    "numpy",
)  # fmt: skip
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
REST = 0.1  # seconds between two measurements, in which the threads of the last one fall asleep


@dataclass(frozen=True)
class Task:
    """What a worker shall do.

    Args:
        peer: Who does it: a key of `_peers.PEERS`.
        net: The network, a key of `_nets.NETS`; or the recipe.
        epochs: How often it will be asked.
        precision: float32 or bfloat16.
        threads: Threads; torch's default if None.
        folder: Where MNIST is; thalweg looks and downloads as usual if None.
        quick: Use a few hundred small images instead of MNIST.
        runtime: Take thalweg's runtime settings.
        mkl: Value of MKL_CBWR, such as AVX2; unset if None.
        label_noise: Fraction of the training labels that are permuted.
        members: Networks that train at once.
        exact: Whether each of them shall have the bits of its run alone.
    """

    peer: str
    net: str
    epochs: int
    precision: str = "float32"
    threads: int | None = None
    folder: str | None = None
    quick: bool = False
    runtime: bool = False
    mkl: str | None = None
    label_noise: float = 0.0
    members: int = 1
    exact: bool = True


class Worker:
    """A fresh process that computes when asked and otherwise sleeps.

    Processes are separate because the settings of MKL and of the allocator are a process's own.
    """

    def __init__(self, task: Task) -> None:
        env = {key: value for key, value in os.environ.items() if key != "MKL_CBWR"}
        if task.mkl:
            env["MKL_CBWR"] = task.mkl
        script = Path(__file__).with_name("_worker.py")
        command = [sys.executable, "-W", "ignore", str(script), json.dumps(asdict(task))]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        self.task = task
        self.setup = self._answer()

    def __call__(self, **request: Any) -> dict[str, Any]:
        """Let it compute once."""
        time.sleep(REST)
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End it and wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise SystemExit(f"{self.task.peer} on {self.task.net} failed with exit code {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Watch:
    """The worker's side: waits to be asked, takes the time, answers."""

    def __init__(self, answers: int, **setup: Any) -> None:
        self._answers, self._setup = os.fdopen(answers, "w"), setup
        self._ready = False

    def start(self) -> dict[str, Any]:
        """Wait for a request, start the time, and return the request."""
        if not self._ready:  # whatever came before the first request was preparation
            self._write(self._setup)
            self._ready = True
        line = sys.stdin.readline()
        if not line:  # nobody will ask again; frameworks catch SystemExit
            os._exit(0)
        request: dict[str, Any] = json.loads(line)
        self.begin()
        return request

    def begin(self) -> None:
        """Start the time anew: what came since the request was preparation."""
        self._begin = time.perf_counter()

    def stop(self) -> None:
        """Stop the time."""
        self._seconds = time.perf_counter() - self._begin

    def answer(self, **more: Any) -> None:
        """Answer with the time, and whatever else came out."""
        self._write({"seconds": self._seconds, **more})

    def _write(self, content: dict[str, Any]) -> None:
        print(json.dumps(content), file=self._answers, flush=True)


def say(kind: str, **fields: Any) -> None:
    """Print one JSON line; floats keep five digits."""
    print(json.dumps({"kind": kind, **{key: _short(value) for key, value in fields.items()}}))
    sys.stdout.flush()


def header(benchmark: str, **settings: Any) -> None:
    """Print the line that says on what machine, with which versions and settings."""
    cpu = cpuinfo()
    say(
        "header",
        benchmark=benchmark,
        machine=cpu.get("model name", platform.processor()),
        vendor=cpu.get("vendor_id", ""),
        instructions=[name for name in INSTRUCTIONS if name in cpu.get("flags", "").split()],
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        load=list(os.getloadavg()),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
        settings=settings,
    )


def cpuinfo() -> dict[str, str]:
    """Return what Linux tells of the first processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def has_bfloat16() -> bool:
    """Tell whether the processor has instructions for bfloat16 (else they are emulated)."""
    return bool({"avx512_bf16", "amx_bf16"} & set(cpuinfo().get("flags", "").split()))


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return all repetitions with their median, smallest and largest."""
    return {
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "all": list(seconds),
    }


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, Any]:
    """Return the ratio of the medians, and the range of the ratios round by round."""
    paired = [a / b for a, b in zip(slow, fast, strict=True)]
    medians = statistics.median(slow) / statistics.median(fast)
    return {"medians": medians, "paired_min": min(paired), "paired_max": max(paired)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        if package != "thalweg":
            return None
    import thalweg  # on the path, not installed

    return thalweg.__version__


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _short(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_short(entry) for entry in value]
    return value
