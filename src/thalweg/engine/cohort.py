"""A cohort: K networks of one architecture, what moves them, and the one training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from thalweg import optim
from thalweg.data import Split
from thalweg.engine.again import Again
from thalweg.engine.course import Course
from thalweg.engine.feed import Batch, chunk_size, has_own, parts
from thalweg.engine.metrics import Average, Metric
from thalweg.engine.ranks import Ranks
from thalweg.engine.regularisation import Regularisation, Regularisations
from thalweg.engine.slices import Slice, neighbours, separate
from thalweg.errors import ModelError
from thalweg.nn import Loss
from thalweg.nn.stacked import Stack

WHOLE = nullcontext()
"""A batch that is here as a whole."""

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}  # None: as the parameters are


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step.

    Args:
        metrics: Means over the samples before the update, ``loss`` first: (K,) each.
        samples: How many.
        lr: Learning rates of the update, K of them.
        lost: Rows of the members whose loss was not a finite number.
    """

    metrics: Mapping[str, Tensor]
    samples: int
    lr: tuple[float, ...]
    lost: tuple[int, ...] = ()


class Cohort:
    """K networks that train in lock-step as one program; a single run is a cohort of one.

    Args:
        modules: The networks. They are read, never changed.
        rules: What moves the parameters: one rule for each member, or one for all, in which
            hyperparameters may be (K, 1).
        loss: What is minimised.
        courses: What changes a rule's hyperparameters in time, for each member; None if nothing.
        regularisation: Penalties and clipping: for each member, or one for all.
        metrics: What is measured beside the loss, by name.
        generators: One a member, for dropout masks, on the device.
        everything: Gives the whole training set in batches, for rules and statistics that need it.
        device: Where to train.
        precision: ``"float32"`` or ``"bfloat16"``, of linear layers and convolutions.
        exact: Keep every member at the bits of its run alone.
        skip_nonfinite: Let a member whose gradient is not finite stay where it is, at that update.
        ranks: The processes that train together, each on its rows of every batch; None alone.

    Attributes:
        stack: The networks' parameters, gradients and layers.
        chunk: Samples that are evaluated at a time.
        layout: Where each parameter lies in a row of the stack, and its shape.
        slices: The rules, their tensors, and the members that each of them moves.
        updates: Updates made.
        gradients: Gradient evaluations made, in batches.

    Raises:
        ModelError: The networks are not alike, or have nothing to train.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rules: optim.Rule | Sequence[optim.Rule],
        loss: Loss,
        *,
        courses: Sequence[Course | None] = (),
        regularisation: Regularisation | Sequence[Regularisation] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        generators: Sequence[Generator] = (),
        everything: Callable[[], Iterable[Batch]] = tuple,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        skip_nonfinite: bool = False,
        exact: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        K = len(modules)
        self.stack = Stack(
            modules,
            device=device,
            precision=PRECISIONS[precision],
            generators=generators,
            exact=exact,
        )
        self.chunk = chunk_size(modules[0], self.stack.device)
        self.loss, self.metrics, self.everything = loss, dict(metrics or {}), everything
        self.skip_nonfinite, self.ranks = skip_nonfinite, ranks
        if ranks is not None:
            check_shared(self.stack)
        self.layout = [(place.start, place.shape) for place in self.stack.places.values()]
        self._weights = self.stack.mask(n for n, p in self.stack.places.items() if len(p.shape) > 1)
        own = regularisation if isinstance(regularisation, Sequence) else [regularisation] * K
        self._own = [each or Regularisation() for each in own]
        self.updates = self.gradients = 0
        self.slices: list[Slice] = []
        each = separate(rules, K) if isinstance(rules, optim.Rule) else rules
        self._slice(each, courses or [None] * K, 0)
        self._again: Again | None = None
        self._members_changed()

    def _slice(
        self, rules: Sequence[optim.Rule], courses: Sequence[Course | None], begun: int
    ) -> None:
        """Add slices for members that began after so many updates, as their rules begin."""
        self._check_rules(rules)
        place = 0
        for count in neighbours(rules):
            mine, start = slice(place, place + count), self._sliced
            made = Slice(rules[mine], courses[mine], start=start, begun=begun)
            made.state = optim.initial_state(made.rule, self.stack.theta[made.rows], self.layout)
            self.slices.append(made)
            place += count

    def _check_rules(self, rules: Sequence[optim.Rule]) -> None:
        """Check that rules can have slices beside those that there are."""
        present = [each.rule for each in self.slices]
        alone = any(rule.revises for rule in (*rules, *present))
        if alone and len(present) + len(neighbours(rules)) > 1:
            raise ModelError(
                "rules that need further gradients, with others in one cohort", "rules of one kind"
            )

    @property
    def _sliced(self) -> int:
        """How many members are in slices."""
        return self.slices[-1].rows.stop if self.slices else 0

    def _still(self, g: Tensor) -> list[int]:
        """Return the rows of a gradient, (n, P), that are not finite."""
        finite = g.sum(1, dtype=torch.float64).isfinite().tolist()
        return [row for row, good in enumerate(finite) if not good]

    def _members_changed(self) -> None:
        """Bring what is kept of each member in line with the members that there are."""
        slices = self.slices[:1]
        for each in self.slices[1:]:
            if slices[-1].joins(each):
                slices[-1] = slices[-1].join(each)
            else:
                slices.append(each)
        self.slices = slices
        for each in slices:
            each.bind(self.stack.theta, self.layout)
        self.regularisations = Regularisations(self._own, self._weights)
        self._buffers = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}

    @property
    def members(self) -> int:
        """K."""
        return self.stack.members

    def enter(
        self,
        modules: Sequence[nn.Module],
        rules: Sequence[optim.Rule],
        *,
        courses: Sequence[Course | None] = (),
        regularisation: Sequence[Regularisation] = (),
        generators: Sequence[Generator] = (),
    ) -> None:
        """Let further networks enter, after those that are there, whose bits do not change.

        Args:
            modules: The networks, alike to those that are there.
            rules: What moves each.
            courses: What changes the rules' hyperparameters.
            regularisation: Penalties and clipping of each.
            generators: One for each, for dropout masks.

        Raises:
            ModelError: A network is not alike.
        """
        self._check_rules(rules)
        self.stack.join(modules, generators)
        self._slice(rules, courses or [None] * len(rules), self.updates)
        self._own += regularisation or [Regularisation()] * len(rules)
        self._members_changed()

    def begin(self, begun: Sequence[int]) -> None:
        """Say after how many updates each member entered; what the rules keep begins anew."""
        rules = [rule for each in self.slices for rule in each.rules]
        courses = [course for each in self.slices for course in each.courses]
        self.slices, start = [], 0
        for stop in [k for k in range(1, len(begun)) if begun[k] != begun[k - 1]] + [len(begun)]:
            self._slice(rules[start:stop], courses[start:stop], begun[start])
            start = stop

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some members, in their order; the others leave no trace in them.

        Args:
            rows: Those to keep, rising; at least one.
        """
        slices: list[Slice] = []
        for each in self.slices:
            first, stop = each.rows.start, each.rows.stop
            mine = [row - first for row in rows if first <= row < stop]
            if mine:
                slices.append(each.keep(mine, slices[-1].rows.stop if slices else 0))
        self.stack.keep(rows)
        self.slices, self._own = slices, [self._own[row] for row in rows]
        if self._again is not None:
            self._again.keep(rows)
        self._members_changed()

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Evaluate the gradient on a batch; it is then in ``stack.grad``.

        Args:
            x: Inputs, (1, batch, …) for all members or (K, batch, …).
            y: Labels (batch,), or targets (batch, T), for all members; or the members' own,
                (K, batch) or (K, batch, T).

        Returns:
            Loss and metrics, means over the batch in training mode: (K,) each.
        """
        shard = None if self.ranks is None else self.ranks.shard(x.shape[1])
        if shard is not None:
            x, y = x[:, shard.rows], y[:, shard.rows] if has_own(y) else y[shard.rows]
        with WHOLE if shard is None else self.stack.sharded(shard):
            outputs = self.stack.forward(x, train=True)
            losses, g = self.loss.value_and_grad(outputs, y)
            measured = {name: metric(outputs, y) for name, metric in self.metrics.items()}
            measured = {"loss": losses, **measured}
            if self.ranks is not None and shard is not None:
                share = x.shape[1] / shard.of  # what means here count for in the mean over all
                measured = self.ranks.mean(measured, share)
                g.mul_(share)
            self.stack.backward(g)
        if shard is not None:
            shard.add(self.stack.grad)
        self.gradients += 1
        return measured

    def mean_gradient(self, batches: Iterable[Batch]) -> tuple[dict[str, Tensor], int]:
        """Evaluate the gradient over several batches, weighed by their sizes, with the penalties.

        Each batch is used before the next one is asked for, so that they may share memory.

        Returns:
            Loss and metrics, and the number of samples; the gradient is in ``stack.grad``.
        """
        grad, samples = self.stack.grad, 0
        metrics: dict[str, Tensor] = {}
        for x, y in batches:
            before = grad.clone() if samples else None
            new, n = self.gradient(x, y), x.shape[1]
            share = n / (samples + n)
            if before is not None:  # the mean over all samples so far
                grad.lerp_(before, 1 - share)
                new = {name: metrics[name].lerp(value, share) for name, value in new.items()}
            metrics, samples = new, samples + n
        self.regularisations.penalise(self.stack.theta, grad)
        return metrics, samples

    def look(self, batches: Iterable[Batch]) -> Outcome:
        """Evaluate the gradient over one or more batches, weighed by their sizes; move nothing.

        Running statistics are those after these batches, but for members whose loss is not finite,
        where they are as they were.
        """
        for name, buffer in self.stack.buffers.items():
            self._buffers[name].copy_(buffer)
        self._again = Again(self, batches) if any(s.rule.revises for s in self.slices) else None
        metrics, samples = self.mean_gradient(
            batches if self._again is None else self._again.batches
        )
        losses = metrics["loss"].tolist()
        lost = tuple(k for k, loss in enumerate(losses) if not math.isfinite(loss))
        for name, buffer in self.stack.buffers.items() if lost else ():
            buffer[list(lost)] = self._buffers[name][list(lost)]
        return Outcome(metrics, samples, (), lost)

    def move(self) -> tuple[float, ...]:
        """Make the update that follows from the last look, and return the learning rates, K."""
        theta, g, rates = self.stack.theta, self.stack.grad, list[float]()
        for each in self.slices:
            rows, t = each.rows, self.updates - each.begun
            hyper, own, mine = each.hyper(t), theta[each.rows], g[each.rows]
            if self._again is not None:  # then there is one slice
                mine = optim.revise(each.rule, own, mine, each.state, t, hyper, self._again)
            lr = hyper["lr"]
            rates += (
                lr.flatten().tolist() if isinstance(lr, Tensor) else [float(lr)] * len(each.rules)
            )
            self.regularisations.clip(mine, rows)
            still = self._still(mine) if self.skip_nonfinite else []
            kept = [(x, x[still].clone()) for x in (own, *each.tensors)] if still else []
            if still:
                mine[still] = 0.0  # a rule may refuse what is no number
            optim.apply(each.rule, own, mine, each.state, t, hyper, layout=self.layout)
            for tensor, before in kept:
                tensor[still] = before
        self._again = None
        self.updates += 1
        return tuple(rates)

    def step(self, batches: Iterable[Batch]) -> Outcome:
        """Make one update, unless a loss is not finite: then nothing is moved."""
        outcome = self.look(batches)
        return outcome if outcome.lost else replace(outcome, lr=self.move())

    def slow_weights(self) -> Tensor | None:
        """Return the rules' averaged parameters, (K, P), if one of them keeps such; else None."""
        theta = self.stack.theta
        own = [each.rule.evaluation_weights(theta[each.rows], each.state) for each in self.slices]
        if all(weights is None for weights in own):
            return None
        return torch.cat([
            theta[each.rows] if weights is None else weights
            for each, weights in zip(self.slices, own, strict=True)
        ])  # fmt: skip

    def _stale(self) -> list[int]:
        """Return the rows whose running statistics are not those of the averaged weights."""
        slices = [each for each in self.slices if each.rule.stale_statistics]
        return [row for each in slices for row in range(each.rows.start, each.rows.stop)]

    def remains(self, rows: Sequence[int], *, slow: bool = True) -> list[dict[str, Tensor]]:
        """Return what is to be kept of members: parameters and buffers as evaluated, copies."""
        with self.evaluation(slow=slow):
            tensors = {**self.parameters(self.stack.theta), **self.stack.buffers}
            return [{name: tensor[row].clone() for name, tensor in tensors.items()} for row in rows]

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, (K, …), that a flat tensor (K, P) holds."""
        return {name: self.stack.view(theta, name) for name in self.stack.places}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do something that leaves no trace in the buffers and the generators of dropout masks."""
        generators = self.stack.context.generators
        masks = [generator.get_state() for generator in generators]
        buffers = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}
        try:
            yield
        finally:
            for generator, state in zip(generators, masks, strict=True):
                generator.set_state(state)
            for name, buffer in self.stack.buffers.items():
                buffer.copy_(buffers[name])

    @contextmanager
    @torch.no_grad()
    def evaluation(self, *, slow: bool = True) -> Iterator[None]:
        """Be, for a while, the networks that are to be evaluated.

        These have the rule's averaged weights where it keeps such. If BatchNorm's running
        statistics do not belong to them, they are estimated anew: averages over the batches of the
        whole training set, weighed by their sizes.

        Args:
            slow: Use the averaged weights.
        """
        theta = self.slow_weights() if slow else None
        with self.stack.weights(theta):
            stale = self._stale() if theta is not None and self.stack.buffers else []
            if not stale:
                yield
                return
            with self.aside():
                with self.aside():
                    seen = 0
                    for x, _ in self.everything():
                        seen += x.shape[1]
                        self.stack.context.share = x.shape[1] / seen
                        self.stack.forward(x, train=True)
                    self.stack.context.share = None
                    fresh = {name: buffer.clone() for name, buffer in self.stack.buffers.items()}
                for name, buffer in self.stack.buffers.items():
                    buffer[stale] = fresh[name][stale]
                yield

    @torch.no_grad()
    def outputs(self, x: Tensor, *, slow: bool = True, chunk: int | None = None) -> Tensor:
        """Return the outputs (K, N, …) for inputs (N, …), in evaluation mode.

        Args:
            x: Inputs on the cohort's device.
            slow: Use the rule's averaged weights where it has such.
            chunk: Samples at a time; what suits the networks if None.
        """
        with self.evaluation(slow=slow):
            few = x.split(chunk or self.chunk)
            return torch.cat([self.stack.forward(part.unsqueeze(0)).clone() for part in few], 1)

    def evaluate(
        self, split: Split | Sequence[Split], *, slow: bool = True, chunk: int | None = None
    ) -> dict[str, tuple[float, ...]]:
        """Return loss and metrics over a split, in evaluation mode, one number a member.

        Args:
            split: Samples on the cohort's device: for all members, or of each, equally many.
            slow: Use the rule's averaged weights where it has such.
            chunk: Samples at a time; what suits the networks if None.
        """
        with self.evaluation(slow=slow):
            return self.measure(split, chunk=chunk)

    @torch.no_grad()
    def measure(
        self, split: Split | Sequence[Split], *, chunk: int | None = None, together: bool = False
    ) -> dict[str, tuple[float, ...]]:
        """Return loss and metrics in evaluation mode, of the networks as they are.

        Args:
            split: Samples on the cohort's device: for all members, or of each, equally many.
            chunk: Samples at a time; what suits the networks if None.
            together: Let each of the processes that train together take a share of the chunks.
        """
        average, ranks = Average(), self.ranks if together else None
        for number, (x, y) in enumerate(parts(split, chunk or self.chunk)):
            if ranks is not None and number % ranks.world != ranks.rank:
                continue
            outputs = self.stack.forward(x)
            average.add("loss", self.loss(outputs, y), x.shape[1])
            for name, metric in self.metrics.items():
                average.add(name, metric(outputs, y), x.shape[1])
        if ranks is not None:
            average = ranks.gather(average, ["loss", *self.metrics], self.stack.theta)
        return average.result()


def check_shared(stack: Stack) -> None:
    """Check that processes can share the batches of a stack.

    Raises:
        ModelError: A layer would normalise each process's rows by themselves.
    """
    network = stack.export(0)
    for each in stack.fallbacks:
        within = network.get_submodule(each.path).modules()
        if any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) for layer in within):
            raise ModelError(
                f"{each.kind} at {each.path or 'the top'} in several processes",
                "BatchNorm1d and BatchNorm2d, which are normalised over all of them",
                "put them where thalweg sees them: in an nn.Sequential",
            )
