"""A model as a table: its layers, their outputs and their parameters."""

from __future__ import annotations

import torch
from torch import nn


def summary(model: nn.Module, input_shape: tuple[int, ...]) -> str:
    """Return a table of the model's layers, made by torchinfo.

    Args:
        model: The network; it is left as it was.
        input_shape: The shape of one sample, without the batch.

    Returns:
        A line for each layer with the shape of its output (for a batch of one), its parameters
        and multiply-adds, and the totals.

    Example:
        >>> table = summary(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (2, 2))
        >>> [line for line in table.splitlines() if "Linear" in line][0].split()
        ['├─Linear:', '1-2', '[1,', '2]', '10', '10']
    """
    import torchinfo

    some = next(model.parameters(), torch.empty(0))
    return str(
        torchinfo.summary(
            model,
            # Given the sample itself, torchinfo has no need to draw one from the global generator.
            input_data=torch.zeros(1, *input_shape, device=some.device, dtype=some.dtype),
            col_names=("output_size", "num_params", "mult_adds"),
            depth=8,
            verbose=0,
        )
    )
