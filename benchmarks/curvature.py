"""Top eigenvalue, trace and density of Hessians, beside PyHessian and curvlinops.

At equal accuracy: each library takes its loosest setting that reaches the accuracy asked for, for
all seeds, and is timed with it, in turn with the others. The density has no such number; there all
take the same number of vectors and Lanczos steps, and the error of the second moment is printed.
Each one gets all samples as one batch, which is the fast way of all three. See README.md in this
folder for how to read the output.

    pip install curvlinops-for-pytorch
    pip install --no-deps pyhessian
"""

from __future__ import annotations

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from _bench import Task, header, ratio, say, spread

from thalweg.runtime import configure_runtime

configure_runtime()  # before torch

import numpy as np  # noqa: E402
import torch  # noqa: E402
from _samples import normalized, samples  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from thalweg import Run, Spec  # noqa: E402
from thalweg.engine import short_keys  # noqa: E402
from thalweg.landscape.density import density  # noqa: E402
from thalweg.landscape.eigen import eigenpairs  # noqa: E402
from thalweg.landscape.hessian import Hessian  # noqa: E402
from thalweg.landscape.trace import trace  # noqa: E402

LOSSES: dict[str, Callable[[], nn.Module]] = {
    "lab-mlp": nn.NLLLoss,
    "garment": nn.CrossEntropyLoss,
}
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6)
PRODUCTS = (12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 384, 576, 768)
AIM = 2.0


@dataclass
class Problem:
    """A network, its loss and the samples."""

    network: nn.Module
    loss: nn.Module
    x: Tensor
    y: Tensor


