"""How soon a search finds what plain Optuna and Ray Tune find, on the same space and budget.

See README.md in this folder for what is compared and how to read the output.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _bench import REST, Task, header, say, spread

OPTIMIZERS = ("momentum-decay", "adagrad", "rmsprop", "adam")
RUNGS = (1 / 9, 1 / 3, 1.0)  # of an epoch: where everybody measures, and whoever prunes may prune
SIDES = ("thalweg", "optuna-median", "optuna-halving", "ray-asha")
Told = tuple[float, float, float]
"""Seconds since the beginning, an accuracy, and after what part of an epoch it was measured."""

SAME = 1e-6  # of an accuracy: half of a sample is far more
AIMS = {"lab-mlp": 1 / 10, "garment": 1 / 3}  # of the time of a peer


def main() -> None:
    options = parse()
    if options.side:
        print(json.dumps(SIDE[options.side](options)), flush=True)
        return
    header("tune", **vars(options))
    for net in options.nets:
        compare(net, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=AIMS, default=tuple(AIMS))
    add("--peers", nargs="*", choices=SIDES[1:], default=SIDES[1:])
    add("--trials", type=int, default=64, help="of the others")
    add("--ours", type=int, default=128, help="trials of thalweg's")
    add("--repetitions", type=int, default=5, help="searches, each with a seed of its own")
    add("--threads", type=int, help="cores; all that there are if not given")
    add("--data", metavar="FOLDER", help="folder with MNIST; else THALWEG_DATA, else a download")
    add("--quick", action="store_true", help="512 small digits instead of MNIST: checks plumbing")
    add("--side", choices=SIDES, help=argparse.SUPPRESS)  # what a process of ours does
    add("--net", help=argparse.SUPPRESS)
    add("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.threads = options.threads or len(os.sched_getaffinity(0))
    return options


def compare(net: str, options: argparse.Namespace) -> None:
    """Let each side search, seed by seed, one side at a time."""
    found: dict[str, list[list[tuple[float, float]]]] = {"thalweg": []}
    for peer in options.peers:
        if peer.startswith("ray") and find_spec("ray") is None:
            say("skipped", peer=peer, because="not installed; thalweg's extra `bench` has it")
        else:
            found[peer] = []
    for seed in range(options.repetitions):
        for side, traces in found.items():
            told = run(side, net, seed, options)
            trace = climbs(told)
            traces.append(trace)
            say("search", net=net, side=side, seed=seed, trace=trace, best=trace[-1][1],
                found_after=trace[-1][0], over_after=max(told)[0], epochs=epochs(told),
                whole=sum(rung > 0.99 for _, _, rung in told))  # fmt: skip
    for side, traces in found.items():
        ends = [trace[-1] for trace in traces]
        say("summary", net=net, side=side, best=spread([value for _, value in ends]),
            seconds_to_its_best=spread([seconds for seconds, _ in ends]))  # fmt: skip
        if side != "thalweg":
            against(net, side, found["thalweg"], traces)


def against(
    net: str,
    peer: str,
    ours: Sequence[Sequence[tuple[float, float]]],
    theirs: Sequence[Sequence[tuple[float, float]]],
) -> None:
    """Say after what part of a peer's time its final best was reached by us, seed by seed."""
    shares: list[float | None] = []
    for mine, trace in zip(ours, theirs, strict=True):
        seconds, best = trace[-1]
        reached = next((spent for spent, value in mine if value >= best - SAME), None)
        shares.append(None if reached is None else reached / seconds)
    known = [share for share in shares if share is not None]
    missed = len(shares) - len(known)
    median = statistics.median([*known, *[float("inf")] * missed])
    median_or_none = median if median < float("inf") else None
    say("aim", net=net, over=peer, aim=AIMS[net], shares=shares, not_reached=missed,
        median=median_or_none, met=median <= AIMS[net])  # fmt: skip


def run(side: str, net: str, seed: int, options: argparse.Namespace) -> list[Told]:
    """Search in a fresh process, and return all that was measured."""
    command = [sys.executable, "-W", "ignore", __file__, "--side", side, "--net", net]
    trials = options.ours if side == "thalweg" else options.trials
    command += ["--seed", str(seed), "--trials", str(trials)]
    command += ["--threads", str(options.threads)]
    command += ["--data", options.data] * bool(options.data) + ["--quick"] * options.quick
    time.sleep(REST)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} on {net} failed with exit code {done.returncode}")
    return [
        (seconds, value, rung) for seconds, value, rung in json.loads(done.stdout.splitlines()[-1])
    ]


def climbs(told: Sequence[Told]) -> list[tuple[float, float]]:
    """Return when which best was found: seconds and accuracy."""
    found: list[tuple[float, float]] = []
    for seconds, value, _ in sorted(told):
        if not found or value > found[-1][1]:
            found.append((seconds, value))
    return found


