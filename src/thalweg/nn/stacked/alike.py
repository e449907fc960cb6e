"""Whether networks can be members of one stack: alike but for their numbers and dropout rates."""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType

import torch
from torch import Tensor, nn

from thalweg.nn.layers import DropBlock2d

RATED: frozenset[type[nn.Module]] = frozenset({
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
    DropBlock2d,
})  # fmt: skip
"""Layers whose ``p`` may differ from member to member."""

Outline = Mapping[str, Mapping[str, str]]
"""What must be the same in all members: traits in words, by layer."""

_OWN = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return a network and all in it by path; what is there twice has both paths."""
    return dict(module.named_modules(remove_duplicate=False))


def rates(module: nn.Module) -> dict[str, float]:
    """Return the dropout rates by the path of their layer.

    Example:
        >>> rates(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))
        {'1': 0.3}
    """
    return {path: child.p for path, child in layers(module).items() if type(child) in RATED}  # type: ignore[misc]


def set_rates(module: nn.Module, rates: Mapping[str, float], prefix: str = "") -> None:
    """Give a network, or the part of one at ``prefix``, the rates of these layers."""
    for path, child in layers(module).items():
        if type(child) in RATED:
            vars(child)["p"] = rates[(prefix + path).removesuffix(".")]


def hooked(module: nn.Module) -> bool:
    """Tell whether hooks of its own change what a module does."""
    return any(getattr(module, hooks, None) for hooks in _HOOKS)


def outline(module: nn.Module) -> Outline:
    """Return what a network shares with all that can be stacked with it."""
    seen: dict[int, str] = {}
    return {path: _traits(child, path, seen) for path, child in layers(module).items()}


def difference(one: Outline, other: Outline) -> str:
    """Name the first difference between two outlines; empty if there is none.

    Example:
        >>> a, b = nn.Sequential(nn.ELU(0.5)), nn.Sequential(nn.ELU(1.0))
        >>> difference(outline(a), outline(b))
        'layer 0 has alpha=1.0 instead of alpha=0.5'
        >>> difference(outline(a), outline(nn.Sequential(nn.ReLU())))
        'layer 0 is ReLU instead of ELU'
    """
    for path in [*one, *(path for path in other if path not in one)]:
        where = f"layer {path}" if path else "the network"
        if path not in one or path not in other:
            return f"{where} is {'new' if path in other else 'missing'}"
        mine, theirs = one[path], other[path]
        if mine["class"] != theirs["class"]:
            names = [traits["class"].rpartition(".")[2] for traits in (theirs, mine)]
            if names[0] == names[1]:
                names = [theirs["class"], mine["class"]]
            return f"{where} is {names[0]} instead of {names[1]}"
        for trait in [*mine, *(trait for trait in theirs if trait not in mine)]:
            ours, its = mine.get(trait, "nothing"), theirs.get(trait, "nothing")
            if ours != its:
                return f"{where} has {trait}={its} instead of {trait}={ours}"
    if list(one) != list(other):
        return "its layers come in another order"
    return ""


def _traits(module: nn.Module, path: str, seen: dict[int, str]) -> dict[str, str]:
    kind = type(module)
    traits = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    for name, value in vars(module).items():
        rate = name == "p" and kind in RATED
        if name not in _OWN and not rate and (text := _constant(value)) is not None:
            traits[name] = text
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None:
            owner = seen.setdefault(id(tensor), f"{path}.{name}")
            shared = "" if owner == f"{path}.{name}" else f", shared with {owner}"
            traits[name] = _kind(tensor) + shared
    if kind not in RATED:  # their other options are among the attributes
        traits["options"] = module.extra_repr()
    for hooks in _HOOKS:
        if count := len(getattr(module, hooks, ())):
            traits[hooks.strip("_").replace("_", " ")] = str(count)
    return traits


def _kind(tensor: Tensor) -> str:
    frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind}{list(tensor.shape)}" + (" (frozen)" if frozen else "")


def _constant(value: object) -> str | None:
    """Return in words what an attribute says; None if that is no part of the architecture."""
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | torch.dtype():
            return repr(value)
        case list() | tuple():
            parts = [_constant(part) for part in value]
            return None if None in parts else f"({', '.join(map(str, parts))})"
        case dict():
            return _constant([*value, *value.values()])
        case FunctionType() | BuiltinFunctionType():
            return f"{value.__module__}.{value.__qualname__}"
        case nn.Parameter():
            return None  # a second place for one of the numbers that may differ
        case Tensor() if value.grad_fn is None and value.layout is torch.strided:
            numbers = value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
            return f"{_kind(value)} #{hash(numbers):x}"
    return None
