"""A snapshot that is taken at any event, and read back from a file, goes on to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg import optim
from thalweg.data import Data
from thalweg.engine import Run, Snapshot, short_keys
from thalweg.engine.progress import check_facts
from thalweg.errors import ModelError
from thalweg.spec import Spec
from thalweg.store import read_checkpoint, write_checkpoint

QUICK = {"hidden": (12,), "lr": 1e-2, "batch_size": 120}  # 4 batches of 480 an epoch
SLOW = {"k": 3, "alpha": 0.5}

COMBINATIONS: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 2},
    "short last batch": {"batch_size": 100, "epochs": 2},
    "drop_last": {"batch_size": 100, "drop_last": True, "epochs": 2},
    "full batch": {"batch_size": "full", "epochs": 5},
    "accumulate": {"batch_size": 50, "accumulate": 3, "epochs": 2, "norm": "batch"},
    "evaluation within an epoch": {"epochs": 2, "evaluate_every": "3steps"},
    "evaluation at every step": {"epochs": 1.5, "evaluate_every": "1steps"},
    "evaluation every other epoch": {"epochs": 3, "evaluate_every": "2epochs"},
    "no evaluation": {"epochs": 2, "evaluate_every": "never"},
    "patience": {"steps": 20, "evaluate_every": "2steps", "patience": 2, "lr": 0.3},
    "until": {"epochs": 9, "evaluate_every": "3steps", "until": "running_accuracy>=0.3"},
    "time": {"epochs": 9, "max_seconds": 0},
    "states": {"steps": 9, "record_states": 1},
    "states that are thinned": {"steps": 13, "record_states": 1, "record_budget": 0.018},
    "dropout": {"epochs": 2, "dropout": 0.5},
    "batch norm": {"epochs": 2, "norm": "batch", "evaluate_every": "3steps"},
    "lookahead": {"steps": 10, "lookahead": SLOW},
    "lookahead around madgrad": {"steps": 10, "lookahead": SLOW, "optimizer": "madgrad"},
    "momentum": {"steps": 6, "optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "one-cycle": {"epochs": 2, "schedule": "one-cycle", "per": "step"},
    "cosine": {"epochs": 3, "schedule": "cosine", "per": "epoch"},
    "schedule of momentum": {
        "steps": 6, "optimizer": "sgd", "momentum": 0.5, "schedule": "step",
        "step_size": 1, "gamma": 0.5, "target": "momentum", "per": "step",
    },
    "penalties": {"steps": 6, "l1": 1e-3, "l2": 1e-2},
    "clipping": {"steps": 6, "clip_norm": 0.1, "clip_value": 0.01},
    "metrics": {"epochs": 2, "metrics": ("top3", "accuracy"), "evaluate_every": "3steps"},
    "bfloat16": {"steps": 6, "precision": "bfloat16", "hidden": (32,)},
    "current weights": {"epochs": 2, "lookahead": SLOW, "evaluate_weights": "current"},
    "everything": {
        "epochs": 2, "batch_size": 50, "accumulate": 3, "dropout": 0.3, "norm": "batch",
        "lookahead": SLOW, "optimizer": "madgrad", "schedule": "one-cycle", "per": "step",
        "evaluate_every": "3steps", "patience": 3, "record_states": 2, "record_budget": 0.03,
        "clip_norm": 1.0, "l2": 1e-3, "evaluate": ("train", "val"),
    },
}  # fmt: skip


class Unusual(nn.Module):
    """Draws, counts and keeps a running mean in a way that no hand-written layer stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 12), nn.Linear(12, 10)
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.flatten(1))
        if self.training:
            self.calls += 1
            self.mean.lerp_(h.detach().mean(0), 0.1)
            h = h + 0.1 * torch.randn_like(h)
        return self.second(F.dropout(torch.relu(h - self.mean), 0.3, self.training))


def _unusual() -> nn.Module:
    torch.manual_seed(0)
    return Unusual()


def _plain_average() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(12, momentum=None)  # the plain average of all batches
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), norm, nn.Linear(12, 10))


def _images() -> nn.Module:
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(conv, nn.Flatten(), nn.GELU(), nn.Dropout(0.2), nn.Linear(36, 10))


def _hinge(outputs: Tensor, y: Tensor) -> Tensor:
    return F.multi_margin_loss(outputs, y)


def _spread(outputs: Tensor, y: Tensor) -> Tensor:
    return outputs.std((-2, -1))


OWN: dict[str, Callable[[], dict[str, Any]]] = {
    "model that draws": lambda: {"model": _unusual()},
    "plain average": lambda: {"model": _plain_average()},
    "images": lambda: {"model": _images()},
    "loss": lambda: {"loss": _hinge},
    "metrics": lambda: {"metrics": {"spread": _spread, "zero": lambda o, y: o.sum((-2, -1)) * 0}},
    "all": lambda: {"model": _unusual(), "loss": _hinge, "metrics": {"spread": _spread}},
}


