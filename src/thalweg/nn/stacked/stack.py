"""The stacking of K networks of one architecture into one program."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from thalweg.errors import ModelError
from thalweg.nn.stacked.alike import difference, outline, rates, set_rates
from thalweg.nn.stacked.build import Builder
from thalweg.nn.stacked.fallback import Fallback
from thalweg.nn.stacked.layer import Context, Shard, State

ALIGN = 16
"""Every parameter starts at a multiple of so many numbers: a cache line, in every member alike."""


@dataclass(frozen=True)
class Place:
    """Where a parameter lies in the flat vector."""

    start: int
    shape: torch.Size

    @property
    def stop(self) -> int:
        """One past its last number."""
        return self.start + self.shape.numel()


class Stack:
    """K networks as one program over one flat parameter tensor.

    Args:
        modules: The K networks, alike but for their numbers and dropout rates. They are read, never
            changed.
        device: Where to train; the first network's device by default.
        precision: Arithmetic of linear layers and convolutions; the parameters' type by default, in
            which all the rest is done.
        generators: One a member, for dropout masks; on the device.
        exact: Keep every member at the bits of its run alone. Without, layers that are left to
            autograd may run all members as one, which is quicker and rounds otherwise.
        trains: Whether ``backward`` will be called. Without, some layers are quicker.

    Attributes:
        theta: Trainable parameters, (K, P); a member's parameters lie one after the other, each
            aligned. Padding between them is zero and has a gradient of zero.
        grad: Their gradients, (K, P).
        buffers: The networks' buffers by name, (K, …).
        frozen: The parameters that are not trained, by name, (K, …).
        rates: The dropout rates by layer, K each.

    Raises:
        ModelError: The networks differ in more than their numbers and dropout rates, or have
            nothing to train.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> two = Stack([net, net])
        >>> x = torch.randn(1, 5, 3)  # one batch of 5, shared by both
        >>> torch.allclose(two.forward(x)[1], net(x[0]))
        True
        >>> two.join([nn.Sequential(nn.Linear(3, 2), nn.ReLU())])
        >>> two.forward(x).shape
        torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        *,
        device: torch.device | str | None = None,
        precision: torch.dtype | None = None,
        generators: Sequence[Generator] = (),
        exact: bool = True,
        trains: bool = True,
    ) -> None:
        if not modules:
            raise ModelError("no networks to stack", "at least one")
        first = modules[0]
        named = {name: p for name, p in first.named_parameters() if p.requires_grad}
        if not named:
            raise ModelError(
                "a model with no trainable parameter", "at least one", "set requires_grad=True"
            )
        kinds = {p.dtype for p in named.values()}
        if len(kinds) > 1:
            raise ModelError(
                f"parameters of {kinds}", "parameters of one type", "use model.float()"
            )
        self.dtype = kinds.pop()
        self.device = (
            torch.device(device) if device is not None else next(iter(named.values())).device
        )
        self.places: dict[str, Place] = {}
        end = 0
        for name, parameter in named.items():
            self.places[name] = Place(end, parameter.shape)
            end += -(-parameter.numel() // ALIGN) * ALIGN
        self.members = 0
        self.theta = torch.zeros(0, end, dtype=self.dtype, device=self.device)
        self.grad = torch.zeros_like(self.theta)
        self.buffers = self._none_of(dict(first.named_buffers()))
        self.frozen = self._none_of(
            {name: p for name, p in first.named_parameters() if not p.requires_grad}
        )
        self.rates: dict[str, list[float]] = {path: [] for path in rates(first)}
        self.context = Context(0, precision or self.dtype, [], exact=exact, trains=trains)
        self._template = copy.deepcopy(first)
        self._outline = outline(first)
        self.join(modules, generators)

    def _none_of(self, tensors: Mapping[str, Tensor]) -> State:
        """Return such tensors for no member at all: (0, …)."""
        return {
            name: tensor.detach().new_empty((0, *tensor.shape), device=self.device)
            for name, tensor in tensors.items()
        }

    # ── running ──────────────────────────────────────────────────────────────────────────────

    def forward(self, x: Tensor, *, train: bool = False) -> Tensor:
        """Return the outputs, (K, batch, …), of inputs (K or 1, batch, …).

        With ``train`` the layers are in training mode and keep what ``backward`` needs. The result
        is a buffer that the next call overwrites.
        """
        return self._root.forward(x, train=train)

    def backward(self, g: Tensor) -> None:
        """Write to ``grad`` the gradient that follows from the outputs' gradient ``g``."""
        self._root.backward(g, need_input=False)

    @contextmanager
    def sharded(self, shard: Shard) -> Iterator[None]:
        """Have for a while only some rows of each batch here."""
        self.context.shard = shard
        try:
            yield
        finally:
            self.context.shard = None

    def release(self) -> None:
        """Give back the memory that the layers keep between calls."""
        self._root.release()

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """The layers that have no hand-written form and are left to autograd, and why.

        With ``exact`` their members run one by one. Without, they run as one where that is quicker
        and torch.func.vmap can map them; what it cannot map is known after a training step.

        Example:
            >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU6(), nn.Tanh())
            >>> print(*Stack([net] * 8).fallbacks)
            1 (ReLU6): no hand-written form of ReLU6; members run one by one: exact=True
            >>> print(*Stack([net] * 8, exact=False).fallbacks)
            1 (ReLU6): no hand-written form of ReLU6; members run as one
        """
        return self._builder.fallbacks

    @property
    def merged(self) -> frozenset[str]:
        """The layers whose outputs are never there as a whole, by their paths."""
        return frozenset(self._builder.merged)

    # ── parameters in and out ────────────────────────────────────────────────────────────────

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one parameter's part of a flat tensor: (K, P) → (K, …)."""
        place = self.places[name]
        return flat[:, place.start : place.stop].view(len(flat), *place.shape)

    def load(self, member: int, module: nn.Module) -> None:
        """Copy a network's parameters, buffers and dropout rates into a member.

        Raises:
            ModelError: It is not like the networks of this stack.
        """
        self._check(module)
        new = rates(module)
        changed = any(self.rates[path][member] != p for path, p in new.items())
        self._copy(member, module)
        if changed:
            self._build()

    def export(self, member: int = 0) -> nn.Module:
        """Return a member as an ordinary network of its own, in evaluation mode."""
        module = copy.deepcopy(self._template).to(self.device)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in self.places:
                    parameter.copy_(self.view(self.theta, name)[member])
                else:
                    parameter.copy_(self.frozen[name][member])
            for name, buffer in module.named_buffers():
                buffer.copy_(self.buffers[name][member])
        set_rates(module, {path: ps[member] for path, ps in self.rates.items()})
        return module.eval()

    @contextmanager
    def weights(self, theta: Tensor | None) -> Iterator[None]:
        """Use other parameters, (K, P), for a while; None keeps the present ones."""
        if theta is None:
            yield
            return
        kept = self.theta.clone()
        self.theta.copy_(theta)
        try:
            yield
        finally:
            self.theta.copy_(kept)

    def mask(self, names: Iterable[str]) -> Tensor:
        """Return a flat 0-1 tensor, (1, P), that marks the named parameters."""
        mask = torch.zeros_like(self.theta[:1])
        for name in names:
            mask[:, self.places[name].start : self.places[name].stop] = 1
        return mask

    # ── members coming and going ─────────────────────────────────────────────────────────────

    def keep(self, members: Sequence[int]) -> None:
        """Keep some members, in the order given, and give back the memory of the others.

        What is kept is copied: views of theta, grad and the buffers from before are not of it.

        Raises:
            ModelError: No member is kept, one is kept twice, or there is no such member.
        """
        chosen = list(members)
        if (
            not chosen
            or len(set(chosen)) < len(chosen)
            or not set(chosen) <= {*range(self.members)}
        ):
            raise ModelError(
                f"members {chosen} to keep", f"some of 0 … {self.members - 1}, each once"
            )
        rows = torch.as_tensor(chosen, device=self.device)
        self.theta, self.grad = self.theta[rows].contiguous(), self.grad[rows].contiguous()
        self.buffers = {name: buffer[rows] for name, buffer in self.buffers.items()}
        self.frozen = {name: parameter[rows] for name, parameter in self.frozen.items()}
        self.rates = {path: [ps[k] for k in chosen] for path, ps in self.rates.items()}
        generators = self.context.generators
        self.context.generators = [generators[k] for k in chosen] if generators else []
        self._build()

    def join(self, modules: Sequence[nn.Module], generators: Sequence[Generator] = ()) -> None:
        """Let further networks enter after the present ones, with a gradient of zero.

        What is there is copied: views of theta, grad and the buffers from before are not of it.

        Args:
            modules: Networks like those of this stack. They are read, never changed.
            generators: One for each, if the present members have theirs.

        Raises:
            ModelError: A network is not like those of this stack, or the generators are not as many
                as the networks; the stack is then as before.
        """
        present = self.context.generators
        wanted = {len(modules)} if present else {0, len(modules)} if not self.members else {0}
        if len(generators) not in wanted:
            raise ModelError(
                f"{len(generators)} generators for {len(modules)} networks",
                "one a member, or none at all",
            )
        for module in {id(module): module for module in modules}.values():
            self._check(module)
        first, new = self.members, len(modules)
        self.theta, self.grad = (
            torch.cat([t, t.new_zeros(new, t.shape[1])]) for t in (self.theta, self.grad)
        )
        self.buffers, self.frozen = (
            {name: torch.cat([t, t.new_empty(new, *t.shape[1:])]) for name, t in tensors.items()}
            for tensors in (self.buffers, self.frozen)
        )
        for ps in self.rates.values():
            ps += [0.0] * new
        for member, module in enumerate(modules, first):
            self._copy(member, module)
        self.context.generators = [*present, *generators]
        self._build()

    def _check(self, module: nn.Module) -> None:
        if differs := difference(self._outline, outline(module)):
            raise ModelError(
                f"a network of another architecture: {differs}",
                "networks that differ in numbers and dropout rates only",
            )

    def _copy(self, member: int, module: nn.Module) -> None:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in self.places:
                    self.view(self.theta, name)[member].copy_(parameter)
                else:
                    self.frozen[name][member].copy_(parameter)
            for name, buffer in module.named_buffers():
                self.buffers[name][member].copy_(buffer)
        for path, p in rates(module).items():
            self.rates[path][member] = p

    def _build(self) -> None:
        """Make the layers anew over the present tensors."""
        self.members = self.context.members = len(self.theta)
        self._builder = Builder(self)
        self._root = self._builder.build(self._template, "")


def stack(
    module: nn.Module,
    members: int,
    *,
    states: Sequence[Mapping[str, Tensor]] | None = None,
    device: torch.device | str | None = None,
    precision: torch.dtype | None = None,
    generators: Sequence[Generator] = (),
    exact: bool = True,
) -> Stack:
    """Stack K copies of a network: one program that runs and differentiates them all.

    Args:
        module: The network; it is not changed.
        members: K, how many.
        states: The members' own state dicts; all start as ``module`` if None.
        device: Where to train; the network's device by default.
        precision: Arithmetic of linear layers and convolutions; the parameters' type by default.
        generators: One a member, for dropout masks; on the device.
        exact: Keep every member at the bits of its run alone.

    Raises:
        ModelError: There is nothing to train, or the states do not fit.

    Example:
        Ten networks make a step of gradient descent on one batch:

        >>> nets = [nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)) for _ in range(10)]
        >>> ten = stack(nets[0], 10, states=[net.state_dict() for net in nets])
        >>> y = ten.forward(torch.randn(1, 5, 3), train=True)  # of one batch of 5
        >>> y.shape
        torch.Size([10, 5, 2])
        >>> ten.backward(2 * y)  # the gradient of Σ y²
        >>> ten.theta -= 0.1 * ten.grad

        A member comes out as the ordinary network that it is, bit for bit:

        >>> torch.equal(ten.export(7)[0].weight, ten.view(ten.theta, "0.weight")[7])
        True
    """
    if members < 1 or (states is not None and len(states) != members):
        raise ModelError(
            f"{members} members" + ("" if states is None else f" and {len(states)} states"),
            "at least one member, and as many states" if states is not None else "at least one",
        )
    stacked = Stack(
        [module] * members,
        device=device,
        precision=precision,
        generators=generators,
        exact=exact,
    )
    twin = copy.deepcopy(module) if states else module
    for member, state in enumerate(states or ()):
        try:
            twin.load_state_dict(state)
        except RuntimeError as error:
            words = " ".join(str(error).split())
            raise ModelError(
                f"a state for member {member} that does not fit: {words}",
                "the state dict of a network like the one given",
            ) from None
        stacked.load(member, twin)
    return stacked
