"""What the engine's tests share: a small set of real digits, and nets that are quick to train."""

from __future__ import annotations

import pytest
import torch

from thalweg.data import Data, load_data


@pytest.fixture(scope="session")
def digits() -> Data:
    """480 training samples of 64 numbers, with validation and test splits."""
    return load_data("digits", val=100, subset=480)


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products are not worth a second thread, and a test may have set the number."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)
