"""Seconds per member and epoch of K networks at once, beside what their users do today.

See README.md in this folder for what is compared and how to read the output.
"""

from __future__ import annotations

import argparse
import statistics
from importlib.util import find_spec
from typing import Any

from _bench import Task, Worker, has_bfloat16, header, ratio, say, spread
from epoch import ceiling

MEMBERS = {"lab-mlp": (8, 64, 256), "deep-bn": (8, 16, 64), "garment": (8, 32), "mish-bn": (8,)}
AIMS = {  # net, members: times faster than the DataLoader loop, and than thalweg's runs alone
    ("lab-mlp", 64): (80.0, 4.0),
    ("deep-bn", 16): (8.0, 1.1),
    ("garment", 32): (7.0, 2.2),
}
BFLOAT16 = 1.5  # times faster than float32, for mish-bn
SHARE = 0.6  # of the fastest float32 product of this machine
TRIALS = 4  # networks that Optuna's processes train in a round


def main() -> None:
    options = parse()
    header("cohort", **vars(options))
    for net in options.nets:
        compare(net, options)
    if options.bfloat16:
        bfloat16(options)
    if options.linear:
        linear(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--nets", nargs="+", choices=MEMBERS, default=("lab-mlp", "deep-bn", "garment"))
    add("--members", nargs="+", type=int, help="K; a few that suit the network if not given")
    add("--peers", nargs="*", choices=("dataloader", "vmap", "optuna"),
        default=("dataloader", "vmap", "optuna"))  # fmt: skip
    add("--repetitions", type=int, default=3)
    add("--warmup", type=int, default=1, help="epochs of each that do not count")
    add("--threads", type=int, help="threads; torch's default if not given")
    add("--data", metavar="FOLDER", help="folder with MNIST; else THALWEG_DATA, else a download")
    add("--no-exact", action="store_true", help="the quicker kernels too, which round otherwise")
    add("--bfloat16", action="store_true", help="mish-bn in bfloat16 beside float32")
    add("--linear", metavar="K", type=int, help="so many members of lab-mlp, in groups of 64")
    add("--mkl", metavar="PATH", help="MKL's code path for all, as AVX2: MKL's on AMD processors")
    add("--quick", action="store_true", help="512 small digits instead of MNIST: checks plumbing")
    return parser.parse_args()


def compare(net: str, options: argparse.Namespace) -> None:
    """Measure cohorts of one network, and the peers."""
    epochs = options.warmup + options.repetitions
    common: dict[str, Any] = {
        "net": net,
        "epochs": epochs,
        "threads": options.threads,
        "folder": options.data,
        "quick": options.quick,
        "mkl": options.mkl,
    }
    sizes = options.members or MEMBERS[net]
    tasks = {"alone": Task("thalweg", runtime=True, **common)}
    for K in sizes:
        tasks[f"cohort {K}"] = Task("cohort", runtime=True, members=K, **common)
        if options.no_exact:
            more = {"members": K, "exact": False, **common}
            tasks[f"cohort {K}, not exact"] = Task("cohort", runtime=True, **more)
    for peer in options.peers:
        if peer == "optuna" and find_spec(peer) is None:
            say("skipped", peer=peer, because="not installed; thalweg's extra `bench` has it")
            continue
        many = {"dataloader": 1, "vmap": min(sizes, key=lambda K: abs(K - 32)), "optuna": TRIALS}
        tasks[peer] = Task(peer, members=many[peer], **common)
    workers = {name: Worker(task) for name, task in tasks.items()}
    gemm = Worker(Task("gemm", **common))
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    speeds: list[dict[str, dict[str, float]]] = []
    for repetition in range(epochs):
        for name, worker in workers.items():
            answer = worker()
            if repetition >= options.warmup:
                members = answer.get("trials", tasks[name].members)
                seconds[name].append(answer["seconds"] / members)
        speeds.append(gemm()["gflops"])
    for worker in (*workers.values(), gemm):
        worker.close()

    product = ceiling(speeds)
    say("gemm", net=net, **product)
    for name, taken in seconds.items():
        say("member and epoch", net=net, what=name, members=tasks[name].members,
            seconds=spread(taken), over_alone=ratio(taken, seconds["alone"]),
            **share(net, taken, product, options))  # fmt: skip
    for name, taken in seconds.items():
        aim = AIMS.get((net, tasks[name].members)) if name.startswith("cohort") else None
        if aim is None:
            continue
        for over, wanted in zip(("dataloader", "alone"), aim, strict=True):
            if over in seconds:
                got = ratio(seconds[over], taken)
                say("aim", net=net, what=name, over=over, aim=wanted, got=got,
                    met=got["medians"] >= wanted)  # fmt: skip
        reached = share(net, taken, product, options)["share_of_float32_ceiling"]
        say("aim", net=net, what=name, over="ceiling", aim=SHARE, got=reached,
            met=reached >= SHARE)  # fmt: skip


def bfloat16(options: argparse.Namespace) -> None:
    """Measure a cohort of mish-bn in both precisions."""
    if not has_bfloat16():
        say("note", text="no bfloat16 instructions on this processor: bfloat16 is emulated")
    common: dict[str, Any] = {
        "net": "mish-bn",
        "epochs": options.warmup + options.repetitions,
        "threads": options.threads,
        "folder": options.data,
        "quick": options.quick,
        "members": (options.members or MEMBERS["mish-bn"])[0],
        "runtime": True,
    }
    kinds = ("float32", "bfloat16")
    workers = {kind: Worker(Task("cohort", precision=kind, **common)) for kind in kinds}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repetition in range(common["epochs"]):
        for kind, worker in workers.items():
            answer = worker()
            if repetition >= options.warmup:
                seconds[kind].append(answer["seconds"] / common["members"])
    for worker in workers.values():
        worker.close()
    got = ratio(seconds["float32"], seconds["bfloat16"])
    for kind in kinds:
        say("member and epoch", net="mish-bn", what=kind, members=common["members"],
            seconds=spread(seconds[kind]))  # fmt: skip
    say("aim", net="mish-bn", over="float32", aim=BFLOAT16, got=got, met=got["medians"] >= BFLOAT16)


def linear(options: argparse.Namespace) -> None:
    """Measure many members of lab-mlp, in groups of 64: the time of each, and the memory."""
    many = options.linear
    common: dict[str, Any] = {
        "net": "lab-mlp",
        "epochs": options.repetitions,
        "threads": options.threads,
        "folder": options.data,
        "quick": options.quick,
        "runtime": True,
    }
    few = min(64, many)
    workers = {K: Worker(Task("series", members=K, **common)) for K in (few, many)}
    answers: dict[int, list[dict[str, Any]]] = {K: [] for K in workers}
    for _ in range(options.repetitions):
        for K, worker in workers.items():
            answers[K].append(worker())
    for worker in workers.values():
        worker.close()
    each = {K: [answer["seconds"] / K for answer in found] for K, found in answers.items()}
    for K, found in answers.items():
        say("series", members=K, seconds=spread([answer["seconds"] for answer in found]),
            seconds_a_member=spread(each[K]), peak_bytes=max(a["peak_bytes"] for a in found),
            budget_bytes=found[0]["budget_bytes"])  # fmt: skip
    got = ratio(each[many], each[few])
    say("aim", what="linear", over=f"{few} members", aim=1.1, got=got, met=got["medians"] <= 1.1)


def share(
    net: str, seconds: list[float], product: dict[str, Any], options: argparse.Namespace
) -> dict[str, float]:
    """Return the speed, and what part of the ceiling of float32 it is."""
    from _nets import NETS, flops

    work = flops(NETS[net]) * (512 if options.quick else 60_000) / 1e9
    speed = work / statistics.median(seconds)
    return {"gflops": speed, "share_of_float32_ceiling": speed / product["float32_ceiling"]}


if __name__ == "__main__":
    main()
