"""What a run was made with: versions, machine, threads, and the state of the user's code."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("thalweg", "torch", "numpy", "safetensors", "pyarrow")
"""Beside Python, what a result may depend on."""


def environment() -> dict[str, str]:
    """Return what the present process runs on and with, as text by name.

    Example:
        >>> environment()["python"] == platform.python_version()
        True
    """
    import torch

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    found |= {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
                     else os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "machine": platform.node(),
    }  # fmt: skip
    if torch.cuda.is_available():  # pragma: no cover - where there is one
        found["cuda"] = f"{torch.version.cuda}, {torch.cuda.get_device_name()}"
    for variable in ("MKL_CBWR", "OMP_NUM_THREADS", "THALWEG_GEMM"):
        if variable in os.environ:
            found[variable] = os.environ[variable]
    if commit := _commit():
        found["commit"] = commit
    found["command"] = " ".join(sys.argv)
    return found


def differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Say what differs between two environments that could change the bits of a result.

    Example:
        >>> differences({"torch": "2.6.0", "machine": "a"}, {"torch": "2.7.0", "machine": "b"})
        ['torch 2.6.0 then, 2.7.0 now']
    """
    names = ("thalweg", "torch", "numpy", "processor", "threads", "cuda", "MKL_CBWR",
             "THALWEG_GEMM")  # fmt: skip
    return [
        f"{name} {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in names
        if then.get(name) != now.get(name)
    ]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # pragma: no cover - not Linux
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Return the git commit of the working directory, marked if there are changes beside it."""
    commit, changed = (_git(*words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    return commit + (" and changes" if commit and changed else "")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *words],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
