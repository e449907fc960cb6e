"""Tiny networks in float64 whose Hessians are small enough to be written out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.nn import Residual

NETS: dict[str, Callable[[], nn.Module]] = {
    "tanh": lambda: nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.Tanh(), nn.Linear(4, 3)),
    "relu": lambda: nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.ReLU(), nn.Linear(5, 3)),
    "batch-norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(18, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3)
    ),
    "dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(18, 3), nn.Dropout(0.5), nn.Sigmoid(), nn.Linear(3, 3)
    ),
    "residual": lambda: nn.Sequential(
        nn.Flatten(), Residual(nn.Linear(18, 3), nn.Linear(18, 3, bias=False)), nn.SiLU()
    ),
    "convolution": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 2, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 2, groups=2, stride=(1, 2), bias=False),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "convolution-1d": lambda: nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 3, 3, padding="same"),
        nn.Tanh(),
        nn.Conv1d(3, 2, 2, stride=2, dilation=2),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "convolution-3d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 2, 2), nn.Softplus(), nn.Flatten(), nn.Linear(8, 3)
    ),
}


def draw(name: str, seed: int = 0) -> nn.Module:
    """Return a network in training mode, whose running statistics are not as they began."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = NETS[name]().double()
        network(2 * torch.randn(20, 2, 3, 3, dtype=torch.float64) + 0.3)
    return network


def samples(n: int = 11, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return images (n, 2, 3, 3) and labels of three classes."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, 3, 3, generator=g, dtype=torch.float64)
    return x, torch.randint(3, (n,), generator=g)


def dense(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    names: Sequence[str] | None = None,
) -> Tensor:
    """Return the Hessian as torch writes it out, in the mode that the network is in."""
    network = copy.deepcopy(network)
    own = dict(network.named_parameters())
    names = list(own) if names is None else names

    def flat(theta: Tensor) -> Tensor:
        parts = theta.split([own[name].numel() for name in names])
        state = {n: part.reshape(own[n].shape) for n, part in zip(names, parts, strict=True)}
        return loss(functional_call(network, state, (x,)), y).reshape(())

    start = torch.cat([own[name].detach().reshape(-1) for name in names])
    found = torch.autograd.functional.hessian(flat, start)
    assert isinstance(found, Tensor)
    return found


class Bowl(nn.Module):
    """The quadratic ½ (w − c)ᵀ A (w − c) of parameters w, whatever comes in."""

    def __init__(self, A: Tensor, w: Tensor, c: Tensor | None = None) -> None:
        super().__init__()
        self.w = nn.Parameter(w.clone())
        self.A, self.c = A, torch.zeros_like(w) if c is None else c

    def forward(self, x: Tensor) -> Tensor:
        d = self.w - self.c
        return (d @ self.A @ d / 2).expand(len(x))


def mean(outputs: Tensor, y: Tensor) -> Tensor:
    """The loss of networks that say their loss themselves."""
    return outputs.mean()


ONE = [(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1))]
"""A batch for them."""
