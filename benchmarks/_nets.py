"""The four networks with their optimizers, as plain torch writes them and as thalweg's spec."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Lookahead(torch.optim.Optimizer):
    """Lookahead (Zhang et al. 2019) around any optimizer, parameter by parameter as is usual."""

    def __init__(self, inner: torch.optim.Optimizer, k: int, alpha: float) -> None:
        super().__init__(inner.param_groups, inner.defaults)
        self.param_groups = inner.param_groups  # a scheduler moves the inner learning rate
        self.inner, self.k, self.alpha, self.steps = inner, k, alpha, 0
        self.slow = {p: p.detach().clone() for p in self._parameters()}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step with the inner optimizer; pull the slow weights along every k steps."""
        loss = self.inner.step(closure)
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                for p, slow in self.slow.items():
                    slow.lerp_(p, self.alpha)
                    p.copy_(slow)
        return loss

    @contextmanager
    def slow_weights(self) -> Iterator[None]:
        """Put the slow weights in the network's place for a while."""
        fast = {p: p.detach().clone() for p in self.slow}
        self._load(self.slow)
        yield
        self._load(fast)

    def _parameters(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    @torch.no_grad()
    def _load(self, values: dict[Tensor, Tensor]) -> None:
        for p, value in values.items():
            p.copy_(value)


@dataclass(frozen=True)
class Net:
    """A network and how it is trained.

    Args:
        model: Builds it.
        loss: Its loss, of outputs and labels.
        optimizer: Builds its optimizer from parameters.
        batch_size: Samples a batch.
        spec: The same for thalweg.
        flat: Whether it takes (n, 784) rather than images.
        accuracy: Whether its author's loop measures the accuracy of every batch, beside the loss.
    """

    model: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer]
    batch_size: int
    spec: dict[str, Any]
    flat: bool = True
    accuracy: bool = False


def _lab_mlp() -> nn.Module:
    sizes = (784, 16, 32, 24)
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(24, 10), nn.LogSoftmax(dim=1))


def _deep_bn() -> nn.Module:
    return nn.Sequential(*_normed((784, 256, 512, 256, 128, 64, 32), nn.ReLU), nn.Linear(32, 10))


def _mish_bn() -> nn.Module:
    hidden = _normed((784, 1500, 500), nn.Mish)
    model = nn.Sequential(*hidden, nn.Linear(500, 10), nn.LogSoftmax(dim=1))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            nn.init.normal_(layer.bias)
    return model


def _normed(sizes: Sequence[int], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation(), nn.BatchNorm1d(b)]
    return layers


def _garment() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _madgrad(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    from madgrad import MADGRAD

    return Lookahead(MADGRAD(parameters, lr=1.7e-4), k=4, alpha=0.8)


NETS = {
    "lab-mlp": Net(
        _lab_mlp,
        F.nll_loss,
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        512,
        {"loss": {"name": "nll"}, "optimizer": {"name": "sgd", "lr": 0.1}},
        accuracy=True,
    ),
    "deep-bn": Net(
        _deep_bn,
        F.cross_entropy,
        lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
        512,
        {"loss": {"name": "cross-entropy"}, "optimizer": {"name": "adam", "lr": 1e-3}},
        accuracy=True,
    ),
    "mish-bn": Net(
        _mish_bn,
        F.nll_loss,
        _madgrad,
        512,
        {
            "loss": {"name": "nll"},
            "optimizer": {"name": "madgrad", "lr": 1.7e-4, "lookahead": {"k": 4, "alpha": 0.8}},
        },
    ),
    "garment": Net(
        _garment,
        F.cross_entropy,
        lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.9),
        64,
        {
            "loss": {"name": "cross-entropy"},
            "optimizer": {"name": "sgd", "lr": 0.02, "momentum": 0.9},
        },
        flat=False,
    ),
}


def flops(net: Net) -> int:
    """Count a training sample's floating-point operations in linear layers and convolutions.

    Two a multiply-add, for the forward product, the weight's gradient and the input's gradient,
    which the first layer does not need.
    """
    macs: list[int] = []

    def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        macs.append(weight.numel() * output[0].numel() // weight.shape[0])

    model = net.model().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(count)
    model(torch.zeros(1, 784) if net.flat else torch.zeros(1, 1, 28, 28))
    return 2 * (2 * macs[0] + 3 * sum(macs[1:]))
