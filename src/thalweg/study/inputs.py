"""From samples as they are to what the network of a run takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thalweg.data.corrupt import pixel_order, reorder_pixels
from thalweg.data.image_folder import read_header, read_image
from thalweg.data.streams import stream
from thalweg.errors import SpecError
from thalweg.store import RunFolder


def prepared(run: RunFolder, x: Tensor) -> Tensor:
    """Return raw samples, (N, *input_shape), as the network of a run was trained to see them.

    They are normalised by the run's own constants; and a renaming of the pixels that holds for all
    samples of the run holds for these, too.
    """
    facts, spec = run.info.data, run.spec.data
    mean, std = (torch.tensor(constant, dtype=x.dtype) for constant in (facts.mean, facts.std))
    x = (x - mean) / std
    if spec.pixels == "permute":
        order = pixel_order(tuple(facts.input_shape), stream(spec.split_seed, "pixels"))
        x = reorder_pixels(x, order)
    return x


def read_images(
    run: RunFolder, files: Sequence[Path], *, invert: bool = False
) -> tuple[Tensor, list[str]]:
    """Read images as the network of a run takes them.

    Args:
        run: The run.
        files: PNG or JPEG; made grey or coloured, and resized, as the network needs.
        invert: Swap light and dark.

    Returns:
        The normalised images, (N, C, H, W), and for each file what was changed; empty for nothing.

    Raises:
        SpecError: The network takes no images.
        DataError: A file is no image, or a damaged one.
    """
    shape = run.info.data.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        takes = "×".join(map(str, shape))
        hint = f"in Python: thalweg.load_run({str(run.path)!r}).model(x)"
        raise SpecError(f"images for {run.name}", f"samples of {takes}, which it takes", hint)
    mode, height, width = "L" if shape[0] == 1 else "RGB", *shape[1:]
    x = np.stack([read_image(file, mode, height, width) for file in files])
    raw = torch.from_numpy(x).to(torch.float32).div_(255)
    notes = [_changes(file, mode, height, width) for file in files]
    return prepared(run, 1 - raw if invert else raw), notes


def _changes(file: Path, mode: str, height: int, width: int) -> str:
    """Say what was done to an image that is not as the network takes it."""
    own, (tall, wide) = read_header(file)
    said = []
    if (tall, wide) != (height, width):
        said.append(f"resized from {wide}×{tall} to {width}×{height} pixels")
    if mode == "L" and own not in {"1", "L"}:
        said.append("made grey")
    return ", ".join(said)
