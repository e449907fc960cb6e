"""Specs that train as one program: what they share, what they say, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from thalweg import nn as networks
from thalweg.data import Data, index_batches
from thalweg.data.streams import stream
from thalweg.engine import Diverged, Evaluated, Finished, Group, Run, Snapshot, Step, short_keys
from thalweg.engine import group as module
from thalweg.engine.loading import load_all
from thalweg.engine.partition import partition
from thalweg.errors import ModelError, SpecError
from thalweg.spec import Spec


def spec(**settings: Any) -> Spec:
    length = {} if "steps" in settings else {"epochs": 2}
    changes = {"hidden": (12,), "lr": 1e-2, "batch_size": 96, **length, **settings}
    return Spec().override(changes, short_keys())


def finish(one: Group | Run) -> list[Any]:
    return list(one.events())


def assert_alone(group: Group, **own: Any) -> None:
    """Check that all members ended as their runs alone do."""
    for member in group.progress.everyone:
        run = Run(member.spec, **own)
        finish(run)
        assert (member.reason, member.last) == (run.reason, run.metrics)
        found, expected = group.remains(member), run.model.state_dict()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, equal_nan=True)


def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    return F.multi_margin_loss(outputs, y)


# ── what a group is ──────────────────────────────────────────────────────────────────────────


def test_what_it_says_while_it_trains(digits):
    specs = [spec(epochs=1), spec(seed=1), spec(steps=7, evaluate_every="2steps")]
    with pytest.raises(SpecError, match="evaluate_every=1epoch and 2steps in one group"):
        Group(specs, data=digits)
    specs[2] = spec(steps=7)
    group = Group(specs, numbers=[4, 2, 9], data=digits)
    said = [(type(event).__name__, event.members) for event in group.events()]
    assert said == [
        *[("Step", (4, 2, 9))] * 5,
        ("Evaluated", (4, 2, 9)),
        ("Finished", (4,)),
        *[("Step", (2, 9))] * 2,
        ("Evaluated", (9,)),
        ("Finished", (9,)),
        *[("Step", (2,))] * 3,
        ("Evaluated", (2,)),
        ("Finished", (2,)),
    ]
    assert [member.number for member in group.progress.everyone] == [2, 4, 9]
    assert [group.made(member) for member in group.progress.everyone] == [(10, 10), (5, 5), (7, 7)]
    assert_alone(group, data=digits)


def test_what_members_are_while_they_train(digits):
    group = Group([spec(seed=k) for k in range(2)], data=digits)
    assert group.data == [digits, digits]
    for event in group.events():
        if event.clock.step == 3:
            break
    member = group.progress.members[1]
    assert group.made(member) == (3, 3)
    for name, tensor in group.cohort.stack.export(1).state_dict().items():
        assert torch.equal(group.remains(member)[name], tensor)
    network = group.network(group.remains(member))
    assert not network.training
    outputs = group.cohort.outputs(digits.test.x)[1]
    torch.testing.assert_close(network(digits.test.x), outputs)


def test_networks_of_ones_own_are_drawn_anew_where_that_is_asked_for(digits):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    base = Spec().override({"batch_size": 96, "steps": 3})
    specs = [base, base.override({"model.init": "he-normal"}), base.override({"seed": 1})]
    group = Group(specs, model=net, data=digits)
    theta = group.cohort.stack.theta
    assert torch.equal(theta[0], theta[2])
    assert not torch.equal(theta[0], theta[1])
    finish(group)
    assert_alone(group, model=net, data=digits)


def test_a_loss_and_metrics_of_ones_own(digits):
    own = {
        "data": digits,
        "loss": hinge,
        "metrics": {"spread": lambda outputs, y: outputs.std((-2, -1))},
    }
    group = Group([spec(seed=k, order_seed=0, lr=0.1 * k) for k in range(3)], **own)
    finish(group)
    assert "test_spread" in group.progress.everyone[0].last
    assert_alone(group, **own)


def test_an_epoch_that_is_over_is_followed_by_the_next(digits):
    specs = [spec(seed=k) for k in range(2)]
    first, second = Group(specs, data=digits), Group(specs, data=digits)
    begin = second.snapshot()
    second.restore(Snapshot(begin.arrays, {**begin.facts, "done": 5}))
    list(first.feed.epoch())
    expected = next(first.feed.epoch())
    draws, seen = second.feed.epoch, []

    def note(batches: Any) -> Any:
        for x, y in batches:
            seen.append((x.clone(), y))
            yield x, y

    second.feed.epoch = lambda skip=0: note(draws(skip))
    assert sum(isinstance(event, Step) for event in second.events()) == 10
    assert torch.equal(seen[0][0], expected[0])
    assert torch.equal(seen[0][1], expected[1])


# ── data ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_equal_is_one_tensor():
    base = {"data": "digits", "subset": 200, "val": 50}
    plain, again, noisy, other = load_all([
        spec(**base),
        spec(**base, seed=1),
        spec(**base, label_noise=0.5),
        spec(**base, split_seed=1),
    ])  # fmt: skip
    assert plain is again
    assert noisy.train.x is plain.train.x
    assert noisy.train.y is not plain.train.y
    assert noisy.train.true_y is plain.train.true_y
    assert noisy.test is plain.test
    assert other.train.x is not plain.train.x
    kept = {}
    (first,) = load_all([spec(**base)], loaded=kept)
    (second,) = load_all([spec(**base, lr=0.5)], loaded=kept)
    assert first is second


def test_data_of_other_sizes_are_refused(digits, monkeypatch):
    fewer = Data("fewer", "classification", digits.val, digits.val, digits.test, digits.classes)
    monkeypatch.setattr(module, "load_all", lambda specs, *more: [digits, fewer])
    with pytest.raises(SpecError, match=r"data of .*480, 1, 8, 8.* and of .*100, 1, 8, 8"):
        Group([spec(), spec(split_seed=1)])


# ── what is refused ──────────────────────────────────────────────────────────────────────────

PROGRAMS: dict[str, tuple[dict[str, Any], str]] = {
    "batch size": ({"batch_size": 32}, "batch_size=96 and 32"),
    "widths": ({"hidden": (12, 12)}, "model.hidden"),
    "model": ({"model": "one-fc", "hidden": None}, "model"),
    "loss": ({"loss": "label-smoothing"}, "loss.name=auto and label-smoothing"),
    "metrics": ({"metrics": ("top3",)}, "metrics=None"),
    "accumulate": ({"accumulate": 2}, "accumulate=1 and 2"),
    "drop_last": ({"drop_last": True}, "drop_last=False and True"),
    "precision": ({"precision": "bfloat16"}, "precision"),
    "skip_nonfinite": ({"skip_nonfinite": True}, "skip_nonfinite"),
    "subset": ({"subset": 100}, "data.subset=None and 100"),
    "dropout and none": ({"dropout": 0.5}, "model.dropout=None and True"),
    "evaluated weights": ({"evaluate_weights": "current"}, "evaluate_weights"),
}


@pytest.mark.parametrize(("changes", "message"), PROGRAMS.values(), ids=PROGRAMS)
def test_specs_that_share_no_program_are_refused(digits, changes, message):
    with pytest.raises(SpecError, match=message) as caught:
        Group([spec(), spec(seed=1), spec(**changes)], data=digits)
    assert str(caught.value).endswith("in one group; expected equal ones.")


def test_who_cannot_share_a_program_is_put_in_a_group_of_its_own():
    sgd, sam = {"name": "sgd"}, {"name": "sgd", "wrap": ("sam",)}
    foreign = {"name": "torch.optim.Adam"}
    rules = [sgd, sam, foreign, sam, foreign, {"name": "adam"}, sgd]
    specs = [spec(optimizer=rule, lr=0.1, seed=k) for k, rule in enumerate(rules)]
    assert partition(specs) == [[0, 6, 5], [1, 3], [2], [4]]
    assert partition(specs[:2] * 3, largest=2) == [[0, 2], [4], [1, 3], [5]]


def test_threads_that_no_process_has(digits):
    with pytest.raises(SpecError, match="threads=5000; expected at most 1024"):
        Group([spec(threads=5000)], data=digits)


def test_members_may_begin_with_weights_from_files(digits, tmp_path):
    told = [spec(seed=k) for k in range(2)]
    for k, run in enumerate([Run(one, data=digits) for one in told]):
        torch.save(run.model.state_dict(), tmp_path / f"{k}.pt")
    weights = [one.override({"model.weights": str(tmp_path / "1.pt")}) for one in told]
    group = Group([told[1], *weights], data=digits)
    theta = group.cohort.stack.theta
    assert torch.equal(theta, theta[:1].expand_as(theta))
    assert group.feed.orders.of == [0, 1, 0]


def test_a_wrapper_that_does_not_exist(digits):
    with pytest.raises(SpecError, match="wrap='same'"):
        Group([spec(), spec(wrap="same")], data=digits)


def test_rules_that_do_not_go_together(digits):
    sam = {"name": "sgd", "wrap": ("sam",)}
    with pytest.raises(ModelError, match="further gradients"):
        Group([spec(optimizer="sgd"), spec(optimizer=sam)], data=digits)


def test_conditions_of_every_member_are_checked(digits):
    with pytest.raises(SpecError, match="val_mood"):
        Group([spec(), spec(until="val_mood>=1")], data=digits)


def test_weights_of_another_kind_than_the_data(digits):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    with pytest.raises(ModelError, match=r"parameters of torch.float64; .* use model.float"):
        Group([Spec()], model=net, data=digits)


# ── gradients that are not finite ────────────────────────────────────────────────────────────


def cliff(outputs: Tensor, y: Tensor) -> Tensor:
    """A finite loss whose gradient is no number wherever the first output is low on average."""
    height = outputs[:, 0].mean() + 0.05
    return F.cross_entropy(outputs, y) + 1e-2 * (height * (height > 0)).sqrt()


SKIPPING: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"optimizer": "sgd", "lr": 0.1}] * 4,
    "adam": [{"optimizer": "adam", "lr": 0.01 * k} for k in (1, 2, 3, 4)],
    "several": [{"optimizer": name, "lr": 0.01} for name in ("sgd", "soap", "soap", "adam")],
    "batch norm and dropout": [{"norm": "batch", "dropout": 0.1 * k} for k in (1, 2, 3, 4)],
    "lookahead": [{"lookahead": {"k": 2}}] * 4,
    "clipped": [{"clip_norm": 0.1}, {"clip_value": 0.01}, {"l2": 0.1}, {"l1": 0.1}],
    "sam": [{"optimizer": {"name": "sgd", "wrap": ("sam",)}, "lr": 0.1}] * 4,
}


@pytest.mark.parametrize("changes", SKIPPING.values(), ids=SKIPPING)
def test_who_has_no_gradient_stays_and_the_others_move(digits, changes):
    specs = [
        spec(skip_nonfinite=True, seed=k, order_seed=0, **one) for k, one in enumerate(changes)
    ]
    own = {"data": digits, "loss": cliff}
    group, moved = Group(specs, **own), []
    before = group.cohort.stack.theta.clone()
    for event in group.events():
        assert not isinstance(event, Diverged)
        if isinstance(event, Step):
            theta = group.cohort.stack.theta.clone()
            moved.append((theta != before).any(1).tolist())
            assert theta.isfinite().all()
            before = theta
    assert any(any(rows) and not all(rows) for rows in moved)
    assert_alone(group, **own)


def test_without_being_asked_it_is_a_divergence(digits):
    specs = [spec(seed=k, order_seed=0, optimizer="sgd", lr=0.1) for k in range(4)]
    own = {"data": digits, "loss": cliff}
    group = Group(specs, **own)
    finish(group)
    assert "diverged" in {member.reason for member in group.progress.everyone}
    assert_alone(group, **own)


# ── a plateau ────────────────────────────────────────────────────────────────────────────────

PLATEAUS: dict[str, tuple[str, dict[str, Any]]] = {
    "at once": ("val_loss", {"wait": 0, "threshold": 0.1}),
    "patient": ("val_loss", {"wait": 2, "threshold": 0.3}),
    "cooling": ("val_loss", {"wait": 0, "threshold": 0.2, "cooldown": 2}),
    "patient and cooling": ("val_loss", {"wait": 1, "threshold": 0.3, "cooldown": 1}),
    "floor": ("val_loss", {"wait": 0, "threshold": 0.5, "minimum": 0.2}),
    "absolute": ("val_loss", {"wait": 1, "threshold": 0.3, "threshold_mode": "abs"}),
    "accuracy": ("val_accuracy", {"wait": 0, "threshold": 0.1}),
    "accuracy, absolute": (
        "val_accuracy", {"wait": 0, "threshold": 0.02, "threshold_mode": "abs"}
    ),
    "another factor": ("test_loss", {"wait": 0, "threshold": 0.2, "gamma": 0.9}),
}  # fmt: skip
RATE, EVERY = 0.3, 2


def by_hand(digits: Data, told: Spec, monitor: str, options: dict[str, Any]) -> list[float]:
    """The learning rates of a loop with torch's own scheduler, by update."""
    draw, order = torch.Generator().manual_seed(told.seed), stream(told.seed, "order")
    net = networks.build(
        "mlp", input_shape=(1, 8, 8), out_features=10, generator=draw, hidden=(12,)
    )
    moving = torch.optim.SGD(net.parameters(), lr=RATE)
    split, _, metric = monitor.partition("_")
    scheduler = ReduceLROnPlateau(
        moving,
        mode="min" if metric == "loss" else "max",
        factor=options.get("gamma", 0.5),
        patience=options["wait"],
        threshold=options["threshold"],
        threshold_mode=options.get("threshold_mode", "rel"),
        cooldown=options.get("cooldown", 0),
        min_lr=options.get("minimum", 0.0) * RATE,
        eps=0.0,
    )
    rates: list[float] = []
    samples = digits.splits()[split]
    for _ in range(8):
        for i in index_batches(len(digits.train), 96, order):
            moving.zero_grad()
            F.cross_entropy(net(digits.train.x[i]), digits.train.y[i]).backward()
            rates.append(moving.param_groups[0]["lr"])
            moving.step()
            if len(rates) % EVERY == 0:
                with torch.no_grad():
                    outputs = net(samples.x)
                loss = F.cross_entropy(outputs, samples.y)
                right = (outputs.argmax(1) == samples.y).double().mean()
                scheduler.step(loss if metric == "loss" else right)
    return rates


