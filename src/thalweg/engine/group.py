"""A group: specs that share one program, from their names to networks in training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg.data import Data, Split, load_data
from thalweg.data.streams import stream
from thalweg.engine.build import build_course, build_rule, check_watched
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Event
from thalweg.engine.feed import Feed, Orders
from thalweg.engine.length import Length
from thalweg.engine.loop import descend
from thalweg.engine.member import Member
from thalweg.engine.metrics import Metric, build_metrics, check_metrics
from thalweg.engine.progress import Progress, Snapshot, check_facts, restore, take
from thalweg.engine.regularisation import Regularisation
from thalweg.engine.stop import Judge
from thalweg.errors import ModelError, SpecError
from thalweg.spec import DataSpec, Spec

THREADS = 1024
"""With very many more, the process would break down rather than complain."""


class Group:
    """K specs that train as one program.

    They may differ in all that leaves the program as it is: seeds and initial weights, the update
    rule with its numbers and schedule, penalties, clipping, dropout rates, corruptions and subsets
    of the data, lengths and stop conditions.

    Args:
        specs: What to run; with neighbours that are moved by rules of one kind, it is quickest.
        numbers: What the members are called by; 0, 1, … if None.
        model: A network of your own instead of the specs'; it is copied, never changed.
        data: Data of your own instead of the specs' sources: anything that `load_data` takes.
        loss: A callable (outputs, labels) → mean loss, instead of the specs'.
        metrics: Callables (outputs (K, batch, C), labels) → (K,) by name, instead of the specs'.

    Attributes:
        data: The samples of each member, on the device; those that are the same are shared.
        cohort: The networks in training.
        progress: Where they stand; its members.

    Raises:
        ThalwegError: A spec, the model and the data do not fit together, or the specs do not share
            a program; nothing was trained.

    Example:
        >>> from thalweg.engine import short_keys
        >>> one = Spec().override({"data": "digits", "hidden": (16,), "steps": 2}, short_keys())
        >>> group = Group([one, one.override({"lr": 0.1}), one.override({"seed": 1})])
        >>> [type(event).__name__ for event in group.events()]
        ['Step', 'Step', 'Evaluated', 'Finished']
        >>> [member.reason for member in group.progress.everyone]
        ['complete', 'complete', 'complete']
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        numbers: Sequence[int] | None = None,
        model: nn.Module | None = None,
        data: Any = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        self.specs, first = list(specs), specs[0]
        if first.threads is not None:
            if first.threads > THREADS:
                raise SpecError(f"threads={first.threads}", f"at most {THREADS}")
            torch.set_num_threads(first.threads)
        rules = [build_rule(spec) for spec in specs]  # what costs nothing to find wrong
        judges = [Judge(spec) for spec in specs]
        if model is not None:
            for spec in specs:
                _check_own(model, spec)
        self.data = load_all(specs, data)
        known = self.data[0]
        modules = [_network(spec, own, model) for spec, own in zip(specs, self.data, strict=True)]
        by_task = networks.DEFAULT_LOSS[known.task]
        goal = networks.build_loss(
            loss or (by_task if first.loss.name == "auto" else first.loss.name),
            **first.loss.options,
        )
        networks.check_fit(modules[0], goal, known.input_shape, known.out_features, known.task)
        kinds = {p.dtype for p in modules[0].parameters()} - {known.train.x.dtype}
        if kinds:
            got = f"a model with parameters of {kinds.pop()}"
            raise ModelError(got, f"{known.train.x.dtype}, as the data", "use model.float()")
        counts = [len(own.train) for own in self.data]
        lengths = [Length.of(spec, n) for spec, n in zip(specs, counts, strict=True)]
        if len({replace(length, updates=0) for length in lengths}) > 1:
            raise SpecError("specs with batches of different sizes in one group", "equal ones")
        measures = build_metrics(metrics or first.metrics, known.task)
        for judge in judges:
            check_watched(judge, known, measures)
        length, seeds = lengths[0], [order_seed(spec) for spec in specs]
        distinct = list(dict.fromkeys(seeds))
        orders = Orders(
            [stream(seed, "order") for seed in distinct], [distinct.index(seed) for seed in seeds]
        )
        trains = [own.train for own in self.data]
        self.feed = Feed(trains, orders, length.batch_size, drop_last=first.drop_last)
        self.cohort = Cohort(
            modules,
            rules,
            goal,
            courses=[
                build_course(spec, rule, own)
                for spec, rule, own in zip(specs, rules, lengths, strict=True)
            ],
            per_epoch=length.per_epoch,
            regularisation=[
                Regularisation(spec.l1, spec.l2, spec.clip_value, spec.clip_norm) for spec in specs
            ],
            metrics=measures,
            generators=[
                Generator(spec.device).manual_seed(stream(spec.seed, "dropout").initial_seed())
                for spec in specs
            ],
            everything=self.feed.everything,
            device=first.device,
            precision=first.precision,
            skip_nonfinite=first.skip_nonfinite,
        )
        if first.evaluate_weights == "slow" and self.cohort.slow_weights() is None:
            hint = "lookahead has them, as with -s optimizer.lookahead.k=5"
            got = f"evaluate_weights='slow' for {rules[0].name}"
            raise SpecError(got, "a rule that keeps slow weights", hint)
        if metrics is not None:
            some = known.train.take(torch.arange(min(2, len(known.train))))
            check_metrics(measures, self.cohort.stack.forward(some.x.unsqueeze(0)), some.y)
        own_numbers = range(len(specs)) if numbers is None else numbers
        everyone = zip(own_numbers, specs, lengths, judges, strict=True)
        members = [Member(number, spec, own, judge) for number, spec, own, judge in everyone]
        self.progress = Progress(members, orders)
        self.slow = first.evaluate_weights != "current"
        self._splits = {
            name: {
                member.number: own.splits()[name]
                for member, own in zip(self.progress.members, self.data, strict=True)
            }
            for name in known.splits()
        }

    def events(self) -> Iterator[Event]:
        """Train, and yield what happens as it happens."""
        return descend(
            self.cohort,
            self.feed,
            self._splits,
            self.progress,
            accumulate=min(self.specs[0].accumulate, len(self.feed.splits[0])),
            slow=self.slow,
        )

    def snapshot(self) -> Snapshot:
        """Return a copy of all that the next step depends on; at any event, or before the first."""
        return take(self.cohort, self.progress)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of this group, in the next call of ``events``.

        Raises:
            ModelError: The snapshot is of another model, of another rule, or damaged.
        """
        alive = [member.number for member in check_facts(snapshot).members]
        rows = [k for k, member in enumerate(self.progress.members) if member.number in alive]
        if 0 < len(rows) < len(self.progress.members):
            self.keep(rows)
        restore(self.cohort, self.progress, snapshot)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some members in training; the others leave no trace in them."""
        self.cohort.keep(rows)
        self.feed.keep(rows)
        self.progress.keep(rows)

    def prune(self, numbers: Sequence[int]) -> None:
        """Take members out, between two events; each is kept as it is now.

        Args:
            numbers: What they are called by; those that have ended already are left as they are.

        Raises:
            SpecError: Nobody would be left.
        """
        members = self.progress.members
        out = [row for row, m in enumerate(members) if m.number in numbers and m.reason is None]
        stay = [row for row in range(len(members)) if row not in out]
        if not stay:
            raise SpecError("all members to prune", "one at least that stays")
        if not out:
            return
        for row, remains in zip(out, self.cohort.remains(out, slow=self.slow), strict=True):
            members[row].reason, members[row].remains = "pruned", remains
        self.keep(stay)

    def remains(self, member: Member) -> Mapping[str, Tensor]:
        """Return a member's parameters and buffers, as evaluated, by name."""
        if member.remains is not None:
            return member.remains
        (found,) = self.cohort.remains([self.progress.members.index(member)], slow=self.slow)
        return found


