"""The learning rates that we, fastai's rules and Lightning's rule find, and what they cost.

A case is a network, an optimizer and data, trained for a stated length at a constant rate. A fine
sweep, a quarter of a decade from rate to rate, over five fresh seeds, says how good it can get;
the regret of a rate is how much higher its final loss is, trained with the same seeds, on the test
split, which no rule sees. It is below 0 where a rate between those of the sweep does better.
Ours is asked thrice, each time with five seeds; the others are asked once for each of these seeds,
as one would use them, with a range test of their own as their packages run it.

    python benchmarks/find_lr.py --cases lab-mlp one-fc --out rates > find_lr.jsonl

All runs are kept in the folder: a second call goes on where the first was interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import torch  # noqa: E402
from _bench import header, say  # noqa: E402

from thalweg import load_data  # noqa: E402
from thalweg.study import find_lr, sweep  # noqa: E402
from thalweg.study.lr.finding import FoundLr  # noqa: E402

TENTH = {"val": 0.1}
DIGITS = {"epochs": 20, "batch_size": 64, **TENTH}
WIDE = {"epochs": 3, "batch_size": 512, **TENTH}
ONCE = {"epochs": 1, "batch_size": 64, **TENTH}
CASES: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "lab-mlp sgd digits": (DIGITS, (1e-2, 3)),
    "lab-mlp adam digits": (DIGITS, (3e-4, 0.1)),
    "lab-mlp momentum mnist": (WIDE, (3e-3, 1)),
    "lab-mlp muon mnist": (WIDE, (1e-3, 0.3)),
    "lab-mlp adam fashion-mnist": (WIDE, (3e-4, 0.1)),
    "one-fc sgd digits": (DIGITS, (0.03, 10)),
    "one-fc adam mnist": (ONCE, (1e-4, 0.03)),
    "one-fc momentum fashion-mnist": (ONCE, (1e-4, 0.1)),
    "garment momentum mnist": (ONCE, (1e-3, 0.3)),
    "garment adam fashion-mnist": (ONCE, (1e-4, 0.03)),
    "deep-bn sgd mnist": (WIDE, (1e-2, 10)),
    "deep-bn muon fashion-mnist": (WIDE, (1e-3, 0.3)),
}
"""Settings, and the ends of the fine sweep, which goes on where its best is at an end."""

FRESH = tuple(range(1000, 1005))
"""Seeds of the fine sweep, and of the regrets."""

STARTS = ((0, 1, 2, 3, 4), (10, 11, 12, 13, 14), (20, 21, 22, 23, 24))
"""Seeds of each of our searches, and of the other packages' range tests."""


def main() -> None:
    options = parse()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    header("find_lr", **vars(options))
    results: dict[str, list[dict[str, float]]] = {}
    for name in [case for case in CASES if any(part in case for part in options.cases)]:
        case = Case(name, folder, options)
        reference = case.reference()
        answers = case.answers()
        chosen = [lr for rule in answers.values() for lr in rule["lr"] if lr]
        losses = case.losses(chosen)
        fine = {lr: losses_mean(own) for lr, own in sorted(reference.items())}
        best = min(fine, key=lambda lr: fine[lr])
        best_loss = fine[best]
        told("reference", case=name, best_lr=best, loss=best_loss, losses=fine)
        for rule, own in answers.items():
            regrets = [
                losses_mean(losses[rounded(lr)]) - best_loss if lr else math.inf for lr in own["lr"]
            ]
            steps = statistics.mean(own["steps"])
            results.setdefault(rule, []).extend(
                {"regret": regret, "steps": steps} for regret in regrets
            )
            told("case", case=name, rule=rule, lr=own["lr"], steps=steps, regret=regrets,
                median=statistics.median(regrets), worst=max(regrets))  # fmt: skip
    for rule, each in results.items():
        regrets = [one["regret"] for one in each]
        told("summary", rule=rule, median=statistics.median(regrets), worst=max(regrets),
            mean=statistics.mean(regrets), steps=statistics.mean(one["steps"] for one in each),
            answers=len(regrets))  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = parser.add_argument
    add("--cases", nargs="+", default=[""], help="words of their names; all if none")
    add("--out", required=True, help="folder of what was trained, new or begun")
    add("--warm", type=int, help="updates before our forks")
    add("--steps", type=int, help="updates of our forks")
    add("--threads", type=int)
    add("--quick", action="store_true", help="few samples, steps and seeds: checks the plumbing")
    return parser.parse_args()


