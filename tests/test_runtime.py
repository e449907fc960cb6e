from __future__ import annotations

import os
import subprocess
import sys

import pytest

from thalweg import runtime
from thalweg.runtime import configure_runtime, cpu, intel_avx512, mkl_is_narrow

INTEL = ("GenuineIntel", frozenset({"avx2", "avx512f"}))
INTEL_AVX2 = ("GenuineIntel", frozenset({"avx2"}))
AMD = ("AuthenticAMD", frozenset({"avx2", "avx512f"}))
AMD_AVX2 = ("AuthenticAMD", frozenset({"avx2"}))
UNKNOWN = ("", frozenset[str]())
VARIABLES = ("MKL_CBWR", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "THALWEG_RUNTIME")


@pytest.fixture
def process(monkeypatch):
    """A process before torch, on a processor of choice."""

    def prepare(processor, **environment):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        monkeypatch.setattr(runtime, "cpu", lambda: processor)

    # setdefault in configure_runtime is undone with the rest
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    return prepare


@pytest.mark.parametrize(
    ("processor", "path"),
    [(INTEL, "AVX512"), (INTEL_AVX2, "AVX2"), (AMD, "AVX2"), (AMD_AVX2, "AVX2"), (UNKNOWN, "AVX2")],
)
def test_the_widest_path_that_mkl_offers_is_pinned(process, processor, path):
    process(processor)
    assert configure_runtime()["MKL_CBWR"] == path
    assert os.environ["MKL_CBWR"] == path


def test_a_path_that_is_set_already_is_kept(process):
    process(AMD, MKL_CBWR="COMPATIBLE")
    assert configure_runtime()["MKL_CBWR"] == "COMPATIBLE"
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"


def test_idle_threads_soon_sleep_unless_a_policy_is_set(process):
    process(AMD)
    assert configure_runtime()["GOMP_SPINCOUNT"] == os.environ["GOMP_SPINCOUNT"] == "10000"
    process(AMD, GOMP_SPINCOUNT="5")
    assert configure_runtime()["GOMP_SPINCOUNT"] == "5"
    process(AMD, OMP_WAIT_POLICY="ACTIVE")
    assert "GOMP_SPINCOUNT" not in configure_runtime()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_after_torch_the_variables_are_left_alone(process, monkeypatch):
    process(AMD)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not configure_runtime().keys() & set(VARIABLES)
    assert "MKL_CBWR" not in os.environ


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_an_environment_variable_turns_everything_off(process, word):
    process(AMD, THALWEG_RUNTIME=word)
    assert configure_runtime() == {}
    assert "MKL_CBWR" not in os.environ


def test_glibc_is_told_to_keep_large_blocks(process, monkeypatch):
    calls = {}

    class Library:
        @staticmethod
        def mallopt(key, value):
            calls[key.value] = value.value
            return 1

    process(AMD)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda name: Library)
    assert configure_runtime()["malloc"] == "large blocks are kept"
    # glibc's malloc.h: M_MMAP_THRESHOLD -3, M_TRIM_THRESHOLD -1, M_TOP_PAD -2
    assert calls == {-3: 2**30, -1: 2**31 - 1, -2: 2**28}


def _no_mallopt(name):
    return object()


def _no_library(name):
    raise OSError


@pytest.mark.parametrize("library", [_no_mallopt, _no_library])
def test_another_c_library_is_left_as_it_is(process, monkeypatch, library):
    process(AMD)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(runtime.ctypes, "CDLL", library)
    assert "malloc" not in configure_runtime()


def test_another_system_is_not_asked_for_mallopt(process, monkeypatch):
    process(UNKNOWN)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(runtime.ctypes, "CDLL", None)
    assert "malloc" not in configure_runtime()


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_fresh_process_is_prepared_before_torch():
    code = (
        "import sys, thalweg; done = thalweg.configure_runtime();"
        "assert 'torch' not in sys.modules; print(*sorted(done))"
    )
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert "MKL_CBWR" in done.stdout.split()
    if hasattr(runtime.ctypes.CDLL(None), "gnu_get_libc_version"):
        assert "malloc" in done.stdout.split()


@pytest.mark.parametrize(
    ("processor", "pinned", "narrow"),
    [
        (AMD, None, True),  # MKL keeps to AVX2 on other makes, whatever it is told
        (AMD, "AVX512", True),
        (AMD_AVX2, None, False),  # nothing wider to be had
        (INTEL, None, False),
        (INTEL, "AUTO", False),
        (INTEL, "AVX512", False),
        (INTEL, "AVX512,STRICT", False),
        (INTEL, "AVX512_E1", False),
        (INTEL, "AVX2", True),
        (INTEL, "AVX2,STRICT", True),
        (INTEL, "AVX", True),
        (INTEL, "SSE4_2", True),
        (INTEL, "COMPATIBLE", True),
        (INTEL_AVX2, "AVX2", False),
        (UNKNOWN, None, False),
    ],
)
def test_mkl_is_narrow_where_it_leaves_avx512_unused(process, processor, pinned, narrow):
    process(processor, **({} if pinned is None else {"MKL_CBWR": pinned}))
    assert mkl_is_narrow() is narrow


def test_the_processor_is_read_from_linux(monkeypatch):
    text = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx512f\n\nprocessor\t: 1\n"
    monkeypatch.setattr(runtime.Path, "read_text", lambda self: text)
    cpu.cache_clear()
    assert cpu() == ("GenuineIntel", frozenset({"fpu", "avx512f"}))
    assert intel_avx512()
    cpu.cache_clear()


def test_a_system_that_does_not_tell_has_an_unknown_processor(monkeypatch):
    def refuse(self):
        raise FileNotFoundError

    monkeypatch.setattr(runtime.Path, "read_text", refuse)
    cpu.cache_clear()
    assert cpu() == UNKNOWN
    assert not intel_avx512()
    cpu.cache_clear()
