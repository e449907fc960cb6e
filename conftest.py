"""What tests and doctests share: where the real data are, and nothing else of the machine."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Generator
from importlib import import_module
from pathlib import Path

import pytest

import thalweg  # first as a whole: a file that pytest imports alone would come twice

_DATA_VARIABLE = "THALWEG_DATA"
_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[1] / "shared" / "data"

# Taken out of the environment before any test module is imported: a test that wants the variable
# sets it, and every other test, and every process that it starts, runs as if there were no data.
_data_folder = Path(os.environ.pop(_DATA_VARIABLE, _BESIDE_THE_CHECKOUT))


# ── what is traced ───────────────────────────────────────────────────────────────────────────
# Where coverage is measured, each line of Python takes twice its time, whoever's it is. So tracing
# is for the import of the package and for the functions of tests and fixtures: not for collection,
# not for pytest's work around a test, and not for the examples of docstrings, as that a line is
# covered is for tests to say.


def _trace(config: pytest.Config, on: bool) -> bool:
    """Begin or end to measure coverage, where it is measured; return what was before."""
    controller = getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if controller is None:
        return False
    before: bool = controller.started
    if before != on:
        (controller.resume if on else controller.pause)()
    return before


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import the package while that is traced."""
    if _trace(session.config, True):
        for module in pkgutil.walk_packages(thalweg.__path__, "thalweg."):
            if not module.name.endswith("__main__"):  # which is run, not imported
                import_module(module.name)
        _trace(session.config, False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Trace a test unless it is marked with ``no_cover``."""
    before = _trace(pyfuncitem.config, pyfuncitem.get_closest_marker("no_cover") is None)
    try:
        return (yield)
    finally:
        _trace(pyfuncitem.config, before)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """Trace what a fixture prepares."""
    before = _trace(request.config, True)
    try:
        return (yield)
    finally:
        _trace(request.config, before)


# ── what tests share ─────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's download cache and runs out of the tests, and the tests out of them."""
    monkeypatch.setenv("THALWEG_RUNS", str(tmp_path_factory.getbasetemp() / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder that holds MNIST/raw and FashionMNIST/raw; the test is skipped without it."""
    missing = [
        name for name in ("MNIST", "FashionMNIST") if not (_data_folder / name / "raw").is_dir()
    ]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)} not found in {_data_folder}: set {_DATA_VARIABLE} to a "
            "folder with MNIST/raw and FashionMNIST/raw to run the tests on full data"
        )
    return _data_folder
