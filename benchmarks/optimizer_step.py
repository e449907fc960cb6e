"""Time of one `step()`: thalweg's optimizers beside torch.optim's fastest form of the same rule.

See README.md in this folder for what is compared and how to read the output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from _bench import header, ratio, say, spread

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import madgrad  # noqa: E402
import torch  # noqa: E402

from thalweg import nn, optim  # noqa: E402

NETS = ("mish-bn", "lab-mlp", "garment")


@dataclass(frozen=True)
class Case:
    """A rule in our form and in the peer's.

    Args:
        ours: Makes thalweg's optimizer.
        theirs: The peer's class.
        options: What both are given.
        forms: Ways to run the peer, of which the fastest counts.
        peer_options: Options where the peer's names are others.
        aim: Our share of the peer's time.
    """

    ours: Callable[..., torch.optim.Optimizer]
    theirs: Callable[..., torch.optim.Optimizer]
    options: dict[str, Any]
    forms: tuple[str, ...] = ("for-loop", "foreach")
    peer_options: dict[str, Any] | None = None
    aim: float = 1.0


FUSED = ("for-loop", "foreach", "fused")
T = torch.optim

CASES: dict[str, Case] = {
    "sgd": Case(optim.SGD, T.SGD, {"lr": 1e-4}, FUSED),
    "sgd with momentum": Case(optim.SGD, T.SGD, {"lr": 1e-4, "momentum": 0.9}, FUSED),
    "adam": Case(optim.Adam, T.Adam, {"lr": 1e-4}, FUSED),
    "adamw": Case(optim.AdamW, T.AdamW, {"lr": 1e-4}, FUSED),
    "madgrad": Case(optim.MADGRAD, madgrad.MADGRAD, {"lr": 1e-4}, ("for-loop",), aim=0.4),
}


def _face(name: str) -> Callable[..., torch.optim.Optimizer] | None:
    return optim.torch_optimizer(optim.rules()[name]) if name in optim.rules() else None


for _name, _theirs, _options, _forms in (
    ("amsgrad", T.Adam, {"lr": 1e-4}, FUSED),
    ("adagrad", T.Adagrad, {"lr": 1e-4}, FUSED),
    ("rmsprop", T.RMSprop, {"lr": 1e-4}, ("for-loop", "foreach")),
    ("radam", T.RAdam, {"lr": 1e-4}, ("for-loop", "foreach")),
    ("nadam", T.NAdam, {"lr": 1e-4}, ("for-loop", "foreach")),
    ("adadelta", T.Adadelta, {"lr": 1e-4}, ("for-loop", "foreach")),
    ("adamax", T.Adamax, {"lr": 1e-4}, ("for-loop", "foreach")),
):
    if (_ours := _face(_name)) is not None:
        _more = {**_options, "amsgrad": True} if _name == "amsgrad" else None
        CASES[_name] = Case(_ours, _theirs, _options, _forms, _more)


@dataclass
class Contender:
    """An optimizer with parameters of its own, and its times."""

    optimizer: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)

    def time(self, steps: int) -> None:
        """Do some steps and note what one took."""
        begin = time.perf_counter()
        for _ in range(steps):
            self.optimizer.step()
        self.seconds.append((time.perf_counter() - begin) / steps)


def main() -> None:
    options = parse()
    header("optimizer_step", **vars(options))
    if options.threads:
        torch.set_num_threads(options.threads)
    for net in options.nets:
        for name in options.rules:
            compare(net, name, CASES[name], options)
        lookahead(net, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETS, default=NETS)
    add("--rules", nargs="+", choices=CASES, default=tuple(CASES))
    add("--repetitions", type=int, default=15)
    add("--seconds", type=float, default=0.05, help="of one repetition, at least")
    add("--threads", type=int, help="threads; torch's default if not given")
    add("--quick", action="store_true", help="two short repetitions: checks plumbing")
    options = parser.parse_args()
    if options.quick:
        options.repetitions, options.seconds = 2, 0.001
    return options


def parameters(net: str) -> list[torch.nn.Parameter]:
    """Return a network's parameters with gradients."""
    model = nn.build(
        net, input_shape=(1, 28, 28), out_features=10, generator=torch.Generator().manual_seed(0)
    )
    found = list(model.parameters())
    generator = torch.Generator().manual_seed(1)
    for p in found:
        p.grad = 0.01 * torch.randn(p.shape, generator=generator)
    return found


def race(contenders: dict[str, Contender], options: argparse.Namespace) -> None:
    """Time all in turn, in every repetition."""
    some = next(iter(contenders.values()))
    for each in contenders.values():
        each.time(5)
        each.seconds.clear()
    some.time(5)
    steps = max(1, round(options.seconds / some.seconds.pop()))
    for _ in range(options.repetitions):
        for each in contenders.values():
            each.time(steps)


def compare(net: str, name: str, case: Case, options: argparse.Namespace) -> None:
    """Time a rule in our form and in all of the peer's."""
    contenders = {"thalweg": Contender(case.ours(parameters(net), **case.options))}
    for form in case.forms:
        kind = {} if case.aim < 1 else {"foreach": form == "foreach"}
        if "fused" in case.forms:
            kind["fused"] = form == "fused"
        try:
            theirs = case.theirs(parameters(net), **(case.peer_options or case.options), **kind)
            theirs.step()
        except (RuntimeError, TypeError):  # no such form on this machine
            continue
        contenders[form] = Contender(theirs)
    race(contenders, options)
    ours = contenders.pop("thalweg").seconds
    best = min(contenders, key=lambda form: statistics.median(contenders[form].seconds))
    share = ratio(ours, contenders[best].seconds)
    say(
        "step",
        net=net,
        rule=name,
        microseconds=spread([1e6 * each for each in ours]),
        peers={k: 1e6 * statistics.median(each.seconds) for k, each in contenders.items()},
        fastest_peer=best,
        share=share,
        aim=case.aim,
        met=share["medians"] <= case.aim,
    )


def lookahead(net: str, options: argparse.Namespace) -> None:
    """Time Lookahead around Adam beside Adam alone."""
    contenders = {
        "inner": Contender(optim.Adam(parameters(net), lr=1e-4)),
        "lookahead": Contender(optim.Lookahead(optim.Adam(parameters(net), lr=1e-4), k=5)),
    }
    race(contenders, options)
    share = ratio(contenders["lookahead"].seconds, contenders["inner"].seconds)
    say(
        "lookahead",
        net=net,
        microseconds={k: 1e6 * statistics.median(each.seconds) for k, each in contenders.items()},
        share=share,
        aim=1.1,
        met=share["medians"] <= 1.1,
    )


if __name__ == "__main__":
    main()
