"""Surfaces beside loss-landscapes and a plain loop: seconds a point, and the largest difference.

All measure the same untrained network on the same 3,200 samples in the same filter-normalised
plane. The loop writes each point to the network and evaluates loss and accuracy in batches, as
course notebooks do with 64 and a careful hand with more; loss-landscapes takes all samples as one
batch, and the loss alone. With --scaling, practice-mlp on all of MNIST: seconds by resolution and
by samples, and the share of the fastest product of matrices; --plot FILE draws that, --lines FILE
from what an earlier run has printed. With --tolerances, what pictures with fewer nodes cost on two
planes of a trained lab-mlp, and how far they are from the whole ones. See README.md in this folder
for how to read the output.
"""

from __future__ import annotations

import argparse
import copy
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _bench import header, ratio, say, spread
from _growth import draw_growth, read_lines

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from thalweg import nn as networks  # noqa: E402
from thalweg.data import Split, load_data  # noqa: E402
from thalweg.landscape import Directions, Ground, Surface, random_directions, survey  # noqa: E402
from thalweg.plots.levels import levels_of  # noqa: E402
from thalweg.study import map_landscape, train  # noqa: E402

NETS = ("lab-mlp", "deep-bn", "mish-bn", "garment")
LOOPED = 6
"""Points of the grid that the loop evaluates in a round: it takes as long for each."""
SHORT = 8
"""Points a side of the same window that loss-landscapes evaluates in a round."""


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


@torch.no_grad()
def library(
    network: nn.Module, split: Split, ground: Ground, plane: Directions, surface: Surface
) -> tuple[float, float]:
    """Return loss-landscapes' seconds a point, and its largest difference in loss to the surface.

    It goes to and fro: its even rows begin one step after the corner, its odd ones at it.
    """
    from loss_landscapes import planar_interpolation  # type: ignore[import-not-found]
    from loss_landscapes.metrics import Loss  # type: ignore[import-not-found]

    side = min(SHORT, len(surface.axes[0]))
    width = [(axis[-1] - axis[0]).item() for axis in surface.axes]
    low = torch.stack([axis[0] for axis in surface.axes])
    away = torch.diag(torch.tensor(width, dtype=low.dtype))
    corners = [ground.network_at(theta) for theta in plane.at(torch.stack([low, *(low + away)]))]
    measure = Loss(F.cross_entropy, split.x, split.y)
    begin = time.perf_counter()
    found = torch.from_numpy(planar_interpolation(*corners, measure, steps=side))
    seconds = (time.perf_counter() - begin) / side**2
    steps = torch.arange(side, dtype=low.dtype)
    worst = 0.0
    for i, losses in enumerate(found.double()):
        at = torch.stack([torch.full_like(steps, i), steps + (i % 2 == 0)], 1) / side
        mine = ground.evaluate(plane.at(low + at * torch.tensor(width, dtype=low.dtype)))["loss"]
        worst = max(worst, ((losses - mine).abs() / mine).max().item())
    return seconds, worst


