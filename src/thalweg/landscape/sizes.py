"""How many networks, and how many samples, are evaluated at a time: as many as the cache holds."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

CACHE = 4 * 2**20
"""Bytes that the widest layer's outputs of a tile may take."""

CHUNKS = 16
"""Parts of the samples from which a standard error can be told, at least."""


VIEWS = (nn.Flatten, nn.Identity, nn.Unflatten)
"""Layers that compute nothing."""


def widest(network: nn.Module, x: Tensor, merged: Collection[str] = ()) -> int:
    """Return how many numbers the widest layer's output has for one sample.

    Args:
        network: It is run in evaluation mode.
        x: A few inputs, (batch, …).
        merged: Paths of layers whose outputs are never there as a whole.

    Example:
        >>> widest(nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 3)), torch.ones(4, 2))
        50
    """
    found = [1]

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and not isinstance(module, VIEWS):
            found.append(output.numel() // len(x))

    hooks = [
        module.register_forward_hook(note)
        for path, module in network.named_modules()
        if path not in merged
    ]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return max(found)


def sizes(samples: int, width: int, parameters: int) -> tuple[int, int]:
    """Return how many samples and how many networks to evaluate at a time.

    Args:
        samples: How many there are.
        width: Numbers a sample of the widest layer's output.
        parameters: Numbers a network.

    Example:
        >>> sizes(3200, width=32, parameters=1_344)  # a small perceptron
        (200, 64)
        >>> sizes(3200, width=3456, parameters=44_426)  # two convolutions
        (32, 8)
    """
    few = 200 if width <= 1024 or parameters > 2**18 else 32
    chunk = max(1, min(few, -(-samples // CHUNKS)))
    tile = max(1, min(64, CACHE // (4 * width * chunk)))
    return chunk, 2 ** (tile.bit_length() - 1)
