"""The networks that specs begin with."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import Generator, nn

from thalweg import nn as networks
from thalweg.data import Data
from thalweg.errors import ModelError, SpecError
from thalweg.spec import Spec


def first_networks(
    specs: Sequence[Spec], data: Sequence[Data], own: nn.Module | None
) -> list[nn.Module]:
    """Return the network that each spec begins with; those that begin alike share one."""
    made: dict[tuple[int, str], nn.Module] = {}
    found = []
    for spec, samples in zip(specs, data, strict=True):
        key = spec.seed, spec.model.model_dump_json()
        if key not in made:
            made[key] = _network(spec, samples, own)
        found.append(made[key])
    return found


def _network(spec: Spec, data: Data, own: nn.Module | None) -> nn.Module:
    """Return the network that a spec begins with."""
    draw = Generator().manual_seed(spec.seed)
    if own is None:
        own = networks.build(
            spec.model.name,
            input_shape=data.input_shape,
            out_features=data.out_features,
            generator=draw,
            init=spec.model.init,
            **spec.model.options,
        )
    elif spec.model.init != "default":
        own = networks.initialize(copy.deepcopy(own), spec.model.init, draw)
    if spec.model.weights is not None:
        own = copy.deepcopy(own)
        networks.load_weights(own, Path(spec.model.weights))
    return own


def check_own(model: object, spec: Spec) -> None:
    """Check that a model of the user's own is one, and that the spec does not shape it."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else repr(model)
        raise ModelError(f"{got} as a model", "the name of a model, or an nn.Module")
    if spec.model.options:
        got = f"{', '.join(spec.model.options)} for a model of your own"
        raise SpecError(got, "options of a named model", "init is the only one for both")
