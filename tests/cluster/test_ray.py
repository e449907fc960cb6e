"""A cluster of two nodes, one of which is killed while it works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.cluster import Done, Ray, open_executor
from thalweg.errors import SpecError, ThalwegError
from thalweg.landscape import Ground, random_directions, survey

from .works import Sums, check

ray = pytest.importorskip("ray")

X = np.arange(100_000)


@pytest.fixture(scope="module")
def executor(cluster):
    """The cluster, for all tests: workers that have imported torch are used again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        with open_executor("ray") as found:
            yield found
    assert not ray.is_initialized()


@pytest.fixture
def second(cluster):
    """A node that comes for a test."""
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node, allow_graceful=False)


def test_jobs_on_a_cluster(executor):
    assert (executor.workers, executor.threads) == (1, 1)
    check(list(executor.run(Sums(X), [3, 4, 5])), [3, 4, 5])
    with pytest.raises(SpecError, match="got a bad job"):
        list(executor.run(Sums(X), [1, "bad"]))
    with pytest.raises(ValueError, match="worse than bad"):
        list(executor.run(Sums(X), ["worse"]))
    with pytest.raises(ThalwegError, match="largest node has 1 processors; expected one with 64"):
        Ray(threads=64)


def test_a_sweep_while_a_node_is_killed(executor, cluster, second, tmp_path, monkeypatch):
    over = {"lr": [0.003 * 1.1**k for k in range(64)]}
    settings = dict(
        data="digits", over=over, seeds=4, hidden=(8,), subset=240, val=60, steps=12, threads=1,
        evaluate_every="4steps", memory=5e6,
    )  # fmt: skip
    here = tw.sweep("mlp", out=False, **settings)
    assert len(here.series.groups) > 4
    killed = list[int]()
    original = executor.run

    def run(work, jobs):
        for happening in original(work, jobs):
            yield happening
            if isinstance(happening, Done) and not killed:
                killed.append(happening.job)
                assert executor.workers == 2
                cluster.remove_node(second, allow_graceful=False)

    monkeypatch.setattr(executor, "run", run)
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


def test_a_landscape_while_a_node_is_killed(executor, cluster, second):
    run = tw.train(
        "mlp", "digits", hidden=(16,), norm="batch", steps=30, record_states=5, threads=1, out=False
    )
    ground = Ground.of(run, subset=600)
    plane = random_directions(ground, seed=0)
    *_, here = survey(ground, plane, 33, statistics="estimated")
    surfaces, killed = [], False
    for surface in survey(ground, plane, 33, statistics="estimated", executor=executor):
        surfaces.append(int(surface.done.sum()))
        if not killed:
            assert executor.workers >= 2  # one that was killed before may not be known dead yet
            cluster.remove_node(second, allow_graceful=False)
            killed = True
    assert surfaces == sorted(set(surfaces))
    assert surfaces[-1] == 33**2
    for name, values in here.values.items():
        assert torch.equal(values, surface.values[name])
        assert torch.equal(here.errors[name], surface.errors[name])
