"""MNIST for the peers: as tensors in memory, and sample by sample as torchvision gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _bench import Task
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from thalweg.data import Data, load_data

MEAN, STD = 0.1307, 0.3081


def samples(task: Task) -> Data:
    """Return the images with values from 0 to 1: MNIST, or a few digits blown up to its size."""
    if not task.quick:
        noise = task.label_noise
        return load_data("mnist", folder=task.folder, normalize="none", label_noise=noise)
    digits = load_data("digits", normalize="none", subset=512)
    return load_data({"train": _enlarge(digits.train), "test": _enlarge(digits.test)})


def _enlarge(split: Any) -> tuple[Tensor, Tensor]:
    x = split.x.repeat_interleave(3, -1).repeat_interleave(3, -2)  # 8 x 8 to 24 x 24
    return torch.nn.functional.pad(x, (2, 2, 2, 2)), split.y


def normalized(x: Tensor, flat: bool) -> Tensor:
    """Return images (n, 1, 28, 28) as networks take them; (n, 784) if flat."""
    x = (x - MEAN) / STD
    return x.flatten(1) if flat else x


class Images(Dataset[tuple[Tensor, int]]):
    """What torchvision's MNIST does for every sample: tensor, PIL image, transforms."""

    def __init__(self, x: Tensor, y: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.data = (x * 255).round().to(torch.uint8).squeeze(1).contiguous()
        self.targets, self.transform = y, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(image.numpy(), mode="L")), target


def transforms(flat: bool) -> Callable[[Any], Tensor]:
    """Return ToTensor, Normalize and, if asked for, flatten: torchvision's where it is installed.

    Elsewhere the same tensor operations without torchvision's checks, so a little faster.
    """
    try:
        from torchvision import transforms as tv  # type: ignore[import-not-found]
    except ImportError:
        return (
            (lambda image: torch.flatten(_normalize(_to_tensor(image))))
            if flat
            else (lambda image: _normalize(_to_tensor(image)))
        )
    steps = [tv.ToTensor(), tv.Normalize((MEAN,), (STD,))]
    composed: Callable[[Any], Tensor] = tv.Compose(
        [*steps, tv.Lambda(torch.flatten)] if flat else steps
    )
    return composed


def _to_tensor(image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
    pixels = pixels.view(image.size[1], image.size[0], len(image.getbands()))
    return pixels.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


def _normalize(x: Tensor) -> Tensor:
    x = x.clone()
    mean = torch.as_tensor((MEAN,), dtype=x.dtype, device=x.device)
    std = torch.as_tensor((STD,), dtype=x.dtype, device=x.device)
    if (std == 0).any():
        raise ValueError("a standard deviation of 0")
    return x.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))
