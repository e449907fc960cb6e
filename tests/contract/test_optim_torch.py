"""Every rule, and Lookahead around it, as a torch.optim.Optimizer in anybody's own loop."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg import optim
from thalweg.errors import SpecError

Maker = Callable[[Any], torch.optim.Optimizer]


def lookahead(params: Any, **h: Any) -> optim.Lookahead:
    return optim.Lookahead(optim.MADGRAD(params, **h), k=4, alpha=0.8)


def lookahead_of_torch(params: Any, **h: Any) -> optim.Lookahead:
    return optim.Lookahead(torch.optim.Adam(params, **h), k=3)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name: optim.torch_optimizer(rule)
    for name, rule in optim.rules().items()
    if name not in optim.wrappers()
}
OPTIMIZERS |= {"lookahead": lookahead, "lookahead of torch's Adam": lookahead_of_torch}

MEASURE_FIRST = ("adopt", "soap")
"""Rules whose first update only looks at the gradient."""

ROLL_ON = ("lars", "lookahead", "madgrad", "momentum", "nesterov")
"""Optimizers that move for a while after the learning rate has become 0."""

LARGE = {"adadelta": 10.0, "lars": 10.0}
"""Learning rates with which a step is not lost in the rounding of bfloat16; 0.1 for the others."""


@pytest.fixture(params=OPTIMIZERS)
def make(request: pytest.FixtureRequest) -> Callable[..., torch.optim.Optimizer]:
    return OPTIMIZERS[request.param]


@pytest.fixture(params=[name for name in OPTIMIZERS if "torch" not in name])
def ours(request: pytest.FixtureRequest) -> Callable[..., torch.optim.Optimizer]:
    return OPTIMIZERS[request.param]


def net() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2)).double()


X = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, n: int, first: int = 0) -> None:
    for t in range(first, first + n):
        optimizer.zero_grad()
        model(X * (1 + t)).pow(2).sum().backward()
        optimizer.step()


def name_of(optimizer: torch.optim.Optimizer) -> str:
    return optimizer.rule.name if isinstance(optimizer, optim.RuleOptimizer) else "lookahead"


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_goes_down(make: Maker) -> None:
    model = net()
    before = model(X).pow(2).sum()
    steps(model, make(model.parameters(), lr=1e-3), 20)
    assert model(X).pow(2).sum() < before


def test_state_dict_into_a_fresh_optimizer(make: Maker) -> None:
    model = net()
    optimizer = make(model.parameters())
    steps(model, optimizer, 6)  # in mid-cycle of Lookahead
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    steps(model, optimizer, 10, first=6)

    file.seek(0)
    saved_model, saved = torch.load(file, weights_only=True)
    other = net()
    fresh = make(other.parameters())
    other.load_state_dict(saved_model)
    fresh.load_state_dict(saved)
    steps(other, fresh, 10, first=6)
    assert torch.equal(weights(other), weights(model))


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_goes_its_own_way(make: Maker, how: str) -> None:
    model = net()
    optimizer = make(model.parameters())
    steps(model, optimizer, 3)
    pair = (model, optimizer)
    other, twin = copy.deepcopy(pair) if how == "deepcopy" else pickle.loads(pickle.dumps(pair))
    assert type(twin) is type(optimizer)
    steps(other, twin, 5, first=3)
    moved = weights(other)
    assert not torch.equal(moved, weights(model))
    steps(model, optimizer, 5, first=3)
    assert torch.equal(moved, weights(model))


RESUME = """
import sys, torch
from torch import nn
from thalweg import optim
model = nn.Linear(3, 2)
optimizer = optim.Lookahead(optim.MADGRAD(model.parameters(), lr=0.02), k=4)
weights, state = torch.load(sys.argv[1])
model.load_state_dict(weights)
optimizer.load_state_dict(state)
for t in range(6, 16):
    optimizer.zero_grad()
    model(torch.full((1, 3), float(t))).pow(2).sum().backward()
    optimizer.step()
