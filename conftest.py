"""What tests and doctests share: where the real data are, and nothing else of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import thalweg  # noqa: F401  # first as a whole: a file that pytest imports alone would come twice

_DATA_VARIABLE = "THALWEG_DATA"
_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[1] / "shared" / "data"

# Taken out of the environment before any test module is imported: a test that wants the variable
# sets it, and every other test, and every process that it starts, runs as if there were no data.
_data_folder = Path(os.environ.pop(_DATA_VARIABLE, _BESIDE_THE_CHECKOUT))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples show how something is used; that lines are covered is for tests to say."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker("no_cover")


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
