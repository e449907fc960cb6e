"""Time until every training image is right: thalweg's fast recipes beside the course notebook.

See README.md in this folder for what is compared and how to read the output.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from typing import Any

from _bench import Task, Worker, has_bfloat16, header, say, spread


@dataclass(frozen=True)
class Race:
    """A fast recipe against the published one.

    Args:
        fast: The fast recipe.
        slow: thalweg's recipe of what was published, which tells how many epochs that takes.
        published: The epochs that it took its author.
        label_noise: Fraction of the labels that are permuted.
        aim: The fast one's share of the slow one's time.
        test_accuracy: What the fast one shall reach on the test set, where that means anything.
    """

    fast: str
    slow: str
    published: int
    label_noise: float
    aim: float
    test_accuracy: float | None


RACES = {
    "perfect-fit": Race("perfect-fit-fast", "perfect-fit", 8, 0.0, 1 / 15, 0.986),
    "permuted": Race("permuted-fast", "perfect-fit-permuted", 86, 1.0, 1 / 10, None),
}


def main() -> None:
    options = parse()
    header("perfect_fit", **vars(options))
    if not has_bfloat16():
        say("note", text="no bfloat16 instructions on this processor: bfloat16 is emulated")
    for name in options.races:
        compete(name, RACES[name], options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--races", nargs="+", choices=RACES, default=tuple(RACES))
    add("--seeds", nargs="+", type=int, default=(0, 1, 2))
    add("--slow-epochs", type=int, default=2, help="epochs of the notebook that are timed")
    add("--measured-seeds", type=int, default=1, metavar="N",
        help="seeds with which to count the epochs that the notebook's recipe needs")  # fmt: skip
    add("--threads", type=int, help="threads; torch's default if not given")
    add("--data", metavar="FOLDER", help="folder with MNIST; else THALWEG_DATA, else a download")
    add("--same-runtime", action="store_true", help="thalweg's process settings for both sides")
    add("--mkl", metavar="PATH", help="MKL's code path for both, as AVX2: MKL's on AMD processors")
    add("--quick", action="store_true", help="512 small digits instead of MNIST: checks plumbing")
    return parser.parse_args()


def compete(name: str, race: Race, options: argparse.Namespace) -> None:
    """Time both sides in turn, then count the slow side's epochs."""
    common: dict[str, Any] = {
        "threads": options.threads,
        "folder": options.data,
        "quick": options.quick,
        "mkl": options.mkl,
    }
    seeds, slow_epochs = list(options.seeds), options.slow_epochs
    fast = Worker(Task("recipe", race.fast, len(seeds), runtime=True, **common))
    noise = race.label_noise
    slow = Worker(
        Task("notebook", race.slow, slow_epochs, runtime=options.same_runtime,
             label_noise=noise, **common)
    )  # fmt: skip
    for side, worker in (("fast", fast), ("slow", slow)):
        say("setup", race=name, side=side, recipe=worker.task.net, **worker.setup)

    runs, epochs = [], []
    for turn in range(max(len(seeds), slow_epochs)):
        if turn < len(seeds):
            runs.append({"seed": seeds[turn], **fast(seed=seeds[turn])})
            say("fast", race=name, recipe=race.fast, **runs[-1])
        if turn < slow_epochs:
            epochs.append(slow())
            say("slow epoch", race=name, **epochs[-1])
    fast.close()
    slow.close()

    needed: list[dict[str, Any]] = []
    if options.measured_seeds:
        chosen = seeds[: options.measured_seeds]
        counter = Worker(Task("recipe", race.slow, len(chosen), runtime=True, **common))
        for seed in chosen:
            needed.append({"seed": seed, **counter(seed=seed)})
            say("slow recipe in thalweg", race=name, recipe=race.slow, **needed[-1])
        counter.close()
    summarize(name, race, runs, [epoch["seconds"] for epoch in epochs], needed)


def summarize(
    name: str,
    race: Race,
    runs: list[dict[str, Any]],
    slow: list[float],
    needed: list[dict[str, Any]],
) -> None:
    """Print the shares of time beside what is aimed at."""
    seconds, an_epoch = [run["seconds"] for run in runs], statistics.mean(slow)
    perfect = all(run["right"] == run["of"] for run in runs)
    tests = [run["test_accuracy"] for run in runs]
    generalizes = race.test_accuracy is None or min(tests) >= race.test_accuracy
    counts: dict[str, float] = {"published": race.published}
    if needed:
        counts["measured"] = statistics.median(run["epochs"] for run in needed)
    for source, count in counts.items():
        whole = an_epoch * count
        reached = source == "published" or all(run["right"] == run["of"] for run in needed)
        shares = [one / whole for one in seconds]
        share = statistics.median(shares)
        say(
            "aim",
            race=name,
            how=f"{len(slow)} epochs of the notebook were timed, and their mean multiplied "
            f"by the {count:g} epochs ({source}) that it needs"
            + ("" if reached else "; it had not got there, so it needs more"),
            slow_seconds_an_epoch=an_epoch,
            slow_seconds=whole,
            fast_seconds=spread(seconds),
            fast_epochs=[run["epochs"] for run in runs],
            share=share,
            share_min=min(shares),
            share_max=max(shares),
            times_faster=1 / share,
            aim=race.aim,
            every_image_right=perfect,
            test_accuracy=tests,
            test_aim=race.test_accuracy,
            met=perfect and generalizes and share <= race.aim,
        )


if __name__ == "__main__":
    main()
