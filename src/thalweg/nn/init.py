"""How weights begin: a scheme by name, for any module."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from thalweg.errors import ModelError, SpecError, nearest

M = TypeVar("M", bound=nn.Module)
LayerInit = Callable[[nn.Module], None]


def initialize(
    module: nn.Module, name: str, generator: torch.Generator, **options: float
) -> nn.Module:
    """Fill the parameters of ``module`` in place, layer by layer in the order of ``modules()``.

    Parameters called bias become 0 and those with two dimensions or more are drawn, unless the
    scheme says otherwise; layers without such weights (normalisation, PReLU) reset themselves,
    running statistics included. ``default`` lets every layer draw what its constructor draws:
    with a generator seeded s it gives, bit for bit, what the layers give when they are
    constructed after ``torch.manual_seed(s)``. Nothing is drawn from torch's global generator.

    Args:
        module: Any module; its parameters lie on one device.
        name: A scheme of ``INITS``, with its number in parentheses where it takes one:
            ``"he-normal"``, ``"normal(0.01)"``.
        generator: Where the numbers are drawn from. If it lives on another device than the
            module, they are drawn there and moved, so that a seed means the same weights on
            every device.
        **options: The number by its name, instead of in parentheses: ``std=0.01``.

    Returns:
        The module.

    Raises:
        SpecError: If the scheme is unknown, or its number is missing, superfluous or not finite.
        ModelError: If the parameters have no values yet or lie on several devices, or if it is
            unknown how some of them begin.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> net = initialize(nn.Linear(3, 2), "constant(0.5)", g)
        >>> print(net.weight.data, net.bias.data)
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000]]) tensor([0., 0.])
    """
    fill = _parse(name, options)
    if any(is_lazy(p) or p.is_meta for p in module.parameters()):
        raise ModelError(
            "parameters without values (lazy, or on the meta device)",
            "a module whose parameters have their shapes and memory",
            "run one sample through a lazy module first",
        )
    homes = {p.device for p in module.parameters()}
    if len(homes) > 1:
        raise ModelError(f"parameters on {len(homes)} devices", "a module on one device")
    module.to(generator.device)
    with torch.no_grad(), _DrawsFrom(generator):
        for layer in module.modules():
            if _own(layer) or any(True for _ in layer.buffers(recurse=False)):
                fill(layer)
    for home in homes:
        module.to(home)
    return module


def materialize(make: Callable[[], M], name: str, generator: torch.Generator) -> M:
    """Make a module on the generator's device without drawing anything but its init.

    On the meta device constructing draws nothing and costs nothing. All layers must have a
    ``reset_parameters`` or weights that the scheme draws, as those of torch do.
    """
    with torch.device("meta"):
        module = make()
    home = generator.device  # as `to_empty`, which loads a symbolic algebra for it
    module._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=home))  # type: ignore[no-untyped-call]
    initialize(module, name, generator)
    return module


@dataclass(frozen=True)
class Scheme:
    """An init scheme: what it draws, and the one number that it may take.

    Attributes:
        summary: What it draws, in one line; n is a layer's fan-in, m its fan-out.
        make: Returns the function that fills one layer; takes ``argument`` if there is one.
        argument: The name of the number in ``name(number)``; empty if the scheme takes none.
        default: The number where none is given; None if it must be given.
    """

    summary: str
    make: Callable[..., LayerInit]
    argument: str = ""
    default: float | None = None


class _DrawsFrom(TorchFunctionMode):
    """Within this context every draw takes one generator, and torch's global one rests.

    Layers reset themselves from the global generator and can be given no other. Lending them
    ours keeps their formulas in torch, where they are, and is private to the thread.
    """

    draws = frozenset(
        {
            *(torch.rand, torch.randn, torch.normal, torch.bernoulli),
            *(Tensor.uniform_, Tensor.normal_, Tensor.bernoulli_, Tensor.exponential_),
            *(nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.kaiming_uniform_),
        }
    )

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, with the generator if it draws."""
        kwargs = kwargs or {}
        if func in self.draws:
            kwargs = kwargs | {"generator": self.generator}
        return func(*args, **kwargs)


