"""The models by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from thalweg.errors import ModelError, SpecError, nearest
from thalweg.nn.init import materialize
from thalweg.nn.layers import DropBlock2d
from thalweg.nn.mlp import perceptron


@dataclass(frozen=True)
class Model:
    """An architecture that has a name.

    Attributes:
        summary: What it is, in one line.
        make: Lays out the layers from (input_shape, out_features) and its options, which are
            its keyword-only arguments.
        input_shape: The shape of the samples for which it was made, without the batch.
        out_features: The number of outputs with which it was made.
        options: What this name sets of the options; all of them can be set otherwise.
        init: The init that ``default`` means for it.
    """

    summary: str
    make: Callable[..., nn.Module]
    input_shape: tuple[int, ...] = (1, 28, 28)
    out_features: int = 10
    options: Mapping[str, Any] = field(default_factory=dict)
    init: str = "default"

    @property
    def known(self) -> tuple[str, ...]:
        """The names of its options."""
        arguments = inspect.signature(self.make).parameters.values()
        return tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)


def build(
    name: str,
    *,
    input_shape: tuple[int, ...],
    out_features: int,
    generator: torch.Generator,
    init: str = "default",
    **options: Any,
) -> nn.Module:
    r"""Build a model by name for samples of ``input_shape``, on the generator's device.

    Args:
        name: A model of ``MODELS``.
        input_shape: The shape of one sample, without the batch: (1, 28, 28) for MNIST.
        out_features: The number of outputs: classes, or values of a regression.
        generator: Where the weights are drawn from; torch's global generator is left alone.
        init: A scheme of :func:`thalweg.nn.initialize`. ``default`` is the model's own, which is
            torch's for all but mish-bn (mish) and playground (playground).
        **options: Options of the model. For the multilayer perceptrons: ``hidden``, the widths
            of the hidden layers, and those of :func:`thalweg.nn.mlp`.

    Returns:
        An ordinary module that takes (batch, \*input_shape) to (batch, out_features).

    Raises:
        SpecError: If the model, the init, or an option or its value does not exist.
        ModelError: If the model does not take samples of that shape.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> net = build("lab-mlp", input_shape=(1, 8, 8), out_features=10, generator=g)
        >>> net(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """
    model = find_model(name)
    for option in options:
        if option not in model.known:
            hint = nearest(option, model.known)
            raise SpecError(f"option {option!r} for the model {name}", "an option of it", hint)
    if not all(type(size) is int and size > 0 for size in (*input_shape, out_features)):
        raise ModelError(
            f"samples of shape {tuple(input_shape)} and {out_features} outputs", "positive integers"
        )
    return materialize(
        lambda: model.make(tuple(input_shape), out_features, **{**model.options, **options}),
        model.init if init == "default" else init,
        generator,
    )


def find_model(name: str) -> Model:
    """Return the model of that name.

    Raises:
        SpecError: If there is none.

    Example:
        >>> find_model("garment").input_shape
        (1, 28, 28)
    """
    if name not in MODELS:
        raise SpecError(f"model {name!r}", "the name of a model", nearest(str(name), MODELS))
    return MODELS[name]


def _mlp(
    input_shape: tuple[int, ...],
    out_features: int,
    *,
    hidden: tuple[int, ...] = (128,),
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    residual: bool = False,
    bias: bool = True,
    output: str | None = None,
) -> nn.Module:
    """Lay out a multilayer perceptron between the sizes that the data give.

    Args:
        input_shape: shape of one sample
        out_features: number of outputs
        hidden: widths of the hidden layers
        activation: function of the hidden layers
        norm: normalisation of the hidden layers, after their function
        dropout: share of the hidden values that is dropped in training
        residual: add a hidden layer's input to its output
        bias: give the linear layers biases
        output: function of the outputs
    """
    if isinstance(hidden, str) or not hasattr(hidden, "__iter__"):
        raise SpecError(f"hidden={hidden!r}", "a list of widths, such as [200, 100]")
    return perceptron(
        (math.prod(input_shape), *hidden, out_features),
        activation=activation,
        norm=norm,
        dropout=dropout,
        residual=residual,
        bias=bias,
        output=output,
    )


def _garment(
    input_shape: tuple[int, ...],
    out_features: int,
    *,
    norm: str | None = None,
    dropout: float = 0.0,
    dropblock: float = 0.0,
    block_size: int = 3,
) -> nn.Module:
    """Lay out GarmentClassifier: two 5x5 convolutions, each pooled by 2, then 120, 84.

    Args:
        input_shape: shape of one sample
        out_features: number of outputs
        norm: normalisation of the hidden layers, after their function
        dropout: share of the hidden values that is dropped in training
        dropblock: share of the feature maps that is dropped in training, in blocks
        block_size: side of a block
    """
    height, width = (((side - 4) // 2 - 4) // 2 for side in (*input_shape[1:], 0, 0)[:2])
    if len(input_shape) != 3 or min(height, width) < 1:
        raise ModelError(
            f"samples of shape {input_shape}",
            "images (channels, height, width) of at least 16x16 for garment",
            "two 5x5 convolutions and two poolings leave nothing of smaller ones",
        )
    if norm not in {None, "batch"}:
        raise SpecError(f"norm={norm!r} for garment", "batch, or none")
    if type(dropout) not in {int, float} or not 0 <= dropout < 1:
        raise SpecError(f"dropout={dropout!r}", "a probability of at least 0 and below 1")

    def maps(before: int, after: int, side: int) -> list[nn.Module]:
        own: list[nn.Module] = [nn.Conv2d(before, after, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)]
        own += [nn.BatchNorm2d(after)] * (norm is not None)
        if dropblock:
            block = min(block_size, side) if type(block_size) is int else block_size
            own.append(DropBlock2d(dropblock, block, generator=torch.Generator()))
        return own

    def hidden(before: int, after: int) -> list[nn.Module]:
        own: list[nn.Module] = [nn.Linear(before, after), nn.ReLU()]
        own += [nn.BatchNorm1d(after)] * (norm is not None)
        return own + [nn.Dropout(dropout)] * (dropout > 0)

    first = min((side - 4) // 2 for side in input_shape[1:])
    return nn.Sequential(
        *maps(input_shape[0], 6, first),
        *maps(6, 16, min(height, width)),
        nn.Flatten(),
        *hidden(16 * height * width, 120),
        *hidden(120, 84),
        nn.Linear(84, out_features),
    )


MODELS: dict[str, Model] = {
    "mlp": Model("a multilayer perceptron of your own widths", _mlp),
    "lab-mlp": Model(
        "784-16-32-24-10, ReLU, log-softmax",
        _mlp,
        options={"hidden": (16, 32, 24), "output": "log-softmax"},
    ),
    "deep-bn": Model(
        "784-256-512-256-128-64-32-10, ReLU, then BatchNorm",
        _mlp,
        options={"hidden": (256, 512, 256, 128, 64, 32), "norm": "batch"},
    ),
    "mish-bn": Model(
        "784-1500-500-10, Mish, then BatchNorm, log-softmax",
        _mlp,
        options={
            "hidden": (1500, 500),
            "activation": "mish",
            "norm": "batch",
            "output": "log-softmax",
        },
        init="mish",
    ),
    "one-fc": Model("784-10, a single linear layer", _mlp, options={"hidden": ()}),
    "garment": Model("GarmentClassifier: conv 6, conv 16, 120-84-10, ReLU, max-pooling", _garment),
    "practice-mlp": Model("784-200-100-10, ReLU", _mlp, options={"hidden": (200, 100)}),
    "regression-sigmoid": Model(
        "100-50-20-1, sigmoid",
        _mlp,
        (100,),
        1,
        options={"hidden": (50, 20), "activation": "sigmoid"},
    ),
    "playground": Model(
        "2-4-2-1, tanh, as TensorFlow Playground opens",
        _mlp,
        (2,),
        1,
        options={"hidden": (4, 2), "activation": "tanh"},
        init="playground",
    ),
}