def load_all(specs: Sequence[Spec], data: Any = None) -> list[Data]:
    """Return the data of each spec, on its device; what is equal is one tensor.

    Args:
        specs: What asks for them.
        data: Data of your own, instead of the specs' sources.

    Raises:
        DataError: They cannot be loaded.
    """
    loaded: dict[DataSpec, Data] = {}
    for spec in specs:
        if spec.data in loaded:
            continue
        loading = {k: getattr(spec.data, k) for k in DataSpec.model_fields if k != "source"}
        source = spec.data.source if data is None else data
        new = load_data(source, **loading, device=spec.device)
        for old in loaded.values():
            new = _shared(new, old)
        loaded[spec.data] = new
    return [loaded[spec.data] for spec in specs]


def _shared(new: Data, old: Data) -> Data:
    """Return data whose tensors are another's where they are equal."""

    def one(mine: Tensor, theirs: Tensor) -> Tensor:
        same = mine.shape == theirs.shape and torch.equal(mine, theirs)
        return theirs if same else mine

    splits = dict(new.splits())
    for name in splits.keys() & old.splits().keys():
        mine, theirs = splits[name], old.splits()[name]
        x, y = one(mine.x, theirs.x), one(mine.y, theirs.y)
        true_y = y if mine.true_y is mine.y else one(mine.true_y, theirs.true_y)
        same = x is theirs.x and y is theirs.y and true_y is theirs.true_y
        splits[name] = theirs if same else Split(x, y, true_y)
    val, test = splits.get("val"), splits.get("test")
    return replace(new, train=splits["train"], val=val, test=test)


def order_seed(spec: Spec) -> int:
    """Return the seed of the data order."""
    return spec.seed if spec.order_seed is None else spec.order_seed


def _network(spec: Spec, data: Data, own: nn.Module | None) -> nn.Module:
    """Return the network that a spec begins with."""
    draw = Generator().manual_seed(spec.seed)
    if own is None:
        own = networks.build(
            spec.model.name,
            input_shape=data.input_shape,
            out_features=data.out_features,
            generator=draw,
            init=spec.model.init,
            **spec.model.options,
        )
    elif spec.model.init != "default":
        own = networks.initialize(copy.deepcopy(own), spec.model.init, draw)
    if spec.model.weights is not None:
        own = copy.deepcopy(own)
        networks.load_weights(own, Path(spec.model.weights))
    return own


def _check_own(model: object, spec: Spec) -> None:
    """Check that a model of the user's own is one, and that the spec does not shape it."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else repr(model)
        raise ModelError(f"{got} as a model", "the name of a model, or an nn.Module")
    if spec.model.options:
        got = f"{', '.join(spec.model.options)} for a model of your own"
        raise SpecError(got, "options of a named model", "init is the only one for both")
