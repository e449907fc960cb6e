"""Seconds per MNIST epoch: thalweg beside its peers, in one run, one measurement after another.

See README.md in this folder for what is compared and how to read the output.
"""

from __future__ import annotations

import argparse
import statistics
from importlib.util import find_spec
from typing import Any

from _bench import Task, Worker, has_bfloat16, header, ratio, say, spread

NETWORKS = ("lab-mlp", "deep-bn", "mish-bn", "garment")
PEERS = ("dataloader", "tensors", "lightning", "skorch")
FASTER = {  # how many times faster than the DataLoader loop thalweg means to be
    ("lab-mlp", "float32"): 20.0,
    ("deep-bn", "float32"): 7.0,
    ("mish-bn", "float32"): 4.0,
    ("garment", "float32"): 3.0,
    ("mish-bn", "bfloat16"): 5.5,
}
BETTER_PRODUCT = 1.4  # over the loop on tensors, where oneDNN multiplies faster than MKL
NEVER_SLOWER = 1 / 1.03
BEATS = 1.25  # oneDNN over MKL, median over the products, from which that is so


def main() -> None:
    options = parse()
    header("epoch", **vars(options))
    for precision in options.precision:
        if precision == "bfloat16" and not has_bfloat16():
            say("note", text="no bfloat16 instructions on this processor: bfloat16 is emulated")
        for net in options.nets:
            if precision == "float32" or (net, precision) in FASTER:
                compare(net, precision, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=NETWORKS, default=NETWORKS)
    add("--peers", nargs="+", choices=PEERS, default=PEERS)
    add("--precision", nargs="+", choices=("float32", "bfloat16"), default=("float32", "bfloat16"),
        help="bfloat16 is for mish-bn alone")  # fmt: skip
    add("--repetitions", type=int, default=5)
    add("--warmup", type=int, default=1, help="epochs of each that do not count")
    add("--threads", type=int, help="threads; torch's default if not given")
    add("--data", metavar="FOLDER", help="folder with MNIST; else THALWEG_DATA, else a download")
    add("--same-runtime", action="store_true", help="thalweg's process settings for the peers too")
    add("--mkl", metavar="PATH", help="MKL's code path for all, as AVX2: MKL's on AMD processors")
    add("--quick", action="store_true", help="512 small digits instead of MNIST: checks plumbing")
    return parser.parse_args()


def compare(net: str, precision: str, options: argparse.Namespace) -> None:
    """Measure one network with thalweg and its peers."""
    epochs = options.warmup + options.repetitions
    common: dict[str, Any] = {
        "net": net,
        "epochs": epochs,
        "threads": options.threads,
        "folder": options.data,
        "quick": options.quick,
        "mkl": options.mkl,
    }
    workers = {"thalweg": Worker(Task("thalweg", precision=precision, runtime=True, **common))}
    for peer in options.peers:
        if peer in {"lightning", "skorch"} and find_spec(peer) is None:
            say("skipped", peer=peer, because="not installed; thalweg's extra `bench` has it")
            continue
        task = {"runtime": options.same_runtime, **common}
        workers[peer] = Worker(Task(peer, precision=precision, **task))
        if peer == "dataloader" and precision != "float32":
            workers["dataloader-float32"] = Worker(Task(peer, **task))
    gemm = Worker(Task("gemm", precision=precision, **common))
    for name, worker in workers.items():
        say("setup", net=net, precision=precision, peer=name, **worker.setup)

    seconds: dict[str, list[float]] = {name: [] for name in workers}
    losses: dict[str, float] = {}
    speeds: list[dict[str, dict[str, float]]] = []
    for repetition in range(epochs):
        for name, worker in workers.items():
            answer = worker()
            losses[name] = answer["loss"]
            if repetition >= options.warmup:
                seconds[name].append(answer["seconds"])
        speeds.append(gemm()["gflops"])
    for worker in (*workers.values(), gemm):
        worker.close()

    for name in workers:
        say("epoch", net=net, precision=precision, peer=name, seconds=spread(seconds[name]),
            last_loss=losses[name],
            over_thalweg=ratio(seconds[name], seconds["thalweg"]))  # fmt: skip
    product = ceiling(speeds)
    say("gemm", net=net, **product)
    say("ceiling", net=net, precision=precision, **share(net, seconds["thalweg"], product, options))
    for name in workers:
        if name != "thalweg":
            verdict(net, precision, name, ratio(seconds[name], seconds["thalweg"]), product)


def ceiling(speeds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the best GFLOP/s of each product over all rounds, and of any in float32."""
    best = {
        library: {name: max(round_[library][name] for round_ in speeds) for name in products}
        for library, products in speeds[0].items()
    }
    float32 = {library: max(best[library].values()) for library in best if library != "bfloat16"}
    result: dict[str, Any] = {"gflops": best, "float32_ceiling": max(float32.values())}
    if "oneDNN" in best:
        ratios = [best["oneDNN"][name] / mkl for name, mkl in best["torch.mm"].items()]
        result["onednn_over_mkl"] = statistics.median(ratios)
    if "bfloat16" in best:
        result["bfloat16_ceiling"] = max(best["bfloat16"].values())
    return result


def share(
    net: str, seconds: list[float], product: dict[str, Any], options: argparse.Namespace
) -> dict[str, float]:
    """Return what part of the ceiling of float32 thalweg's epoch reaches."""
    from _nets import NETS, flops

    work = flops(NETS[net]) * (512 if options.quick else 60_000) / 1e9
    speed = work / statistics.median(seconds)
    return {
        "gflop_an_epoch": work,
        "gflops": speed,
        "share_of_float32_ceiling": speed / product["float32_ceiling"],
        "seconds_at_ceiling": work / product["float32_ceiling"],
    }


def verdict(
    net: str, precision: str, peer: str, got: dict[str, Any], product: dict[str, Any]
) -> None:
    """Print a ratio beside what is aimed at; peers without an aim have none."""
    aim = None
    if peer == "dataloader":
        aim = FASTER[net, precision]
    elif peer == "tensors":
        wide = net in {"deep-bn", "mish-bn"} and precision == "float32"
        better = wide and product.get("onednn_over_mkl", 0) >= BEATS
        aim = BETTER_PRODUCT if better else NEVER_SLOWER
    if aim is not None:
        met = got["medians"] >= aim
        say("aim", net=net, precision=precision, over=peer, aim=aim, got=got, met=met)


if __name__ == "__main__":
    main()
