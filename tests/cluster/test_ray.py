"""A cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.cluster import Done, Ray, open_executor
from thalweg.errors import SpecError, ThalwegError

from .works import Sums, check

ray = pytest.importorskip("ray")

X = np.arange(100_000)


@pytest.fixture(autouse=True)
def _address(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)


@pytest.fixture
def second(cluster):
    """A node that comes for a test."""
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node, allow_graceful=False)


def test_jobs_on_a_cluster(cluster):
    with open_executor("ray") as executor:
        assert (executor.workers, executor.threads) == (1, 1)
        check(list(executor.run(Sums(X), [3, 4, 5])), [3, 4, 5])
        with pytest.raises(SpecError, match="got a bad job"):
            list(executor.run(Sums(X), [1, "bad"]))
        with pytest.raises(ValueError, match="worse than bad"):
            list(executor.run(Sums(X), ["worse"]))
    assert not ray.is_initialized()
    with pytest.raises(ThalwegError, match="largest node has 1 processors; expected one with 64"):
        Ray(threads=64)
    assert not ray.is_initialized()


def test_a_sweep_while_a_node_is_killed(cluster, second, tmp_path):
    over = {"lr": [0.003 * 1.1**k for k in range(64)]}
    settings = dict(
        data="digits", over=over, seeds=4, hidden=(8,), subset=240, val=60, steps=12, threads=1,
        evaluate_every="4steps", memory=5e6,
    )  # fmt: skip
    here = tw.sweep("mlp", out=False, **settings)
    assert len(here.series.groups) > 4
    killed = list[int]()

    with open_executor("ray") as executor:
        assert executor.workers == 2
        original = executor.run

        def run(work, jobs):
            for happening in original(work, jobs):
                yield happening
                if isinstance(happening, Done) and not killed:
                    killed.append(happening.job)
                    cluster.remove_node(second, allow_graceful=False)

        executor.run = run
        there = tw.sweep("mlp", out=tmp_path / "sweep", on=executor, **settings)
    assert killed
    back = tw.load_sweep(there.folder)
    for found in (there, back):
        assert sorted(found.series.results) == list(range(256))
        for number, result in here.series.results.items():
            other = found.series.results[number]
            assert (other.reason, other.metrics, other.steps) == (
                result.reason, result.metrics, result.steps,
            )  # fmt: skip
            for name, array in here.series.weights[number].items():
                assert torch.equal(array, found.series.weights[number][name])
            assert found.course(number)["val_loss"] == here.course(number)["val_loss"]
    assert "is begun anew" in (there.folder / "log.txt").read_text()
