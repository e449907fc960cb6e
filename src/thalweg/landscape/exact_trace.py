"""The exact trace of the Hessian of a network that is piecewise linear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.landscape.objective import Objective, finite
from thalweg.nn import DropBlock2d, Loss
from thalweg.nn.loss import Custom
from thalweg.nn.stacked.alike import hooked

OUTPUTS = 128
"""Outputs of the last layer, at most: there is a backward pass for each."""

BYTES = 64 * 2**20
"""Of the widest layer's derivatives at a time."""

PIECEWISE = (
    nn.Identity, nn.Flatten, nn.Unflatten,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardtanh, nn.Threshold,
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, DropBlock2d,
    nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d,
)  # fmt: skip
"""Layers that are piecewise linear, in evaluation mode, in what comes in and in each parameter."""

ROWWISE = (nn.LogSoftmax, nn.Softmax, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softplus)
"""What may come after the last layer with parameters, beside the ones above."""

BY_SAMPLE = (
    nn.CrossEntropyLoss, nn.NLLLoss, nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss,
    nn.BCEWithLogitsLoss, nn.BCELoss, nn.KLDivLoss, nn.PoissonNLLLoss, nn.SoftMarginLoss,
)  # fmt: skip
"""Losses that are means over the samples of what each adds by itself."""

FUNCTIONS = (F.cross_entropy, F.nll_loss, F.mse_loss, F.binary_cross_entropy_with_logits)
"""Functions that are, too."""


def exact_trace(objective: Objective) -> float | None:
    r"""Return tr ∇²L, if the network is a chain of piecewise linear layers; None if it is not.

    With the outputs z of the last layer that has parameters, and all that comes after as the loss
    ℓ(z), ∇²L = Jᵀ (∂²ℓ/∂z²) J + Σ (∂ℓ/∂z_c) ∇²z_c. Along each single parameter a piecewise linear
    z_c is a piecewise linear function, so that ∇²z_c has zeros on its diagonal, and the trace is
    that of the first term, the Gauss-Newton matrix (Schraudolph, "Fast curvature matrix-vector
    products", 2002). That takes one backward pass for each output, and the products of each
    sample's gradients, which for linear layers are those of inputs and outputs (Goodfellow,
    "Efficient per-example gradient computations", 2015).

    Args:
        objective: The loss.

    Raises:
        ModelError: The loss is not finite.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> X = torch.randn(6, 3, generator=g, dtype=torch.float64)
        >>> network = nn.Linear(3, 1, bias=False, dtype=torch.float64)
        >>> found = exact_trace(Objective(network, nn.MSELoss(), [(X, X[:, :1])]))
        >>> abs(found - (2 / 6 * X.T @ X).trace().item()) < 1e-12
        True
    """
    chain = _chain(objective)
    if chain is None:
        return None
    total = 0.0
    for x, y in objective.batches:
        for inputs, labels in _chunks(chain, x, y):
            found = _trace(chain, inputs, labels)
            if found is None:
                return None
            total += len(inputs) / objective.samples * found
    return total


@dataclass(frozen=True, eq=False)
class _Chain:
    """A network as a chain of layers.

    Args:
        layers: All up to the last one that has parameters.
        wanted: The parameters of each that the trace is over: their names in the layer.
        loss: What comes after, (z, y) → the mean loss.
    """

    layers: Sequence[nn.Module]
    wanted: Sequence[frozenset[str]]
    loss: Callable[[Tensor, Tensor], Tensor]


def _chain(objective: Objective) -> _Chain | None:
    """Return the chain that a network is, if its layers and its loss are of the kinds above."""
    network, loss = objective.network, objective.criterion
    if objective.training or not _is_mean(loss):
        return None
    named = list(_leaves(network, ""))
    parameters = [id(p) for _, layer in named for p in layer.parameters()]
    last = max(i for i, (_, layer) in enumerate(named) if any(True for _ in layer.parameters()))
    body, rest = named[: last + 1], [layer for _, layer in named[last + 1 :]]
    known = all(_is_known(each) for _, each in body) and all(_is_rowwise(each) for each in rest)
    if len(set(parameters)) < len(parameters) or not known:
        return None
    names = set(objective.names)
    wanted = [
        frozenset(own for own, _ in layer.named_parameters() if f"{prefix}{own}" in names)
        for prefix, layer in body
    ]
    head = nn.Sequential(*rest)
    return _Chain([layer for _, layer in body], wanted, lambda z, y: loss(head(z), y))


def _is_mean(loss: object) -> bool:
    """Tell whether a loss is the mean of what each sample adds by itself."""
    if isinstance(loss, Custom):
        loss = loss.function
    if isinstance(loss, Loss) or loss in FUNCTIONS:
        return True
    plain = getattr(loss, "weight", None) is None and getattr(loss, "reduction", "") == "mean"
    return type(loss) in BY_SAMPLE and plain


def _is_rowwise(layer: nn.Module) -> bool:
    return type(layer) in (*PIECEWISE, *ROWWISE) and getattr(layer, "dim", -1) in {1, -1}


