"""Every member of a group is the run that it would be alone: parameters, buffers, words, bits.

Every registered rule and wrapper is held to it. The complete product is among the slow tests.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from thalweg.spec import Spec

from .cohorts import RULES, WRAPPERS, check, digits, hundred, images, optimizer, spec

NETS: dict[str, dict[str, Any]] = {
    "lab-mlp": {"model": "lab-mlp"},
    "deep-bn of odd widths": {"model": "deep-bn", "hidden": (37, 37, 19)},
    "practice-mlp with dropout": {"model": "practice-mlp", "dropout": 0.3},
    "residual": {"model": "mlp", "hidden": (24, 24, 13), "residual": True, "norm": "layer"},
    "regression-sigmoid": {"model": "regression-sigmoid", "metrics": ("mae",)},
    "garment": {"model": "garment"},
}

EACH = [*RULES, *WRAPPERS]
LONG, SHORT = 200, 24
SHARED = [True, False]
ORDERS = {True: "one order", False: "orders of their own"}


def data(net: str) -> Any:
    return {"regression-sigmoid": hundred, "garment": images}.get(net, digits)()


def members(net: str, rule: str, K: int, *, shared: bool, steps: int, **more: Any) -> list[Spec]:
    """K specs that differ in their seeds and in every number of the rule."""
    order = {"order_seed": 5} if shared else {}
    told = {"batch_size": 20, "evaluate_every": "17steps", "steps": steps, **order, **NETS[net]}
    return [
        spec(**told, optimizer=optimizer(rule, k % 7), seed=k, **more) for k in range(K)
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products are not worth a second thread."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


# ── nets, rules, numbers of members ──────────────────────────────────────────────────────────


@pytest.mark.no_cover
@pytest.mark.parametrize("shared", SHARED, ids=ORDERS.get)
@pytest.mark.parametrize("net", NETS)
def test_two_hundred_steps_of_every_net(net: str, shared: bool) -> None:
    group = check(members(net, "adam", 7, shared=shared, steps=LONG), [0, 3, 6], data=data(net))
    assert len(group.cohort.slices) == 1
    assert {member.reason for member in group.progress.everyone} == {"complete"}


@pytest.mark.no_cover
@pytest.mark.parametrize("K", [1, 2, 64])
@pytest.mark.parametrize("net", NETS)
def test_every_number_of_members(net: str, K: int) -> None:
    told = members(net, "momentum", K, shared=K != 2, steps=SHORT)
    check(told, {0, K // 2, K - 1}, data=data(net))


@pytest.mark.no_cover
@pytest.mark.parametrize("net", ["lab-mlp", "deep-bn of odd widths"])
@pytest.mark.parametrize("rule", EACH)
def test_every_rule(rule: str, net: str) -> None:
    group = check(members(net, rule, 3, shared=False, steps=SHORT), data=data(net))
    assert len(group.cohort.slices) == 1  # they are moved as one


@pytest.mark.parametrize("net", NETS)
def test_two_threads(net: str) -> None:
    """Few steps: beside other programs, threads of so small products wait more than they work."""
    torch.set_num_threads(2)
    check(members(net, "adam", 3, shared=True, steps=6), [0, 2], data=data(net))


@pytest.mark.slow
@pytest.mark.parametrize("K", [1, 2, 7, 64])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rule", EACH)
def test_everything(rule: str, net: str, K: int) -> None:
    torch.set_num_threads(2 if K == 2 else 1)
    told = members(net, rule, K, shared=K != 7, steps=LONG)
    check(told, {0, K // 2, K - 1}, data=data(net))


# ── what members may differ in ───────────────────────────────────────────────────────────────

BASE: dict[str, Any] = {
    "hidden": (23, 11), "norm": "batch", "dropout": 0.2, "batch_size": 48, "epochs": 3,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}  # fmt: skip


def sgd(**options: Any) -> dict[str, Any]:
    return {"optimizer": {"name": "sgd", "lr": 0.1, **options}}


def schedule(name: str, **options: Any) -> dict[str, Any]:
    return {"schedule": {"name": name, **options}}


def plateau(**options: Any) -> dict[str, Any]:
    told = schedule("plateau", gamma=0.5, threshold=0.2, **options)
    return {**told, "evaluate_every": "2steps"}


DIFFERENCES: dict[str, list[dict[str, Any]]] = {
    "seed": [{"seed": seed} for seed in range(3)],
    "seed, but not the order": [{"seed": seed, "order_seed": 7} for seed in range(3)],
    "order": [{"order_seed": seed} for seed in (0, 1, 0)],
    "init": [{"init": name} for name in ("default", "he-normal", "orthogonal")],
    "hyperparameters": [
        {"optimizer": {"name": "adam", "lr": lr, "beta1": b, "eps": eps, "weight_decay": d}}
        for lr, b, eps, d in ((1e-3, 0.9, 1e-8, 0.0), (1e-2, 0.5, 1e-4, 0.1), (0.1, 0.0, 1e-8, 0))
    ],
    "rule": [{"optimizer": {"name": name, "lr": 1e-2}} for name in ("sgd", "adam", "lion", "sgd")],
    "switches of a rule": [sgd(momentum=0.9, nesterov=b) for b in (True, False)],
    "wrapper": [sgd(), sgd(wrap=("ema",)), sgd(wrap=("decay", "swa")), {"lookahead": {"k": 2}}],
    "weight decay": [sgd(weight_decay=decay) for decay in (0.0, 1e-3, 0.3)],
    "momentum and none": [sgd(momentum=beta) for beta in (0.9, 0.0, 0.5)],
    "schedule": [
        {},
        schedule("cosine"),
        schedule("cosine", per="step"),
        schedule("one-cycle", per="step"),
        schedule("step", step_size=1, gamma=0.5, start=1),
        schedule("warm-up", per="step", length=5, target="momentum"),
    ],
    "plateau": [plateau(wait=0), plateau(wait=2), plateau(wait=1, cooldown=2, minimum=0.3)],
    "plateau and others": [plateau(wait=0), {"evaluate_every": "2steps"}],
    "penalties": [{}, {"l1": 1e-3}, {"l2": 1e-2}, {"l1": 1e-2, "l2": 1e-3}],
    "clipping": [{}, {"clip_value": 0.01}, {"clip_norm": 0.1}, {"clip_value": 0.1, "clip_norm": 1}],
    "dropout": [{"dropout": rate} for rate in (0.1, 0.5, 0.9)],
    "label noise": [
        {"data": "digits", "subset": 200, "label_noise": share, "label_noise_kind": kind}
        for share, kind in ((0.0, "permute"), (0.5, "permute"), (0.5, "random"))
    ],
    "pixels": [
        {"data": "digits", "subset": 200, "pixels": name} for name in ("intact", "permute-each")
    ],
    "subset": [
        {"data": "digits", "subset": 200, "val": 50, "split_seed": seed, "order_seed": 0}
        for seed in range(3)
    ],
    "subset of a full batch": [
        {"data": "digits", "subset": 200, "split_seed": seed, "batch_size": "full"}
        for seed in range(2)
    ],
    "length": [{"epochs": None, "steps": steps} for steps in (1, 5, 6, 7, 13)],
    "until": [{"until": f"running_accuracy>={bound}"} for bound in (0.2, 0.5, 0.99)],
    "patience": [
        {"patience": n, "monitor": monitor, "evaluate_every": "1steps"}
        for n, monitor in ((1, "val_loss"), (2, "train_accuracy"), (2, "running_loss"))
    ],
    "time": [{"max_seconds": 0}, {}, {"max_seconds": 1e6}],
    "foreign rules": [
        {"optimizer": {"name": "torch.optim.Adam", "lr": lr}, "epochs": epochs}
        for lr, epochs in ((1e-2, 2), (1e-3, 1), (1e-3, 3))
    ],
    "everything": [
        {"seed": 3},
        {**sgd(weight_decay=0.1), "init": "he-normal", "clip_norm": 0.5, "epochs": 1},
        {**sgd(), "l2": 0.1, **schedule("cosine"), "dropout": 0.6, "until": "val_loss<2.0"},
        {"optimizer": {"name": "adam", "lr": 0.1}, "order_seed": 3, "patience": 1},
        {"optimizer": {"name": "madgrad", "lr": 0.01}, "lookahead": {"k": 2}, "seed": 4},
    ],
}  # fmt: skip


@pytest.mark.parametrize("differences", DIFFERENCES.values(), ids=DIFFERENCES)
def test_whatever_members_differ_in(differences: list[dict[str, Any]]) -> None:
    told = [spec(**{**BASE, **one}) for one in differences]
    own = {} if "data" in differences[0] else {"data": digits()}
    check(told, **own)


COMMON: dict[str, dict[str, Any]] = {
    "accumulate": {"accumulate": 3, "batch_size": 20},
    "drop_last": {"drop_last": True, "batch_size": 50},
    "bfloat16": {"precision": "bfloat16"},
    "no evaluation": {"evaluate_every": "never"},
    "current weights": {"wrap": ("ema",), "evaluate_weights": "current"},
    "averaged weights": {"wrap": ("swa",), "evaluate_every": "2steps"},
    "one sample": {"batch_size": 1, "norm": None, "epochs": 0.1},
    "last batch of one": {"batch_size": 51, "norm": None},
    "smoothing": {"loss": "label-smoothing"},
    "metrics": {"metrics": ("top3",)},
}


@pytest.mark.parametrize("shared", SHARED, ids=ORDERS.get)
@pytest.mark.parametrize("common", COMMON.values(), ids=COMMON)
def test_whatever_members_have_in_common(common: dict[str, Any], shared: bool) -> None:
    order = {"order_seed": 1} if shared else {}
    told = [spec(**{**BASE, **common, **order}, seed=k, lr=0.02 * (1 + k)) for k in range(3)]
    check(told, data=digits())


def test_members_of_one_order_and_members_of_another() -> None:
    told = [spec(**BASE, seed=k, order_seed=order) for k, order in enumerate((1, 0, 1, 0, 0))]
    check(told, data=digits())


@pytest.mark.parametrize("other", ["soap", "muon", "lookahead"])
@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_rules_in_turn(rule: str, other: str) -> None:
    names = (rule, other, rule, rule, other, rule)
    told = [
        spec(model="mlp", hidden=(17,), steps=9, optimizer=optimizer(name, k), order_seed=2)
        for k, name in enumerate(names)
    ]
    group = check(told, data=digits())
    assert [len(each.rules) for each in group.cohort.slices] == [1, 1, 2, 1, 1]
