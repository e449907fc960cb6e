"""Processes that train one network together, each on its part of every batch: data parallelism.

Li et al. 2020, "PyTorch Distributed" (arXiv:2006.15704), on a gradient that is flat already: it is
added up over the processes in one go. ``torchrun`` starts them.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from thalweg.engine.metrics import Average
from thalweg.errors import SpecError, ThalwegError
from thalweg.nn.stacked.layer import Shard
from thalweg.runtime import rank

_ERROR = "thalweg/error"


class Ranks:
    """This process among those that train one network together.

    All of them draw the same initial weights, orders and dropout masks, make the same updates and
    come to the same verdicts. Sums of more than two are not in the order of one process, so that
    losses agree to rounding, not to the bit.

    Args:
        rank: The number of this process, from 0.
        world: How many there are.

    Attributes:
        heard: Whether one of them has asked to stop, as all of them know it.
    """

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        self._wish, self.heard = False, False

    def shard(self, rows: int) -> Shard:
        """Return which rows of a batch are this process's.

        Raises:
            SpecError: There are fewer than processes.
        """
        if rows < self.world:
            raise SpecError(
                f"a batch of {rows} for {self.world} processes", "a sample for each at least",
                "choose another batch_size, or drop_last=true",
            )  # fmt: skip
        first, stop = (rows * k // self.world for k in (self.rank, self.rank + 1))
        return Shard(slice(first, stop), rows, self.add)

    def add(self, tensor: Tensor) -> None:
        """Add a tensor up over the processes, in place."""
        self._together(lambda: dist.all_reduce(tensor))

    def mean(self, measured: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Return means over the whole batch, (K,) each, of those over the rows of each process.

        Args:
            measured: Means over the rows that are here.
            share: Their share of the batch.
        """
        own = [value.double() * share for value in measured.values()]
        all_of = torch.stack([*own, torch.full_like(own[0], float(self._wish))])
        self.add(all_of)
        self.heard = self.heard or bool(all_of[-1, 0] > 0)
        return {
            name: mean.to(value.dtype)
            for (name, value), mean in zip(measured.items(), all_of, strict=False)
        }

    def gather(self, average: Average, names: list[str], like: Tensor) -> Average:
        """Return the averages over what all processes have counted.

        Args:
            average: What this one has; nothing at all, perhaps.
            names: Of what.
            like: A tensor (K, …) on the device.
        """
        total = torch.zeros(len(names), len(like) + 1, dtype=torch.float64, device=like.device)
        for row, name in zip(total, names, strict=True):
            if name in average.sums:
                row[:-1], row[-1] = average.sums[name], average.counts[name]
        self.add(total)
        sums = {name: row[:-1].clone() for name, row in zip(names, total, strict=True)}
        return Average(sums, {n: int(row[-1]) for n, row in zip(names, total, strict=True)})

    def first(self, tensor: Tensor) -> Tensor:
        """Give all processes the tensor of the first, in place, and return it."""
        self._together(lambda: dist.broadcast(tensor, 0))
        return tensor

    def stops(self, wish: bool) -> bool:
        """Say whether this process wants to stop, and tell whether all do so now.

        All hear of a wish with the next gradient, and stop after the same update.
        """
        self._wish = wish
        return self.heard

    def publish(self, error: ThalwegError) -> None:
        """Let the first process say what has gone wrong here."""
        with suppress(RuntimeError):
            parts = "\0".join([type(error).__name__, error.got, error.expected, error.hint])
            dist.distributed_c10d._get_default_store().set(_ERROR, parts)

    def _together(self, what: Callable[[], Any]) -> None:
        """Do what all processes do at once.

        Raises:
            ThalwegError: Another one has ended.
        """
        try:
            what()
        except RuntimeError:  # gloo's and NCCL's alike
            raise self._lost() from None

    def _lost(self) -> ThalwegError:
        """Return what to say if another process is gone: its own words, if it has left some."""
        with suppress(RuntimeError):
            store = dist.distributed_c10d._get_default_store()
            store.wait([_ERROR], timedelta(seconds=1))
            _, got, expected, hint = store.get(_ERROR).decode().split("\0")
            return ThalwegError(got, expected, hint)
        hint = "what it says is above; thalweg resume goes on, with any number of processes"
        return ThalwegError("a process of this run that has ended", "all until the end", hint)


def join_ranks() -> Ranks | None:
    """Return this process among those that ``torchrun`` has started; None if it is the only one.

    Raises:
        ThalwegError: They do not find one another.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2 or "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
        return None
    if not dist.is_initialized():
        _begin(world)
    return Ranks(rank(), world)


def _begin(world: int) -> None:
    """Let the processes find one another.

    Raises:
        ThalwegError: They do not.
    """
    cuda = torch.cuda.is_available()
    if cuda:  # pragma: no cover - where there is one
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    except (RuntimeError, ValueError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ThalwegError(
            f"{world} processes that do not find one another ({why})", "torchrun's environment",
            "torchrun --nproc-per-node 2 -m thalweg train …",
        ) from None  # fmt: skip
    atexit.register(dist.destroy_process_group)


@contextmanager
def together(ranks: Ranks | None) -> Iterator[None]:
    """Do something that all processes must manage: if one fails, all do, with the first's error.

    Raises:
        ThalwegError: One has failed.
    """
    if ranks is None:
        yield
        return
    mine: ThalwegError | None = None
    try:
        yield
    except ThalwegError as error:
        mine = error
    everyone: list[ThalwegError | None] = [None] * ranks.world
    ranks._together(lambda: dist.all_gather_object(everyone, mine))
    for each in everyone:
        if each is not None:
            raise each
