"""What the batch size does: to the cost of a target, and to what is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp, inf, isfinite, log
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg.data import Data
from thalweg.engine import Group
from thalweg.engine.build import build_rule
from thalweg.engine.length import Length
from thalweg.errors import SpecError
from thalweg.landscape import Objective, gradient_noise
from thalweg.plots.against import Line, metric_against
from thalweg.plots.batches import Cost, Level, batch_costs, noise_course
from thalweg.plots.report.chapters import Chapter, Sheet
from thalweg.spec import Spec
from thalweg.study.intervals import mean_interval
from thalweg.study.questions.arms import Arm, arms, difference, number, points, share, sign
from thalweg.study.questions.critical import critical_sizes, geometric
from thalweg.study.questions.question import Answer, Plan, Question, titled
from thalweg.study.sweeps.sweeping import Sweep

LEAST, FACTOR = 8, 4
"""The smallest batch, and how many times as large the next one is."""

LINEAR = {"sgd", "momentum", "nesterov"}
"""Rules whose learning rate follows the batch; that of the others follows its root."""

TIMES = 3.0
"""A third learning rate: so many times what follows the batch."""

STATES, LOOKS, NOISE_SEEDS, NOISE_BATCHES = 16, 8, 3, 32
"""Recorded states of a member, how many of them are looked at, of how many seeds, in how many
batches."""


def _plan(base: Spec, data: Data, seeds: Sequence[int]) -> Plan:
    """Return the batch sizes, each with the learning rate as it is and with one that follows."""
    if base.until is None:
        raise SpecError("no target", "until=…", "as in train_accuracy>=0.95")
    known = base.batch_size
    if known == "full":
        raise SpecError("batch_size='full'", "the size that the learning rate belongs to")
    n, rule = len(data.train), build_rule(base)
    lr = float(rule.hyper()["lr"])
    power = 1.0 if base.optimizer.name in LINEAR else 0.5
    network = networks.build(
        base.model.name, input_shape=data.input_shape, out_features=data.out_features,
        generator=Generator().manual_seed(0), init=base.model.init, **base.model.options,
    )  # fmt: skip
    state = 4 * sum(p.numel() for p in network.parameters())
    sizes = _sizes(n)
    middle = min(sizes, key=lambda size: abs(log(size / known)))
    settings = []
    for size in sizes:
        follows = _follows(lr, size / known, power)
        per_epoch = Length.of(base.override({"batch_size": size, "epochs": 1}), n).per_epoch
        own = {"batch_size": size, "evaluate_every": f"{max(1, per_epoch // 4)}steps"}
        for rate in dict.fromkeys((follows, float(f"{TIMES * follows:.3g}"), lr)):
            setting = {"name": f"batch {size:,}, lr {rate:g}", **own, "lr": rate}
            if size == middle and rate == follows:
                setting |= {"record_states": 1, "record_budget": STATES * state / 2**20}
            settings.append(setting)
    facts = {"lr": lr, "batch": known, "power": power, "target": base.until}
    return Plan(settings, facts)


def _follows(lr: float, times: float, power: float) -> float:
    """Return the learning rate of a batch so many times as large.

    Example:
        >>> _follows(0.001, 16.0, 0.5)
        0.004
    """
    return float(f"{lr * times**power:.3g}")


def _sizes(n: int) -> list[int]:
    """Return the batch sizes up to all samples.

    Example:
        >>> _sizes(1000), _sizes(4096)
        ([8, 32, 128, 512, 1000], [8, 32, 128, 512, 2048, 4096])
    """
    sizes = [LEAST * FACTOR**k for k in range(20) if LEAST * FACTOR**k <= n]
    return [*sizes, n] if not sizes or n >= 1.5 * sizes[-1] else sizes


def _read(sweep: Sweep, facts: Mapping[str, Any]) -> Answer:
    """Read the answer: the costs of the target by batch size, and what its test accuracy is."""
    found = arms(sweep.series)
    best = best_by_size(found)
    fits = critical_sizes(best)
    noise = noise_along(sweep)
    chapters = [
        _costs(best, fits, facts), _noise(noise, fits), _clock(best), _quality(found, best, facts),
        Chapter("All of it in numbers", tables=[_sheet(found)]),
    ]  # fmt: skip
    return Answer(list(_words(best, fits, noise, facts)), [each for each in chapters if each])


def _size(arm: Arm) -> int:
    size = arm.spec.batch_size
    assert isinstance(size, int)
    return size


def best_by_size(found: Mapping[str, Arm]) -> dict[int, Arm]:
    """Return, of the arms of each batch size that meet the target with all seeds, the quickest."""
    best: dict[int, Arm] = {}
    for arm in found.values():
        met, size = arm.reached("steps"), _size(arm)
        if len(met) < len(arm.results):
            continue
        if size not in best or sum(met.values()) < sum(best[size].reached("steps").values()):
            best[size] = arm
    return dict(sorted(best.items()))


def _geometric(arm: Arm, metric: str) -> Level:
    return Level(*geometric(list(arm.values(metric).values())))


def noise_along(sweep: Sweep) -> dict[int, list[tuple[int, float, float]]]:
    """Return the gradient noise scale along training: step, scale and its error, by seed.

    BatchNorm is in training mode, as the recorded states have no statistics; dropout is left out.
    """
    series, found = sweep.series, dict[int, list[tuple[int, float, float]]]()
    recorded = [n for n, point in enumerate(series.points) if point.spec.record_states]
    for place in recorded[:NOISE_SEEDS]:
        spec, states = series.points[place].spec, series.states[place]
        group = Group([spec])
        batches = _batches(group.data[0].train.x, group.data[0].train.y, spec.seed)
        looks = list(range(len(states.steps)))
        if len(looks) > LOOKS:
            looks = sorted({round(k * (len(looks) - 1) / (LOOKS - 1)) for k in range(LOOKS)})
        for look in looks:
            stack = group.cohort.stack
            with stack.weights(states.theta[look].reshape(1, -1).to(stack.theta)):
                network = stack.export(0)
            told = gradient_noise(_objective(network, group, batches))
            own = found.setdefault(spec.seed, [])
            own.append((states.steps[look], told.simple, told.error))
    return found


def _batches(x: Tensor, y: Tensor, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return batches of equal size, drawn once."""
    size = max(1, min(64, len(x) // NOISE_BATCHES))
    order = torch.randperm(len(x), generator=Generator().manual_seed(seed))
    count = min(NOISE_BATCHES, len(x) // size)
    return [(x[own], y[own]) for own in order[: count * size].view(count, size).unbind(0)]


def _objective(network: nn.Module, group: Group, batches: Any) -> Objective:
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for module in network.modules():
        if hasattr(module, "p"):  # dropout of any kind
            setattr(module, "p", 0.0)  # noqa: B010 - which modules do not declare
    return Objective(network, group.cohort.loss, batches, training=bool(norms))


def _words(
    best: Mapping[int, Arm], fits: Mapping[int, tuple[float, float]],
    noise: Mapping[int, Sequence[tuple[int, float, float]]], facts: Mapping[str, Any],
) -> Iterator[str]:  # fmt: skip
    """Say which batch size costs least, where the critical one is, and what becomes of quality."""
    if not best:
        yield f"No batch size meets {facts['target']} with all seeds: train for longer."
        return
    quick = min(best, key=lambda size: best[size].mean("seconds").mean)  # type: ignore[union-attr]
    ends = [size for size in (min(best), max(best)) if size != quick]
    times = []
    for size in ends:
        ratio = _ratio(best[size], best[quick], "seconds")
        times.append(f"{size:,} takes {ratio} as long" if ratio else f"{size:,}: cannot tell")
    yield (
        f"The target, {facts['target']}, is met soonest by the clock with batches of {quick:,}; "
        f"{'; '.join(times)}."
    )
    if fits:
        mean, low, high = geometric([critical for _, critical in fits.values()])
        yield (
            f"By steps, the critical batch size is {mean:,.0f} ({low:,.0f} to {high:,.0f}): much "
            "smaller batches take as many samples, much larger ones as many steps, and at it both "
            "are twice the least."
        )
        start, end = _noise_ends(noise)
        if isfinite(end):
            inside = low <= end <= high
            between = start <= mean <= end or end <= mean <= start
            off = max(mean / end, end / mean)
            verdict = f"not in that interval, but off by a factor of {off:.2g}"
            if inside or between:
                verdict = "within that interval" if inside else "the critical size lies between"
            yield (
                f"The gradient noise scale, which needs no sweep, is {_count(start)} samples at "
                f"the start and {_count(end)} when the target is met, {verdict}."
            )
    small, large = best[min(best)], best[max(best)]
    if small is not large:
        gain = difference(small, large, "test_accuracy")
        verdict = {1: "better", -1: "worse", 0: "as good, as far as one can tell"}[sign(gain)]
        yield (
            f"When the target is met, the test accuracy with batches of {min(best):,} is {verdict} "
            f"than with {max(best):,} ({points(gain)} points)."
            if sign(gain)
            else f"When the target is met, whether batches of {min(best):,} or of {max(best):,} do "
            f"better on the test set: cannot tell ({points(gain)} points)."
        )


def _ratio(a: Arm, b: Arm, metric: str) -> str:
    """Return how many times as much a takes as b, if that can be told from once; else nothing."""
    mine, theirs = a.reached(metric), b.reached(metric)
    own = mean_interval([log(mine[seed] / theirs[seed]) for seed in mine])
    if not sign(own):
        return ""
    return f"{exp(own.mean):.3g} times ({exp(own.low):.3g} to {exp(own.high):.3g})"


def _noise_ends(noise: Mapping[int, Sequence[tuple[int, float, float]]]) -> tuple[float, float]:
    """Return medians over the seeds of the first and of the last noise scale."""
    if not noise:
        return inf, inf
    return tuple(median(own[at][1] for own in noise.values()) for at in (0, -1))  # type: ignore[return-value]


def _count(value: float) -> str:
    """Return a noise scale; without an end it is not told from infinity.

    Example:
        >>> _count(12.3), _count(float("inf"))
        ('12', 'too many to tell')
    """
    return f"{value:,.0f}" if isfinite(value) else "too many to tell"


def _costs(
    best: Mapping[int, Arm], fits: Mapping[int, tuple[float, float]], facts: Mapping[str, Any]
) -> Chapter | None:
    """Return steps and passes to the target."""
    if not best:
        return None
    costs = [
        Cost(title, list(best), [_geometric(arm, key) for arm in best.values()])
        for title, key in (("steps", "steps"), ("passes over the samples", "epochs"))
    ]
    n, curves, mark = facts["samples"], dict[str, Any](), None
    if fits:
        least = exp(mean_interval([log(steps) for steps, _ in fits.values()]).mean)
        mark = geometric([critical for _, critical in fits.values()])
        sizes = np.geomspace(min(best), max(best), 60)
        steps = least * (1 + mark[0] / sizes)
        curves = {"steps": (sizes, steps), "passes over the samples": (sizes, steps * sizes / n)}
    figure = batch_costs(costs, curves, mark, "to the target", "How many steps, how many passes?")
    caption = (
        f"Until {facts['target']}, with the best of three learning rates; geometric means with "
        "95 % intervals. Curves: steps = S (1 + B / size), fitted. Upright: the critical batch "
        "size B, shaded its interval."
    )
    words = [
        f"The learning rate is as it is, {facts['lr']:g}, or follows the batch "
        + ("as its root" if facts["power"] == 0.5 else "in proportion")
        + f" from {facts['batch']:,} on, or is {TIMES:g} times that: whichever is quickest."
    ]
    title = "How many steps, how many passes?"
    return Chapter(title, words, [("", titled("costs", figure, caption))], height="30rem")


def _noise(
    noise: Mapping[int, Sequence[tuple[int, float, float]]],
    fits: Mapping[int, tuple[float, float]],
) -> Chapter | None:
    """Return the noise scale along training, beside the critical batch size that was measured."""
    finite = {
        f"seed {seed}": [each for each in own if isfinite(each[1]) and each[1] > 0]
        for seed, own in noise.items()
    }
    if not any(finite.values()):
        return None
    mark = geometric([critical for _, critical in fits.values()]) if fits else None
    title = "Does the gradient noise tell the critical size?"
    figure = noise_course(finite, mark, title)
    caption = (
        "The gradient noise scale tr Σ / ‖G‖² along training, of some seeds, with standard errors; "
        "where ‖G‖² is not told from zero there is no point. Level: the critical batch size that "
        "was measured, shaded its interval."
    )
    words = [
        "A batch much smaller than the noise scale gives a gradient that is mostly noise, and "
        "twice the batch saves half of the steps; a much larger one saves none (McCandlish et al. "
        "2018). The scale grows as the loss falls."
    ]
    return Chapter(title, words, [("", titled("noise", figure, caption))], height="26rem")


def _clock(best: Mapping[int, Arm]) -> Chapter | None:
    """Return seconds by batch size."""
    if not best:
        return None
    costs = [
        Cost(title, list(best), [_geometric(arm, key) for arm in best.values()])
        for title, key in (("seconds to the target", "seconds"),
                           ("seconds a pass", "seconds_epoch"))
    ]  # fmt: skip
    figure = batch_costs(costs, {}, None, "seconds", "What does the clock say?")
    caption = (
        "A network's share of the time of its cohort, in which all seeds train together; geometric "
        "means with 95 % intervals. Another machine has other numbers."
    )
    title = "What does the clock say?"
    return Chapter(title, figures=[("", titled("clock", figure, caption))], height="26rem")


def _quality(
    found: Mapping[str, Arm], best: Mapping[int, Arm], facts: Mapping[str, Any]
) -> Chapter | None:
    """Return the test accuracy when the target was met."""
    if not any("test_accuracy" in r.metrics for a in found.values() for r in a.results.values()):
        return None
    lines = []
    kinds = {
        "learning rate as it is": {arm.name: facts["lr"] for arm in found.values()},
        "follows the batch": {arm.name: _rate(arm, facts) for arm in found.values()},
        f"{TIMES:g} times that": {arm.name: _rate(arm, facts, TIMES) for arm in found.values()},
    }
    for title, rates in kinds.items():
        own = [arm for arm in found.values() if arm.spec.optimizer.lr == rates[arm.name]]
        own = [arm for arm in own if len(arm.reached()) == len(arm.results)]
        if own:
            y = [arm.mean("test_accuracy") for arm in own]
            lines.append(Line(title, [_size(arm) for arm in own], y))
    title = "Do small batches generalise better?"
    figure = metric_against(lines, "batch size", "test_accuracy", title)
    caption = "Test accuracy when the target is met; means with 95 % intervals."
    return Chapter(title, figures=[("", titled("quality", figure, caption))], height="26rem")


def _rate(arm: Arm, facts: Mapping[str, Any], times: float = 1.0) -> float:
    """Return the learning rate that follows the batch of an arm, or so many times that."""
    follows = _follows(facts["lr"], _size(arm) / facts["batch"], facts["power"])
    return float(f"{times * follows:.3g}")


def _sheet(found: Mapping[str, Arm]) -> Sheet:
    rows = []
    for arm in found.values():
        seconds, per_epoch = arm.mean("seconds"), arm.mean("seconds_epoch")
        lr = arm.spec.optimizer.lr
        rows.append(
            (f"{_size(arm):,}", "" if lr is None else f"{lr:g}", arm.when("steps"), arm.when(),
             "–" if per_epoch is None else number(per_epoch),
             "–" if seconds is None else number(seconds), share(arm.mean("test_accuracy")))
        )  # fmt: skip
    head = ("batch", "lr", "steps", "epochs", "seconds an epoch", "seconds", "test accuracy")
    return Sheet("Until the target; means with 95 % intervals", head, tuple(rows))


BATCH_SIZE = Question(
    "batch-size",
    "What does the batch size do?",
    {
        "model": "mlp",
        "hidden": (200, 100),
        "optimizer": "adam",
        "lr": 2e-3,
        "batch_size": 128,
        "epochs": 100,
        "until": "train_accuracy>=0.95",
        "evaluate": ("train",),
        "evaluate_last": "all",
    },
    4096,
    _plan,
    _read,
)
