"""A group that is brought back from a snapshot, taken at any event, goes on to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thalweg.engine import Evaluated, Group, Snapshot
from thalweg.engine.events import Event
from thalweg.errors import ModelError
from thalweg.spec import Spec
from thalweg.store import read_checkpoint, write_checkpoint

from .cohorts import assert_is_alone, assert_same_tensors, digits, finish, optimizer, spec

BASE: dict[str, Any] = {
    "hidden": (13,), "batch_size": 64, "epochs": 2, "evaluate_every": "2steps",
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}  # fmt: skip


def told(**changes: Any) -> Spec:
    return spec(**{**BASE, **changes})


def several(*names: str, **changes: Any) -> list[Spec]:
    return [
        told(**{"optimizer": optimizer(name, k), "seed": k, **changes})
        for k, name in enumerate(names)
    ]


SPECS: dict[str, list[Spec]] = {
    "one rule, one order": [told(seed=k, lr=0.1 * (1 + k), order_seed=0) for k in range(3)],
    "own orders and dropout": several("adam", "adam", "adam", dropout=0.3, norm="batch"),
    "several slices": several("adam", "sgd", "soap", "soap", "adam", "lookahead", dropout=0.2),
    "wrappers": several("swa", "ema", "decay", norm="batch"),
    "sam": several("sam", "sam", dropout=0.2),
    "svrg": several("svrg", "svrg", norm="batch"),
    "divergence": [
        told(seed=k, lr=lr, norm="batch") for k, lr in enumerate((0.1, 1e20, 0.2, 1e28))
    ],
    "divergence under sam": [
        told(seed=k, lr=lr, dropout=0.1, wrap=("sam",)) for k, lr in enumerate((0.1, 1e20, 0.2))
    ],
    "all diverge": [told(seed=k, lr=lr, norm="batch") for k, lr in enumerate((1e20, 1e28))],
    "the middle slice leaves": [
        told(epochs=n, optimizer=name) for name, n in (("sgd", 2), ("adam", 1), ("sgd", 2))
    ],
    "ends of all kinds": [
        told(epochs=1),
        told(until="running_accuracy>=0.5", seed=1),
        told(patience=1, lr=0.9),
        told(max_seconds=0, order_seed=5),
        told(schedule={"name": "plateau", "wait": 0, "threshold": 0.3}),
        told(epochs=2.5, schedule="one-cycle", per="step", label_noise=0.0),
    ],
    "accumulated": several("adam", "sgd", batch_size=20, accumulate=3),
    "rules of other packages": [
        told(optimizer={"name": "torch.optim.Adam", "lr": 0.01 * (1 + k)}, seed=k, epochs=1 + k)
        for k in range(2)
    ]
    + [told()],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products are not worth a second thread."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


def ends(group: Group) -> dict[int, Any]:
    """What is known of each member at the end, but for its tensors."""
    return {
        m.number: (m.reason, m.last, m.lr, group.made(m), m.begun) for m in group.progress.everyone
    }


def remains(group: Group) -> dict[int, dict[str, Tensor]]:
    """Parameters and buffers of the members that are there at the end, and of those that left."""
    return {m.number: dict(group.remains(m)) for m in group.progress.everyone}


def bring_back(specs: list[Spec], snapshot: Snapshot) -> Group:
    """Build the group of a snapshot from nothing but the specs and the facts."""
    facts = json.loads(json.dumps(snapshot.facts))
    known = {one["number"]: tuple(one["begun"]) for one in (*facts["members"], *facts["gone"])}
    numbers = sorted(known)
    group = Group(
        [specs[number] for number in numbers],
        numbers=numbers,
        begun=[known[number] for number in numbers],
        data=digits(),
    )
    group.restore(Snapshot(snapshot.arrays, facts))
    return group


def check_every_event(
    specs: list[Spec], first: int, change: Callable[[Group, Event], None], folder: Path
) -> None:
    """Take a snapshot at every event, bring each back from its file, and let it go on.

    Args:
        specs: By number.
        first: How many are there from the beginning.
        change: What is done at an event: members may enter or be pruned. It is asked again when
            the run was brought back to a later event, and must then do the same.
        folder: Where snapshots are written.
    """
    whole, taken = Group(specs[:first], data=digits()), 0
    gone: list[set[int]] = []

    def take() -> None:
        nonlocal taken
        snapshot = whole.snapshot()
        write_checkpoint(folder / f"{taken}.safetensors", snapshot.arrays, snapshot.facts)
        gone.append({member["number"] for member in snapshot.facts["gone"]})
        taken += 1

    take()
    for event in whole.events():
        change(whole, event)
        take()
    expected, tensors = ends(whole), remains(whole)
    for number in range(taken):
        found = read_checkpoint(folder / f"{number}.safetensors")
        other = bring_back(specs, Snapshot(found.arrays, found.facts))
        for event in other.events():
            change(other, event)
        assert ends(other) == expected
        for member in other.progress.everyone:
            if member.number not in gone[number]:  # their tensors were kept elsewhere
                assert_same_tensors(dict(other.remains(member)), tensors[member.number])
        last, end = other.snapshot(), whole.snapshot()
        assert_same_tensors(dict(last.arrays), dict(end.arrays))


@pytest.mark.no_cover
@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
def test_every_event_of_a_group(specs: list[Spec], tmp_path: Path) -> None:
    check_every_event(specs, len(specs), lambda group, event: None, tmp_path)


def between_epochs(group: Group, event: Event) -> bool:
    return isinstance(event, Evaluated) and not group.progress.done and not group.progress.due


@pytest.mark.parametrize(
    "names",
    [("adam", "sgd", "adam", "adam", "sgd"), ("sgd",) * 5, ("ema", "adam", "ema", "soap", "soap")],
)
def test_every_event_of_a_group_in_which_members_come_and_go(names: Any, tmp_path: Path) -> None:
    specs = several(*names, dropout=0.1, norm="batch")
    specs[0] = specs[0].override({"epochs": 1})

    def change(group: Group, event: Event) -> None:
        known = {member.number for member in group.progress.everyone}
        if between_epochs(group, event) and 4 not in known:  # one by one
            group.enter([specs[3]], [3])
            group.enter([specs[4]], [4])
        if event.clock.step == 6 and any(m.number == 1 for m in group.progress.active):
            group.prune([1])

    check_every_event(specs, 3, change, tmp_path)
    whole = Group(specs[:3], data=digits())
    for event in whole.events():
        change(whole, event)
    assert [member.reason for member in whole.progress.everyone].count("pruned") == 1
    for member in whole.progress.everyone:
        if member.reason != "pruned":
            assert_is_alone(whole, member, data=digits())


# ── what is refused ──────────────────────────────────────────────────────────────────────────


def halfway() -> tuple[list[Spec], Snapshot]:
    """A group of several slices of which one member has left, and some steps are made."""
    specs = several("adam", "sgd", "sgd", "soap", dropout=0.2, norm="batch")
    specs[1] = specs[1].override({"steps": 2})
    group = Group(specs, data=digits())
    for event in group.events():
        if event.clock.step == 3:
            break
    return specs, group.snapshot()


def refused(specs: list[Spec], snapshot: Snapshot, match: str = "a snapshot") -> None:
    group = Group(specs, data=digits())
    before = group.snapshot()
    with pytest.raises(ModelError, match=match):
        group.restore(snapshot)
    finish(group)  # it trains all the same
    assert before.facts["updates"] == 0


@pytest.mark.no_cover
def test_arrays_that_are_damaged() -> None:
    specs, snapshot = halfway()
    bring_back(specs, snapshot)
    for name, array in snapshot.arrays.items():
        for changed in (None, array[:1] if array.dim() > 1 else array[:-1], array.to(torch.int8)):
            same = changed is not None and (changed.shape, changed.dtype) == (
                array.shape,
                array.dtype,
            )
            if same or (changed is not None and array.numel() == 0):
                continue
            arrays = {n: a for n, a in snapshot.arrays.items() if n != name}
            arrays |= {} if changed is None else {name: changed}
            with pytest.raises(ModelError, match=name):
                bring_back(specs, Snapshot(arrays, snapshot.facts))


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: {"members": facts["members"][:2]},
        lambda facts: {"members": [*facts["members"], facts["gone"][0]]},
        lambda facts: {"members": facts["members"][::-1]},
        lambda facts: {"gone": []},
        lambda facts: {"gone": facts["gone"] * 2},
        lambda facts: {"members": [{**one, "number": 9} for one in facts["members"]]},
        lambda facts: {"members": [{**one, "begun": [1]} for one in facts["members"]]},
        lambda facts: {"counts": {"mood": 3}},
        lambda facts: {"updates": "many"},
        lambda facts: {"due": None},
    ],
)
def test_facts_that_are_damaged(change: Callable[[Any], dict[str, Any]]) -> None:
    specs, snapshot = halfway()
    refused(specs, Snapshot(snapshot.arrays, {**snapshot.facts, **change(snapshot.facts)}))


def test_a_group_of_others() -> None:
    specs, snapshot = halfway()
    refused(specs[:3], snapshot)
    refused([specs[0], specs[1], specs[3], specs[2]], snapshot)  # the rules are others
    refused([*specs, specs[0]], snapshot)


def test_a_snapshot_of_one_rule_is_none_of_several() -> None:
    _, snapshot = halfway()
    refused(several("sgd", "sgd", "sgd", "sgd", dropout=0.2, norm="batch"), snapshot)
