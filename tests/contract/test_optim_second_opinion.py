"""PyTorch's own suite for optimizers as a second opinion on those that it has, too.

The configurations and the wrong inputs are PyTorch's, read from its table ``optim_db``; the checks
are those of its ``test_optim.py`` that apply. What does not:

ASGD, Adafactor, LBFGS, Rprop, SparseAdam
    There is no rule for them here; the engine takes them by their dotted names.
AdamW with ``amsgrad``
    There is no rule for it here: AMSGrad is Adam's.
Muon's numbers and coefficients, its refusal of what is no matrix, and of complex numbers
    Ours does Newton-Schulz in the parameters' precision, and AdamW on what is no matrix.
``foreach``, ``fused``, ``differentiable`` and ``capturable`` against each other
    Ours has one form; here it stands against PyTorch's for-loop.
``betas`` as tensors
    Hyperparameters are numbers here; a tensor may stand for one if it has one element.
Sparse gradients
    They are refused, before anything moves.
Several devices, CUDA graphs, peak memory, ``torch.compile``
    They are about the machine, not about the rule.
A ``step`` of an older state that is no tensor
    Ours has always been a plain number.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from thalweg import optim
from thalweg.errors import SpecError

OURS: dict[str, type[optim.RuleOptimizer]] = {
    "Adadelta": optim.AdaDelta,
    "Adagrad": optim.AdaGrad,
    "Adam": optim.Adam,
    "Adamax": optim.Adamax,
    "AdamW": optim.AdamW,
    "Muon": optim.Muon,
    "NAdam": optim.NAdam,
    "RAdam": optim.RAdam,
    "RMSprop": optim.RMSProp,
    "SGD": optim.SGD,
}
NO_RULE = {"ASGD", "Adafactor", "LBFGS", "Rprop", "SparseAdam"}
NAMES = {"rho": "beta", "alpha": "beta", "ns_steps": "iterations"}
NOT_OURS = {"foreach", "ns_coefficients", "adjust_lr_fn"}
OWN_WORDS = {"Tensor lr must be 1-element": "one number"}

READ = """
import sys, types, unittest
try:
    import expecttest
except ImportError:  # its test cases have a base class there, which we do not run
    sys.modules["expecttest"] = types.SimpleNamespace(TestCase=unittest.TestCase)
import torch
from torch.testing._internal.common_optimizers import optim_db
found = {}
for info in optim_db:
    inputs = info.optim_inputs_func(device="cpu")
    wrong = info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
    found[info.optim_cls.__name__] = {
        "good": [each.kwargs for each in inputs],
        "wrong": [
            (each.error_on.name, each.error_type.__name__, each.error_regex,
             each.optimizer_error_input.params, each.optimizer_error_input.kwargs)
            for each in wrong
        ],
    }
torch.save(found, sys.argv[1])
"""

Config = tuple[type[optim.RuleOptimizer], dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What PyTorch's table says; read by another process, as to import it changes torch."""
    if importlib.util.find_spec("torch.testing._internal.common_optimizers") is None:
        pytest.skip("this torch has no table of optimizers")
    file: Path = tmp_path_factory.mktemp("second") / "table"
    subprocess.run([sys.executable, "-W", "ignore", "-c", READ, file], check=True)
    found: dict[str, Any] = torch.load(file, weights_only=False)
    return found


