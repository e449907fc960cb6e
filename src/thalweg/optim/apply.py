"""One update of all parameters, walked in blocks that stay in the cache."""

from __future__ import annotations

from functools import partial
from math import prod

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients, each_member
from thalweg.optim.foreign import ForeignRule
from thalweg.optim.rule import Gradients, Hyper, Layout, Parts, Rule, State

FUSED_TYPES = (torch.float32, torch.float64)
"""Types for which torch's fused kernels are used."""

FUSE = 32_768
"""Elements of a member from which on torch's fused kernels are worth waking the threads for."""

BLOCK = 131_072
"""Elements of theta in a block: half a megabyte in float32, so a few slots fit a core's cache."""


def apply(
    rule: Rule,
    theta: Tensor,
    g: Tensor,
    state: State,
    t: int,
    h: Hyper | None = None,
    *,
    layout: Layout = (),
    block: int = BLOCK,
) -> None:
    """Do one update in place.

    Args:
        rule: The update rule.
        theta: Parameters, (K, P); any other shape counts as one member, and moves in one piece.
        g: Gradients, shaped like theta; not changed.
        state: The slots that ``rule.init(theta)`` gave.
        t: Number of updates done before this one.
        h: Hyperparameters in force at this step; the rule's own if not given.
        layout: Where the parameters lie in a row of theta, and their shapes: layer-wise rules need
            it.
        block: Number of elements moved at a time. It changes the speed, never the result.

    Raises:
        SpecError: ``h`` is for another number of members than theta has.

    Example:
        >>> import torch
        >>> from thalweg.optim.registry import build
        >>> rule, theta = build("sgd", lr=0.5), torch.ones(1, 3)
        >>> apply(rule, theta, torch.ones(1, 3), rule.init(theta), t=0)
        >>> theta
        tensor([[0.5000, 0.5000, 0.5000]])
    """
    h = rule.hyper() if h is None else h
    theta, g = theta.detach(), g.detach()
    if theta.dim() == 2 and can_fuse(theta) and fuse(rule, theta, g, state, t, h):
        return
    if isinstance(rule, ForeignRule):
        rule.move(theta, g, state, t, h, layout)
        return
    c = Coefficients(partial(rule.coefficients, t), h, theta)
    if rule.elementwise or theta.dim() != 2:
        walk(rule, theta, g, state, t, c, block)
        return
    for member in range(len(theta)):
        slots = {name: slot[member] for name, slot in state.items()}
        walk_layers(rule, theta[member], g[member], slots, t, c.of_member(member), layout)


def walk_layers(
    rule: Rule, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, layout: Layout
) -> None:
    """Do one update of one member, (P,): of all of it, or of one parameter after the other."""
    if not rule.layerwise:
        rule.update(theta, g, state, t, c)
        return
    for start, shape in layout or [(0, theta.shape)]:
        place = slice(start, start + prod(shape))
        slots = {
            name.removesuffix(f"/{start}"): slot[place].view(*shape) if "/" not in name else slot
            for name, slot in state.items()
            if "/" not in name or name.endswith(f"/{start}")
        }
        rule.update(theta[place].view(*shape), g[place].view(*shape), slots, t, c)


def initial_state(rule: Rule, theta: Tensor, layout: Layout = ()) -> State:
    """Return the slots of a rule before the first update.

    Args:
        rule: The update rule.
        theta: Parameters, (K, P).
        layout: Where the parameters lie in a row of theta, and their shapes. What a layer-wise rule
            keeps of one of them beside its slots is called ``SLOT/START``, (K, …).
    """
    state = rule.init(theta)
    for start, shape in layout or [(0, theta.shape[1:])]:
        for name, size in rule.layer_slots(shape).items():
            state[f"{name}/{start}"] = theta.new_zeros(len(theta), *size)
    return state


def revise(
    rule: Rule, theta: Tensor, g: Tensor, state: State, t: int, h: Hyper, at: Gradients
) -> Tensor:
    """Return the gradient that a rule moves by; see :meth:`Rule.revise`."""
    if not rule.revises:
        return g
    c = Coefficients(partial(rule.coefficients, t), h, theta)
    return rule.revise(theta.detach(), g.detach(), state, t, c, at)


def can_fuse(theta: Tensor) -> bool:
    """Tell whether one kernel for a whole update would be faster than a few small ones."""
    on_cpu = theta.device.type == "cpu"
    return theta.dtype in FUSED_TYPES and theta.shape[-1] >= (FUSE if on_cpu else 1)


def fuse(rule: Rule, theta: Tensor, g: Tensor, state: State, t: int, h: Hyper) -> bool:
    """Do one update of each member by the rule's fused kernel; as :func:`apply` otherwise.

    Returns:
        Whether it was done; if not, nothing was changed.
    """
    if not rule.fuses:
        return False
    for k, own in enumerate(each_member(h, theta)):
        slots = {n: slot[k] if slot.shape == theta.shape else slot for n, slot in state.items()}
        if rule.fused(Parts([theta[k]], [g[k]], [slots], t, own)):
            continue
        one = slice(k, k + 1)
        scalars = partial(rule.coefficients, t)
        slots = {n: slot[one] if slot.shape == theta.shape else slot for n, slot in state.items()}
        walk(rule, theta[one], g[one], slots, t, Coefficients(scalars, own, theta[one]))
    return True


def walk(
    rule: Rule, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, block: int = BLOCK
) -> None:
    """Do one update with coefficients at hand; as :func:`apply` otherwise."""
    # An accelerator has no use for blocks: there, one large kernel is the fast one.
    in_blocks = rule.elementwise and theta.device.type == "cpu" and theta.dim() == 2
    if not in_blocks or theta.numel() <= block:
        rule.update(theta, g, state, t, c)
        return
    K, P = theta.shape  # blocks are contiguous: several whole members, or a part of one
    height, width = max(1, block // P), min(block, P)
    names = [name for name, slot in state.items() if slot.shape == theta.shape]
    for top in range(0, K, height):
        members = slice(top, top + height)
        own = c.of(members)
        rows = [theta, g, *(state[name] for name in names)]
        for tile in zip(*(row[members].split(width, dim=1) for row in rows), strict=True):
            slots = {**state, **dict(zip(names, tile[2:], strict=True))}
            rule.update(tile[0], tile[1], slots, t, own)


def member_norm(x: Tensor) -> Tensor:
    """Return the 2-norm of each member, (K, 1), of (K, P): the same bits for any K.

    Example:
        >>> member_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[5.],
                [0.]])
    """
    return torch.stack([torch.linalg.vector_norm(row) for row in x]).unsqueeze(1)
