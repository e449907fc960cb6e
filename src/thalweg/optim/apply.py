"""One update of all parameters, walked in blocks that stay in the cache."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.rule import Hyper, Rule, State

BLOCK = 131_072
"""Elements of theta in a block: half a megabyte in float32, so a few slots fit a core's cache."""


def apply(
    rule: Rule,
    theta: Tensor,
    g: Tensor,
    state: State,
    t: int,
    h: Hyper | None = None,
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
    c = Coefficients(partial(rule.coefficients, t), rule.hyper() if h is None else h, theta)
    walk(rule, theta.detach(), g.detach(), state, t, c, block)


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
    for top in range(0, K, height):
        members = slice(top, top + height)
        own = c.of(members)
        for left in range(0, P, width):
            tile = members, slice(left, left + width)
            slots = {
                name: slot[tile] if slot.shape == theta.shape else slot
                for name, slot in state.items()
            }
            rule.update(theta[tile], g[tile], slots, t, own)
