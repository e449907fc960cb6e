"""What tests of stacked layers share."""

from __future__ import annotations

from typing import Any

import pytest

GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "bias": False},
    {"kernel_size": 3, "padding": (2, 1)},
    {"kernel_size": (3, 2), "dilation": (1, 3)},
    {"kernel_size": 2, "padding": 1, "dilation": 2, "bias": False},
    {"kernel_size": 1},
]


@pytest.fixture(params=GEOMETRIES, ids=str)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A convolution's kernel, padding, dilation and bias."""
    found: dict[str, Any] = request.param
    return found
