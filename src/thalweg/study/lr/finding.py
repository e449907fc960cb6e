"""Find a learning rate: a range test, then forks, and an interval for an answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from math import ceil, log10
from typing import Any

from torch import Tensor, nn

from thalweg import optim
from thalweg.data import Data
from thalweg.engine.build import build_course, build_rule
from thalweg.engine.length import Length
from thalweg.engine.loading import load_all
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study.lr.forks import Forks
from thalweg.study.lr.found import FoundLr, best_of, rates_of
from thalweg.study.lr.range_test import Ranged, run_range
from thalweg.study.lr.specs import Own, Stage, bare
from thalweg.study.sweeps.grid import Point, half_decade
from thalweg.study.sweeps.size import largest_group
from thalweg.study.training import settle

VALIDATION = 0.1
"""The share of the training samples that decide, where the data have no validation split."""

STEPS = 200
"""Updates of a fork, unless the run itself is shorter."""

PER_DECADE = 15
"""Updates of the range test a decade of learning rates."""

BELOW, ABOVE = 1e-4, 1e5
"""The range test goes from and to so many times the rule's default rate."""

WARM, WARM_RATE = 20, 0.03
"""Updates of the warm start, and its rate over that of the divergence edge."""

LOW = 0.5
"""A schedule whose first factor is below this warms up."""

RATES, LEAST = 7, 3
"""Rates that begin, from the divergence edge downwards, and that go on to the end at least."""

ROUNDS = 3
"""How often neighbours are tried, too, while the best has not been told from them."""


def find_lr(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    warm: int | None = None,
    low: float | None = None,
    high: float | None = None,
    memory: float | None = None,
    **settings: Any,
) -> FoundLr:
    """Find a learning rate to train with, and say how sure that is.

    First a range test, as one cohort over several seeds: the rate rises at each update, and where
    the median of the losses gives back half of what it had won is the divergence edge. Then forks:
    from one state of each seed seven rates of the half-decade grid, from the edge downwards, go
    their own ways, as one cohort. After a quarter and after half of the steps the worse half of the
    rates leaves; what decides is the held-out loss. Rates beside those that cannot be told from the
    best are tried, too. The test split is never looked at.

    That state is the initial weights, where a run begins to hold its rate. If the settings have a
    schedule that begins low, it is where a short warm start leads. Otherwise schedules are left
    aside: a rate is held.

    Args:
        model: As for `train`.
        data: As for `train`. Without a validation split, a tenth of the training samples is one.
        spec: Where the settings start from; the defaults if None.
        loss: As for `train`.
        seeds: How many seeds, or which; two at least. Each has its own initial weights, unless the
            model is your own, and its own order of the samples, the same for all rates.
        steps: Updates of a fork. The longer, the closer to the best rate of a whole run; by default
            200, or the length of the run if that is less.
        warm: Updates of the warm start; 20 if None and the schedule begins at less than half of its
            base value, else 0.
        low: The lowest rate to try; 10⁻⁴ times the rule's default if None.
        high: The highest rate to try; 10⁵ times the rule's default if None.
        memory: Bytes that the members may take at a time; half of what is free if None.
        **settings: Any setting of the run, as for `train`, but ``lr`` and ``steps``. A learning
            rate of the spec is left aside.

    Returns:
        The answer: ``verdict``, ``best``, ``interval``, ``largest``, and all that it rests on.

    Raises:
        ThalwegError: A setting does not exist, or does not fit; the data cannot be loaded.

    Example:
        >>> found = find_lr("mlp", "digits", optimizer="sgd", hidden=(16,), seeds=3, steps=60)
        >>> found.best, found.interval[0] <= found.best <= found.largest, found.learned
        (0.3, True, True)
    """
    search = search_lr(
        model, data, spec=spec, loss=loss, seeds=seeds, steps=steps, warm=warm, low=low,
        high=high, memory=memory, **settings,
    )  # fmt: skip
    while True:
        try:
            next(search)
        except StopIteration as end:
            found: FoundLr = end.value
            return found


