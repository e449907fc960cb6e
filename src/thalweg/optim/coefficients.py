"""From hyperparameters to the numbers that an update is made with, member by member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy

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
        rows = [
            scalars({name: column[k % len(column)] for name, column in columns.items()})
            for k in range(K)
        ]
        table = {name: [row[name] for row in rows] for name in rows[0]}
        self._any = {name: any(values) for name, values in table.items()}
        self._all = {name: all(values) for name, values in table.items()}
        shape = (K, 1) if any(isinstance(value, Tensor) for value in h.values()) else ()
        numbers = torch.tensor(list(table.values()), dtype=like.dtype).to(like.device)
        self._tensors = dict(zip(table, numbers.view(-1, *shape).unbind(), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        """Return a coefficient, of shape () or (K, 1)."""
        return self._tensors[name]

    def any(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for some member: whether its term is needed."""
        return self._any[name]

    def all(self, name: str) -> bool:
        """Say whether the coefficient is non-zero for every member."""
        return self._all[name]

    def of(self, members: slice) -> Coefficients:
        """Return the coefficients of some of the members."""
        part = copy(self)
        part._tensors = {
            name: value[members] if value.dim() else value for name, value in self._tensors.items()
        }
        return part


def _column(value: float | Tensor) -> list[float]:
    if isinstance(value, Tensor):
        return [float(each) for each in value.flatten().tolist()]
    return [value]