class Case:
    """One case, and the runs of it that are kept in a folder."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        model, optimizer, data = name.split()
        settings, (self.low, self.high) = CASES[name]
        self.settings = {"model": model, "optimizer": optimizer, **settings}
        if model == "lab-mlp":
            self.settings["loss"] = "nll"
        loading = {"val": self.settings.pop("val")}
        if options.quick:
            self.settings |= {"epochs": 1}
            loading |= {"subset": 200}
            self.high = self.low * 2
        self.data = load_data(data, **loading)
        self.fresh = FRESH[:2] if options.quick else FRESH
        self.starts = [start[:2] for start in STARTS[:1]] if options.quick else STARTS
        self.file = folder / f"{name.replace(' ', '-')}.json"
        self.kept: dict[str, Any] = {"losses": {}, "answers": {}}
        if self.file.exists():
            self.kept = json.loads(self.file.read_text())

    def losses(self, lrs: Iterable[float]) -> dict[float, list[float]]:
        """Return the final test losses of rates, one a seed; infinite where it diverged."""
        wanted = sorted({rounded(lr) for lr in lrs})
        known = self.kept["losses"]
        missing = [lr for lr in wanted if str(lr) not in known]
        for start in range(0, len(missing), 12):
            part = missing[start : start + 12]
            found = sweep(
                data=self.data, over={"lr": part}, seeds=self.fresh, order="own", out=False,
                evaluate_every="1000epochs", evaluate="test", evaluate_last="chosen", metrics=(),
                **self.settings,
            )  # fmt: skip
            results = found.series.results
            for number, point in enumerate(found.series.points):
                loss = results[number].metrics.get("test_loss", math.inf)
                loss = math.inf if results[number].diverged else loss
                known.setdefault(str(point.setting["lr"]), []).append(loss)
            self.keep()
        return {lr: known[str(lr)] for lr in wanted}

    def reference(self) -> dict[float, list[float]]:
        """Return the losses of the fine sweep, whose best is not at its end."""
        first, last = round(4 * math.log10(self.low)), round(4 * math.log10(self.high))
        while True:
            places = {rounded(10 ** (k / 4)): k for k in range(first, last + 1)}
            found = self.losses(places)
            best = places[min(found, key=lambda lr: losses_mean(found[lr]))]
            if self.options.quick or first < best < last:
                return found
            first, last = (first - 2, last) if best == first else (first, last + 2)

    def answers(self) -> dict[str, dict[str, list[Any]]]:
        """Return the rates that each rule finds, and the updates that it takes for each."""
        own = {key: getattr(self.options, key) for key in ("warm", "steps")}
        given = {key: value for key, value in own.items() if value is not None}
        key = json.dumps(given)
        if key not in self.kept["answers"]:
            answers: dict[str, dict[str, list[Any]]] = {}
            for start in self.starts:
                found = find_lr(data=self.data, seeds=start, **given, **self.settings)
                for rule, lrs, steps in chosen_by(found):
                    entry = answers.setdefault(rule, {"lr": [], "steps": []})
                    entry["lr"] += lrs
                    entry["steps"] += [steps] * len(lrs)
            self.kept["answers"][key] = answers
            self.keep()
        return dict(self.kept["answers"][key])

    def keep(self) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.kept))
        part.replace(self.file)


def chosen_by(found: FoundLr) -> Iterable[tuple[str, list[float | None], int]]:
    """Yield rule by rule what is chosen, and the updates that one choice takes."""
    yield "thalweg", [found.best], found.steps
    yield "thalweg, largest", [found.largest], found.steps
    for rule, lrs in found.peers.items():
        yield rule, list(lrs), 100


def told(kind: str, **facts: Any) -> None:
    """Print one JSON line; null is what diverged, or a rule without an answer."""
    say(kind, **{key: _plain(value) for key, value in facts.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def losses_mean(losses: Sequence[float]) -> float:
    return statistics.mean(losses)


def rounded(lr: float) -> float:
    return float(f"{lr:.4g}")


if __name__ == "__main__":
    main()