def search_lr(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    warm: int | None = None,
    low: float | None = None,
    high: float | None = None,
    memory: float | None = None,
    **settings: Any,
) -> Generator[Stage, None, FoundLr]:
    """Do what `find_lr` does, and yield how far it is."""
    if given := settings.keys() & {"lr", "optimizer.lr"}:
        raise SpecError(f"{min(given)}={settings[min(given)]!r}", "no lr, which is to be found")
    base, own = settle(spec, settings, model=model, data=data, loss=loss)
    base = base.override({"optimizer.lr": None})
    wanted = list(range(base.seed, base.seed + seeds)) if isinstance(seeds, int) else [*seeds]
    if len(wanted) < 2 or len(set(wanted)) < len(wanted) or min(wanted) < 0:
        raise SpecError(f"seeds={seeds!r}", "two at least, and each once")
    rule, default, about = _rate_of(base)
    low = BELOW * default if low is None else low
    high = ABOVE * default if high is None else high
    if not 0 < low < high:
        raise SpecError(f"low={low:g} and high={high:g}", "two positive numbers, low < high")
    samples = _loaded(base, own)
    length = Length.of(base, len(samples.train))
    known = base.epochs is not None or base.steps is not None
    fork_steps = max(4, min(STEPS, length.updates if known else STEPS)) if steps is None else steps
    warm = WARM * (build_course(base, rule, length).factor(0) < LOW) if warm is None else warm
    base, own = bare(base).override({"data": None}), {**own, "data": samples}
    for name, value, least in (("steps", fork_steps, 4), ("warm", warm, 0)):
        if value < least:
            raise SpecError(f"{name}={value}", f"{least} at least")
    largest = largest_group([Point(base, {}, {})], own, memory)
    risen = max(2, round(PER_DECADE * log10(high / low)))
    ranged: Ranged | None = None
    for told in run_range(base, own, wanted, low, high, risen, largest):
        if isinstance(told, Ranged):
            ranged = told
        else:
            yield told
    assert ranged is not None
    edge = ranged.test.edge or high
    forks = Forks(
        base, own, wanted, warm=warm, warm_lr=WARM_RATE * edge, steps=fork_steps, largest=largest
    )
    yield from forks.warm_start()
    ends = (_floor(low * (1 - 1e-6)) + 1, _floor(high))
    if ends[0] > ends[1]:
        raise SpecError(f"low={low:g} and high={high:g}", "one of 0.01, 0.03, 0.1, … within")
    top = min(max(_floor(edge), ends[0]), ends[1])
    yield from forks.race(range(max(ends[0], top - RATES + 1), top + 1), _rungs(fork_steps))
    for _ in range(ROUNDS):
        beside = _beside(forks, ends)
        if not beside:
            break
        yield from forks.race(beside, [(fork_steps, len(beside))])
    limit: dict[str, list[float]] | None = None
    if _is_plain(base, rule):
        yield Stage("curvature", 0.0)
        limit = _gd_limit(rule, forks)
    spent = {"range test": ranged.steps, "forks": forks.spent, "peers": ranged.peer_steps}
    return FoundLr(
        rule=rule.name, about=about, range=ranged.test, forks=list(forks.forks.values()),
        seeds=wanted, fork_steps=fork_steps, warm=forks.warm, warm_lr=forks.warm_lr,
        ends=(low, high), peers=ranged.peers, gd_limit=limit, spent=spent,
    )  # fmt: skip


def _rate_of(base: Spec) -> tuple[optim.Rule, float, str]:
    """Return the rule, its default learning rate, and what it says of that.

    Raises:
        SpecError: The rule has no learning rate.
    """
    rule = build_rule(base)
    default = rule.hyper().get("lr")
    if not isinstance(default, float):
        raise SpecError(f"optimizer {rule.name}, which has no learning rate", "one that has")
    options = optim.hyperparameters(base.optimizer.name) if "." not in base.optimizer.name else []
    about = next((each.help for each in options if each.name == "lr"), "learning rate")
    return rule, default or 1.0, about


def _loaded(base: Spec, own: Own) -> Data:
    """Return the samples, with a validation split."""
    (samples,) = load_all([base], own.get("data"))
    if samples.val is None:
        samples = samples.split(val=VALIDATION, seed=base.data.split_seed)
    return samples


def _floor(lr: float) -> int:
    """Return the place of the highest rate of the half-decade grid that is not above another.

    Example:
        >>> [half_decade(_floor(lr)) for lr in (0.003, 0.0099, 0.01)]
        [0.003, 0.003, 0.01]
    """
    place = round(2 * log10(lr)) + 1
    while half_decade(place) > lr * (1 + 1e-9):
        place -= 1
    return place


def _rungs(steps: int) -> list[tuple[int, int]]:
    half = max(LEAST, ceil(RATES / 2))
    return [(steps // 4, half), (steps // 2, LEAST), (steps, LEAST)]


def _beside(forks: Forks, ends: tuple[int, int]) -> list[int]:
    """Return the neighbours, not tried to the end, of the rates that may be the best."""
    tried = {place for place, _ in forks.forks}
    rates = dict(
        zip(
            sorted(tried),
            rates_of(list(forks.forks.values()), forks.seeds, forks.steps),
            strict=True,
        )
    )
    near = [place for place, rate in rates.items() if rate.whole and not rate.is_behind]
    if not near:  # all diverged
        return [p for p in range(min(tried) - 3, min(tried)) if p >= ends[0]]
    around = [min(near) - 1, max(near) + 1]
    return [
        place
        for place in around
        if ends[0] <= place <= ends[1] and (place not in rates or rates[place].pruned)
    ]


def _is_plain(base: Spec, rule: optim.Rule) -> bool:
    """Tell whether this is gradient descent on the whole training set, with momentum at most."""
    h = rule.hyper()
    altered = base.l1 or base.l2 or base.clip_norm or base.clip_value or h.get("weight_decay")
    plain = rule.name == "momentum" or (
        rule.name == "sgd" and not h["dampening"] and not getattr(rule, "nesterov", False)
    )
    return base.batch_size == "full" and plain and not altered


def _gd_limit(rule: optim.Rule, forks: Forks) -> dict[str, list[float]]:
    """Return 2(1 + μ)/λmax by seed, where the forks begin and where those of the best rate end."""
    from torch import Generator

    from thalweg.landscape import Hessian, eigenpairs

    best = best_of(rates_of(list(forks.forks.values()), forks.seeds, forks.steps))
    places = {"begin": None} | ({} if best is None else {"end": _floor(best)})
    found: dict[str, list[float]] = {}
    for when, place in places.items():
        for seed in forks.seeds:
            group = forks.look(seed, place)
            train = group.data[0].train
            batches = list(zip(train.x.split(1000), train.y.split(1000), strict=True))
            H = Hessian(group.cohort.stack.export(0), group.cohort.loss, batches)
            top = eigenpairs(H, generator=Generator().manual_seed(seed), tolerance=1e-2)
            limit = 2 * (1 + float(rule.hyper()["momentum"])) / float(top.values[0])
            found.setdefault(when, []).append(limit)
    return found
