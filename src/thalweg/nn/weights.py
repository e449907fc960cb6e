"""Weights in and out: the state of a model as a file that every program can read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from thalweg.errors import ModelError
from thalweg.nn.weight_file import read_tensors, write_tensors

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
LISTED = 5
"""How many names an error lists."""


def save_weights(model: nn.Module, file: str | Path) -> None:
    """Write the parameters and buffers of a model: whole, or the old file stays.

    Every name is in the file, those of shared parameters too, so that other programs can read it.

    Args:
        model: The network.
        file: ``.safetensors``, or ``.pt`` or ``.pth`` for a ``state_dict`` of torch.

    Raises:
        SpecError: Another suffix.
        ModelError: The state of the model is more than dense tensors with values.
        FileError: The file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> net, twin = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> with TemporaryDirectory() as folder:
        ...     save_weights(net, Path(folder, "net.safetensors"))
        ...     load_weights(twin, Path(folder, "net.safetensors"))
        >>> torch.equal(net.weight, twin.weight)
        True
    """
    write_tensors(Path(file), _state(model))


def load_weights(model: nn.Module, file: str | Path) -> None:
    """Put the weights of a file into a model, in the model's own precision and on its devices.

    Only tensors are read: a pickle that asks for anything else is refused, and nothing of it runs.
    A checkpoint may keep the weights under ``state_dict``, ``model_state_dict`` or ``model``, and
    their names may begin with ``module.`` or ``_orig_mod.``.

    Args:
        model: The network; if an error is raised, it is as it was.
        file: ``.safetensors``, ``.pt`` or ``.pth``.

    Raises:
        SpecError: Another suffix.
        FileError: The file is missing, damaged, not what its suffix says, or holds code.
        ModelError: The weights are not those of this model: names are missing or unknown, or
            shapes or types differ.
    """
    values = read_tensors(Path(file))
    state = _state(model)
    fitting = _fit(Path(file), _unwrapped(values), _unwrapped(state))
    before = {name: value.detach().clone() for name, value in state.items()}
    try:
        model.load_state_dict(dict(zip(state, fitting.values(), strict=True)))
    except RuntimeError as error:  # a module with a will of its own
        model.load_state_dict(before)
        raise ModelError(f"{file}, which the model refuses", "its weights", str(error)) from None


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of the model by name; names of one shared parameter have one object."""
    state = model.state_dict(keep_vars=True)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{name}, which is no tensor", "a state of tensors alone")
        if is_lazy(value) or value.is_meta:
            raise ModelError(
                f"{name}, which has no values yet",
                "a model whose parameters have their shapes and memory",
                "run one sample through a lazy module first",
            )
        if value.layout is not torch.strided or value.is_quantized:
            raise ModelError(f"{name}, which is sparse or quantized", "dense tensors")
    return dict(state)


def _unwrapped(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by the names that they had before the model was wrapped."""
    for wrapper in WRAPPERS:
        if values and all(name.startswith(wrapper) for name in values):
            return _unwrapped({name.removeprefix(wrapper): v for name, v in values.items()})
    return dict(values)


def _fit(
    file: Path, values: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors for all names of the state, in its order and types.

    Raises:
        ModelError: They do not fit.
    """
    saved: dict[int, str] = {}
    for name, value in state.items():
        if name in values:
            saved.setdefault(id(value), name)
    missing = [name for name, value in state.items() if id(value) not in saved]
    wrong = [
        f"{name} ({trouble})"
        for name, value in values.items()
        if name in state and (trouble := _trouble(value, state[name]))
    ]
    wrong += [
        f"{name} (other values than {saved[id(value)]}, with which it is shared)"
        for name, value in state.items()
        if name in values and not _same(values[name], values[saved[id(value)]])
    ]
    complaints = {
        "they lack": missing,
        "the model has no": [name for name in values if name not in state],
        "they differ in": wrong,
    }
    if any(complaints.values()):
        said = "; ".join(f"{what} {_listed(names)}" for what, names in complaints.items() if names)
        raise ModelError(
            f"weights that are not those of the model: {said}",
            f"the {len(state)} tensors of the model",
            f"{file} was saved from another architecture",
        )
    return {name: values[saved[id(value)]].to(value.dtype) for name, value in state.items()}


def _trouble(value: Tensor, target: Tensor) -> str:
    """Return why a tensor cannot take another's place; empty if it can."""
    if value.shape != target.shape:
        return f"shape {tuple(value.shape)} instead of {tuple(target.shape)}"
    if value.is_meta or value.layout is not torch.strided:
        return "no dense values"
    if value.dtype == target.dtype:
        return ""
    if not (value.is_floating_point() and target.is_floating_point()):
        return f"{value.dtype} instead of {target.dtype}"
    if not torch.equal(value.isfinite(), value.to(target.dtype).isfinite()):
        return f"values beyond the range of {target.dtype}"
    return ""


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and bool(torch.allclose(a, b, 0, 0, equal_nan=True)))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
