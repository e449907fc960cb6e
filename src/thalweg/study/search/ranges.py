"""Which numbers of an optimizer are worth a search, and how far: from what its rule declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thalweg import optim
from thalweg.engine import short_keys
from thalweg.errors import SpecError, nearest
from thalweg.optim.options import Interval, Option
from thalweg.spec import Spec
from thalweg.study.races.contestants import ALL, Contestant, Name, contestant, everyone
from thalweg.study.search.space import Axis, Choice, Domain, Range, Space, path_of, to_domain

RATE = 100.0
"""A learning rate is searched from its default over this to its default times this."""

OTHER = 10.0
"""Other numbers are searched from their defaults over this to their defaults times this."""

LEFT_ALONE = ("lr", "eps")
"""Options that are no main numbers of a rule; the learning rate has a range of its own."""

OPTIMIZER, SCHEDULE = "optimizer", "schedule"


def build_space(
    base: Spec,
    optimizers: str | Sequence[Name] | None = None,
    over: Mapping[str, Any] | None = None,
    schedules: str | Sequence[str] | None = None,
    updates: int | None = None,
) -> tuple[Space, Spec]:
    """Return what a search may choose, and the spec that it starts from.

    Of several optimizers each has the numbers that are its own: its learning rate, and what
    `own_ranges` finds. A key of ``over`` takes the place of such a range: ``lr`` for all,
    ``optimizer.adam.lr`` for one of them.

    Args:
        base: Where the settings start from.
        optimizers: Contestants as of a race, one or several; those of ``over`` if None; the one of
            ``base``, if nothing at all is to be chosen.
        over: Ranges and choices by key; see `to_domain`. A mapping may have ``when``: labels by
            other keys.
        schedules: Names of schedules, of which one is chosen, step by step; ``all`` stands for
            every registered one that does not react to what is measured. Optimizers that have a
            schedule of their own, such as momentum-decay, keep it.
        updates: The length of a run, which the times of schedules without a default are to suit: a
            step's are a third of it.

    Raises:
        SpecError: A key, a value or a name does not exist, or does not fit.

    Example:
        >>> space, _ = build_space(Spec(), "sgd,adam", {"batch_size": [32, 64]})
        >>> [(axis.name, str(axis.domain)) for axis in space.axes][:3]
        [('optimizer', 'sgd, adam'), ('sgd.lr', '1e-05 to 0.1, logarithmic'), \
('adam.lr', '1e-05 to 0.1, logarithmic')]
        >>> [axis.name for axis in build_space(Spec(), over={"lr": "0.01..1"})[0].axes]
        ['lr']
    """
    rest = dict(over or {})
    if optimizers is None and OPTIMIZER in rest:
        optimizers = rest.pop(OPTIMIZER)
    if optimizers is None and not rest and not schedules:
        optimizers = [base.optimizer.name]
    axes: list[Axis] = []
    who: list[Contestant] = []
    if optimizers is not None:
        who = [contestant(name, base) for name in everyone(optimizers)]
        names = [each.name for each in who]
        if twice := [name for name in names if names.count(name) > 1]:
            raise SpecError(f"two optimizers called {twice[0]!r}", "each once")
        base = base.model_copy(update={"optimizer": Spec().optimizer})
        own, rest = _own_keys(names, rest)
        taken = {path_of(key) for key in rest}
        if len(who) > 1:
            changes = {each.name: _plain(each.changes) for each in who}
            axes.append(Axis(OPTIMIZER, OPTIMIZER, Choice(tuple(names)), changes=changes))
        else:
            base = who[0].spec(base)
        for each in who:
            ranges = own_ranges(each, base) | own[each.name]
            when = {OPTIMIZER: [each.name]} if len(who) > 1 else {}
            start = f"{each.name}." if when else ""
            axes += [
                Axis(f"{start}{key.rpartition('.')[2]}", key, domain, when)
                for key, domain in ranges.items()
                if key not in taken
            ]
    if schedules:
        wanted = _schedules(schedules)
        free = [each.name for each in who if SCHEDULE not in each.changes]
        if who and not free:
            raise SpecError(
                f"schedules for {', '.join(each.name for each in who)}",
                "an optimizer that has no schedule of its own",
                "leave out either",
            )
        when = {OPTIMIZER: free} if len(free) < len(who) else {}
        step: dict[str, dict[str, Any]] = {
            name: {SCHEDULE: {"name": name, "per": "step", **_suiting(name, updates)}}
            for name in wanted
        }
        axes.append(Axis(SCHEDULE, SCHEDULE, Choice(tuple(wanted)), when, changes=step))
    for key, given in rest.items():
        when = dict(given.get("when", {})) if isinstance(given, Mapping) else {}
        lists = {name: v if isinstance(v, list) else [v] for name, v in when.items()}
        axes.append(Axis(key, key, to_domain(key, given), lists))
    space = Space(axes)
    space.check(base)
    return space, base


def _schedules(names: str | Sequence[str]) -> list[str]:
    """Return the names of schedules; each once, where ``all`` is among them."""
    known = optim.schedules()
    given = names.split(",") if isinstance(names, str) else list(names)
    found = []
    for name in given:
        if name == ALL:
            found += [each for each, own in known.items() if not own.reacts and each not in given]
        elif name in known:
            found.append(name)
        else:
            raise SpecError(f"the schedule {name!r}", "one, or all", nearest(name, known))
    return found


def _suiting(name: str, updates: int | None) -> dict[str, Any]:
    """Return what a schedule is given that needs a number; none, if it is unknown how long."""
    found = optim.schedules()[name].suiting(updates) if updates else {}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def own_ranges(who: Contestant, base: Spec) -> dict[str, Domain]:
    """Return the ranges of an optimizer's main numbers, by their keys.

    The learning rate goes two decades to either side of its default. A share that is below 1, such
    as a momentum m, goes as far as 1 − m is ten times as large and a tenth; other numbers that are
    not 0 by default go a decade to either side. Numbers that are 0 by default stay so.

    Example:
        >>> ranges = own_ranges(contestant("momentum-decay", Spec()), Spec())
        >>> for key, own in ranges.items():
        ...     print(key, own)
        optimizer.lr 0.0001 to 1, logarithmic
        optimizer.momentum 0 to 0.99
        schedule.decay 0.001 to 0.1, logarithmic
    """
    spec = who.spec(base)
    found: dict[str, Domain] = {}
    if who.lr > 0:
        found["optimizer.lr"] = Range(_short(who.lr / RATE), _short(who.lr * RATE), log=True)
    if spec.optimizer.name in optim.rules():
        options = optim.hyperparameters(spec.optimizer.name)
        found |= _ranges("optimizer", options, spec.optimizer.options)
    if "schedule" in who.changes:
        options = optim.schedule_options(spec.schedule.name)
        found |= _ranges("schedule", options, spec.schedule.options)
    return found


def _ranges(section: str, options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Domain]:
    found: dict[str, Domain] = {}
    for each in options:
        value = given.get(each.name, each.default)
        if each.type is not float or each.name in LEFT_ALONE or not isinstance(value, float):
            continue
        if value <= 0 or not isinstance(each.range, Interval):
            continue
        if each.range.high > 1:
            low, high = _short(value / OTHER), _short(value * OTHER)
            fits = low in each.range and high in each.range
        else:
            low = round(max(0.0, 1 - OTHER * (1 - value)), 9)
            high = round(1 - (1 - value) / OTHER, 9)
            fits = low in each.range and high in each.range and low < high
        if fits:
            found[f"{section}.{each.name}"] = Range(low, high, log=each.range.high > 1)
    return found


def _own_keys(
    names: Sequence[str], over: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Domain]], dict[str, Any]]:
    """Return what keys such as ``optimizer.adam.lr`` say of each optimizer, and the other keys."""
    own: dict[str, dict[str, Domain]] = {name: {} for name in names}
    rest = dict[str, Any]()
    for key, given in over.items():
        name = next((n for n in names if key.startswith(f"optimizer.{n}.")), None)
        if name is None:
            rest[key] = given
            continue
        inner = key.removeprefix(f"optimizer.{name}.")
        home = short_keys().get(inner, OPTIMIZER)
        where = SCHEDULE if home == SCHEDULE else OPTIMIZER
        own[name][f"{where}.{inner}"] = to_domain(key, given)
    return own, rest


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
        if isinstance(value, Mapping) else value
        for key, value in changes.items()
    }  # fmt: skip


def _short(value: float) -> float:
    """Return a number without the dust of arithmetic."""
    return float(f"{value:.9g}")
