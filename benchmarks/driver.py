"""The driver of a million runs: how fast it is, and what memory it takes, with nobody who trains.

``python benchmarks/driver.py`` prints JSON lines. The groups only sleep: a thousand workers that
take some seconds for each are one heap of times. All else is as it is with a cluster: jobs are made
and pickled, what they tell and bring home is read from bytes, and the folder is written.
"""

from __future__ import annotations

import argparse
import heapq
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from _bench import header, say

from thalweg.cluster import Done, Executor, Happening, Told, Waiting, Work
from thalweg.cluster.executor import TICK, Ledger
from thalweg.cluster.packing import dumps, load
from thalweg.engine import Clock, Evaluated, Group, short_keys
from thalweg.spec import Spec
from thalweg.study.sweeps.gathered import record_scattered
from thalweg.study.sweeps.grid import Point, grid
from thalweg.study.sweeps.recorded import begin_series
from thalweg.study.sweeps.scattered import Outcome, epoch_columns, scatter, state_places
from thalweg.study.sweeps.series import Result, Series

BASE = Spec().override(
    {"data": "digits", "model": "lab-mlp", "epochs": 5, "threads": 1}, short_keys()
)
GROUP = 64

FIRST = 2**30
"""The number of the first member of a letter to be written."""


class Asleep(Executor):
    """Workers that sleep for as long as a group takes, and then bring home what one would.

    Args:
        count: How many.
        seconds: How long each sleeps for a group, on average; they differ by up to a tenth.
        template: What a group brings home.
        evaluations: How often it is heard of.
    """

    def __init__(self, count: int, seconds: float, template: Outcome, evaluations: int) -> None:
        super().__init__(threads=1)
        self.workers, self.seconds, self.evaluations = count, seconds, evaluations
        self.slept, self.faked, self.sent, self.received = 0.0, 0.0, 0, 0
        numbers = list(template.results)
        self._letters = [Letter(evaluated(numbers)), Letter(template)]

    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        ledger, busy, place = Ledger(len(jobs)), list[tuple[float, int, int, int, bytes]](), 0
        while ledger or busy:
            while ledger and len(busy) < self.workers:
                job = ledger.next()
                assert job is not None
                place += 1
                sent = dumps(jobs[job])
                self.sent += len(sent)
                length = self.seconds * (0.9 + 0.2 * (job * 7919 % 101) / 100)
                step = length / (self.evaluations + 1)
                heapq.heappush(busy, (time.monotonic() + step, place, job, 0, sent))
            pause = busy[0][0] - time.monotonic()
            if pause > 0:
                time.sleep(min(pause, TICK))
                self.slept += min(pause, TICK)
                yield Waiting()
                continue
            due, mine, job, told, sent = heapq.heappop(busy)
            begin = time.process_time()
            letter = self._letters[told == self.evaluations].to(list(load(sent)))
            self.faked += time.process_time() - begin
            self.received += len(letter)
            what = load(letter)
            if told == self.evaluations:
                yield Done(job, what)
                continue
            step = self.seconds / (self.evaluations + 1)
            heapq.heappush(busy, (due + step, mine, job, told + 1, sent))
            yield Told(job, what)


class Letter:
    """What a worker would send, pickled once: for other members only their numbers are written in.

    Args:
        what: What it says of the members from `FIRST` on, which are in it as integers of 4 bytes.
    """

    def __init__(self, what: Any) -> None:
        self.template = dumps(what)
        found = re.finditer(rb"J(....)", self.template, re.DOTALL)
        places = [(m.start(1), int.from_bytes(m[1], "little", signed=True) - FIRST) for m in found]
        self.places = [(place, k) for place, k in places if 0 <= k < GROUP]

    def to(self, numbers: Sequence[int]) -> bytes:
        """Return the letter of these members."""
        letter = bytearray(self.template)
        for place, k in self.places:
            letter[place : place + 4] = numbers[k].to_bytes(4, "little")
        return bytes(letter)


