"""Means over samples, of networks side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Means:
    """What K networks have measured, chunk by chunk of the same samples.

    Args:
        by_name: Means over each of the m chunks, ``loss`` first: (K, m) each, float64.
        shares: The chunks' shares of the samples, (m,), float64.
    """

    by_name: Mapping[str, Tensor]
    shares: Tensor

    def values(self) -> dict[str, Tensor]:
        """Return the means over all samples, (K,) each."""
        return {name: (means * self.shares).sum(1) for name, means in self.by_name.items()}

    def errors(self, reference: Means) -> dict[str, Tensor]:
        """Return the standard errors of the differences to one network, (K,) each.

        All networks see the same samples, so that what the samples have in common cancels. The
        spread is that between chunks, which must be samples in random order; with one chunk it is
        not a number.

        Args:
            reference: What that network has measured, (1, m) each.

        Example:
            >>> same, halves = torch.zeros(1, 2).double(), torch.tensor([0.5, 0.5]).double()
            >>> two = Means({"loss": torch.tensor([[1.0, 3.0]]).double()}, halves)
            >>> two.errors(Means({"loss": same}, halves))["loss"].item()  # √2 / √2
            1.0
        """
        m = len(self.shares)
        found = {}
        of = m if m > 1 else math.nan
        for name, means in self.by_name.items():
            d = means - reference.by_name[name]
            away = d - (d * self.shares).sum(1, keepdim=True)
            spread = ((away * self.shares) ** 2).sum(1)
            found[name] = (spread * of / (of - 1)).sqrt()
        return found


def join(found: Sequence[Means]) -> Means:
    """Return what several tiles of networks have measured as one."""
    names = found[0].by_name
    return Means(
        {name: torch.cat([each.by_name[name] for each in found]) for name in names},
        found[0].shares,
    )