torch.save(model.state_dict(), sys.argv[2])
"""


def test_goes_on_in_a_new_process(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.Lookahead(optim.MADGRAD(model.parameters(), lr=0.02), k=4)
    for t in range(16):
        if t == 6:
            torch.save((model.state_dict(), optimizer.state_dict()), tmp_path / "saved")
        optimizer.zero_grad()
        model(torch.full((1, 3), float(t))).pow(2).sum().backward()
        optimizer.step()
    subprocess.run(
        [sys.executable, "-c", RESUME, tmp_path / "saved", tmp_path / "resumed"], check=True
    )
    resumed = torch.load(tmp_path / "resumed")
    assert all(torch.equal(resumed[name], value) for name, value in model.state_dict().items())


def test_groups_have_their_own_settings(ours: Maker) -> None:
    model = net()
    first, second = list(model[0].parameters()), list(model[2].parameters())
    optimizer = ours([{"params": first, "lr": 0.0, "name": "head"}, {"params": second}])
    before = weights(model[0])
    steps(model, optimizer, 4)
    assert torch.equal(weights(model[0]), before)
    assert not torch.equal(weights(model[2]), weights(net()[2]))
    assert optimizer.param_groups[0]["name"] == "head"


def test_group_added_later(make: Maker) -> None:
    model = net()
    optimizer = make(model[0].parameters())
    steps(model, optimizer, 3)
    before = weights(model[2])
    assert torch.equal(before, weights(net()[2]))
    optimizer.add_param_group({"params": model[2].parameters(), "lr": 0.02})
    steps(model, optimizer, 4, first=3)
    assert not torch.equal(weights(model[2]), before)
    assert optimizer.param_groups[1]["lr"] == 0.02


def test_closure_gives_the_loss(make: Maker) -> None:
    model, twin = net(), net()
    optimizer, other = make(model.parameters()), make(twin.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(X).pow(2).sum()
        loss.backward()
        return loss

    for _ in range(5):
        expected = twin(X).pow(2).sum()
        other.zero_grad()
        expected.backward()
        assert other.step() is None
        assert optimizer.step(closure) == expected
    assert torch.equal(weights(model), weights(twin))


def test_maximize_is_the_negative_gradient(ours: Maker) -> None:
    down, up = net(), net()
    a, b = ours(down.parameters()), ours(up.parameters(), maximize=True)
    for _ in range(6):
        a.zero_grad()
        b.zero_grad()
        (-down(X).pow(2).sum()).backward()
        up(X).pow(2).sum().backward()
        a.step()
        kept = [p.grad.clone() for p in up.parameters()]
        b.step()
        assert all(torch.equal(p.grad, g) for p, g in zip(up.parameters(), kept, strict=True))
    assert torch.equal(weights(down), weights(up))


def test_layer_frozen_at_3_and_thawed_at_5(ours: Maker) -> None:
    """A layer that skips two steps moves like one that never did, by its own count."""
    p, q = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    a, b = ours([p]), ours([q])
    if isinstance(a, optim.Lookahead):
        a, b = a.inner, b.inner  # Lookahead counts the steps of all together
    for t in range(8):
        p.grad = None if t in (3, 4) else torch.full_like(p, 0.1)
        a.step()
        if t not in (3, 4):
            q.grad = torch.full_like(q, 0.1)
            b.step()
    assert torch.equal(p, q)


def test_parameter_that_first_gets_a_gradient_later(make: Maker) -> None:
    p, q = (torch.ones(3, requires_grad=True) for _ in range(2))
    optimizer = make([p, q])
    first = 4 if name_of(optimizer) in MEASURE_FIRST else 3
    for t in range(6):
        p.grad = torch.ones(3)
        q.grad = torch.ones(3) if t >= 3 else None
        optimizer.step()
        assert torch.equal(q, torch.ones(3)) == (t < first)


def test_scheduler_of_torch(make: Maker) -> None:
    model = net()
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    steps(model, optimizer, 1)
    scheduler.step()
    optimizer.param_groups[0]["weight_decay"] = 0.0
    if name_of(optimizer) not in ROLL_ON:
        before = weights(model)
        steps(model, optimizer, 3)
        assert torch.equal(weights(model), before)
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_shapes_and_precisions(ours: Maker, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    p = torch.ones(shape, dtype=dtype, requires_grad=True)
    optimizer = ours([p])
    optimizer.param_groups[0]["lr"] = LARGE.get(name_of(optimizer), 0.1)
    for _ in range(4):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert p.dtype == dtype
    lost = name_of(optimizer) == "prodigy" and dtype == torch.float16  # its d² is 1e-12 at first
    assert p.sum() < p.numel() or p.numel() == 0 or lost


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_that_a_precision_can_hardly_hold(ours: Maker, dtype: torch.dtype) -> None:
    """Their squares become 0 or infinite; the weights stay finite, and those without stay."""
    sizes = torch.tensor([0.0, torch.finfo(dtype).tiny, 1e-4, 1.0, 100.0], dtype=dtype)
    p = torch.ones(5, dtype=dtype, requires_grad=True)
    optimizer = ours([p], lr=1e-3)
    optimizer.param_groups[0]["weight_decay"] = 0.0
    for _ in range(6):
        p.grad = sizes.clone()
        optimizer.step()
    assert p.isfinite().all()
    assert p[0] == 1.0


def test_complex_numbers_are_pairs_of_real_ones(ours: Maker) -> None:
    z = torch.tensor([1 + 2j, -0.5j], dtype=torch.complex128, requires_grad=True)
    pair = torch.view_as_real(z.detach()).clone().requires_grad_()
    a, b = ours([z], lr=0.1), ours([pair], lr=0.1)
    for t in range(6):
        z.grad = torch.tensor([0.1 * t + 1j, -1.0 + 0.2j], dtype=torch.complex128)
        pair.grad = torch.view_as_real(z.grad).clone()
        a.step()
        b.step()
    assert torch.equal(torch.view_as_real(z), pair)


def test_memory_layout_does_not_matter(ours: Maker) -> None:
    p = torch.linspace(-1, 1, 400 * 500).view(400, 500)
    strided = p.t().contiguous().t().requires_grad_()
    plain = p.clone().requires_grad_()
    a, b = ours([strided], lr=0.1), ours([plain], lr=0.1)
    for _ in range(4):
        strided.grad = torch.cos(p)
        plain.grad = torch.cos(p).t().contiguous().t()
        a.step()
        b.step()
    assert not strided.is_contiguous()
    assert torch.equal(strided, plain)


def test_sparse_gradient_is_one_clear_error(ours: Maker) -> None:
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = ours(table.parameters())
    table(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(SpecError, match=r"torch\.sparse_coo; expected a dense gradient"):
        optimizer.step()


@pytest.mark.parametrize(
    ("h", "says"),
    [({"lr": -0.1}, "lr=-0.1 for optimizer"), ({"lrr": 0.1}, "did you mean lr")],
)
def test_wrong_hyperparameters_are_one_clear_error(
    ours: Maker, h: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        ours(net().parameters(), **h)


def test_wrong_setting_of_a_group_is_one_clear_error() -> None:
    model = net()
    with pytest.raises(SpecError, match="eps=-1"):
        optim.Adam([{"params": model.parameters(), "eps": -1}])


def test_lr_may_be_a_tensor_of_one_element_and_names_are_kept() -> None:
    model, twin = net(), net()
    named = optim.Adam(model.named_parameters(), lr=torch.tensor(0.5))
    plain = optim.Adam(twin.parameters(), 0.5)
    steps(model, named, 3)
    steps(twin, plain, 3)
    assert torch.equal(weights(model), weights(twin))
    assert named.param_groups[0]["param_names"][0] == "0.weight"


def test_settings_may_change_at_every_step() -> None:
    model, twin = net(), net()
    optimizer = optim.Adam(model.parameters())
    optimizer_of_tensor = optim.Adam(twin.parameters(), lr=torch.tensor(0.1))
    for t in range(100):
        rate = 0.1 / (1 + t)
        optimizer.param_groups[0]["lr"] = rate
        optimizer_of_tensor.param_groups[0]["lr"].fill_(rate)
        steps(model, optimizer, 1, first=t)
        steps(twin, optimizer_of_tensor, 1, first=t)
    torch.testing.assert_close(weights(model), weights(twin), rtol=1e-5, atol=1e-6)
    assert not torch.equal(weights(model), weights(net()))


def test_a_class_is_made_once_and_named_after_its_rule() -> None:
    assert optim.torch_optimizer(optim.AdamRule) is optim.Adam
    assert optim.Adam.__name__ == "Adam"
    assert "Kingma" in (optim.Adam.__doc__ or "")


def test_a_wrapper_wraps_the_optimizer_instead() -> None:
    with pytest.raises(SpecError, match=r"optim\.Lookahead"):
        optim.torch_optimizer(optim.LookaheadRule)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("schedule-free-sgd", "SGDScheduleFree"), ("schedule-free-adamw", "AdamWScheduleFree")],
)
def test_the_face_evaluates_where_the_package_does(name: str, theirs: str) -> None:
    schedulefree = pytest.importorskip("schedulefree")
    ours, other = net(), net()
    a = optim.torch_optimizer(optim.rules()[name])(ours.parameters(), lr=0.01, warmup=3)
    b = getattr(schedulefree, theirs)(other.parameters(), lr=0.01, warmup_steps=3)
    with a.evaluation_weights():  # nothing was trained yet
        assert torch.equal(weights(ours), weights(other))
    b.train()
    steps(ours, a, 12)
    steps(other, b, 12)
    torch.testing.assert_close(weights(ours), weights(other), rtol=1e-10, atol=1e-12)
    trained = weights(ours)
    b.eval()
    with a.evaluation_weights():
        torch.testing.assert_close(weights(ours), weights(other), rtol=1e-10, atol=1e-12)
        assert not torch.equal(weights(ours), trained)
    assert torch.equal(weights(ours), trained)