def evaluated(numbers: Sequence[int]) -> Evaluated:
    """Return what a group tells on its way."""
    names = ("running_loss", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
    metrics = {name: tuple(0.5 + k / 1e3 for k in range(len(numbers))) for name in names}
    return Evaluated(Clock(100, 1.0, 100, 1.0), metrics, (0.1,) * len(numbers), tuple(numbers))


class Plan(Sequence[Point]):
    """A million specs that are made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: Any) -> Point:
        if not 0 <= number < self.count:
            raise IndexError
        changes = {"lr": 0.1 + number % 1000, "seed": number // 1000}
        spec = BASE if number % GROUP else BASE.override(changes)  # as cheap as it can be
        return Point(spec, changes, {"lr": changes["lr"]})


def template(evaluations: int) -> Outcome:
    """Return what a group of lab-mlp brings home."""
    group = Group([BASE.override({"seed": seed}) for seed in range(GROUP)])
    columns, members = epoch_columns(group), group.progress.members
    metrics = {name: 0.5 for name in columns[6:]}
    numbers = [FIRST + k for k in range(GROUP)]
    told: dict[str, list[Any]] = {
        name: [k / 1e3 for k in range(GROUP * evaluations)] for name in columns
    }
    told |= {"member": numbers * evaluations, "step": [100] * GROUP * evaluations}
    told["gradients"] = told["step"]
    return Outcome(
        {n: Result(n, "complete", dict(metrics), 500, 5.0, 500, 1.0) for n in numbers},
        {n: group.remains(member) for n, member in zip(numbers, members, strict=True)},
        {},
        told,
        columns,
        state_places(group),
    )


def memory() -> float:
    """Return the bytes that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * resource.getpagesize())


def plan(members: int) -> None:
    """Measure what it takes to plan: the specs of all, and their groups."""
    before, begin = memory(), time.perf_counter()
    points = grid(BASE, {"lr": [0.001 * k for k in range(1, members // 10 + 1)]}, 10)
    made = time.perf_counter()
    series = Series(points, largest=GROUP)
    say(
        "plan", members=len(points), groups=len(series.groups), seconds_specs=made - begin,
        seconds_groups=time.perf_counter() - made,
        bytes_per_member=(memory() - before) / len(points),
    )  # fmt: skip


def drive(groups: int, workers: int, seconds: float, evaluations: int, store: Path | None) -> None:
    """Measure the driver: alone, or with its folder.

    Rates are by the time that the processor took, which others on the machine change little.
    """
    members = groups * GROUP
    numbers = [list(range(k * GROUP, (k + 1) * GROUP)) for k in range(groups)]
    asleep = Asleep(workers, seconds, template(evaluations), evaluations)
    series = Series(Plan(members), numbers)
    facts: dict[str, Any] = {}
    events: Iterator[Any]
    if store is None:
        events = scatter(series, asleep)
    else:
        series.points = [series.points[n] for n in range(members)]
        begin = time.perf_counter()
        folder, _ = begin_series(series, BASE, kind="sweep", out=store / "sweep")
        facts["seconds_to_create"] = time.perf_counter() - begin
        events = record_scattered(series, folder, "began", asleep)
    before, begin, computed, told = memory(), time.perf_counter(), time.process_time(), 0
    for index, event in events:
        told += 1
        if store is None and index >= 0 and not isinstance(event, Evaluated):
            for number in numbers[index]:
                series.weights[number] = {}  # as where they are written
            series.histories[index].epochs = {}
    elapsed = time.perf_counter() - begin
    working = time.process_time() - computed - asleep.faked
    if store is not None:
        files = [file for file in (store / "sweep").rglob("*") if file.is_file()]
        facts |= {"files": len(files), "bytes_on_disk": sum(f.stat().st_size for f in files)}
        facts["seconds_to_read"] = -time.perf_counter()
        rows = len(folder.results()["number"])
        facts["seconds_to_read"] += time.perf_counter()
        assert rows == members
    assert len(series.results) == members
    say(
        "driver" if store is None else "store", members=members, groups=groups, workers=workers,
        group_seconds=seconds, seconds=elapsed, seconds_asleep=asleep.slept,
        cpu_seconds_of_the_fake=asleep.faked, cpu_seconds=working,
        groups_per_second=groups / working, members_per_second=members / working,
        shortest_group=workers * working / groups, events=told,
        bytes_sent_per_group=asleep.sent / groups,
        bytes_received_per_group=asleep.received / groups,
        bytes_per_member=(memory() - before) / members,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **facts,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--groups", type=int, default=15_625, help="of 64 members each")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a group takes")
    parser.add_argument("--evaluations", type=int, default=5, help="that a group tells of")
    parser.add_argument("--planned", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--stored", type=int, default=1000, help="groups of the run with a folder")
    parser.add_argument("--threads", type=int, default=1, help="of this process")
    parser.add_argument("--quick", action="store_true", help="a few groups, to see that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.groups, arguments.stored, arguments.planned = 20, 5, [100]
        arguments.seconds = 0.1
    torch.set_num_threads(arguments.threads)
    header("driver", **vars(arguments))
    for members in arguments.planned:
        plan(members)
    common = (arguments.workers, arguments.seconds, arguments.evaluations)
    drive(arguments.groups, *common, None)
    if arguments.stored:
        store = Path(tempfile.mkdtemp(prefix="thalweg-driver-"))
        try:
            drive(arguments.stored, *common, store)
        finally:
            shutil.rmtree(store)


if __name__ == "__main__":
    main()