def _own(layer: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of the layer itself, without those of layers inside it."""
    return dict(layer.named_parameters(recurse=False))


def _reset(layer: nn.Module) -> None:
    """Let a layer begin as its constructor makes it."""
    reset = getattr(layer, "reset_parameters", None)
    if callable(reset):
        reset()
    elif own := _own(layer):
        raise _unknown(layer, own)


def _unknown(layer: nn.Module, names: Any) -> ModelError:
    return ModelError(
        f"a {type(layer).__name__} with the parameters {', '.join(names)}",
        "weights of two dimensions or more, biases, or a layer with reset_parameters()",
        "give the layer a method reset_parameters() and use init default, or leave init out",
    )


def _weights(draw: Callable[[Tensor], Any], bias: float = 0.0) -> LayerInit:
    """Return the init that draws a layer's weights and sets its biases."""

    def fill(layer: nn.Module) -> None:
        own = _own(layer)
        if not any(p.ndim >= 2 for p in own.values()):
            return _reset(layer)
        for name, p in own.items():
            if "bias" in name:
                nn.init.constant_(p, bias)
            elif p.ndim >= 2:
                draw(p)
            else:
                raise _unknown(layer, [name])

    return fill


def _normal(std: float) -> LayerInit:
    if std < 0:
        raise SpecError(f"normal({std})", "a standard deviation of 0 or more")
    return _weights(partial(nn.init.normal_, std=std))


def _mish(scale: float) -> LayerInit:
    """Weights and biases as ebtorch's ``mishlayer_init`` draws them.

    With F input channels and a receptive field of r positions the weights have the standard
    deviation scale / √(F·r·F) for convolutions, scale / √n for linear layers, and the biases
    scale. The factor F is there once more than in other schemes, and ``scale`` is called
    variance there.
    """

    def fill(layer: nn.Module) -> None:
        if hasattr(layer, "running_mean"):
            return _reset(layer)
        for name, p in _own(layer).items():
            fan_in = 1 if "bias" in name or p.ndim < 2 else p[0].numel()
            channels = p.shape[1] if p.ndim > 2 else 1
            nn.init.normal_(p, std=scale / math.sqrt(fan_in * channels))

    return fill


INITS: dict[str, Scheme] = {
    "default": Scheme("what the layers' constructors draw", lambda: _reset),
    "torch": Scheme("the same, for models whose own default is another", lambda: _reset),
    "he-normal": Scheme(
        "weights N(0, 2/n), biases 0 (He et al. 2015)",
        lambda: _weights(partial(nn.init.kaiming_normal_, nonlinearity="relu")),
    ),
    "he-uniform": Scheme(
        "weights U(±√(6/n)), biases 0 (He et al. 2015)",
        lambda: _weights(partial(nn.init.kaiming_uniform_, nonlinearity="relu")),
    ),
    "glorot-normal": Scheme(
        "weights N(0, 2/(n + m)), biases 0 (Glorot and Bengio 2010)",
        lambda: _weights(nn.init.xavier_normal_),
    ),
    "glorot-uniform": Scheme(
        "weights U(±√(6/(n + m))), biases 0 (Glorot and Bengio 2010)",
        lambda: _weights(nn.init.xavier_uniform_),
    ),
    "lecun-normal": Scheme(
        "weights N(0, 1/n), biases 0 (LeCun et al. 1998)",
        lambda: _weights(partial(nn.init.kaiming_normal_, nonlinearity="linear")),
    ),
    "lecun-uniform": Scheme(
        "weights U(±√(3/n)), biases 0 (LeCun et al. 1998)",
        lambda: _weights(partial(nn.init.kaiming_uniform_, nonlinearity="linear")),
    ),
    "orthogonal": Scheme(
        "weights gain · a random orthogonal matrix, biases 0 (Saxe et al. 2014)",
        lambda gain: _weights(partial(nn.init.orthogonal_, gain=gain)),
        "gain",
        1.0,
    ),
    "mish": Scheme("weights N(0, scale²/n), biases N(0, scale²)", _mish, "scale", 1.0),
    "playground": Scheme(
        "weights U(±0.5), biases 0.1, as TensorFlow Playground begins",
        lambda: _weights(partial(nn.init.uniform_, a=-0.5, b=0.5), bias=0.1),
    ),
    "constant": Scheme(
        "weights all equal to value, biases 0",
        lambda value: _weights(partial(nn.init.constant_, val=value)),
        "value",
    ),
    "normal": Scheme("weights N(0, std²), biases 0", _normal, "std"),
}


def _parse(text: str, options: dict[str, float]) -> LayerInit:
    """Return the init that ``name`` or ``name(number)`` and the options ask for."""
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", str(text).strip())
    name, number = match.groups() if match else (str(text), None)
    if name not in INITS:
        raise SpecError(f"init {text!r}", "the name of an init", nearest(name, INITS))
    scheme = INITS[name]
    given: list[tuple[str, Any]] = list(options.items())
    if number is not None:
        given.append((scheme.argument, number))
    if not given and scheme.default is not None:
        given.append((scheme.argument, scheme.default))
    try:
        values = [float(value) for _, value in given]
    except (TypeError, ValueError):
        values = [math.nan]
    takes = [scheme.argument] if scheme.argument else []
    if [argument for argument, _ in given] != takes or not all(map(math.isfinite, values)):
        raise SpecError(
            f"init {text!r}" + (f" with {options}" if options else ""),
            f"{name}({scheme.argument}), a finite number" if takes else f"{name} without a number",
        )
    return scheme.make(*values)
