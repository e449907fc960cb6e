"""Clusters of several nodes on this machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head, where nothing is done but what the driver does, and one node."""
    with warnings.catch_warnings():
        from ray.cluster_utils import Cluster

    import ray

    small = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    yield made
    ray.shutdown()
    made.shutdown()
