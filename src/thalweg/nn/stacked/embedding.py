"""K tables of vectors, looked up by index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thalweg.errors import ModelError
from thalweg.nn.stacked.layer import Context, Layer, each_member

aten = torch.ops.aten


class Embedding(Layer):
    """Each index becomes the vector that a member's table has for it.

    Args:
        context: What the stack shares.
        module: The layer that is stacked: which index is padding, and how gradients are scaled.
        weight: (K, indices, size), and its gradient's place.
    """

    trains = True
    kept = ("x",)

    def __init__(
        self, context: Context, module: nn.Embedding, weight: Tensor, weight_grad: Tensor
    ) -> None:
        super().__init__(context)
        self.weight, self.weight_grad = weight, weight_grad
        padding = module.padding_idx
        self.options = -1 if padding is None else padding, module.scale_grad_by_freq

    def forward(self, x: Tensor, *, train: bool) -> Tensor:
        members, known, size = self.weight.shape
        y = self.buffer("y", (members, *x.shape[1:], size), self.weight)
        xs = each_member(x, members)
        try:
            for part, table, place in zip(xs, self.weight.unbind(0), y.unbind(0), strict=True):
                torch.index_select(table, 0, part.reshape(-1), out=place.view(-1, size))
        except IndexError:
            raise ModelError(
                f"an index of {int(x.max() if x.max() >= known else x.min())}",
                f"0 … {known - 1}, for which the embedding has vectors",
            ) from None
        if train:
            self.x = xs
        return y

    def backward(self, g: Tensor, *, need_input: bool) -> Tensor | None:
        known = self.weight.shape[1]
        for gk, part, grad in zip(g.unbind(0), self.x, self.weight_grad.unbind(0), strict=True):
            grad.copy_(aten.embedding_dense_backward(gk, part, known, *self.options))
        return None