def spec(changes: dict[str, Any]) -> Spec:
    return Spec().override(changes, short_keys())


def build(digits: Data, settings: dict[str, Any], own: dict[str, Any]) -> Run:
    changes = {**QUICK, **settings}
    if "model" in own:
        del changes["hidden"]
    return Run(spec(changes), **{"data": digits, **own})


def bits(run: Run) -> dict[str, Tensor]:
    """All tensors that a run ends with."""
    arrays = run.snapshot().arrays
    states = dict(zip(run.states.steps, run.states.theta, strict=True))
    model = run.model.state_dict()
    return {**arrays, **{f"state {n}": s for n, s in states.items()}, **model}


def timeless(run: Run) -> str:
    """All numbers and words that a run ends with, but for the time that it took."""
    tables = [
        {name: column for name, column in sorted(table.items()) if name != "seconds"}
        for table in (run.history.steps, run.history.epochs)
    ]
    facts = {key: fact for key, fact in run.snapshot().facts.items() if key != "seconds"}
    order = [list(each) for each in (run.metrics, facts["counts"])]
    return json.dumps([tables, facts, order, run.metrics, run.reason, run.states.steps])


def assert_same(run: Run, whole: Run) -> None:
    assert timeless(run) == timeless(whole)
    found, expected = bits(run), bits(whole)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert torch.equal(found[name], array), name


def check_every_event(make: Callable[[], Run], folder: Path) -> None:
    whole, taken = make(), list[tuple[str, dict[int, Tensor], int]]()

    def take(kind: str) -> None:
        snapshot = whole.snapshot()
        write_checkpoint(folder / f"{len(taken)}.safetensors", snapshot.arrays, snapshot.facts)
        states = dict(zip(whole.states.steps, whole.states.theta, strict=True))
        taken.append((kind, states, snapshot.facts["updates"]))

    take("Start")
    for event in whole.events():
        take(type(event).__name__)
    assert len(taken) > 3

    silent = make()
    for _ in silent.events():
        pass
    assert_same(silent, whole)  # to take a snapshot changes nothing

    for number, (kind, states, updates) in enumerate(taken):
        found = read_checkpoint(folder / f"{number}.safetensors")
        snapshot = Snapshot(found.arrays, found.facts)
        before = {name: array.clone() for name, array in found.arrays.items()}
        resumed = make()
        resumed.restore(snapshot, states)
        assert resumed.cohort.updates == updates
        for name, rows in found.facts["rows"].items():
            for column, values in getattr(whole.history, name).items():
                if rows or column in {"step", "epoch", "gradients", "seconds", "lr"}:
                    getattr(resumed.history, name)[column] = values[:rows]
        for _ in resumed.events():
            pass
        assert_same(resumed, whole)
        assert all(torch.equal(before[n], a) for n, a in snapshot.arrays.items()), kind


@pytest.mark.no_cover
@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_event_of_every_kind_of_run(digits, settings, tmp_path):
    check_every_event(lambda: build(digits, settings, {}), tmp_path)


@pytest.mark.parametrize("reason", ["patience", "until", "time"])
def test_the_runs_that_end_early_do(digits, reason):
    run = build(digits, COMBINATIONS[reason], {})
    steps = sum(type(event).__name__ == "Step" for event in run.events())
    assert run.reason == reason
    assert steps < run.length.updates


def test_the_states_that_are_thinned_are(digits):
    run = build(digits, COMBINATIONS["states that are thinned"], {})
    assert sorted({run.states.every for _ in run.events()}) == [1, 2, 4]


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_every_event_of_a_run_with_things_of_ones_own(digits, own, tmp_path):
    settings = {"epochs": 2, "evaluate_every": "3steps"}
    check_every_event(lambda: build(digits, settings, own()), tmp_path)


EARLY = {"snapshot_every": 2, "swa_start": 1, "swa_every": 2, "frequency": 2, "switch_at": 4,
         "warmup": 3}  # fmt: skip
"""So early that it happens within a short run."""


def early(name: str) -> dict[str, int]:
    return {o.name: EARLY[o.name] for o in optim.hyperparameters(name) if o.name in EARLY}


@pytest.mark.no_cover
@pytest.mark.parametrize("name", sorted(set(optim.rules()) - set(optim.wrappers())))
def test_every_rule(digits, name, tmp_path):
    settings = {"optimizer": {"name": name, "lr": 1e-3, **early(name)}, "steps": 7, "dropout": 0.2}
    del (changes := {**QUICK, **settings})["lr"]
    check_every_event(lambda: Run(spec(changes), data=digits), tmp_path)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", sorted(set(optim.wrappers()) - {"lookahead"}))
