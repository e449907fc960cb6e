"""All rules side by side, each at its own best learning rate: a table in Markdown.

The rules race: each is tuned with as many runs as the others, one for each learning rate of a
half-decade grid that is widened until everybody's best is not at its edge, by the accuracy on the
validation split. Then all run with fresh seeds, and the test set is looked at once. What goes
around a rule goes around momentum. The seconds are those of a run alone, from updates that are
timed one rule at a time.

    python benchmarks/rules.py --net lab-mlp --epochs 3 --seeds 5 --out lab > docs/rules-lab-mlp.md

A race that was interrupted goes on where it was; one that is complete is only read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

from _nets import NETS  # noqa: E402

from thalweg import Spec, optim  # noqa: E402
from thalweg.engine import Finished  # noqa: E402
from thalweg.store.race import is_race  # noqa: E402
from thalweg.study.intervals import Interval, mean_interval  # noqa: E402
from thalweg.study.races.racing import Race, begin_race, go_on_race  # noqa: E402


def main() -> None:
    options = parse()
    path = Path(options.out)
    if is_race(path):
        race, events = go_on_race(path)
    else:
        net = NETS[options.net]
        settings = {"loss": net.spec["loss"], "batch_size": net.batch_size}
        around = set(optim.wrappers())
        rules = [f"momentum+{name}" if name in around else name for name in optim.rules()]
        race, events = begin_race(
            options.net,
            options.data,
            optimizers=options.rules or rules,
            seeds=options.seeds,
            epochs=options.epochs,
            spec=Spec().override(settings),
            out=path,
        )
    for part, series, event in events:
        if isinstance(event, Finished):
            done, members = len(series.results), len(series.points)
            print(f"{part}: {done}/{members} members are over", file=sys.stderr, flush=True)
    print_table(race, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = parser.add_argument
    add("--net", choices=NETS, default="lab-mlp")
    add("--epochs", type=int, default=3)
    add("--seeds", type=int, default=5)
    add("--data", default="mnist")
    add("--rules", nargs="+", help="all if not given")
    add("--out", required=True, help="folder of the race, new or begun")
    return parser.parse_args()


def print_table(race: Race, options: argparse.Namespace) -> None:
    """Print what came of a race."""
    assert race.final is not None
    members: dict[str, list[int]] = {}
    for number, point in enumerate(race.final.points):
        members.setdefault(point.setting["contestant"], []).append(number)
    tried = {name: len(ladder.scores) for name, ladder in race.ladders.items()}
    print(f"# Every rule on {options.data}, {options.net}\n")
    print(f"`python benchmarks/rules.py {' '.join(sys.argv[1:])}`\n")
    print(
        f"Epochs: {options.epochs}, in batches of {race.base.batch_size}. Each learning rate was "
        f"chosen from {max(tried.values())} of a\nhalf-decade grid by the accuracy on a tenth of "
        f"the training samples, held out; then came {options.seeds}\nfresh seeds: means with 95 % "
        "intervals. Seconds are those of a run alone. Sorted by test accuracy.\n"
    )
    print("| rule | lr | train loss | test accuracy, % | seconds a run | gradients |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for name, numbers in members.items():
        results = [race.final.results[number] for number in numbers]
        good = [result for result in results if not result.diverged]
        lr = f"{race.ladders[name].lr:g}" + " (edge)" * race.ladders[name].at_edge
        if not good:
            rows.append((0.0, f"| {name} | {lr} | diverged | | | |"))
            continue
        loss = mean_interval([result.metrics["train_loss"] for result in good])
        right = mean_interval([100 * result.metrics["test_accuracy"] for result in good])
        seconds = race.step_seconds[name] * good[0].steps
        lost = f" ({len(results) - len(good)} diverged)" if len(good) < len(results) else ""
        rows.append((
            right.mean,
            f"| {name}{lost} | {lr} | {_cell(loss, 4)} | {_cell(right, 2)} | {seconds:.2f} "
            f"| {good[0].gradients} |",
        ))  # fmt: skip
    for _, row in sorted(rows, reverse=True):
        print(row)


def _cell(interval: Interval, digits: int) -> str:
    return f"{interval.mean:.{digits}f} ± {interval.half:.{digits}f}"


if __name__ == "__main__":
    main()
