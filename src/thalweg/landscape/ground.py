"""The ground: the loss of one network on fixed samples, as a function of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from thalweg.data import Split
from thalweg.engine import Metric, Run, build_metrics
from thalweg.engine.feed import Batch, parts
from thalweg.errors import DataError, ModelError, SpecError, nearest
from thalweg.landscape.means import Means, join
from thalweg.landscape.sizes import sizes, widest
from thalweg.nn import Loss, Stack, build_loss
from thalweg.nn.stacked.alike import rates, set_rates

Statistics = Literal["frozen", "estimated", "interpolated"]
"""BatchNorm's statistics at a point: the reference's, its own, or between those of checkpoints."""

Where = Tensor | nn.Module | Mapping[str, Tensor]
"""A point of the parameter space: flat, a network, or a state dict."""


class Ground:
    """The loss and the metrics of a network on fixed samples, wherever its parameters are put.

    Points are flat vectors (P,) in the layout of a `Stack`: parameters one after the other, each
    aligned, with zeros between them, as `Run.states` records them. Many points are evaluated at
    once, as tiles of one cohort. Dropout is off. The network is copied and never changed.

    Args:
        network: The reference: a network, or a run, whose trained network it is.
        samples: What the loss is a mean over. Standard errors take their order as random.
        loss: Its name, or a callable (outputs, labels) → mean loss; a run's own by default.
        metrics: Names, or callables (outputs (K, batch, C), labels) → (K,) by name; a run's own by
            default, else what the labels suggest.
        dtype: Arithmetic, such as ``torch.float64``; the network's own by default.
        chunk: Samples at a time; by default as many as suit the cache.
        tile: Networks at a time; by default as many as suit the cache.

    Attributes:
        network: The reference's copy, in evaluation mode, without dropout.
        theta: The reference, (P,).
        samples: The samples, in the arithmetic asked for, on the network's device.

    Raises:
        DataError: There are no samples.
        ModelError: The network has nothing to train.
        SpecError: The loss or a metric does not exist.

    Example:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(net.weight, 3.0)
        >>> x = torch.tensor([[1.0], [-1.0]])
        >>> ground = Ground(net, Split(x, 0 * x, 0 * x), "mse")  # the parabola w²
        >>> points = torch.stack([ground.theta, 2 * ground.theta])
        >>> ground.evaluate(points)["loss"].tolist()
        [9.0, 36.0]
    """

    def __init__(
        self,
        network: nn.Module | Run,
        samples: Split,
        loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Sequence[str] | Mapping[str, Metric] | None = None,
        *,
        dtype: torch.dtype | None = None,
        chunk: int | None = None,
        tile: int | None = None,
    ) -> None:
        if not len(samples):
            raise DataError("no samples", "at least one")
        task = "regression" if samples.y.is_floating_point() else "classification"
        if isinstance(network, Run):
            loss = loss or network.cohort.loss
            metrics = network.cohort.metrics if metrics is None else metrics
            network = network.model
        self.loss: Loss = build_loss(loss or ("mse" if task == "regression" else "cross-entropy"))
        self.metrics = build_metrics(metrics, task)
        self.network = copy.deepcopy(network).to(dtype=dtype).eval()
        set_rates(self.network, dict.fromkeys(rates(self.network), 0.0))
        self._reference = copies(self.network, 1)
        self.places, self.device = self._reference.places, self._reference.device
        self.theta = self._reference.theta[0].clone()
        self.samples = _convert(samples, self._reference.dtype, self.device)
        width = widest(self.network, self.samples.x[:2], self._reference.merged)
        fitting = sizes(len(samples), width, len(self.theta))
        about, self.tile = chunk or fitting[0], tile or fitting[1]
        self.chunk = -(-len(samples) // -(-len(samples) // about))  # the last one is as large
        self._stack: Stack | None = None
        self._at_reference: dict[str, Means] = {}

    @classmethod
    def of(
        cls, run: Run, split: str = "train", subset: int | None = 3200, *, seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> Ground:  # fmt: skip
        """Return the ground under a run: the loss that it minimised, on a fixed subset.

        Args:
            run: Its trained network is the reference.
            split: ``"train"``, ``"val"`` or ``"test"``.
            subset: How many samples, drawn without replacement; None takes all. All are put in
                random order.
            seed: Of that draw.
            dtype: Arithmetic; the run's own by default.

        Raises:
            DataError: There is no such split.
            SpecError: The subset is empty.

        Example:
            >>> from thalweg.engine import short_keys
            >>> from thalweg.spec import Spec
            >>> run = Run(Spec().override({"data": "digits", "hidden": (16,)}, short_keys()))
            >>> ground = Ground.of(run, subset=500)
            >>> len(ground.samples), sorted(ground.metrics)
            (500, ['accuracy'])
        """
        return cls(run, draw(run.data.splits(), split, subset, seed=seed), dtype=dtype)

    # ── points ───────────────────────────────────────────────────────────────────────────────

    def vector(self, where: Where) -> Tensor:
        """Return a point as a flat vector, (P,).

        Args:
            where: A state dict, a network, or what is flat already: (P,), or (1, P) as in
                `Run.states`.

        Raises:
            ModelError: It is of another network.

        Example:
            >>> x = torch.zeros(1, 2)
            >>> ground = Ground(nn.Linear(2, 1), Split(x, x[:, :1], x[:, :1]))
            >>> flat = ground.vector({"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.ones(1)})
            >>> {name: each.tolist() for name, each in ground.named(flat).items()}
            {'weight': [[1.0, 2.0]], 'bias': [1.0]}
        """
        if isinstance(where, Tensor):
            if where.numel() != len(self.theta):
                raise ModelError(
                    f"a point of shape {tuple(where.shape)}",
                    f"({len(self.theta)},), in the layout of a stack",
                )
            return where.detach().to(self.theta).reshape(-1)
        state = where.state_dict() if isinstance(where, nn.Module) else where
        flat = torch.zeros_like(self.theta)
        for name, place in self.places.items():
            if name not in state or state[name].shape != place.shape:
                got = f"of shape {tuple(state[name].shape)}" if name in state else "missing"
                raise ModelError(
                    f"a state whose {name} is {got}", f"{name} of shape {tuple(place.shape)}"
                )
            flat[place.start : place.stop] = state[name].detach().to(flat).flatten()
        return flat

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name that a vector (P,) holds, as views of it."""
        return {
            name: flat[place.start : place.stop].view(place.shape)
            for name, place in self.places.items()
        }

    def network_at(self, theta: Tensor) -> nn.Module:
        """Return the network with its parameters at a point (P,), in evaluation mode."""
        with self._reference.weights(theta.to(self.theta).unsqueeze(0)):
            return self._reference.export()

    def at(self, theta: Tensor) -> Ground:
        """Return the same ground with another point (P,) for its reference; buffers stay.

        Example:
            >>> x = torch.tensor([[1.0], [-1.0]])
            >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, 0 * x, 0 * x), "mse")
            >>> there = ground.at(torch.full_like(ground.theta, 3.0))
            >>> there.reference().values()["loss"].item()
            9.0
        """
        other = copy.copy(self)
        other.network = self.network_at(self.vector(theta))
        other._reference = copies(other.network, 1)
        other.theta = other._reference.theta[0].clone()
        other._stack, other._at_reference = None, {}
        return other

    # ── heights ──────────────────────────────────────────────────────────────────────────────

    def batches(self) -> Iterator[Batch]:
        """Iterate over the samples: inputs (1, chunk, …) and what belongs to them (chunk, …)."""
        return parts(self.samples, self.chunk)

    def evaluate(
        self,
        thetas: Tensor,
        *,
        statistics: Statistics = "frozen",
        buffers: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return loss and metrics at points, (K,) each, in float64.

        Args:
            thetas: Points, (K, P).
            statistics: BatchNorm's: ``"frozen"`` are the reference's; ``"estimated"`` are measured
                anew at each point, averages over batches of the samples; ``"interpolated"`` are
                those given.
            buffers: Buffers by name, (K, …) each, in place of the reference's.

        Raises:
            ModelError: The points are of another network.
        """
        return self.means(thetas, statistics=statistics, buffers=buffers).values()

    @torch.no_grad()
    def means(
        self,
        thetas: Tensor,
        *,
        statistics: Statistics = "frozen",
        buffers: Mapping[str, Tensor] | None = None,
    ) -> Means:
        """Return what `evaluate` is made of: means over each chunk of the samples.

        Args:
            thetas: Points, (K, P).
            statistics: See `evaluate`.
            buffers: See `evaluate`.

        Raises:
            ModelError: The points are of another network.
        """
        if thetas.dim() != 2 or thetas.shape[1] != len(self.theta) or not len(thetas):
            raise ModelError(
                f"points of shape {tuple(thetas.shape)}", f"(K, {len(self.theta)}), K at least 1"
            )
        thetas, found = thetas.to(self.theta), []
        for start in range(0, len(thetas), self.tile):
            tile = thetas[start : start + self.tile]
            stack = self._tile(min(self.tile, len(thetas)))
            stack.theta[: len(tile)] = tile
            stack.theta[len(tile) :] = tile[-1]  # a short last tile
            self.fill_buffers(stack, buffers, slice(start, start + len(tile)))
            if statistics == "estimated":
                estimate(stack, self.batches())
            found.append(self.measure(stack, self.batches(), len(tile)))
        return join(found)

    def reference(self, statistics: Statistics = "frozen") -> Means:
        """Return what the reference itself measures, (1, m) each; it is measured once.

        Args:
            statistics: ``"frozen"``, or ``"estimated"``.
        """
        if statistics not in self._at_reference:
            alone = self.theta.unsqueeze(0)
            self._at_reference[statistics] = self.means(alone, statistics=statistics)
        return self._at_reference[statistics]

    def measure(self, stack: Stack, batches: Iterable[Batch], count: int) -> Means:
        """Return loss and metrics of the first ``count`` networks of a stack, as they are.

        Args:
            stack: The networks.
            batches: Their inputs and what belongs to them.
            count: How many are of interest.
        """
        found: dict[str, list[Tensor]] = {name: [] for name in ("loss", *self.metrics)}
        numbers = []
        for x, y in batches:
            outputs = stack.forward(x)[:count]
            found["loss"].append(self.loss(outputs, y).double())
            for name, metric in self.metrics.items():
                found[name].append(metric(outputs, y).double())
            numbers.append(x.shape[1])
        shares = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        by_name = {name: torch.stack(means, dim=1) for name, means in found.items()}
        return Means(by_name, shares / shares.sum())

    def fill_buffers(
        self, stack: Stack, buffers: Mapping[str, Tensor] | None, points: slice
    ) -> None:
        """Give the networks of a stack the reference's buffers, or their own where there are such.

        Args:
            stack: The networks, one for each point; those beyond have the reference's.
            buffers: Buffers by name, (K, …) each.
            points: Which of the K.
        """
        for name, buffer in stack.buffers.items():
            buffer.copy_(self._reference.buffers[name].expand_as(buffer))
            if buffers is not None and name in buffers:
                own = buffers[name][points]
                buffer[: len(own)] = own

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return the loss at a point (P,) and its gradient there, (P,), with frozen statistics.

        Example:
            >>> x = torch.tensor([[1.0], [-1.0]])
            >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, 0 * x, 0 * x), "mse")
            >>> loss, g = ground.gradient(torch.full_like(ground.theta, 3.0))  # w² at 3
            >>> loss, g[0].item()
            (9.0, 6.0)
        """
        leaf = theta.detach().to(self.theta).clone().requires_grad_()
        total, g = 0.0, torch.zeros_like(self.theta)
        for x, y in self.batches():
            share = x.shape[1] / len(self.samples)
            loss = self.loss(functional_call(self.network, self.named(leaf), (x[0],)), y) * share
            g += torch.autograd.grad(loss, leaf)[0]
            total += loss.item()
        return total, g

    def _tile(self, members: int) -> Stack:
        """Return a stack of so many copies of the reference; the last one if it is as large."""
        if self._stack is None or self._stack.members != members:
            self._stack = copies(self.network, members)
        return self._stack


def draw(
    splits: Mapping[str, Split], split: str, subset: int | None = None, *, seed: int = 0
) -> Split:
    """Return samples of a split in random order, all of them or a fixed subset.

    Args:
        splits: By name.
        split: Which of them.
        subset: How many samples, without replacement; None takes all.
        seed: Of the draw.

    Raises:
        DataError: There is no such split.
        SpecError: The subset is empty.

    Example:
        >>> x = torch.arange(4.0).unsqueeze(1)
        >>> len(draw({"train": Split(x, x, x)}, "train", 3))
        3
    """
    if split not in splits:
        raise DataError(f"the split {split!r}", "one that there is", nearest(split, splits))
    if subset is not None and subset < 1:
        raise SpecError(f"subset={subset}", "at least one sample, or None for all")
    samples = splits[split]
    drawn = torch.randperm(len(samples), generator=Generator().manual_seed(seed))
    return samples.take(drawn[:subset])


def copies(network: nn.Module, members: int) -> Stack:
    """Return a stack of copies that draw from no generator but their own."""
    own = [Generator(next(network.parameters()).device).manual_seed(0) for _ in range(members)]
    return Stack([network] * members, generators=own, trains=False)


def estimate(stack: Stack, batches: Iterable[Batch]) -> None:
    """Measure BatchNorm's running statistics anew: averages over batches, by their sizes."""
    seen = 0
    for x, _ in batches:
        seen += x.shape[1]
        stack.context.share = x.shape[1] / seen
        stack.forward(x, train=True)
    stack.context.share = None


def _convert(samples: Split, dtype: torch.dtype, device: torch.device) -> Split:
    """Return samples whose floating-point numbers have a type, on a device."""

    def to(t: Tensor) -> Tensor:
        return t.to(device, dtype) if t.is_floating_point() else t.to(device)

    y = to(samples.y)
    return Split(to(samples.x), y, y if samples.true_y is samples.y else to(samples.true_y))