def grows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what practice-mlp's surface costs by resolution and by samples; return the lines."""
    data = load_data("digits" if options.quick else "mnist")
    network = networks.build(
        "practice-mlp", input_shape=data.input_shape, out_features=data.out_features,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    weights = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    first = next(p.numel() for p in network.parameters() if p.dim() > 1)
    fastest = fastest_product()
    say("ceiling", gflops=fastest)
    lines = []
    everything = len(data.train)
    cases = [(side, 3200) for side in (6, 11, 21, 41, 81)]
    cases += [(11, samples) for samples in (800, 1600, 6400, 12800, 25600)]
    cases += [(51, everything)]
    drawn = torch.randperm(everything, generator=torch.Generator().manual_seed(0))
    for side, samples in [(5, 300)] if options.quick else cases:
        split = data.train.take(drawn[:samples])
        ground = Ground(network, split, "cross-entropy")
        plane = random_directions(ground)
        seconds: list[float] = []
        for _ in range(1 if samples == everything else options.repetitions):
            begin = time.perf_counter()
            for _ in survey(ground, plane, side, (-0.5, 0.5)):
                pass
            seconds.append(time.perf_counter() - begin)
        # what was computed: the first layer three times in all, the others for every point
        flops = 2 * samples * (3 * first + side**2 * (weights - first))
        gflops = flops / spread(seconds)["median"] / 1e9
        plain = 2 * samples * side**2 * weights / spread(seconds)["median"] / 1e9
        say(
            "growth",
            side=side,
            samples=samples,
            seconds=spread(seconds),
            gflops=gflops,
            share_of_ceiling=gflops / fastest,
            as_if_computed_plainly=plain,
        )
        lines.append(
            {"kind": "growth", "side": side, "samples": samples, "seconds": spread(seconds)}
        )
    return lines


def refines(options: argparse.Namespace) -> None:
    """Measure what pictures with fewer nodes cost, and how far they are from the whole ones."""
    data = load_data("digits" if options.quick else "mnist")
    run = train("lab-mlp", data, epochs=3, record_states=10, out=False)
    side, samples = (17, 300) if options.quick else (options.side, 3200)
    drawn = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    ground = Ground(run.model, data.train.take(drawn[:samples]), "cross-entropy")
    for kind in ("principal", "random"):
        plane = map_landscape(run, kind=kind, resolution=3, subset=samples).surface.directions

        def timed(tolerance: float, plane: Directions = plane) -> tuple[Surface, list[float]]:
            seconds = []
            for _ in range(options.repetitions):
                begin = time.perf_counter()
                *_, surface = survey(ground, plane, side, tolerance=tolerance)
                seconds.append(time.perf_counter() - begin)
            return surface, seconds

        whole, all_seconds = timed(0.0)
        levels = levels_of(whole.values["loss"].numpy(), "loss")
        heights = levels.drawn(whole.values["loss"].numpy())
        for tolerance in options.tolerances:
            surface, seconds = timed(tolerance)
            picture = levels.drawn(surface.picture().values["loss"].numpy())
            away = torch.from_numpy(abs(picture - heights) / levels.step)[~surface.done]
            checks = surface.off("loss")
            say(
                "refined",
                plane=kind,
                side=side,
                tolerance=tolerance,
                measured=int(surface.done.sum()),
                share=surface.done.double().mean().item(),
                same_bits=torch.equal(
                    surface.values["loss"][surface.done], whole.values["loss"][surface.done]
                ),
                median_off=away.median().item(),
                largest_off=away.max().item(),
                checks=len(checks),
                median_off_at_checks=checks.median().item(),
                largest_off_at_checks=checks.max().item(),
                seconds=spread(seconds),
                whole_over_refined=ratio(all_seconds, seconds),
            )


def fastest_product() -> float:
    """Return the speed of the fastest product of two matrices, in GFLOP/s."""
    best, n = 0.0, 2048
    A, B = torch.randn(n, n), torch.randn(n, n)
    for _ in range(20):
        begin = time.perf_counter()
        A @ B
        best = max(best, 2 * n**3 / (time.perf_counter() - begin) / 1e9)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETS, default=NETS)
    add("--scaling", action="store_true", help="how the cost grows, instead")
    add("--plot", metavar="FILE", type=Path, help="with --scaling: draw it, .png or .html")
    add("--lines", metavar="FILE", type=Path, help="what to draw instead of measuring: saved lines")
    add("--tolerances", nargs="+", type=float, help="what pictures with fewer nodes cost, instead")
    add("--side", type=int, default=41, help="nodes along each axis")
    add("--batches", nargs="+", type=int, default=[64, 200, 800], help="the loop's batch sizes")
    add("--repetitions", type=int, default=3)
    add("--quick", action="store_true", help="the embedded digits, 5 × 5: checks plumbing")
    add("--threads", type=int)
    options = parser.parse_args()
    if options.lines:
        draw_growth(read_lines(options.lines), options.plot or Path("growth.png"))
        return
    if options.threads:
        torch.set_num_threads(options.threads)
    header("landscape", **{**vars(options), "plot": options.plot and str(options.plot)})
    if options.tolerances:
        refines(options)
        return
    if options.scaling:
        lines = grows(options)
        if options.plot:
            draw_growth(lines, options.plot)
        return
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
        peer: list[float] = []
        worst = peer_worst = 0.0
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
            if find_spec("loss_landscapes"):
                seconds, peer_worst = library(network, split, ground, plane, surface)
                peer.append(seconds)
        beside = {}
        if peer:
            beside = {
                "loss_landscapes": spread(peer[1:]),
                "loss_landscapes_over_thalweg": ratio(peer[1:], mine[1:]),
                "largest_relative_difference_to_loss_landscapes": peer_worst,
            }
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
            **beside,
        )


if __name__ == "__main__":
    main()