@pytest.fixture(params=OURS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def configs(name: str, table: dict[str, Any]) -> list[Config]:
    """Our class, our options, and PyTorch's, of each configuration that applies."""
    found = []
    for theirs in table[name]["good"]:
        amsgrad = theirs.get("amsgrad", False)
        if NOT_OURS & theirs.keys() or (amsgrad and name != "Adam"):
            continue
        found.append((optim.AMSGrad if amsgrad else OURS[name], translated(theirs), theirs))
    assert len(found) >= 3
    return found


def translated(theirs: dict[str, Any]) -> dict[str, Any]:
    ours = {NAMES.get(k, k): v for k, v in theirs.items() if k not in ("betas", "amsgrad")}
    if "betas" in theirs:
        ours["beta1"], ours["beta2"] = theirs["betas"]
    return ours


@contextmanager
def exact_scalars() -> Iterator[None]:
    """Let torch keep its own scalars, such as NAdam's product, in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


class Problem:
    """A weight and a bias that are to map a vector to 0, and the gradients of that."""

    def __init__(self, *, contiguous: bool = True, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(0)
        make = lambda *shape: torch.randn(*shape, generator=generator).to(dtype)  # noqa: E731
        weight, bias, self.x = make(12, 5, 2)[..., 0], make(12, 2)[..., 0], make(5)
        if contiguous:
            weight, bias = weight.contiguous(), bias.contiguous()
        self.weight, self.bias = weight.requires_grad_(), bias.requires_grad_()

    @property
    def params(self) -> list[Tensor]:
        return [self.weight, self.bias]

    def closure(self, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (self.weight.mv(self.x) + self.bias).pow(2).sum()
            loss.backward()
            return loss

        return closure

    def steps(self, optimizer: torch.optim.Optimizer, n: int) -> None:
        for _ in range(n):
            optimizer.step(self.closure(optimizer))

    def equals(self, other: Problem) -> bool:
        return all(map(torch.equal, self.params, other.params))


def test_all_of_pytorchs_optimizers_are_spoken_for(table: dict[str, Any]) -> None:
    assert set(table) == set(OURS) | NO_RULE


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_numbers_are_pytorchs(name: str, configs: list[Config], contiguous: bool) -> None:
    if name == "Muon":
        return  # see the table above
    for make, h, theirs in configs:
        a, b = Problem(contiguous=contiguous), Problem(contiguous=contiguous)
        ours = make(a.params, **h)
        other = getattr(torch.optim, name)(b.params, **{"lr": ours.defaults["lr"], **theirs})
        for _ in range(12):
            ours.step(a.closure(ours))
            with exact_scalars():
                other.step(b.closure(other))
            for p, q in zip(a.params, b.params, strict=True):
                torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize(
    "schedule",
    [
        None,
        lambda o: lr_scheduler.StepLR(o, gamma=0.9, step_size=10),
        lr_scheduler.ReduceLROnPlateau,
        lambda o: lr_scheduler.LinearLR(o, start_factor=0.4, total_iters=4),
    ],
)
def test_goes_the_right_way(configs: list[Config], contiguous: bool, schedule: Any) -> None:
    for make, h, _ in configs:
        problem = Problem(contiguous=contiguous)
        optimizer = make(problem.params, **h)
        scheduler = schedule and schedule(optimizer)
        closure = problem.closure(optimizer)
        first = closure().item()
        for _ in range(20):
            loss = optimizer.step(closure)
            if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
                scheduler.step(loss.item())
            elif scheduler:
                scheduler.step()
        last = closure().item()
        assert last > first if h.get("maximize") else last < first


def test_groups_with_rates_and_decays_of_their_own(configs: list[Config]) -> None:
    for make, h, _ in configs:
        for key, value in (("lr", 0.0), ("weight_decay", 0.5), ("lr", 0.02)):
            a, b = Problem(), Problem()
            groups = [{"params": [a.weight]}, {"params": [a.bias], key: value}]
            together = make(groups, **h)
            alone = [make([b.weight], **h), make([b.bias], **{**h, key: value})]
            for _ in range(6):
                a.closure(together)()
                together.step()
                b.closure(alone[0])()
                alone[0].step()
                alone[1].step()
                alone[1].zero_grad()
            assert a.equals(b)


def test_lr_as_a_tensor_is_its_number(configs: list[Config]) -> None:
    for make, h, _ in configs:
        a, b, c = Problem(), Problem(), Problem()
        lr = torch.tensor(0.01, dtype=torch.float64)
        a.steps(make(a.params, **{**h, "lr": 0.01}), 6)
        b.steps(make(b.params, **{**h, "lr": lr}), 6)
        assert a.equals(b)
        halved = make(c.params, **{**h, "lr": lr})
        c.steps(halved, 3)
        halved.param_groups[0]["lr"].mul_(0.5)  # in place, as a scheduler does
        c.steps(halved, 3)
        assert not a.equals(c)


def test_types_mix(configs: list[Config]) -> None:
    types = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float32)
    for make, h, _ in configs:
        start = [torch.rand(6, 3, generator=torch.Generator().manual_seed(0)).to(t) for t in types]
        mixed = [p.clone().requires_grad_() for p in start]
        alone = [p.clone().requires_grad_() for p in start]
        optimizers = [make(mixed, **h), *(make([p], **h) for p in alone)]
        for t in range(5):
            for p in (*mixed, *alone):
                p.grad = torch.full_like(p, 0.1 * (t + 1))
            for each in optimizers:
                each.step()
        for p, q in zip(mixed, alone, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6 if p.dtype == torch.float32 else 0, atol=0)


def test_complex_is_two_real_ones(name: str, configs: list[Config]) -> None:
    if name == "Muon":
        return
    for make, h, _ in configs:
        z = torch.randn(5, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
        re, im = (part.clone().requires_grad_() for part in (z.real, z.imag))
        z.requires_grad_()
        a, b = make([z], **h), make([re, im], **h)
        for _ in range(6):
            for optimizer, value in ((a, z), (b, torch.complex(re, im))):
                optimizer.zero_grad()
                ((1 - value).abs() ** 2 + (value**2 - 1).abs() ** 2).sum().backward()
            a.step()
            b.step()
            torch.testing.assert_close(z.real, re, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(z.imag, im, rtol=1e-5, atol=1e-6)


def test_state_dicts_are_deterministic_and_not_changed(configs: list[Config]) -> None:
    for make, h, _ in configs:
        a = Problem()
        first = make(a.params, **h)
        a.steps(first, 3)
        b = copy.deepcopy(a)
        second = make(b.params, **h)
        state = copy.deepcopy(first.state_dict())
        given = copy.deepcopy(state)
        second.load_state_dict(given)
        a.steps(first, 5)
        b.steps(second, 5)
        assert a.equals(b)
        torch.testing.assert_close(given, state, rtol=0, atol=0)
        torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
        second.param_groups.extend(second.param_groups)
        twice = second.state_dict()["param_groups"]
        assert twice[0] == twice[1]


@pytest.mark.parametrize("weights_only", [True, False])
def test_save_and_load_keep_everything(configs: list[Config], weights_only: bool) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        problem.steps(optimizer, 3)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        loaded = torch.load(file, weights_only=weights_only)
        torch.testing.assert_close(loaded, optimizer.state_dict(), rtol=0, atol=0)


def test_older_states_without_a_setting_load(configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        problem.steps(optimizer, 2)
        state = optimizer.state_dict()
        for group in state["param_groups"]:
            del group["maximize"], group["weight_decay"]
        optimizer.load_state_dict(state)
        assert optimizer.param_groups[0]["maximize"] == h.get("maximize", False)
        problem.steps(optimizer, 2)


def test_names_survive_loading(configs: list[Config]) -> None:
    make, h, _ = configs[0]
    for named_then in (True, False):
        a, b = Problem(), Problem()
        pairs = [("w", b.weight), ("b", b.bias)]
        named = make([("w", a.weight), ("b", a.bias)], **h)
        a.steps(named, 2)
        other = make(pairs if named_then else b.params, **h)
        other.load_state_dict(named.state_dict())
        assert other.param_groups[0]["param_names"] == ["w", "b"]
        b.steps(other, 2)


def test_hooks_of_steps(configs: list[Config]) -> None:
    seen: list[str] = []
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        handles = [
            optimizer.register_step_pre_hook(lambda *_: seen.append("before")),
            optimizer.register_step_post_hook(lambda *_: seen.append("after")),
            register_optimizer_step_pre_hook(lambda *_: seen.append("before all")),
            register_optimizer_step_post_hook(lambda *_: seen.append("after all")),
        ]
        try:
            problem.steps(optimizer, 2)
        finally:
            for handle in handles:
                handle.remove()
        problem.steps(optimizer, 1)
        assert seen == ["before all", "before", "after", "after all"] * 2
        seen.clear()


def marked(_: Any, state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "marked": True}


def faster(_: Any, state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "param_groups": [{**group, "lr": 0.5} for group in state["param_groups"]]}


def test_hooks_of_states(configs: list[Config]) -> None:
    seen: list[str] = []
    for make, h, _ in configs:
        optimizer = make(Problem().params, **h)
        optimizer.register_state_dict_pre_hook(lambda _: seen.append("state"))
        optimizer.register_state_dict_post_hook(marked)
        state = optimizer.state_dict()
        assert state["marked"]
        optimizer.register_load_state_dict_pre_hook(faster)
        optimizer.register_load_state_dict_post_hook(lambda _: seen.append("loaded"))
        optimizer.load_state_dict(state)
        assert optimizer.param_groups[0]["lr"] == 0.5
        assert seen == ["state", "loaded"]
        seen.clear()


def test_a_copy_has_all_public_attributes(configs: list[Config]) -> None:
    for make, h, _ in configs:
        optimizer = make(Problem().params, **h)
        public = {key for key in vars(optimizer) if not key.startswith("_")}
        assert public <= {key for key in vars(copy.deepcopy(optimizer)) if not key.startswith("_")}
        assert "lr" in repr(optimizer)


def test_a_step_without_gradients_does_nothing(configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        before = copy.deepcopy(problem)
        optimizer.step()
        assert problem.equals(before)
        assert not optimizer.state
        problem.steps(optimizer, 2)
        optimizer.zero_grad()
        before, state = copy.deepcopy(problem), copy.deepcopy(optimizer.state_dict())
        optimizer.step()
        assert problem.equals(before)
        torch.testing.assert_close(optimizer.state_dict(), state, rtol=0, atol=0)


def test_gradients_of_0_move_nothing_without_decay(configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **{**h, "weight_decay": 0.0})
        before = copy.deepcopy(problem)
        for _ in range(3):
            for p in problem.params:
                p.grad = torch.zeros_like(p)
            optimizer.step()
        assert problem.equals(before)


def test_gradients_are_never_changed(configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        for _ in range(3):
            problem.closure(optimizer)()
            before = [p.grad.clone() for p in problem.params]
            optimizer.step()
            assert all(torch.equal(p.grad, g) for p, g in zip(problem.params, before, strict=True))


def test_state_appears_with_the_first_step(name: str, configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem = Problem()
        optimizer = make(problem.params, **h)
        problem.steps(optimizer, 1)
        assert all("step" in optimizer.state[p] for p in problem.params)


def test_empty_parameters(configs: list[Config]) -> None:
    for make, h, _ in configs:
        empty, full = torch.empty(0, 3).requires_grad_(), torch.ones(2, 3).requires_grad_()
        optimizer = make([empty, full], **h)
        for _ in range(3):
            empty.grad, full.grad = torch.empty(0, 3), torch.ones(2, 3)
            optimizer.step()
        assert not torch.equal(full, torch.ones(2, 3))


def test_sparse_gradients_are_refused_before_anything_moves(configs: list[Config]) -> None:
    for make, h, _ in configs:
        problem, table = Problem(), torch.ones(4, 2).requires_grad_()
        optimizer = make([*problem.params, table], **h)
        problem.closure(optimizer)()
        table.grad = torch.ones(4, 2).to_sparse()
        before = copy.deepcopy(problem)
        with pytest.raises(SpecError, match="a dense gradient"):
            optimizer.step()
        assert problem.equals(before)
        assert not optimizer.state


def test_what_pytorch_refuses_is_refused(name: str, table: dict[str, Any]) -> None:
    refused = 0
    for when, kind, says, params, theirs in table[name]["wrong"]:
        tensors = any(isinstance(beta, Tensor) for beta in theirs.get("betas", ()))
        if NOT_OURS & theirs.keys() or tensors or when == "STEP_ERROR" or "only supports" in says:
            continue  # see the table above
        given = Problem().params if params is None else params
        if kind == "UserWarning":
            with pytest.warns(UserWarning, match=says):
                OURS[name](given, **translated(theirs))
        else:
            error = {"TypeError": TypeError, "ValueError": ValueError}[kind]
            with pytest.raises(error) as caught, warnings.catch_warnings():
                OURS[name](given, **translated(theirs))
            ours = isinstance(caught.value, SpecError)
            assert ours or says in str(caught.value)
            assert OWN_WORDS.get(says, "") in str(caught.value)
        refused += 1
    assert refused >= 6