def epochs(told: Sequence[Told]) -> float:
    """Return the epochs that were trained: what lies between the rungs."""
    before = dict(zip(RUNGS, (0.0, *RUNGS), strict=False))
    return sum(
        rung - before[rung] for _, _, share in told for rung in RUNGS if abs(rung - share) < 0.01
    )


# ------------------------------------------------------------------------------ what all have


def data_of(options: argparse.Namespace) -> Any:
    """Return MNIST, 90 % for training and 5 % for validation; in memory."""
    from _samples import samples

    from thalweg.data import load_data

    if not options.quick:
        return load_data("mnist", folder=options.data, val=0.05, test=0.05)
    return samples(Task("", options.net, 1, quick=True)).split(val=0.2)


def space_of() -> tuple[Any, Any]:
    """Return what may be chosen: an optimizer, and its own numbers."""
    from thalweg.spec import Spec
    from thalweg.study.search import build_space

    return build_space(Spec(), list(OPTIMIZERS))


def build_optimizer(values: Mapping[str, Any], parameters: Any) -> tuple[Any, Any]:
    """Return torch's optimizer for a trial, and what moves its learning rate after each step."""
    import torch

    name = values["optimizer"]
    own = {
        key.removeprefix(f"{name}."): value
        for key, value in values.items()
        if key.startswith(f"{name}.")
    }
    if name == "momentum-decay":
        made: Any = torch.optim.SGD(parameters, lr=own["lr"], momentum=own["momentum"])
        decay = own["decay"]
        return made, torch.optim.lr_scheduler.LambdaLR(made, lambda t: 1 / (1 + decay * t))
    if name == "adagrad":
        return torch.optim.Adagrad(parameters, lr=own["lr"]), None
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=own["lr"], alpha=own["beta"]), None
    betas = (own["beta1"], own["beta2"])
    return torch.optim.Adam(parameters, lr=own["lr"], betas=betas), None


def train(
    values: Mapping[str, Any],
    net: Any,
    tensors: Mapping[str, Any],
    report: Callable[[int, float], bool],
) -> float | None:
    """Train for an epoch on tensors in memory; measure at each rung.

    Args:
        values: What was chosen.
        net: A `_nets.Net`.
        tensors: ``x``, ``y``, and those of the validation split, ``vx`` and ``vy``.
        report: Is told a rung (1, 3 or 9 ninths) and an accuracy, and says whether to stop.

    Returns:
        The accuracy at the end; None if it was stopped or diverged.
    """
    import torch

    torch.manual_seed(0)
    model = net.model().train()
    optimizer, schedule = build_optimizer(values, model.parameters())
    batches = torch.randperm(len(tensors["x"])).split(net.batch_size)
    marks = {max(1, round(rung * len(batches))): round(9 * rung) for rung in RUNGS}
    for made, index in enumerate(batches, 1):
        optimizer.zero_grad(set_to_none=True)
        loss = net.loss(model(tensors["x"][index]), tensors["y"][index])
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        if made in marks:
            if not torch.isfinite(loss):
                return None
            model.eval()
            with torch.no_grad():
                right = torch.cat([
                    model(x).argmax(1) == y
                    for x, y in zip(
                        tensors["vx"].split(1000), tensors["vy"].split(1000), strict=True
                    )
                ])  # fmt: skip
            model.train()
            accuracy = right.float().mean().item()
            if report(marks[made], accuracy):
                return None
    return accuracy


