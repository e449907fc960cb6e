"""Networks of every kind that a ground may lie under, and samples for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from thalweg.data import Split
from thalweg.nn import Residual


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 5))


def deep_bn() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(36, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(12, 8),
        nn.BatchNorm1d(8),
        nn.Tanh(),
        nn.Linear(8, 5),
    )


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 5),
    )


def residual() -> nn.Module:
    block = nn.Sequential(nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 10))
    body = nn.Sequential(nn.Flatten(), nn.Linear(36, 10))
    return nn.Sequential(body, Residual(block), nn.GELU(), nn.Linear(10, 5))


class Owned(nn.Module):
    """A network of the user's own, which has no hand-written form."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(36, 8)
        self.second = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.sin(self.first(x.flatten(1))))


NETS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "deep-bn": deep_bn,
    "convolutions": convolutions,
    "residual": residual,
    "owned": Owned,
}


def draw(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
    """Return a network in training mode whose running statistics are not those it began with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = NETS[name]().to(dtype)
        for _ in range(3):
            net(2 * torch.randn(20, 1, 6, 6, dtype=dtype) + 0.3)
    return net


def samples(n: int = 50, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(5, (n,), generator=generator)
    return Split(torch.randn(n, 1, 6, 6, generator=generator), y, y)