def test_everything_that_goes_around_a_rule(digits, name, tmp_path):
    optimizer = {"name": "sgd", "momentum": 0.9, "wrap": (name,), **early(name)}
    settings = {"optimizer": optimizer, "norm": "batch", "dropout": 0.2, "lookahead": SLOW}
    changes = {**QUICK, **settings, "steps": 8, "evaluate_every": "3steps", "accumulate": 2}
    check_every_event(lambda: Run(spec(changes), data=digits), tmp_path)


def test_a_regression(tmp_path):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    data = {"data": {"train": (x, x.sum(1, keepdim=True)), "val": (x[:9], x[:9, :1])}}
    settings = {"epochs": 3, "batch_size": 16, "metrics": ("mae",), "monitor": "val_mae"}
    check_every_event(lambda: build(None, {**settings, "patience": 2}, data), tmp_path)


def test_a_run_that_diverges(tmp_path):
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(4)
    own = {"model": nn.Sequential(nn.Linear(4, 4), norm, nn.Dropout(0.1), nn.Linear(4, 1))}
    own |= {"data": (x, x.sum(1, keepdim=True))}
    settings = {"optimizer": "sgd", "lr": 1e3, "batch_size": "full", "epochs": 50}
    run = build(None, settings, own)
    assert [type(event).__name__ for event in run.events()][-2:] == ["Diverged", "Finished"]
    check_every_event(lambda: build(None, settings, own), tmp_path)


# ── what a snapshot is ───────────────────────────────────────────────────────────────────────


def halfway(digits: Data, settings: dict[str, Any] | None = None) -> tuple[Run, Snapshot]:
    """A run that has made three steps, and the snapshot of that moment."""
    run = build(digits, settings or {"steps": 6, "patience": 2, "dropout": 0.2}, {})
    events = run.events()
    for _ in range(3):
        next(events)
    return run, run.snapshot()


def test_a_snapshot_is_a_copy(digits):
    run, snapshot = halfway(digits)
    before = {name: array.clone() for name, array in snapshot.arrays.items()}
    for _ in run.events():
        pass
    assert all(torch.equal(before[name], array) for name, array in snapshot.arrays.items())
    assert snapshot.facts["updates"] == 3


def test_a_snapshot_can_be_restored_more_than_once(digits):
    _, snapshot = halfway(digits)
    runs = [build(digits, {"steps": 6, "patience": 2, "dropout": 0.2}, {}) for _ in range(2)]
    for run in runs:
        run.restore(snapshot)
        for _ in run.events():
            pass
    assert torch.equal(runs[0].cohort.stack.theta, runs[1].cohort.stack.theta)
    assert runs[0].metrics == runs[1].metrics


def test_another_metric_is_watched_from_its_own_beginning(digits):
    _, snapshot = halfway(digits)
    (member,) = snapshot.facts["members"]
    assert member["patience"]["metric"] == "val_loss"
    watched = {"metric": "val_loss", "best": 0.5, "waited": 1}
    facts = {**snapshot.facts, "members": [{**member, "patience": watched}]}
    for monitor, expected in {"val_loss": (0.5, 1), "val_accuracy": (float("-inf"), 0)}.items():
        settings = {"steps": 6, "dropout": 0.2, "patience": 2, "monitor": monitor}
        run = build(digits, settings, {})
        run.restore(Snapshot(snapshot.arrays, facts))
        patience = run._member.judge.patience
        assert patience is not None
        assert (patience.best, patience.waited) == expected


OTHERS = {
    "another size": ({"hidden": (13,)}, r"parameters/1\.weight is float32 of shape \(1, 12, 64\)"),
    "another depth": ({"hidden": (12, 12)}, r"4\.weight .* expected one of this run, where it is"),
    "another rule": ({"optimizer": "sgd"}, r"slots/m/1\.weight is .*; .* where it is not there"),
    "with momentum": ({"optimizer": "sgd", "momentum": 0.5}, "slots/b/1.weight is missing"),
    "in lookahead": ({"lookahead": SLOW}, "slots/slow/1.weight is missing"),
    "with batch norm": ({"norm": "batch"}, "missing"),
}


@pytest.mark.parametrize(("change", "message"), OTHERS.values(), ids=OTHERS)
def test_a_snapshot_of_another_run_is_refused_and_changes_nothing(digits, change, message):
    _, snapshot = halfway(digits)
    run = build(digits, {"steps": 6, "patience": 2, "dropout": 0.2, **change}, {})
    before = run.snapshot()
    with pytest.raises(ModelError, match=message):
        run.restore(snapshot)
    after = run.snapshot()
    assert after.facts == before.facts
    assert all(torch.equal(a, after.arrays[name]) for name, a in before.arrays.items())


