"""A model as an ONNX file, for the programs that run networks without PyTorch."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from thalweg.errors import ModelError, SpecError, ThalwegError
from thalweg.files import write_atomically

CHATTY = (
    "torch.onnx._internal.exporter._registration",  # no torchvision: a warning an operator
    "torch.fx.experimental.symbolic_shapes",  # a branch on a value, which the error names
)
"""The loggers of torch that warn of what thalweg does without, or raises itself."""


def export_onnx(model: nn.Module, input_shape: tuple[int, ...], file: str | Path) -> None:
    r"""Write a model as one ONNX file, in evaluation mode and for batches of any size.

    The graph takes ``input``, (batch, \*input_shape), to ``output``.

    Args:
        model: The network; a copy of it is exported, and it is left as it was.
        input_shape: The shape of one sample, without the batch.
        file: ``.onnx``; whole when it is there, or as it was before.

    Raises:
        SpecError: Another suffix.
        ModelError: The model does not take such samples, or does what ONNX cannot express.
        FileError: The file cannot be written.
        ThalwegError: onnx or onnxscript is not installed.
    """
    file = Path(file)
    if file.suffix.lower() != ".onnx":
        raise SpecError(f"the file {file.name!r}", "a name that ends in .onnx")
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise ThalwegError(
            f"{' and '.join(missing)}, not installed",
            "the packages that export to ONNX",
            "pip install 'thalweg[export]'",
        )
    exported = copy.deepcopy(model).cpu().eval()
    some = next(exported.parameters(), torch.empty(0))
    # A batch of two: torch takes an axis of length one for a constant.
    samples = torch.zeros(2, *input_shape, dtype=some.dtype)
    try:
        with torch.no_grad():
            exported(samples)
    except Exception as error:  # what a model does is its own
        raise ModelError(
            f"samples of shape {tuple(input_shape)}",
            "samples of a shape that the model takes",
            f"torch says: {error}",
        ) from error
    write_atomically(file, _graph(exported, samples))


def _graph(model: nn.Module, samples: torch.Tensor) -> bytes:
    """Return the serialised graph."""
    try:
        with _quietly():
            program = torch.onnx.export(
                model,
                (samples,),
                dynamo=True,
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:  # the exporter fails in its own ways and in those of the model
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"a {type(model).__name__} that torch cannot export",
            "a model that is one graph for every batch",
            f"torch says: {reason}",
        ) from error
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to itself what the exporter says besides its result or its error."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # Of a model that it cannot export torch prints the whole graph.
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            # torch.export uses parts of torch that torch has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