def _is_known(layer: nn.Module) -> bool:
    if type(layer) not in PIECEWISE or hooked(layer):
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and layer.padding != "same"
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return layer.running_mean is not None
    return True


def _leaves(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Iterate over the layers of a chain and of the chains in it, with their names' prefixes."""
    if type(module) is nn.Sequential and not hooked(module):
        for name, child in module.named_children():
            yield from _leaves(child, f"{prefix}{name}.")
    else:
        yield prefix, module


def _chunks(chain: _Chain, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over parts of a batch whose derivatives take no more memory than they may."""
    widest, z = 1, x[:1]
    for layer in chain.layers:
        z = layer(z)
        widest = max(widest, z.numel())
    few = max(1, BYTES // (widest * z.numel() * z.element_size()))
    yield from zip(x.split(few), y.split(few), strict=True)


def _trace(chain: _Chain, x: Tensor, y: Tensor) -> float | None:
    """Return the trace for some samples; None if the outputs are too many, or not (n, C)."""
    places: list[tuple[nn.Module, frozenset[str], Tensor, Tensor]] = []
    with torch.enable_grad():
        for layer, wanted in zip(chain.layers, chain.wanted, strict=True):
            a, x = x, layer(x.clone() if getattr(layer, "inplace", False) else x)
            if not places:
                x = x.detach()
            if wanted:
                x = x if places else x.requires_grad_()
                places.append((layer, wanted, a.detach(), x))
        if x.dim() != 2 or x.shape[1] > OUTPUTS or any(len(a) != len(x) for *_, a, _ in places):
            return None
        curvature = _curvature(chain, x.detach(), y)
        outputs = [output for *_, output in places]
        by_class = [
            torch.autograd.grad(each.sum(), outputs, retain_graph=True, allow_unused=True)
            for each in x.unbind(1)
        ]
    total = 0.0
    for (layer, wanted, a, output), *slopes in zip(places, *by_class, strict=True):
        J = torch.stack([torch.zeros_like(output) if s is None else s for s in slopes], 1)
        found = _share(layer, wanted, a, J, curvature)
        if found is None:
            return None
        total += found
    return total


def _curvature(chain: _Chain, z: Tensor, y: Tensor) -> Tensor:
    """Return ∂²ℓ/∂z², (n, C, C), of the mean loss at the outputs z (n, C)."""
    z.requires_grad_()
    loss = chain.loss(z, y)
    finite(loss.item())
    if not loss.requires_grad:
        return z.new_zeros(*z.shape, z.shape[1])
    (slope,) = torch.autograd.grad(loss, z, create_graph=True)
    if not slope.requires_grad:  # the loss is piecewise linear, too
        return z.new_zeros(*z.shape, z.shape[1])
    rows = [torch.autograd.grad(each.sum(), z, retain_graph=True)[0] for each in slope.unbind(1)]
    return torch.stack(rows, 1).detach()


def _share(
    layer: nn.Module, wanted: frozenset[str], a: Tensor, J: Tensor, curvature: Tensor
) -> float | None:
    """Return what a layer's parameters add to the trace.

    Args:
        layer: The layer.
        wanted: Which of its parameters are asked for.
        a: What came in, (n, …).
        J: The derivatives of the C outputs with respect to what came out, (n, C, …).
        curvature: The loss's second derivatives, (n, C, C).
    """
    total = 0.0
    if isinstance(layer, nn.Linear):
        if a.dim() != 2:
            return None
        each = _quadratic(J, curvature)
        if "weight" in wanted:
            total += (each * a.double().square().sum(1)).sum().item()
        if "bias" in wanted:
            total += each.sum().item()
        return total
    spread = J.flatten(3) if J.dim() > 3 else J.unsqueeze(3)  # (n, C, channels, places)
    if "bias" in wanted:
        total += _quadratic(spread.sum(3), curvature).sum().item()
    if "weight" in wanted:
        total += _quadratic(_weights(layer, a, spread), curvature).sum().item()
    return total


def _weights(layer: nn.Module, a: Tensor, spread: Tensor) -> Tensor:
    """Return the derivatives of the outputs with respect to a layer's weight, (n, C, its size)."""
    n, C, channels, places = spread.shape
    if isinstance(layer, nn.Conv2d):
        padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
        columns = F.unfold(a, layer.kernel_size, layer.dilation, padding, layer.stride)
        return (spread.reshape(n, C * channels, places) @ columns.mT).reshape(n, C, -1)
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    mean, var = layer.running_mean, layer.running_var
    assert mean is not None
    assert var is not None
    x = (a.reshape(n, channels, -1) - mean[:, None]) * (var + layer.eps).rsqrt()[:, None]
    return (spread * x.unsqueeze(1)).sum(3)


def _quadratic(J: Tensor, curvature: Tensor) -> Tensor:
    """Return Σ_ij curvature_ij ⟨J_i, J_j⟩ for each sample, (n,), of J (n, C, size)."""
    each: Tensor = (J * (curvature @ J)).sum((1, 2), dtype=torch.float64)
    return each
