"""The one builder behind every multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from thalweg.errors import SpecError, nearest
from thalweg.nn.init import materialize
from thalweg.nn.layers import Residual

T = TypeVar("T")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky-relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "log-softmax": partial(nn.LogSoftmax, dim=-1),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def mlp(
    sizes: Sequence[int],
    *,
    generator: torch.Generator,
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    residual: bool = False,
    bias: bool = True,
    output: str | None = None,
    init: str = "default",
) -> nn.Sequential:
    """Build a multilayer perceptron.

    The samples are flattened; then every hidden layer is Linear, activation, normalisation,
    dropout, in this order, and a last Linear makes the outputs.

    Args:
        sizes: The widths, from the input to the output: at least two.
        generator: Where the weights are drawn from; the network is made on its device.
        activation: A function of ``ACTIVATIONS``, for the hidden layers.
        norm: ``batch`` (BatchNorm1d), ``layer`` (LayerNorm), or None.
        dropout: The share of hidden values that is dropped in training, in [0, 1); torch scales
            the others by 1/(1 − dropout), so that evaluation needs no scaling.
        residual: Whether every hidden layer adds its input to its output, through a Linear
            without bias where the two differ in width.
        bias: Whether the Linear layers have biases.
        output: A function of ``OUTPUTS`` on the outputs, or None.
        init: A scheme of :func:`thalweg.nn.initialize`.

    Returns:
        A Sequential that takes (batch, …) with sizes[0] values a sample to (batch, sizes[-1]).

    Raises:
        SpecError: If an option has a value that it cannot have.

    Example:
        >>> mlp((4, 8, 3), activation="tanh", generator=torch.Generator().manual_seed(0))
        Sequential(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(in_features=4, out_features=8, bias=True)
          (2): Tanh()
          (3): Linear(in_features=8, out_features=3, bias=True)
        )
    """
    return materialize(
        partial(
            perceptron,
            sizes,
            activation=activation,
            norm=norm,
            dropout=dropout,
            residual=residual,
            bias=bias,
            output=output,
        ),
        init,
        generator,
    )


def perceptron(
    sizes: Sequence[int],
    *,
    activation: str,
    norm: str | None,
    dropout: float,
    residual: bool,
    bias: bool,
    output: str | None,
) -> nn.Sequential:
    """Lay out the layers of :func:`mlp`, with whatever weights torch gives them."""
    widths = list(sizes) if isinstance(sizes, Sequence) else []
    if len(widths) < 2 or not all(type(width) is int and width > 0 for width in widths):
        raise SpecError(f"sizes {sizes!r}", "two or more positive integers")
    if type(dropout) not in {int, float} or not 0 <= dropout < 1:
        raise SpecError(f"dropout={dropout!r}", "a probability of at least 0 and below 1")
    for option, switch in (("residual", residual), ("bias", bias)):
        if not isinstance(switch, bool):
            raise SpecError(f"{option}={switch!r}", "true or false")
    act = _choice("activation", activation, ACTIVATIONS)
    normalise = None if norm is None else _choice("norm", norm, NORMS)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, width in pairwise(widths[:-1]):
        hidden: list[nn.Module] = [nn.Linear(fan_in, width, bias=bias), act()]
        if normalise is not None:
            hidden.append(normalise(width))
        if dropout > 0:
            hidden.append(nn.Dropout(dropout))
        if residual:
            skip = None if fan_in == width else nn.Linear(fan_in, width, bias=False)
            hidden = [Residual(nn.Sequential(*hidden), skip)]
        layers += hidden
    layers.append(nn.Linear(widths[-2], widths[-1], bias=bias))
    if output is not None:
        layers.append(_choice("output", output, OUTPUTS)())
    return nn.Sequential(*layers)


def _choice(option: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise SpecError(f"{option}={name!r}", f"the name of an {option}", nearest(str(name), known))
    return known[name]