def plateau(monitor: str, options: dict[str, Any], seed: int) -> Spec:
    schedule = {"name": "plateau", "gamma": 0.5, **options}
    changes = {"optimizer": "sgd", "lr": RATE, "epochs": 8, "evaluate_every": f"{EVERY}steps"}
    return spec(**changes, schedule=schedule, monitor=monitor, seed=seed)


def test_plateaus_are_those_of_a_loop_with_torchs_scheduler(digits):
    specs = [
        plateau(monitor, options, seed) for seed, (monitor, options) in enumerate(PLATEAUS.values())
    ]
    group = Group(specs, data=digits)
    found = [event.lr for event in group.events() if isinstance(event, Step)]
    for k, (monitor, options) in enumerate(PLATEAUS.values()):
        expected = by_hand(digits, specs[k], monitor, options)
        assert [rates[k] for rates in found] == pytest.approx(expected, rel=1e-12)
        assert len(set(expected)) > 1, (k, monitor, options)
    assert_alone(group, data=digits)


def test_the_rates_that_are_told_with_an_evaluation(digits):
    specs = [plateau("val_loss", {"wait": 0, "threshold": 0.3}, 0), spec(
        optimizer="sgd", lr=0.1, epochs=8, evaluate_every="2steps"
    )]  # fmt: skip
    group, last = Group(specs, data=digits), ()
    for event in group.events():
        if isinstance(event, Step):
            last = event.lr
        elif isinstance(event, Evaluated):
            assert event.lr == last
    assert isinstance(event, Finished)
