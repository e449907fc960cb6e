"""The process that trains: the allocator, reproducible matrix products, threads.

Nothing here imports torch, because the variables count only when they are set before.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

OFF = "THALWEG_RUNTIME"
"""Set this environment variable to ``off`` to leave the process as it is."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def configure_runtime() -> dict[str, str]:
    """Prepare this process for fast and repeatable training; call it before importing torch.

    Three things are set, none of which changes what is computed:

    * glibc's allocator keeps large blocks instead of returning them to the system after every
      step, so that activations are not page-faulted anew (convolutions gain most).
    * ``MKL_CBWR`` pins MKL's code path, so that a product does not depend on the alignment of its
      operands or on the number of threads. AVX-512 on Intel processors that have it, else AVX2:
      MKL offers no wider path on other makes. A value that is already set is kept.
    * ``GOMP_SPINCOUNT`` bounds how long an OpenMP thread spins before it sleeps. By default it
      spins for milliseconds, so that two programs on the same cores slow each other many times
      over; a short bound costs nothing alone. A wait policy that is set is kept.

    The command line calls this first. ``THALWEG_RUNTIME=off`` turns it off.

    Returns:
        What was set, by name; empty when turned off.

    Example:
        >>> import os
        >>> os.environ["THALWEG_RUNTIME"] = "off"
        >>> configure_runtime()
        {}
        >>> del os.environ["THALWEG_RUNTIME"]
    """
    if _is_off():
        return {}
    done: dict[str, str] = {}
    if "torch" not in sys.modules:
        done["MKL_CBWR"] = os.environ.setdefault("MKL_CBWR", "AVX512" if intel_avx512() else "AVX2")
        if "OMP_WAIT_POLICY" not in os.environ:
            done["GOMP_SPINCOUNT"] = os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if keep_large_blocks():
        done["malloc"] = "large blocks are kept"
    return done


def _is_off() -> bool:
    return os.environ.get(OFF, "").lower() in {"off", "0", "no", "false"}


def keep_large_blocks() -> bool:
    """Let the allocator keep large blocks, unless that is turned off; tell whether it does."""
    if sys.platform != "linux" or _is_off():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, such as musl
        return False
    settings = {_M_MMAP_THRESHOLD: 1 << 30, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 256 << 20}
    return all([mallopt(ctypes.c_int(key), ctypes.c_int(value)) for key, value in settings.items()])


@cache
def cpu() -> tuple[str, frozenset[str]]:
    """Return the processor's vendor and its instruction sets, empty where Linux does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "", frozenset()
    fields = dict(
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    )
    return fields.get("vendor_id", ""), frozenset(fields.get("flags", "").split())


def rank() -> int:
    """Return the number of this process among those that ``torchrun`` has started; 0 alone."""
    several = os.environ.get("WORLD_SIZE", "1") != "1" and "MASTER_ADDR" in os.environ
    return int(os.environ.get("RANK", "0")) if several else 0


def intel_avx512() -> bool:
    """Tell whether MKL takes its AVX-512 path here: an Intel processor that has it."""
    vendor, flags = cpu()
    return vendor == "GenuineIntel" and "avx512f" in flags


def mkl_is_narrow() -> bool:
    """Tell whether MKL keeps to AVX2 on a processor that has AVX-512.

    Then oneDNN's matrix product, which does use AVX-512, is about twice as fast in float32.
    The answer follows from the processor and ``MKL_CBWR`` alone, never from a timing, because the
    choice of a kernel decides the last bits of a run.
    """
    branch = os.environ.get("MKL_CBWR", "").split(",")[0]
    pinned = branch in {"AVX", "AVX2", "COMPATIBLE"} or branch.startswith("SSE")
    return "avx512f" in cpu()[1] and (pinned or not intel_avx512())