class Thalweg:
    """This library."""

    modules = ()

    def __init__(self, problem: Problem, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.H = Hessian(problem.network, problem.loss, [(problem.x, problem.y)])

    def eigenvalue(self, tolerance: float) -> float:
        return eigenpairs(self.H, generator=self.generator, tolerance=tolerance).values[0].item()

    def trace(self, products: int) -> float:
        return trace(self.H, generator=self.generator, products=products).value

    def second_moment(self, probes: int, steps: int) -> float:
        found = density(self.H, generator=self.generator, probes=probes, steps=steps)
        return found.mean(torch.square)[0]


class PyHessian:
    """PyHessian: power iteration, Hutchinson, Lanczos with full reorthogonalisation."""

    modules = ("pyhessian",)

    def __init__(self, problem: Problem, seed: int) -> None:
        import pyhessian  # type: ignore[import-not-found]

        torch.manual_seed(seed)
        torch.eig = _eig  # type: ignore[attr-defined]  # gone from torch; density() calls it
        data = (problem.x, problem.y)
        self.H = pyhessian.hessian(
            copy.deepcopy(problem.network), problem.loss, data=data, cuda=False
        )

    def eigenvalue(self, tolerance: float) -> float:
        values, _ = self.H.eigenvalues(maxIter=1000, tol=tolerance, top_n=1)
        return float(values[0])

    def trace(self, products: int) -> float:
        return float(np.mean(self.H.trace(maxIter=products, tol=0)))

    def second_moment(self, probes: int, steps: int) -> float:
        nodes, weights = self.H.density(iter=steps, n_v=probes)
        return float((np.array(weights) * np.array(nodes) ** 2).sum(1).mean())


class Curvlinops:
    """curvlinops: ARPACK, Hutch++, Lanczos without reorthogonalisation."""

    modules = ("curvlinops",)

    def __init__(self, problem: Problem, seed: int) -> None:
        from curvlinops import HessianLinearOperator  # type: ignore[import-not-found]

        torch.manual_seed(seed)
        self.start = np.random.default_rng(seed)
        network = copy.deepcopy(problem.network)
        self.H = HessianLinearOperator(
            network,
            problem.loss,
            [p for p in network.parameters() if p.requires_grad],
            [(problem.x, problem.y)],
            check_deterministic=False,
            num_data=len(problem.x),
        )

    def eigenvalue(self, tolerance: float) -> float:
        from scipy.sparse.linalg import eigsh

        start = self.start.standard_normal(self.H.shape[0]).astype(np.float32)
        (value,) = eigsh(
            self.H.to_scipy(), 1, which="LA", tol=tolerance, v0=start, return_eigenvectors=False
        )
        return float(value)

    def trace(self, products: int) -> float:
        from curvlinops import hutchpp_trace

        return float(hutchpp_trace(self.H, products))

    def second_moment(self, probes: int, steps: int) -> float:
        from curvlinops.papyan2020traces.spectrum import (  # type: ignore[import-not-found]
            fast_lanczos,
        )

        pairs = [fast_lanczos(self.H, steps) for _ in range(probes)]
        return statistics.mean(float((v[0] ** 2 * e**2).sum()) for e, v in pairs)


PEERS: dict[str, type[Any]] = {
    "thalweg": Thalweg,
    "pyhessian": PyHessian,
    "curvlinops": Curvlinops,
}


def _eig(T: Tensor, eigenvectors: bool = False) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(T)
    return torch.stack([values, torch.zeros_like(values)], 1), vectors


def problem(net: str, options: argparse.Namespace) -> Problem:
    """Return a network after an epoch, and the first samples."""
    task = Task("thalweg", net, 1, folder=options.data, quick=options.quick)
    data = samples(task)
    splits = {k: (normalized(s.x, flat=False), s.y) for k, s in data.splits().items()}
    facts = {"model": net, "epochs": 1, "batch_size": 64, "optimizer": "adam", "lr": 1e-3}
    run = Run(Spec().override(facts, short_keys()), data=splits, loss=LOSSES[net]())
    for _ in run.events():
        pass
    x, y = splits["train"]
    return Problem(run.model, LOSSES[net](), x[: options.samples], y[: options.samples])


def loosest(
    peer: type[Any],
    work: Callable[[Any, Any], float],
    settings: Sequence[Any],
    exact: float,
    accuracy: float,
    given: Problem,
    seeds: int,
) -> tuple[Any, float]:
    """Return the first setting whose root mean square error is small enough, and that error."""
    error = math.inf
    for setting in settings:
        found = [work(peer(given, seed), setting) for seed in range(seeds)]
        error = math.sqrt(statistics.mean((value / exact - 1) ** 2 for value in found))
        if error <= accuracy:
            return setting, error
    return None, error


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Return seconds and the number that came out."""
    begin = time.perf_counter()
    value = work()
    return time.perf_counter() - begin, value


def measure(
    net: str, what: str, calls: dict[str, Callable[[int], float]], repetitions: int, **more: Any
) -> None:
    """Time all peers in turn and print what came out."""
    seconds: dict[str, list[float]] = {peer: [] for peer in calls}
    for turn in range(repetitions + 1):
        for peer, call in calls.items():
            took, _ = timed(lambda: call(100 + turn))  # noqa: B023
            if turn:  # the first round warms up
                seconds[peer].append(took)
    for peer, took in seconds.items():
        own = {key: value[peer] for key, value in more.items()}
        say("curvature", net=net, what=what, peer=peer, **own, seconds=spread(took))
    others = {peer: took for peer, took in seconds.items() if peer != "thalweg"}
    if others and "thalweg" in seconds:
        fastest = min(others, key=lambda peer: statistics.median(others[peer]))
        times = ratio(others[fastest], seconds["thalweg"])
        met = times["medians"] >= AIM
        say("aim", net=net, what=what, fastest=fastest, times=times, aim=AIM, met=met)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=LOSSES, default=tuple(LOSSES))
    add("--peers", nargs="+", choices=PEERS, default=tuple(PEERS))
    add("--samples", type=int, default=1000)
    add("--accuracy", type=float, default=1e-3, help="relative error of the eigenvalue")
    add("--trace-accuracy", type=float, default=3e-2, help="relative error of the trace")
    add("--probes", type=int, default=5)
    add("--steps", type=int, default=50)
    add("--seeds", type=int, default=10, help="of which a setting must satisfy the mean")
    add("--repetitions", type=int, default=3)
    add("--what", nargs="+", default=("eigenvalue", "trace", "density"))
    add("--data", help="folder with MNIST/raw")
    add("--quick", action="store_true", help="a few small digits: checks plumbing")
    add("--threads", type=int)
    options = parser.parse_args()
    header("curvature", **vars(options))
    if options.threads:
        torch.set_num_threads(options.threads)
    peers = {}
    for name in options.peers:
        if all(find_spec(module) for module in PEERS[name].modules):
            peers[name] = PEERS[name]
        else:
            say("missing", peer=name)
    for net in options.nets:
        given = problem(net, options)
        compare(net, given, peers, options)


def compare(
    net: str, given: Problem, peers: dict[str, type[Any]], options: argparse.Namespace
) -> None:
    """Measure one network."""
    double = copy.deepcopy(given.network).double()
    H = Hessian(double, given.loss, [(given.x.double(), given.y)])
    g = torch.Generator().manual_seed(12345)
    works: dict[str, tuple[Callable[[Any, Any], float], Sequence[Any], float]] = {}
    if "eigenvalue" in options.what:
        exact = eigenpairs(H, generator=g, tolerance=1e-8).values[0].item()
        say("reference", net=net, what="eigenvalue", value=exact, parameters=H.shape[0])
        works["eigenvalue"] = (lambda peer, t: peer.eigenvalue(t), TOLERANCES, exact)
    if "trace" in options.what:
        found = trace(H, generator=g, products=300 if options.quick else 1500)
        say("reference", net=net, what="trace", value=found.value, error=found.error)
        works["trace"] = (lambda peer, m: peer.trace(m), PRODUCTS, found.value)
    for what, (work, settings, exact) in works.items():
        accuracy = options.accuracy if what == "eigenvalue" else options.trace_accuracy
        chosen = {
            peer: loosest(cls, work, settings, exact, accuracy, given, options.seeds)
            for peer, cls in peers.items()
        }
        for peer, (setting, error) in chosen.items():
            if setting is None:
                say("missed", net=net, what=what, peer=peer, error=error, accuracy=accuracy)
        reached = {peer: pair for peer, pair in chosen.items() if pair[0] is not None}
        calls = {
            peer: (lambda seed, p=peer, w=work, s=pair[0]: w(peers[p](given, seed), s))
            for peer, pair in reached.items()
        }
        measure(
            net,
            what,
            calls,  # type: ignore[arg-type]
            options.repetitions,
            setting={peer: pair[0] for peer, pair in reached.items()},
            error={peer: pair[1] for peer, pair in reached.items()},
        )
    if "density" in options.what:
        size = (options.probes, options.steps)
        more = density(H, generator=g, probes=4 * size[0], steps=8).mean(torch.square)
        say("reference", net=net, what="second moment", value=more[0], error=more[1])
        values: dict[str, float] = {
            peer: cls(given, 0).second_moment(*size) for peer, cls in peers.items()
        }
        calls = {
            peer: (lambda seed, p=peer: peers[p](given, seed).second_moment(*size))
            for peer in peers
        }
        measure(net, "density", calls, options.repetitions, second_moment=values)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