def tensors_of(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Return the network, and the samples as it takes them."""
    from _nets import NETS

    net, data = NETS[options.net], data_of(options)
    flat = (lambda x: x.flatten(1)) if net.flat else (lambda x: x)
    own = {"x": flat(data.train.x), "y": data.train.y}
    return net, own | {"vx": flat(data.val.x), "vy": data.val.y}


# ------------------------------------------------------------------------------------ sides


def thalweg(options: argparse.Namespace) -> list[Told]:
    """Search with thalweg, recorded in a folder as anyone would; the end is left out."""
    from thalweg import configure_runtime

    configure_runtime()
    import torch
    from _nets import NETS

    torch.set_num_threads(options.threads)
    from thalweg.spec import Spec
    from thalweg.study import begin_tune
    from thalweg.study.search.tuning import Final
    from thalweg.study.search.worker import Ranked

    own = data_of(options)
    net, told = NETS[options.net], list[Told]()
    with tempfile.TemporaryDirectory() as folder:
        small = {"over": {"lr": "0.01..1"}, "trials": 2, "best": 1, "seeds": 1, "epochs": 1}
        for _ in begin_tune("mlp", "digits", out=Path(folder, "awake"), **small)[1]:
            pass  # the others, too, have loaded all that they need when their time begins
        kept = {key: value for key, value in net.spec.items() if key != "optimizer"}
        base = Spec.parse({**kept, "model": {"name": options.net}, "epochs": 1})
        base = base.override({"batch_size": net.batch_size, "seed": options.seed})
        begin = time.perf_counter()
        _, events = begin_tune(
            data=own, spec=base, optimizers=list(OPTIMIZERS), trials=options.trials,
            out=Path(folder, "search"),
        )  # fmt: skip
        for happening in events:
            if isinstance(happening, Final):
                break
            if isinstance(happening, Ranked):
                now = time.perf_counter() - begin
                rung, scores = happening.rung, happening.scores.values()
                told += [(now, score, rung) for score in scores if math.isfinite(score)]
        events.close()  # type: ignore[attr-defined]
    return told


_HERE: dict[str, Any] = {}


def _prepare(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    net, tensors = tensors_of(options)
    _HERE.update(net=net, tensors=tensors, space=space_of()[0])
    values = next(iter(_HERE["space"].corners()))
    train(values, net, {name: tensor[:1000] for name, tensor in tensors.items()}, lambda *_: False)


def _optimize(job: tuple[str, str, int, int, int]) -> list[Told]:
    """Run some trials of a study that several processes share; an empty path only wakes up."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path, kind, seed, worker, trials = job
    if not path:
        return []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruners: dict[str, Any] = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=5),
        "halving": optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    }
    sampler = optuna.samplers.TPESampler(seed=1000 * seed + worker, constant_liar=True)
    study = optuna.load_study(
        study_name="bench", storage=JournalStorage(JournalFileBackend(path)), sampler=sampler,
        pruner=pruners[kind],
    )  # fmt: skip
    space, told = _HERE["space"], list[Told]()

    def objective(trial: Any) -> float:
        values = space.suggest(trial)

        def report(rung: int, accuracy: float) -> bool:
            told.append((time.time(), accuracy, rung / 9))
            trial.report(accuracy, rung)
            return bool(rung < 9 and trial.should_prune())

        value = train(values, _HERE["net"], _HERE["tensors"], report)
        if value is None:
            raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=trials)
    return told


def plain_optuna(options: argparse.Namespace) -> list[Told]:
    """Search with Optuna's TPE and a pruner of its own: a process a core, a trial at a time."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind, cores = options.side.partition("-")[2], options.threads
    context = multiprocessing.get_context("spawn")
    counts = [options.trials // cores + (k < options.trials % cores) for k in range(cores)]
    with tempfile.TemporaryDirectory() as folder, context.Pool(cores, _prepare, (options,)) as pool:
        path = str(Path(folder, "journal"))
        storage = JournalStorage(JournalFileBackend(path))
        optuna.create_study(study_name="bench", storage=storage, direction="maximize")
        pool.map(_optimize, [("", "", 0, 0, 0)] * cores, chunksize=1)  # processes that have begun
        begin = time.time()
        jobs = [(path, kind, options.seed, k, n) for k, n in enumerate(counts)]
        found = pool.map(_optimize, jobs, chunksize=1)
    return [(at - begin, value, rung) for told in found for at, value, rung in told]


def ray_asha(options: argparse.Namespace) -> list[Told]:
    """Search with Ray Tune and ASHA: a core a trial, the samples put once."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(  # a cluster of its own, whatever else runs here
        address="local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False,
        configure_logging=False,
    )  # fmt: skip
    space, _ = space_of()
    _, tensors = tensors_of(options)
    kept = ray.put(tensors)
    here = str(Path(__file__).parent)

    def trainable(config: dict[str, Any]) -> None:
        sys.path.insert(0, here)
        import torch
        from _nets import NETS
        from tune import train as one

        torch.set_num_threads(1)

        def report(rung: int, accuracy: float) -> bool:
            tune.report({"accuracy": accuracy, "rung": rung, "at": time.time()})
            return False

        one(config["values"], NETS[options.net], ray.get(kept), report)

    def draw(_: Any) -> dict[str, Any]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
        return dict(space.suggest(study.ask()))

    with tempfile.TemporaryDirectory() as folder:
        scheduler = ASHAScheduler(
            time_attr="rung", metric="accuracy", mode="max", grace_period=1, max_t=9,
            reduction_factor=3,
        )  # fmt: skip
        told: list[Told] = []

        class Note(tune.Callback):  # type: ignore[misc]
            def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any,
                                **info: Any) -> None:  # fmt: skip
                told.append((time.time(), float(result["accuracy"]), result["rung"] / 9))

        begin = time.time()
        tune.Tuner(
            trainable,
            param_space={"values": tune.sample_from(draw)},
            tune_config=tune.TuneConfig(
                num_samples=options.trials, scheduler=scheduler,
                max_concurrent_trials=options.threads,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Note()]),
        ).fit()  # fmt: skip
        ray.shutdown()
    return [(at - begin, value, rung) for at, value, rung in told]


SIDE: dict[str, Callable[[argparse.Namespace], list[Told]]] = {
    "thalweg": thalweg,
    "optuna-median": plain_optuna,
    "optuna-halving": plain_optuna,
    "ray-asha": ray_asha,
}


if __name__ == "__main__":
    main()
