"""Random directions, normalised as the weights that they perturb (Li et al. 2018)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground

Normalisation = Literal["filter", "layer", "none"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def random_directions(
    ground: Ground, count: int = 2, *, normalise: Normalisation = "filter", seed: int = 0
) -> Directions:
    """Return Gaussian directions from the reference.

    With ``"filter"``, the part of each output neuron or channel is as long as its weights, with
    ``"layer"`` that of each layer; biases and the parameters of normalisation layers, which are
    vectors, are left where they are. Two networks whose layers are scaled against one another and
    compute the same have then the same surface. With ``"none"`` every number is drawn from N(0, 1).

    Nothing is made orthogonal afterwards, which would undo the normalisation: `Directions.cosines`
    says how far they are from it.

    Source: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the loss landscape of neural nets",
    2018, arXiv:1712.09913, section 4.

    Args:
        ground: Its reference is the origin.
        count: D.
        normalise: How long the parts of a direction are.
        seed: Of the draw; the directions do not depend on the arithmetic.

    Example:
        >>> from thalweg.data import Split
        >>> x = torch.ones(2, 3)
        >>> ground = Ground(nn.Linear(3, 2), Split(x, x[:, :2], x[:, :2]))
        >>> d = ground.named(random_directions(ground).vectors[0])
        >>> torch.allclose(d["weight"].norm(dim=1), ground.network.weight.norm(dim=1))
        True
        >>> d["bias"].tolist()
        [0.0, 0.0]
    """
    generator = Generator().manual_seed(seed)
    vectors = ground.theta.new_zeros(count, len(ground.theta))
    weights = ground.named(ground.theta)
    axes = _output_axes(ground.network)
    for vector in vectors:
        for name, part in ground.named(vector).items():
            drawn = torch.randn(part.shape, generator=generator).to(part)
            if normalise == "none":
                part.copy_(drawn)
            elif part.dim() > 1:
                axis = axes.get(name, 0) if normalise == "filter" else None
                part.copy_(_as_long(drawn, weights[name], axis))
    return Directions(ground.theta.clone(), vectors, f"random, normalised by {normalise}")


def _as_long(d: Tensor, w: Tensor, axis: int | None) -> Tensor:
    """Return d, whose slices along an axis, or which as a whole, are as long as those of w."""
    others = [i for i in range(d.dim()) if i != axis]
    lengths = [t.double().square().sum(others, keepdim=True).sqrt() for t in (w, d)]
    return (d * (lengths[0] / lengths[1])).to(d.dtype)


def _output_axes(network: nn.Module) -> dict[str, int]:
    """Return the axis of the outputs of those parameters of which it is not the first."""
    return {
        f"{path}.weight".removeprefix("."): 1
        for path, module in network.named_modules()
        if isinstance(module, _TRANSPOSED)
    }
