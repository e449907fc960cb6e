"""Surfaces beside a plain loop over their points: seconds a point, and the largest difference.

Both measure loss and accuracy of the same untrained network on the same 3,200 samples in the same
filter-normalised plane. The loop writes each point to the network and evaluates it in batches, as
course notebooks do with 64 and a careful hand with more. See README.md in this folder for how to
read the output.
"""

from __future__ import annotations

import argparse
import copy
import time

from _bench import header, ratio, say, spread

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from thalweg import nn as networks  # noqa: E402
from thalweg.data import Split, load_data  # noqa: E402
from thalweg.landscape import Directions, Ground, Surface, random_directions, survey  # noqa: E402

NETS = ("lab-mlp", "deep-bn", "mish-bn", "garment")
LOOPED = 6
"""Points of the grid that the loop evaluates in a round: it takes as long for each."""


@torch.no_grad()
def loop(
    network: nn.Module,
    split: Split,
    ground: Ground,
    plane: Directions,
    surface: Surface,
    batch: int,
) -> tuple[float, float]:
    """Return seconds a point, and the largest difference in loss to the surface."""
    twin, worst = copy.deepcopy(network).eval(), 0.0
    nodes = torch.cartesian_prod(*surface.axes)
    chosen = torch.linspace(0, len(nodes) - 1, LOOPED).long()
    points = [ground.named(theta) for theta in plane.at(nodes[chosen])]
    begin = time.perf_counter()
    for node, point in zip(chosen.tolist(), points, strict=True):
        for name, parameter in twin.named_parameters():
            parameter.copy_(point[name])
        total = right = 0.0
        for x, y in zip(split.x.split(batch), split.y.split(batch), strict=True):
            outputs = twin(x)
            total += F.cross_entropy(outputs, y, reduction="sum").item()
            right += (outputs.argmax(1) == y).sum().item()
        found = surface.values["loss"].flatten()[node].item()
        worst = max(worst, abs(total / len(split) - found) / abs(found))
    return (time.perf_counter() - begin) / LOOPED, worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETS, default=NETS)
    add("--side", type=int, default=25, help="nodes along each axis")
    add("--batches", nargs="+", type=int, default=[64, 200, 800], help="the loop's batch sizes")
    add("--repetitions", type=int, default=3)
    add("--quick", action="store_true", help="the embedded digits, 5 × 5: checks plumbing")
    add("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    header("landscape", **vars(options))
    data = load_data("digits" if options.quick else "mnist")
    side, samples = (5, 300) if options.quick else (options.side, 3200)
    drawn = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    split = data.train.take(drawn[:samples])
    for net in options.nets:
        network = networks.build(
            net, input_shape=data.input_shape, out_features=data.out_features,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        ground = Ground(network, split, "cross-entropy")
        plane = random_directions(ground)
        mine: list[float] = []
        firsts: list[float] = []
        theirs: dict[int, list[float]] = {batch: [] for batch in options.batches}
        worst = 0.0
        for _ in range(options.repetitions + 1):
            begin, first = time.perf_counter(), None
            for surface in survey(ground, plane, side, (-0.5, 0.5)):
                if first is None and surface.done.sum() >= min(25, side**2):
                    first = time.perf_counter() - begin
            mine.append((time.perf_counter() - begin) / side**2)
            firsts.append(first or 0.0)
            for batch, found in theirs.items():
                seconds, away = loop(network, split, ground, plane, surface, batch)
                found.append(seconds)
                worst = max(worst, away)
        say(
            "landscape",
            net=net,
            samples=samples,
            points=side**2,
            chunk=ground.chunk,
            tile=ground.tile,
            seconds_a_point=spread(mine[1:]),  # the first round warms up
            seconds_to_first_picture=spread(firsts[1:]),
            loop={str(batch): spread(found[1:]) for batch, found in theirs.items()},
            loop_over_thalweg={
                str(batch): ratio(found[1:], mine[1:]) for batch, found in theirs.items()
            },
            largest_relative_difference=worst,
        )


if __name__ == "__main__":
    main()
