"""Groups against the runs of their members alone, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from thalweg import optim
from thalweg.data import Data, load_data
from thalweg.engine import Diverged, Group, Member, Run, short_keys
from thalweg.engine.events import Event
from thalweg.spec import Spec

SLOW = {"k": 3, "alpha": 0.5}

EARLY = {"snapshot_every": 4, "swa_start": 2, "swa_every": 2, "frequency": 3, "switch_at": 7,
         "warmup": 5}  # fmt: skip
"""So early that it happens within a short run."""

RULES = sorted(optim.rules().keys() - set(optim.wrappers()))
WRAPPERS = sorted(optim.wrappers())


@cache
def digits() -> Data:
    """256 training samples of 64 numbers, with validation and test splits."""
    return load_data("digits", val=64, subset=256)


@cache
def images() -> Data:
    """Noise of 16 x 16 pixels: two convolutions and two poolings leave one of them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 1, 16, 16, generator=generator)
    y = torch.randint(10, (96,), generator=generator)
    parts = {"train": slice(64), "val": slice(64, 80), "test": slice(80, 96)}
    return load_data(
        {name: (x[part], y[part]) for name, part in parts.items()},
        classes=[str(label) for label in range(10)],
    )


@cache
def hundred() -> Data:
    """Half of the regression on a hundred features."""
    return load_data("regression-100-per-sample", val=100, test=100, subset=200)


def spec(**settings: Any) -> Spec:
    return Spec().override(settings, short_keys())


def optimizer(name: str, k: int) -> dict[str, Any]:
    """The k-th of several optimizers of one name: every number of it is another one."""
    given: dict[str, Any] = {}
    for each in optim.hyperparameters(name):
        if each.type is float:
            given[each.name] = each.default * (1 - 0.06 * k) + (0.002 if k else 0.0)
        elif each.name in EARLY:
            given[each.name] = EARLY[each.name]
    if name == "lookahead":
        inner = {"name": "adam", "lr": 0.01 * (1 + k)}
        return {**inner, "lookahead": {**SLOW, "alpha": 0.5 + 0.05 * k}}
    if name in WRAPPERS:
        inner = {"name": "sgd", "lr": 0.05 * (1 + k), "momentum": 0.9 - 0.1 * k}
        return {**inner, "wrap": (name,), **given}
    return {"name": name, **given}


def finish(one: Group | Run) -> list[Event]:
    """Go through all events."""
    return list(one.events())


_ALONE: dict[tuple[str, int, int], Run] = {}


def alone(told: Spec, **own: Any) -> Run:
    """The run of a spec by itself, to its end; what was asked for before is not run again."""
    key = (told.to_toml(), id(own.get("data")), torch.get_num_threads())
    if key not in _ALONE or "model" in own:
        _ALONE[key] = Run(told, **own)
        finish(_ALONE[key])
    return _ALONE[key]


def same_bits(found: Tensor, expected: Tensor) -> bool:
    """Tell whether two tensors have the same bits; what is no number equals itself."""
    if found.is_floating_point():
        found, expected = found.view(torch.int32), expected.view(torch.int32)
    return torch.equal(found, expected)


def assert_same_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert same_bits(found[name], tensor), name


def assert_is_alone(group: Group, member: Member, **own: Any) -> None:
    """Check that a member ended as its run alone does."""
    run = alone(member.spec, **own)
    where = f"member {member.number}"
    assert member.reason == run.reason, where
    same = pytest.approx(run.metrics, rel=0, abs=0, nan_ok=True)
    assert member.last == same, where
    expected = dict(run.model.state_dict())
    assert_same_tensors({name: group.remains(member)[name] for name in expected}, expected)


def check(specs: Iterable[Spec], only: Iterable[int] | None = None, **own: Any) -> Group:
    """Train specs as one group, and check that its members are what they are alone.

    Args:
        specs: What to run.
        only: The members to check; all if None.
        **own: Data, loss and so on of one's own.
    """
    group = Group(list(specs), **own)
    finish(group)
    everyone = group.progress.everyone
    for member in everyone if only is None else [everyone[k] for k in only]:
        assert_is_alone(group, member, **own)
    return group


def diverged(events: Iterable[Event]) -> dict[int, int]:
    """The updates that were made when each member was lost, by its number."""
    return {
        number: event.clock.step
        for event in events
        if isinstance(event, Diverged)
        for number in event.members
    }


def until(group: Group, stop: Callable[[Event], bool]) -> None:
    """Go on to the first event of a kind, and leave it there."""
    for event in group.events():
        if stop(event):
            return
