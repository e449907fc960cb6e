"""All rules side by side, each at its own best learning rate: a table in Markdown.

Every rule is tuned alike: one run for each learning rate of a half-decade grid, which is widened
until the best is not at its edge; the best has the lowest validation loss. Then it is run with
fresh seeds, and the test set is looked at once. What goes around a rule goes around momentum. The
runs of one rule are one cohort: they see the same batches.

    python benchmarks/rules.py --net lab-mlp --epochs 3 --seeds 5 > docs/rules-lab-mlp.md
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from typing import Any

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import torch  # noqa: E402
from scipy.stats import t as student  # noqa: E402

from thalweg import nn, optim  # noqa: E402
from thalweg.data import Data, load_data  # noqa: E402
from thalweg.data.streams import stream  # noqa: E402
from thalweg.engine import Cohort, accuracy  # noqa: E402
from thalweg.engine.loop import batches_of, everything  # noqa: E402

BATCH = {"lab-mlp": 512, "garment": 64, "deep-bn": 500}
SCALE_FREE = {"adadelta": 1.0, "prodigy": 1.0, "schedule-free-sgd": 1.0, "lars": 0.1}
"""Where the grid of those begins that are not near 10^-2."""


def build(name: str, lr: torch.Tensor | float) -> optim.Rule:
    if name in optim.wrappers():
        return optim.build(name, inner=build("momentum", lr))
    return optim.build(name, lr=lr)


def run(
    net: str, name: str, lrs: list[float], seeds: list[int], data: Data, epochs: int
) -> dict[str, Any]:
    """Train one network for each learning rate and seed, pairwise, as one program."""
    modules = [
        nn.build(
            net,
            input_shape=data.input_shape,
            out_features=data.out_features,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in seeds
    ]
    size = BATCH[net]
    lr = torch.tensor(lrs, dtype=torch.float64).unsqueeze(1)
    cohort = Cohort(
        modules,
        build(name, lr),
        nn.build_loss("nll" if net == "lab-mlp" else "cross-entropy"),
        metrics={"accuracy": accuracy},
        generators=[stream(seed, "dropout") for seed in seeds],
        everything=lambda: everything(data.train, size),
    )
    order, begin, alive = stream(seeds[0], "order"), time.perf_counter(), True
    with torch.no_grad():
        for _ in range(epochs):
            for batch in batches_of(data.train, size, order, drop_last=False):
                alive = alive and cohort.step([batch]).finite
    seconds = (time.perf_counter() - begin) / len(seeds)
    found = {"seconds": seconds, "gradients": cohort.gradients, "whole": alive}
    for split, samples in data.splits().items():
        for metric, values in cohort.evaluate(samples).items():
            found[f"{split}_{metric}"] = list(values)
    return found


def tune(net: str, name: str, data: Data, epochs: int) -> float:
    """Return the learning rate with the lowest validation loss."""
    losses: dict[int, float] = {}
    centre = round(2 * math.log10(SCALE_FREE.get(name, 1e-2)))
    wanted = set(range(centre - 3, centre + 4))
    while True:
        for power in sorted(wanted - losses.keys()):  # alone: one that diverges stops its cohort
            value = run(net, name, [10 ** (power / 2)], [1000], data, epochs)
            loss = value["val_loss"][0]
            losses[power] = loss if value["whole"] and math.isfinite(loss) else math.inf
        best = min(losses, key=lambda power: losses[power])
        wanted = {best - 1, best + 1}
        if not wanted - losses.keys() or len(losses) > 14:
            return float(10 ** (best / 2))


def interval(values: list[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), float(half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = parser.add_argument
    add("--net", choices=BATCH, default="lab-mlp")
    add("--epochs", type=int, default=3)
    add("--seeds", type=int, default=5)
    add("--data", default="mnist")
    add("--rules", nargs="+", default=[*optim.rules()])
    options = parser.parse_args()
    data = load_data(options.data, val=0.1)
    print(f"# Every rule on {options.data}, {options.net}\n")
    print(f"`python benchmarks/rules.py {' '.join(sys.argv[1:])}`\n")
    print(
        f"Epochs: {options.epochs}, in batches of {BATCH[options.net]}. The learning rate is tuned"
    )
    print(
        f"on a validation split of a tenth; then come {options.seeds} fresh seeds, and means with"
    )
    print("95 % intervals. Sorted by test accuracy.\n")
    print("| rule | lr | train loss | test accuracy, % | seconds a run | gradients |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in options.rules:
        lr = tune(options.net, name, data, options.epochs)
        seeds = list(range(options.seeds))
        found = run(options.net, name, [lr] * len(seeds), seeds, data, options.epochs)
        loss, loss_half = interval(found["train_loss"])
        right, right_half = interval([100 * each for each in found["test_accuracy"]])
        row = (
            f"| {name} | {lr:.2g} | {loss:.4f} ± {loss_half:.4f} | {right:.2f} ± {right_half:.2f}"
            f" | {found['seconds']:.2f} | {found['gradients']} |"
        )
        print(row.replace("|", "", 1), file=sys.stderr, flush=True)
        rows.append((right, row))
    for _, row in sorted(rows, reverse=True):
        print(row)


if __name__ == "__main__":
    main()
