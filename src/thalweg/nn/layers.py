"""Layers that torch.nn lacks: DropBlock and the residual block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.errors import ModelError, SpecError


class DropBlock2d(nn.Module):
    """Drop square blocks of a feature map, as dropout drops single values.

    Neighbouring values of a feature map say much the same, so dropping them one by one removes
    little; DropBlock removes whole regions. In training every position where a block fits is the
    corner of a dropped block with probability

        γ = p / s² · H·W / ((H − s + 1)(W − s + 1)),

    each channel by itself; the surviving values are scaled by count / count of survivors, over
    the whole batch. In evaluation the layer is the identity.

    Source: Ghiasi, Lin and Le, "DropBlock: a regularization method for convolutional networks",
    2018, algorithm 1 and equation (1). As there, blocks may overlap, so the share that is dropped
    lies a little below p. The paper raises p linearly during training; here p is constant.

    Args:
        p: The share of values to drop, in [0, 1); 1 − keep_prob of the paper.
        block_size: The side s of a block, in positions.
        generator: Where the blocks are drawn from. They are drawn on its device and moved to
            the input's, so that a seed means the same blocks on every device.

    Raises:
        SpecError: If p or block_size are out of range.

    Example:
        >>> layer = DropBlock2d(0.2, block_size=3, generator=torch.Generator().manual_seed(0))
        >>> x = torch.ones(1, 1, 6, 6)
        >>> print(layer(x)[0, 0].sign().int())
        tensor([[1, 1, 1, 1, 1, 1],
                [1, 1, 1, 1, 1, 1],
                [1, 1, 1, 1, 1, 1],
                [0, 0, 0, 1, 1, 1],
                [0, 0, 0, 1, 1, 1],
                [0, 0, 0, 1, 1, 1]], dtype=torch.int32)
        >>> torch.equal(layer.eval()(x), x)
        True
    """

    def __init__(self, p: float, block_size: int, *, generator: torch.Generator) -> None:
        super().__init__()
        if type(p) not in {int, float} or not 0 <= p < 1:
            raise SpecError(f"p={p!r}", "a probability of at least 0 and below 1")
        if type(block_size) is not int or block_size < 1:
            raise SpecError(f"block_size={block_size!r}", "an integer of at least 1")
        self.p, self.block_size, self.generator = p, block_size, generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop blocks of ``x`` (batch, channels, height, width).

        Raises:
            ModelError: In training, if a block is larger than the feature map.
        """
        if not self.training or self.p == 0:
            return x
        return x * block_mask(x, self.p, self.block_size, self.generator)

    def extra_repr(self) -> str:
        """Return the options for printing."""
        return f"p={self.p}, block_size={self.block_size}"


def block_mask(x: Tensor, p: float, block_size: int, generator: torch.Generator) -> Tensor:
    """Return what :class:`DropBlock2d` multiplies ``x`` by: 0 where it drops, else its scale.

    Raises:
        ModelError: A block is larger than the feature map.

    Example:
        >>> mask = block_mask(torch.ones(1, 1, 2, 2), 0.5, 1, torch.Generator().manual_seed(0))
        >>> print(mask[0, 0])
        tensor([[0., 4.],
                [0., 0.]])
    """
    s, (height, width) = block_size, x.shape[-2:]
    if s > min(height, width):
        raise ModelError(
            f"a feature map of {height}x{width}",
            f"one that holds a block of {s}x{s}",
            "choose a smaller block_size",
        )
    rows, columns = height - s + 1, width - s + 1
    gamma = p / s**2 * (height * width) / (rows * columns)
    corners = torch.rand(
        (*x.shape[:-2], rows, columns), generator=generator, device=generator.device
    ).lt_(gamma)
    # A value is dropped when any of the s² corners that cover it was drawn.
    dropped = F.max_pool2d(F.pad(corners, [s - 1] * 4), s, stride=1)
    kept = (1 - dropped).to(x.device, x.dtype)  # (batch, channels, height, width)
    return kept * (kept.numel() / kept.sum(dtype=torch.float32).clamp_(min=1)).to(x.dtype)


def unequal(before: torch.Size, after: torch.Size) -> ModelError:
    """Return the error of a residual block that changes the shape of its input."""
    return ModelError(
        f"a residual block that turns {tuple(before)} into {tuple(after)}",
        "a projection of the input to the output's shape",
        "pass projection=, for example nn.Linear(…, …, bias=False)",
    )


class Residual(nn.Module):
    """Add a block's input to its output: x + block(x).

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016,
    equations (1) and (2).

    Args:
        block: The layers that are skipped.
        projection: What takes the input to the output's shape where the two differ, usually a
            linear layer without bias; the identity by default.

    Example:
        >>> block = Residual(nn.Linear(3, 3))
        >>> x = torch.ones(2, 3)
        >>> torch.equal(block(x), x + block.block(x))
        True
    """

    def __init__(self, block: nn.Module, projection: nn.Module | None = None) -> None:
        super().__init__()
        self.block = block
        self.projection = nn.Identity() if projection is None else projection

    def forward(self, x: Tensor) -> Tensor:
        """Return projection(x) + block(x), both of the same shape.

        Raises:
            ModelError: If their shapes differ; torch would broadcast some of those silently.
        """
        skipped, through = self.projection(x), self.block(x)
        if skipped.shape != through.shape:
            raise unequal(x.shape, through.shape)
        return skipped + through  # type: ignore[no-any-return]
