"""From hyperparameters to the numbers that an update is made with, member by member."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from thalweg.errors import SpecError


class Coefficients:
    """The numbers of one update, in the precision and on the device of the parameters.

    They are computed in float64 by plain Python, one member at a time, and rounded once. Scalars
    become tensors too, so that one network and a thousand go through the same kernels: a
    multiplication by a Python number may be rounded otherwise than one by a tensor.

    Args:
        scalars: The scalar lines of a rule: the hyperparameters of one member to numbers by name.
        h: Hyperparameters by name: floats, or float64 tensors with one value for each member.
            These are best kept on the CPU, as they are read at every update.
        like: The parameters, (K, P) or any shape.

    Raises:
        SpecError: The hyperparameters are for another number of members than ``like`` has.

    Example:
        >>> c = Coefficients(lambda h: {"step": -h["lr"]}, {"lr": 0.5}, torch.zeros(3))
        >>> c["step"], c.any("step")
        (tensor(-0.5000), True)
    """

    def __init__(
        self,
        scalars: Callable[[Mapping[str, float]], dict[str, float]],
        h: Mapping[str, float | Tensor],
        like: Tensor,
    ) -> None:
        columns = {name: _column(value) for name, value in h.items()}
        K = max(map(len, columns.values()))
        if any(len(column) not in (1, K) for column in columns.values()):
            sizes = {name: len(column) for name, column in columns.items() if len(column) > 1}
            raise SpecError(f"hyperparameters for {sizes} members", "the same number in all")
        if K > 1 and (like.dim() != 2 or like.shape[0] != K):
            raise SpecError(
                f"hyperparameters for {K} members, parameters of shape {tuple(like.shape)}",
                f"parameters of shape ({K}, P)",
            )
        self._rows = [
            scalars({name: column[k % len(column)] for name, column in columns.items()})
            for k in range(K)
        ]
        table = [[row[name] for row in self._rows] for name in self._rows[0]]
        shape = (K, 1) if any(isinstance(value, Tensor) for value in h.values()) else ()
        tensor = torch.tensor(table, dtype=like.dtype).to(like.device)
        self._tensors = dict(
            zip(self._rows[0], tensor.view(len(table), *shape).unbind(), strict=True)
        )

    def __getitem__(self, name: str) -> Tensor:
        """Return a coefficient, of shape () or (K, 1)."""
        return self._tensors[name]

    def any(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for some member: whether its term is needed."""
        return any(row[name] for row in self._rows)

    def all(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for every member."""
        return all(row[name] for row in self._rows)


def _column(value: float | Tensor) -> list[float]:
    if isinstance(value, Tensor):
        return [float(each) for each in value.flatten().tolist()]
    return [value]
