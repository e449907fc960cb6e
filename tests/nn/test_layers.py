from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from thalweg.errors import ModelError, SpecError
from thalweg.nn import DropBlock2d, Residual


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def naive_dropblock(x, p, s, generator):
    """Algorithm 1 of Ghiasi et al. (2018), position by position."""
    n, c, h, w = x.shape
    gamma = p / s**2 * h * w / ((h - s + 1) * (w - s + 1))
    corners = torch.rand((n, c, h - s + 1, w - s + 1), generator=generator) < gamma
    mask = torch.ones_like(x)
    for i, j, k, m in corners.nonzero().tolist():
        mask[i, j, k : k + s, m : m + s] = 0
    return x * mask * (mask.numel() / mask.sum())


@pytest.mark.parametrize(("p", "s"), [(0.1, 1), (0.25, 2), (0.25, 3), (0.4, 5)])
def test_dropblock_is_the_algorithm_of_the_paper(p, s):
    x = torch.randn(4, 3, 9, 7, generator=seeded(1))
    layer = DropBlock2d(p, s, generator=seeded(2))
    torch.testing.assert_close(layer(x), naive_dropblock(x, p, s, seeded(2)))


def test_dropblock_with_blocks_of_one_is_dropout_by_position():
    layer = DropBlock2d(0.3, 1, generator=seeded())
    y = layer(torch.ones(8, 8, 32, 32))
    assert abs((y == 0).double().mean().item() - 0.3) < 0.01
    # The scale is count / survivors, so the mean is kept exactly, not only in expectation.
    assert y.mean().item() == pytest.approx(1, abs=1e-5)


def test_dropblock_drops_a_little_less_than_p():
    layer = DropBlock2d(0.2, 3, generator=seeded())
    dropped = (layer(torch.ones(32, 8, 20, 20)) == 0).double().mean().item()
    assert 0.16 < dropped < 0.2


def test_dropblock_is_the_identity_in_evaluation_and_at_zero():
    x = torch.randn(2, 1, 5, 5)
    assert DropBlock2d(0.5, 3, generator=seeded()).eval()(x) is x
    assert DropBlock2d(0.0, 3, generator=seeded())(x) is x


def test_dropblock_draws_from_its_generator_alone():
    x = torch.ones(2, 2, 8, 8)
    before = torch.get_rng_state()
    first = DropBlock2d(0.3, 3, generator=seeded(5))(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, DropBlock2d(0.3, 3, generator=seeded(5))(x))
    assert not torch.equal(first, DropBlock2d(0.3, 3, generator=seeded(6))(x))


def test_dropblock_that_drops_everything_gives_zeros_not_nan():
    layer = DropBlock2d(0.99, 4, generator=seeded())
    assert torch.equal(layer(torch.ones(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


def test_dropblock_keeps_the_type_and_takes_members_in_front():
    layer = DropBlock2d(0.3, 2, generator=seeded())
    y = layer(torch.ones(2, 3, 4, 4, dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert y.shape == (2, 3, 4, 4)


def test_dropblock_passes_gradients_only_where_it_kept():
    x = torch.ones(1, 1, 6, 6, requires_grad=True)
    y = DropBlock2d(0.3, 2, generator=seeded(1))(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert (y == 0).any()


def test_dropblock_can_be_copied_and_saved():
    layer = DropBlock2d(0.3, 2, generator=seeded(1))
    x = torch.ones(1, 1, 6, 6)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), DropBlock2d(0.3, 2, generator=seeded(1))(x))
    assert "p=0.3, block_size=2" in repr(layer)


@pytest.mark.parametrize(
    ("p", "s"), [(-0.1, 3), (1.0, 3), (float("nan"), 3), (0.1, 0), (0.1, 1.5), ("a", 3)]
)
def test_dropblock_refuses_impossible_options(p, s):
    with pytest.raises(SpecError, match=r"p=|block_size="):
        DropBlock2d(p, s, generator=seeded())


def test_dropblock_refuses_blocks_larger_than_the_map():
    with pytest.raises(ModelError, match="feature map of 4x2"):
        DropBlock2d(0.1, 3, generator=seeded())(torch.ones(1, 1, 4, 2))


def test_residual_adds_its_input():
    block, x = nn.Linear(3, 3), torch.randn(5, 3)
    assert torch.equal(Residual(block)(x), x + block(x))


def test_residual_projects_where_shapes_differ():
    block, skip, x = nn.Linear(3, 4), nn.Linear(3, 4, bias=False), torch.randn(5, 3)
    assert torch.equal(Residual(block, skip)(x), skip(x) + block(x))


@pytest.mark.parametrize("width", [1, 4])
def test_residual_never_broadcasts(width):
    with pytest.raises(ModelError, match="projection"):
        Residual(nn.Linear(3, width))(torch.ones(5, 3))
