"""The loop: batches in, events out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch

from thalweg.data import Data
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Clock, Diverged, Evaluated, Event, Finished, Reason, Step
from thalweg.engine.feed import Feed
from thalweg.engine.member import Member
from thalweg.engine.progress import Progress


@torch.no_grad()
def descend(
    cohort: Cohort,
    feed: Feed,
    samples: Mapping[int, Data],
    progress: Progress,
    *,
    accumulate: int = 1,
    slow: bool = True,
    everything: bool = True,
) -> Iterator[Event]:
    """Train a cohort and say what happens.

    Args:
        cohort: The networks; they are moved in place.
        feed: Their training samples, on the cohort's device.
        samples: What each of them may be evaluated on, by its number.
        progress: Where to go on from; kept up to date, so that a snapshot that is taken at any
            event is whole.
        accumulate: Batches whose gradients make one update.
        slow: Evaluate with the rules' averaged weights where there are such.
        everything: Evaluate members that are over on every split.

    Yields:
        `Step` after every update; `Evaluated` at the chosen intervals, and at its end on every
        split, for each member; `Diverged` when losses are not finite; and `Finished` for those that
        are over. A member that is over leaves the cohort, unless it is among the last.
    """
    p, per_epoch, told = progress, progress.length.per_epoch, list[Member]()
    ranks, timed = cohort.ranks, any(m.judge.max_seconds < float("inf") for m in p.members)
    every, splits = p.length.evaluate_every, list(samples[p.members[0].number].splits())

    def measure(names: Sequence[str]) -> dict[str, tuple[float, ...]]:
        if not names:
            return {}
        with cohort.evaluation(slow=slow):
            return {
                f"{name}_{metric}": value
                for name in names
                for metric, value in cohort.measure(
                    [samples[member.number].splits()[name] for member in p.members], together=True
                ).items()
            }

    def clock() -> Clock:
        return Clock(cohort.updates, cohort.updates / per_epoch, cohort.gradients, p.seconds)

    def part(over: Mapping[Member, Reason]) -> None:
        """Let members go; if nobody would be left, their tensors stay where they are."""
        rows = [row for row, member in enumerate(p.members) if member in over]
        stay = [row for row, member in enumerate(p.members) if member not in over]
        for member, reason in over.items():
            member.reason = reason
            member.made = (cohort.updates - member.begun[0], cohort.gradients - member.begun[1])
        if stay and rows:
            for row, remains in zip(rows, cohort.remains(rows, slow=slow), strict=True):
                p.members[row].remains = remains
            cohort.keep(stay)
            feed.keep(stay)
            p.keep(stay)
        elif rows:
            cohort.stack.release()

    def farewell() -> Iterator[Event]:
        ended = [member for member in p.everyone if member.reason and member not in told]
        for reason in dict.fromkeys(member.reason for member in ended):
            mine = [member for member in ended if member.reason == reason]
            told.extend(mine)
            yield Finished(clock(), reason, _columns(mine), _numbers(mine))  # type: ignore[arg-type]

    if not p.due:
        part({m: "complete" for m in p.active if cohort.updates - m.begun[0] >= m.length.updates})
    yield from farewell()
    while p.active:
        batches = feed.epoch(skip=min(p.done * accumulate, len(feed.splits[0])))
        under_way = p.due or p.done < per_epoch
        if not under_way:  # as no snapshot of ours is
            p.begin_epoch()
        while p.active and under_way:
            if not p.due:
                begin = time.perf_counter()
                outcome = cohort.look(islice(batches, accumulate))
                measured, lost = outcome.metrics, [p.members[row] for row in outcome.lost]
                if lost:
                    good = [row for row, member in enumerate(p.members) if member not in lost]
                    diverged = Diverged(
                        clock(),
                        _numbers(lost),
                        tuple(measured["loss"][list(outcome.lost)].tolist()),
                    )
                    part(dict.fromkeys(lost, "diverged"))
                    measured = {name: value[good] for name, value in measured.items()}
                    if not good:
                        p.seconds += time.perf_counter() - begin
                        yield diverged
                        break
                rates = cohort.move()
                p.seconds += time.perf_counter() - begin
                if ranks is not None and timed:  # they must agree on when the time is up
                    p.seconds = ranks.first(torch.tensor([p.seconds]).double()).item()
                for member, lr in zip(p.members, rates, strict=True):
                    member.lr = lr
                for name, value in measured.items():
                    p.running.add(name, value, outcome.samples)
                p.done, p.due = p.done + 1, True
                yield Step(clock(), measured, rates, _numbers(p.members))
                if lost:
                    yield diverged

            over: dict[Member, Reason] = {}
            for member in p.active:
                if cohort.updates - member.begun[0] >= member.length.updates:
                    over[member] = "complete"
                elif member.judge.out_of_time(p.seconds - member.since):
                    over[member] = "time"
            looked = [
                member
                for member in p.active
                if every and (member in over or (cohort.updates - member.begun[0]) % every == 0)
            ]
            event = None
            if looked:
                chosen = [name for name in splits if name in p.watched]
                found: dict[str, tuple[float, ...]] = {
                    f"running_{name}": value for name, value in p.running.result().items()
                }
                found |= measure(chosen)
                rows = {member: row for row, member in enumerate(p.members)}
                for member in looked:
                    own = {"running", *member.judge.splits}
                    member.last = {
                        name: values[rows[member]]
                        for name, values in found.items()
                        if name.partition("_")[0] in own
                    }
                    verdict = member.judge.verdict(member.last)
                    if verdict is not None:
                        over[member] = verdict
                    if member.course is not None:
                        made = cohort.updates - member.begun[0]
                        member.course.observe(member.last, made)
                if over and everything:  # their last word is on every split
                    found |= measure([name for name in splits if name not in chosen])
                    for member in over:
                        member.last = {name: values[rows[member]] for name, values in found.items()}
                rates = tuple(member.lr for member in looked)
                event = Evaluated(clock(), _columns(looked), rates, _numbers(looked))
            p.due = False
            part(over)
            under_way = p.done < per_epoch
            if not under_way:
                p.begin_epoch()
            if event is not None:
                yield event
            yield from farewell()
    yield from farewell()


def _numbers(members: Sequence[Member]) -> tuple[int, ...]:
    return tuple(member.number for member in members)


def _columns(members: Sequence[Member]) -> dict[str, tuple[float | None, ...]]:
    """Return the members' last evaluations; None where one has no such number."""
    names = dict.fromkeys(name for member in members for name in member.last)
    return {name: tuple(member.last.get(name) for member in members) for name in names}
