"""A group: specs that share one program, from their names to networks in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from thalweg import nn as networks
from thalweg import optim
from thalweg.data import Data
from thalweg.data.streams import stream
from thalweg.engine.beginning import check_own, first_networks
from thalweg.engine.build import build_course, build_rule, check_watched
from thalweg.engine.cohort import Cohort
from thalweg.engine.events import Event, Step
from thalweg.engine.feed import Feed, Orders
from thalweg.engine.length import Length
from thalweg.engine.loading import load_all
from thalweg.engine.loop import descend
from thalweg.engine.member import Member
from thalweg.engine.metrics import Metric, build_metrics, check_metrics
from thalweg.engine.partition import check_program
from thalweg.engine.progress import Progress, Snapshot, check_facts, restore, take
from thalweg.engine.ranks import Ranks
from thalweg.engine.regularisation import Regularisation
from thalweg.engine.states import States
from thalweg.engine.stop import Judge
from thalweg.errors import ModelError, SpecError
from thalweg.spec import DataSpec, Spec

THREADS = 1024
"""With very many more, the process would break down rather than complain."""


@dataclass(frozen=True)
class _Parts:
    """What goes into a cohort, member by member.

    Args:
        orders: The distinct sources of data orders: their seeds, and when they begin.
        of: Which of these each member follows.
    """

    members: list[Member]
    data: list[Data]
    modules: list[nn.Module]
    rules: list[optim.Rule]
    regularisation: list[Regularisation]
    generators: list[Generator]
    orders: list[tuple[int, int]]
    of: list[int]


class Group:
    """K specs that train as one program.

    They may differ in all that leaves the program as it is: seeds and initial weights, the update
    rule with its numbers and schedule, penalties, clipping, dropout rates, corruptions and subsets
    of the data, lengths and stop conditions.

    Args:
        specs: What to run; with neighbours that are moved by rules of one kind, it is quickest.
        numbers: What the members are called by; 0, 1, … if None.
        begun: Updates and gradient evaluations that the group had made when each entered, for one
            that is to be restored; 0 if None.
        model: A network of your own instead of the specs'; it is copied, never changed.
        data: Data of your own instead of the specs' sources: anything that `load_data` takes.
        loss: A callable (outputs, labels) → mean loss, instead of the specs'.
        metrics: Callables (outputs (K, batch, C), labels) → (K,) by name, instead of the specs'.
        loaded: What other groups on this device have loaded; what is new is added to it.
        ranks: The processes that train together; None alone.

    Attributes:
        cohort: The networks in training.
        progress: Where they stand; its members.
        states: Recorded parameters of every member that there ever was, by its number.

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
        begun: Sequence[tuple[int, int]] | None = None,
        model: nn.Module | None = None,
        data: Any = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        loaded: dict[DataSpec, Data] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        first = specs[0]
        if first.threads is not None:
            if first.threads > THREADS:
                raise SpecError(f"threads={first.threads}", f"at most {THREADS}")
            torch.set_num_threads(first.threads)
        self._model, self._data, self._first = model, data, first
        self._samples: dict[int, Data] = {}
        self._loaded: dict[DataSpec, Data] = {} if loaded is None else loaded
        self._numbers = range(len(specs)) if numbers is None else numbers
        new = self._prepare(specs, self._numbers, begun or [(0, 0)] * len(specs))
        known, own = new.data[0], new.members[0]
        by_task = networks.DEFAULT_LOSS[known.task]
        goal = networks.build_loss(
            loss or (by_task if first.loss.name == "auto" else first.loss.name),
            **first.loss.options,
        )
        networks.check_fit(new.modules[0], goal, known.input_shape, known.out_features, known.task)
        kinds = {p.dtype for p in new.modules[0].parameters()} - {known.train.x.dtype}
        if kinds:
            got = f"a model with parameters of {kinds.pop()}"
            raise ModelError(got, f"{known.train.x.dtype}, as the data", "use model.float()")
        measures = build_metrics(metrics or first.metrics, known.task)
        for member in new.members:
            check_watched(member.judge, known, measures)
        orders = Orders([stream(seed, "order") for seed, _ in new.orders], new.of)
        self.feed = Feed(
            [each.train for each in new.data],
            orders,
            own.length.batch_size,
            drop_last=first.drop_last,
        )
        self.cohort = Cohort(
            new.modules,
            new.rules,
            goal,
            courses=[member.course for member in new.members],
            regularisation=new.regularisation,
            metrics=measures,
            generators=new.generators,
            everything=self.feed.everything,
            device=first.device,
            precision=first.precision,
            skip_nonfinite=first.skip_nonfinite,
            exact=first.exact,
            ranks=ranks,
        )
        if ranks is not None:
            short = len(self.feed.splits[0]) % self.feed.size
            ranks.shard(self.feed.size if first.drop_last or not short else short)
        if any(updates for updates, _ in begun or ()):
            self.cohort.begin([updates for updates, _ in begun or ()])
        self.slow = first.evaluate_weights != "current"
        if first.evaluate_weights == "slow" and self.cohort.slow_weights() is None:
            hint = "lookahead has them, as with -s optimizer.lookahead.k=5"
            got = f"evaluate_weights='slow' for {new.rules[0].name}"
            raise SpecError(got, "a rule that keeps slow weights", hint)
        if metrics is not None:
            some = known.train.take(torch.arange(min(2, len(known.train))))
            check_metrics(measures, self.cohort.stack.forward(some.x.unsqueeze(0)), some.y)
        self.progress = Progress(new.members, orders)
        self.states: dict[int, States] = {}
        self._begin_states(new.members)
        self._samples |= {
            member.number: each for member, each in zip(new.members, new.data, strict=True)
        }

    @property
    def data(self) -> list[Data]:
        """The samples of each member in training."""
        return [self._samples[member.number] for member in self.progress.members]

    def _prepare(
        self, specs: Sequence[Spec], numbers: Sequence[int], begun: Sequence[tuple[int, int]]
    ) -> _Parts:
        """Build what goes into a cohort.

        Raises:
            ThalwegError: A spec does not fit its data, or the others.
        """
        check_program([self._first, *specs])  # what costs nothing to find wrong
        rules = [build_rule(spec) for spec in specs]
        judges = [Judge(spec) for spec in specs]
        if self._model is not None:
            for spec in specs:
                check_own(self._model, spec)
        data = load_all(specs, self._data, self._loaded)
        sizes = [
            {name: tuple(split.x.shape) for name, split in each.splits().items()}
            for each in (*self._samples.values(), *data)
        ]
        for each in sizes:
            if each != sizes[0]:
                raise SpecError(f"data of {sizes[0]} and of {each} in one group", "equal sizes")
        lengths = [Length.of(spec, len(own.train)) for spec, own in zip(specs, data, strict=True)]
        orders = [
            (order_seed(spec), updates)
            for spec, (updates, _) in zip(specs, begun, strict=True)
        ]  # fmt: skip
        distinct = list(dict.fromkeys(orders))
        return _Parts(
            members=[
                Member(number, spec, length, judge, build_course(spec, rule, length), since)
                for number, spec, length, judge, rule, since in zip(
                    numbers, specs, lengths, judges, rules, begun, strict=True
                )
            ],
            data=data,
            modules=first_networks(specs, data, self._model),
            rules=rules,
            regularisation=[
                Regularisation(spec.l1, spec.l2, spec.clip_value, spec.clip_norm) for spec in specs
            ],
            generators=[
                Generator(spec.device).manual_seed(stream(spec.seed, "dropout").initial_seed())
                for spec in specs
            ],
            orders=distinct,
            of=[distinct.index(each) for each in orders],
        )

    def enter(self, specs: Sequence[Spec], numbers: Sequence[int]) -> None:
        """Let further members begin, between two events of which the first ends an epoch.

        Members that have ended make room. No bit of those that go on changes.

        Args:
            specs: What they are; they must share the program of those that are there.
            numbers: What they are called by; nobody's numbers yet.

        Raises:
            SpecError: An epoch is under way, a number is taken, or a spec is of another program.
            ModelError: A network is of another architecture.
        """
        p, cohort = self.progress, self.cohort
        if p.due or p.done:
            raise SpecError("members that enter within an epoch", "between two epochs")
        if taken := sorted(self._samples.keys() & set(numbers)):
            raise SpecError(f"number {taken[0]} for a member that enters", "one of its own")
        new = self._prepare(specs, numbers, [(cohort.updates, cohort.gradients)] * len(specs))
        for member in new.members:
            check_watched(member.judge, new.data[0], cohort.metrics)
            member.since = p.seconds
        cohort.enter(
            new.modules,
            new.rules,
            courses=[member.course for member in new.members],
            regularisation=new.regularisation,
            generators=new.generators,
        )
        self._begin_states(new.members)
        start = len(p.orders.generators)
        p.orders.enter(
            [stream(seed, "order") for seed, _ in new.orders], [start + each for each in new.of]
        )
        self.feed.splits += [each.train for each in new.data]
        self._samples |= {
            member.number: each for member, each in zip(new.members, new.data, strict=True)
        }
        p.members += new.members
        over = [member for member in p.members if member.reason is not None]
        for member in over:
            member.remains = self.remains(member)
        if over:
            self.keep([row for row, member in enumerate(p.members) if member not in over])

    def events(self) -> Iterator[Event]:
        """Train, and yield what happens as it happens; states are recorded."""
        for event in descend(
            self.cohort,
            self.feed,
            self._samples,
            self.progress,
            accumulate=min(self.progress.members[0].spec.accumulate, len(self.feed.splits[0])),
            slow=self.slow,
            everything=self.progress.members[0].spec.evaluate_last == "all",
        ):
            if isinstance(event, Step):
                theta, updates = self.cohort.stack.theta, self.cohort.updates
                for row, member in enumerate(self.progress.members):
                    self.states[member.number].offer(
                        updates - member.begun[0], theta[row : row + 1]
                    )
            yield event

    def _begin_states(self, members: Sequence[Member]) -> None:
        """Record where the last members of the cohort begin."""
        theta = self.cohort.stack.theta
        for row, member in enumerate(members, start=len(theta) - len(members)):
            states = States(member.spec.record_states, member.spec.record_budget * 2**20)
            states.offer(0, theta[row : row + 1])
            self.states[member.number] = states

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
            member = members[row]
            member.reason, member.remains = "pruned", remains
            member.made = self.made(member)
        self.keep(stay)

    def made(self, member: Member) -> tuple[int, int]:
        """Return how many updates and gradient evaluations a member has made."""
        updates, gradients = member.begun
        now = (self.cohort.updates - updates, self.cohort.gradients - gradients)
        return now if member.made is None else member.made

    def network(self, remains: Mapping[str, Tensor]) -> nn.Module:
        """Return the network that has such parameters and buffers, in evaluation mode."""
        network = self.cohort.stack.export(0)
        network.load_state_dict(dict(remains), strict=False)
        return network

    def remains(self, member: Member) -> Mapping[str, Tensor]:
        """Return a member's parameters and buffers, as evaluated, by name."""
        if member.remains is not None:
            return member.remains
        (found,) = self.cohort.remains([self.progress.members.index(member)], slow=self.slow)
        return found


def order_seed(spec: Spec) -> int:
    """Return the seed of the data order."""
    return spec.seed if spec.order_seed is None else spec.order_seed