DAMAGE: dict[str, Any] = {
    "updates": [-1, 2.0, "3", None, True, 2**64],
    "gradients": [-1, [3]],
    "done": [-1, None],
    "due": [1, "yes", None],
    "seconds": ["long", []],
    "counts": [{"loss": -1}, {"loss": 0}, {"loss": 1.5}, {"unknown": 3}, {}, [], None],
    "members": [[], None, [1], [{}]],
    "gone": [None, [{}]],
    "states_every": [-1, "2"],
    "rows": [{"steps": -1}, [], None],
}


@pytest.mark.parametrize(("key", "value"), [(key, v) for key in DAMAGE for v in DAMAGE[key]])
def test_facts_of_a_wrong_kind_are_refused_and_change_nothing(digits, key, value):
    run, snapshot = halfway(digits)
    before = run.snapshot()
    with pytest.raises(ModelError, match="a snapshot"):
        run.restore(Snapshot(snapshot.arrays, {**snapshot.facts, key: value}))
    after = run.snapshot()
    assert after.facts == before.facts
    assert all(torch.equal(a, after.arrays[name]) for name, a in before.arrays.items())


DAMAGED_MEMBER: dict[str, Any] = {
    "number": [-1, 1, "0", None],
    "begun": [[0], [0, -1], None],
    "lr": ["fast", None],
    "last": [{"val_loss": [0.5]}, {"val_loss": "a"}, [], None],
    "patience": [[0.5, 1], {"metric": "val_loss"}, {"metric": 1, "best": 0, "waited": 0}, 3],
    "reason": ["bored", 3],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, v) for key in DAMAGED_MEMBER for v in DAMAGED_MEMBER[key]]
)
def test_facts_of_a_member_of_a_wrong_kind_are_refused(digits, key, value):
    run, snapshot = halfway(digits)
    before, (member,) = run.snapshot(), snapshot.facts["members"]
    with pytest.raises(ModelError, match="a snapshot"):
        run.restore(
            Snapshot(snapshot.arrays, {**snapshot.facts, "members": [{**member, key: value}]})
        )
    after = run.snapshot()
    assert after.facts == before.facts
    assert all(torch.equal(a, after.arrays[name]) for name, a in before.arrays.items())


def test_facts_that_are_missing_or_unknown_are_refused(digits):
    run, snapshot = halfway(digits)
    for key in set(snapshot.facts) - {"states_every", "rows"}:
        facts = {name: value for name, value in snapshot.facts.items() if name != key}
        with pytest.raises(ModelError, match=f"a snapshot in which {key} is wrong"):
            run.restore(Snapshot(snapshot.arrays, facts))
    with pytest.raises(ModelError, match="mood"):
        check_facts(Snapshot(snapshot.arrays, {**snapshot.facts, "mood": "good"}))


ARRAYS: dict[str, Callable[[Tensor], Tensor | None]] = {
    "parameters/1.weight": lambda a: a.double(),
    "parameters/1.bias": lambda a: a[:, :3],
    "slots/m/1.weight": lambda a: None,
    "running/loss": lambda a: a.float(),
    "generators/order/0": torch.zeros_like,
    "generators/masks/0": lambda a: torch.full_like(a, 255),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_a_wrong_kind_are_refused_and_change_nothing(digits, name):
    run, snapshot = halfway(digits)
    before, changed = run.snapshot(), ARRAYS[name](snapshot.arrays[name])
    arrays = {n: a for n, a in snapshot.arrays.items() if n != name}
    if changed is not None:
        arrays[name] = changed
    with pytest.raises(ModelError, match=name):
        run.restore(Snapshot(arrays, snapshot.facts))
    after = run.snapshot()
    assert all(torch.equal(a, after.arrays[n]) for n, a in before.arrays.items())


class Counting(nn.Module):
    """Assigns its buffer anew at every call in training, after the tape has seen the old one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.n: Tensor
        self.register_buffer("n", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x.flatten(1)) * self.n
        if self.training:
            self.n = self.n + 0.25
        return y


def test_a_buffer_that_is_assigned_anew_is_kept_and_goes_on(digits):
    told = Spec().override({"steps": 5, "batch_size": 48, "lr": 0.01})
    taken = []
    torch.manual_seed(0)
    net = Counting()
    whole = Run(told, model=net, data=digits)
    for event in whole.events():
        if event.clock.step == 2 and not taken:
            taken.append(whole.snapshot())
    assert float(whole.model.n) == 1 + 0.25 * 5
    other = Run(told, model=net, data=digits)
    other.restore(taken[0])
    for _ in other.events():
        pass
    assert torch.equal(whole.cohort.stack.theta, other.cohort.stack.theta)
    assert torch.equal(whole.cohort.stack.buffers["n"], other.cohort.stack.buffers["n"])
