"""Independent random streams from one seed."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, purpose: str) -> torch.Generator:
    """Return the CPU generator for one purpose under a seed.

    Each purpose draws from a stream of its own, so that asking for label noise does not change
    who is in the test split, and two shuffles of equal length are not the same shuffle.

    Example:
        >>> a, b = (torch.randperm(60, generator=stream(0, p)) for p in ("split", "labels"))
        >>> bool((a == b).all())
        False
    """
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
