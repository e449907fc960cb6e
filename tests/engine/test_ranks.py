"""Processes that share batches: what each of them does. What two of them do is in tests/study."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from thalweg.data import Data
from thalweg.engine import Average, Run, short_keys
from thalweg.engine import ranks as module
from thalweg.engine.ranks import Ranks, join_ranks, together
from thalweg.errors import ModelError, SpecError, ThalwegError
from thalweg.nn.stacked import Stack
from thalweg.nn.stacked.layer import Shard
from thalweg.runtime import rank
from thalweg.spec import Spec

BASE = {"data": "digits", "steps": 12, "batch_size": 60, "evaluate_every": "4steps", "lr": 0.01}
NETS = {
    "lab-mlp": {"model": "lab-mlp", "optimizer": "momentum", "lr": 0.1, "clip_norm": 1.0},
    "deep-bn": {"model": "deep-bn", "hidden": (16, 12), "accumulate": 2, "l2": 1e-3},
    "dropout": {"model": "practice-mlp", "dropout": 0.3, "optimizer": "sgd", "wrap": "sam"},
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A group of one process, which has all rows and adds nothing to its sums."""
    file = tmp_path_factory.mktemp("ranks") / "store"
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield Ranks(0, 1)
    dist.destroy_process_group()


def spec(**settings) -> Spec:
    return Spec().override({**BASE, **settings}, short_keys())


def losses(run: Run) -> list[float]:
    for _ in run.events():
        pass
    return run.history.steps["loss"]


@pytest.mark.parametrize("net", NETS)
def test_a_batch_that_is_shared_gives_the_gradient_of_the_whole(net, digits, alone):
    one, shared = (
        Run(spec(**NETS[net]), data=digits),
        Run(spec(**NETS[net]), data=digits, ranks=alone),
    )
    assert losses(shared) == pytest.approx(losses(one), rel=1e-5)
    assert shared.metrics == pytest.approx(one.metrics, rel=1e-4)
    for name, buffer in one.cohort.stack.buffers.items():
        assert torch.allclose(buffer, shared.cohort.stack.buffers[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"momentum": None}])
def test_batch_norm_of_two_parts_is_that_of_the_whole(dims, options):
    """Two stacks take turns: what one adds, the other has added before."""
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d
    shape = (1, 12, 5) if dims == 1 else (1, 12, 5, 3, 4)
    net = nn.Sequential(nn.Linear(5, 5) if dims == 1 else nn.Conv2d(5, 5, 1), kind(5, **options))
    if kind(5, **options).affine:
        nn.init.normal_(net[1].weight)
    x, g = torch.randn(shape), torch.randn(shape)
    whole, parts = Stack([net]), [Stack([net]) for _ in range(2)]
    y = whole.forward(x, train=True).clone()
    whole.backward(g.clone())
    rows = [slice(0, 5), slice(5, 12)]
    sums: list[list[torch.Tensor]] = [[], []]

    def run(part: int, known: list[torch.Tensor]) -> torch.Tensor:
        """Go through one part; after the sums that are known, the rest is only noted."""
        places = iter(range(10))

        def add(tensor: torch.Tensor) -> None:
            place = next(places)
            if place == len(sums[part]):
                sums[part].append(tensor.clone())
            if place < len(known):
                tensor.copy_(known[place])

        fresh = parts[part] = Stack([net])
        with fresh.sharded(Shard(rows[part], 12, add)):
            out = fresh.forward(x[:, rows[part]], train=True).clone()
            fresh.backward(g[:, rows[part]].clone())
        return out

    for known in range(3):
        totals = [sums[0][k] + sums[1][k] for k in range(known)]
        for part in range(2):
            del sums[part][known:]
        outs = [run(part, totals) for part in range(2)]
    assert torch.allclose(torch.cat(outs, 1), y, atol=1e-5)
    assert torch.allclose(parts[0].grad + parts[1].grad, whole.grad, rtol=1e-4, atol=1e-4)
    for name, buffer in whole.buffers.items():
        for part in parts:
            assert torch.allclose(part.buffers[name].to(buffer), buffer, rtol=1e-5)


def test_masks_are_those_of_the_whole_batch():
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    x = torch.randn(1, 10, 4)

    def stack() -> Stack:
        return Stack([net], generators=[torch.Generator().manual_seed(3)])

    whole, part = stack(), stack()
    y = whole.forward(x, train=True)
    with part.sharded(Shard(slice(3, 7), 10, lambda tensor: None)):
        mine = part.forward(x[:, 3:7], train=True)
    assert torch.equal(mine, y[:, 3:7])


def test_every_row_is_somebody_s():
    for rows in (2, 3, 64, 97):
        parts = [Ranks(k, 2).shard(rows).rows for k in range(2)]
        assert [parts[0].start, parts[0].stop, parts[1].stop] == [0, parts[1].start, rows]
    with pytest.raises(SpecError, match="got a batch of 1 for 2 processes"):
        Ranks(1, 2).shard(1)


def test_batch_norm_that_nobody_sees_is_refused(digits, alone):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    Run(spec(), model=Own(), data=digits)
    with pytest.raises(ModelError, match="Own at the top in several processes"):
        Run(spec(), model=Own(), data=digits, ranks=alone)


def test_a_last_batch_that_is_too_short_is_refused(digits):
    with pytest.raises(SpecError, match="got a batch of 1 for 2 processes"):
        Run(spec(batch_size=479), data=digits, ranks=Ranks(0, 2))


def test_the_clock_is_that_of_the_first(digits, alone):
    run = Run(spec(max_seconds=0.0), data=digits, ranks=alone)
    assert len(losses(run)) == 1
    assert run.reason == "time"


def test_all_hear_of_a_wish_to_stop_after_the_same_update(digits: Data, alone):
    run = Run(spec(), data=digits, ranks=alone)
    heard = [(event.clock.step, run.stops(wish=event.clock.step >= 2)) for event in run.events()]
    assert next(step for step, stops in heard if stops) == 3
    alone.heard = False
    assert Run(spec(), data=digits).stops(wish=True)


def test_averages_of_a_process_that_has_counted_nothing(alone):
    found = alone.gather(Average(), ["loss"], torch.zeros(1, 4))
    assert found.counts == {"loss": 0}


def test_errors_are_everybody_s(alone):
    with together(None), together(alone):
        pass
    with pytest.raises(SpecError, match="got this"), together(alone):
        raise SpecError("this", "that")


def test_a_process_that_is_gone(alone, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    with monkeypatch.context() as patch:
        patch.setattr(dist, "all_reduce", broken)
        with pytest.raises(ThalwegError, match="got a process of this run that has ended"):
            alone.add(torch.zeros(1))
        alone.publish(SpecError("too much", "less", "try less"))
        with pytest.raises(ThalwegError, match=r"got too much; expected less\. Hint: try less"):
            alone.add(torch.zeros(1))


def test_who_is_alone_has_no_ranks(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert join_ranks() is None
    assert rank() == 0


def test_who_is_not_alone(monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    monkeypatch.setattr(dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(module.atexit, "register", lambda function: None)
    found = join_ranks()
    assert found is not None
    assert (found.rank, found.world, rank()) == (1, 2, 1)

    def fails(backend: str) -> None:
        raise RuntimeError("no route to host\nmore")

    monkeypatch.setattr(dist, "init_process_group", fails)
    with pytest.raises(ThalwegError, match=r"2 processes .*\(no route to host\)"):
        join_ranks()
