"""What a network says of the test split, and where it is most wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.data import Data
from thalweg.engine import Run
from thalweg.store import RunFolder, write_checkpoint, write_parquet

MISTAKES = 24
"""Pictures of mistakes to keep."""


def predict(run: Run, x: Tensor) -> Tensor:
    """Return the probabilities of the classes, (N, C), for normalised inputs (N, …).

    They are the softmax of the outputs, which takes logits and log-probabilities alike.
    """
    return torch.softmax(run.outputs(x).double(), dim=-1).cpu()


def predictions(run: Run) -> dict[str, Tensor] | None:
    """Return what the network says of the test split; None if there is none, or no classes.

    Returns:
        By name, (N,) each: ``true`` and ``predicted`` classes, the ``probability`` of the
        predicted one, and the ``loss``, −log of the true one's probability.
    """
    test = run.data.test
    if test is None or run.data.task != "classification":
        return None
    p = predict(run, test.x)
    true = test.y.cpu()
    probability, predicted = p.max(-1)
    loss = -p.gather(1, true.unsqueeze(1)).squeeze(1).log()
    return {"true": true, "predicted": predicted, "probability": probability, "loss": loss}


def mistakes(data: Data, said: dict[str, Tensor], most: int = MISTAKES) -> dict[str, Tensor] | None:
    """Return the mistakes of which the network was surest, as pictures; None if there are none.

    Returns:
        ``images`` (n, C, H, W) as they were before normalisation, ``true``, ``predicted`` and
        ``probability``, (n,) each; the surest first.
    """
    if data.test is None or len(data.input_shape) != 3 or data.input_shape[0] not in (1, 3):
        return None
    wrong = (said["true"] != said["predicted"]).nonzero().flatten()
    if not len(wrong):
        return None
    surest = wrong[said["probability"][wrong].argsort(descending=True, stable=True)[:most]]
    images = data.raw(data.test.x[surest.to(data.test.x.device)]).cpu()
    kept = {name: said[name][surest] for name in ("true", "predicted", "probability")}
    return {"images": images.contiguous(), **kept}


def write_predictions(run: Run, folder: RunFolder) -> None:
    """Write both into the folder of a run.

    Raises:
        FileError: They cannot be written.
    """
    import pyarrow as pa

    said = predictions(run)
    if said is None:
        return
    table: Any = pa.table({name: column.numpy() for name, column in said.items()})
    write_parquet(folder.path / "predictions.parquet", table)
    wrong = mistakes(run.data, said)
    if wrong is not None:
        write_checkpoint(folder.path / "mistakes.safetensors", wrong, {"most": MISTAKES})
