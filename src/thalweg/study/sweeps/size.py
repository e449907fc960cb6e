"""How many members fit into memory, and what a series will cost."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.data import Data
from thalweg.engine import Group
from thalweg.engine.length import Length
from thalweg.engine.partition import program
from thalweg.errors import SpecError
from thalweg.spec import DataSpec
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.series import Series

SHARE = 0.5
"""Of the free memory, what a group may take."""

ENOUGH = 64
"""Members of a group from which on more of them make little quicker."""


def free_memory(device: torch.device | str = "cpu") -> int:
    """Return the bytes that are free on a device."""
    if torch.device(device).type == "cuda":  # pragma: no cover - where there is one
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo") as lines:
            found = dict(line.split(":") for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # pragma: no cover - not on Linux
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 2


def member_bytes(group: Group) -> int:
    """Return about how many bytes a member of a group takes while it trains and is evaluated."""
    cohort, K = group.cohort, group.cohort.members
    stack, item = cohort.stack, cohort.stack.theta.element_size()
    kept = [slot for each in cohort.slices for slot in each.tensors]
    numbers = 3 * stack.theta.numel() + sum(slot.numel() for slot in kept)
    numbers += 3 * sum(buffer.numel() for buffer in stack.buffers.values())
    samples = group.feed.splits[0].x[:2]
    per_sample = _outputs(stack.export(0), samples)
    batch = min(group.feed.size, len(group.feed.splits[0]))
    own = samples[0].numel() * (len(group.progress.orders.generators) > 1)
    flowing = batch * (4 * per_sample + own) + min(cohort.chunk, batch * 64) * 2 * per_sample
    return item * (numbers // K + flowing)


def _outputs(network: nn.Module, x: Tensor) -> int:
    """Return how many numbers the layers of a network put out for a sample."""
    seen = 0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal seen
        if isinstance(output, Tensor) and not any(module.children()):
            seen += output.numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen // len(x)


def largest_group(
    points: Sequence[Point], own: Mapping[str, Any], memory: float | None = None
) -> int:
    """Return how many members a group may have.

    Args:
        points: What is to be trained.
        own: What was given in Python rather than named.
        memory: Bytes that they may take; half of what is free if None.

    Raises:
        SpecError: Not even one fits.
    """
    spec = points[0].spec
    budget = SHARE * free_memory(spec.device) if memory is None else memory
    worst, loaded = 0, dict[str, dict[DataSpec, Data]]()
    for each in {program(point.spec): point.spec for point in points}.values():
        here = loaded.setdefault(each.device, {})
        worst = max(worst, member_bytes(Group([each], loaded=here, **own)))
    if budget < worst:
        got = f"{budget / 2**20:.4g} MB for members of {worst / 2**20:.4g} MB"
        raise SpecError(got, "memory for one at least", "a smaller batch_size, or more memory")
    return min(ENOUGH, int(budget // worst))


@dataclass(frozen=True)
class Estimate:
    """What a series will take, or what is left of it.

    Args:
        members: How many there are.
        groups: In how many groups they are trained.
        bytes: What the largest group takes.
        by_group: Seconds to train each group, without evaluations; 0 for those that are over.
    """

    members: int
    groups: int
    bytes: int
    by_group: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Time to train them all, without evaluations."""
        return sum(self.by_group)

    def shared(self, workers: int) -> Estimate:
        """Return what it takes where several groups are trained at a time.

        Example:
            >>> Estimate(8, 4, bytes=100, by_group=(1.0, 1.0, 1.0, 1.0)).shared(2).seconds
            2.0
        """
        at_a_time = min(workers, max(1, self.groups))
        return replace(self, by_group=tuple(each / at_a_time for each in self.by_group))


def estimate(series: Series) -> Estimate:
    """Return what a series will take, from a few steps of each kind of group.

    What is trained for it is thrown away. A member that may end sooner is taken to go on.

    Example:
        >>> from thalweg.spec import Spec
        >>> from thalweg.study.sweeps.grid import grid
        >>> base = Spec().override({"model.hidden": (8,), "steps": 100})
        >>> found = estimate(Series(grid(base, {"batch_size": [8, 16]}, seeds=3)))
        >>> found.members, found.groups, found.seconds < 60
        (6, 2, True)
    """
    left = [index for index in range(len(series.groups)) if not series.is_over(index)]
    seconds, most = [0.0] * len(series.groups), 0
    known: dict[tuple[str, int], tuple[float, int]] = {}
    for index in left:
        numbers = series.groups[index]
        specs = [series.points[number].spec for number in numbers]
        kind = (program(specs[0]), len(specs))
        if kind not in known:
            group = series.build(index)
            most = max(most, len(specs) * member_bytes(group))
            known[kind] = step_seconds(group), len(group.feed.splits[0])
        step, samples = known[kind]
        seconds[index] = step * max(Length.of(spec, samples).updates for spec in specs)
    members = sum(len(series.groups[index]) for index in left)
    return Estimate(members, len(left), most, tuple(seconds))


def step_seconds(group: Group, steps: int = 4) -> float:
    """Return the seconds of a step: the median of a few, the first left out."""
    taken = list[float]()
    with torch.no_grad():
        for batch in group.feed.epoch():
            begin = time.perf_counter()
            group.cohort.step([batch])
            taken.append(time.perf_counter() - begin)
            if len(taken) > steps:
                break
    rest = sorted(taken[1:] or taken)
    return rest[len(rest) // 2]
