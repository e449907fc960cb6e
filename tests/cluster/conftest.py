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
    quick = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000}  # not in 30 seconds
    quick |= {"worker_niceness": 0}  # Ray's 15 lets them starve where others compute
    head = {"num_cpus": 1, "_system_config": quick, **small}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    ray.shutdown()
    made.shutdown()
