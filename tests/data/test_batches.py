from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg.data import index_batches
from thalweg.errors import SpecError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 60), st.one_of(st.none(), st.integers(1, 70)), st.booleans())
def test_an_epoch_names_every_sample_once(n: int, size: int | None, shuffle: bool) -> None:
    batches = list(index_batches(n, size, _generator(), shuffle=shuffle))
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert all(batch.dtype == torch.int64 for batch in batches)


@given(st.integers(1, 60), st.integers(1, 70))
def test_drop_last_leaves_equal_batches(n: int, size: int) -> None:
    batches = list(index_batches(n, size, _generator(), drop_last=True))
    assert len(batches) == max(1, n // size)
    assert {len(batch) for batch in batches} == {min(n, size)}


def test_the_shuffle_is_one_permutation_from_the_generator() -> None:
    epoch = torch.cat(list(index_batches(10, 3, _generator(5))))
    assert torch.equal(epoch, torch.randperm(10, generator=_generator(5)))


@pytest.mark.parametrize("size", [1, 3, 10, None])
def test_the_draws_do_not_depend_on_the_batch_size(size: int | None) -> None:
    generator, twin = _generator(), _generator()
    list(index_batches(10, size, generator))
    torch.randperm(10, generator=twin)
    assert torch.equal(generator.get_state(), twin.get_state())


def test_nothing_is_drawn_without_a_shuffle() -> None:
    generator = _generator()
    assert torch.cat(list(index_batches(5, 2, generator, shuffle=False))).tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert torch.equal(generator.get_state(), _generator().get_state())


@pytest.mark.parametrize("size", [None, 5, 9])
def test_a_full_batch_keeps_the_order(size: int | None) -> None:
    (batch,) = index_batches(5, size, _generator(), drop_last=True)
    assert batch.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [2, None])
def test_batches_live_where_they_are_wanted(size: int | None) -> None:
    assert {b.device.type for b in index_batches(4, size, _generator(), device="meta")} == {"meta"}


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_holds_something(size: int) -> None:
    with pytest.raises(SpecError, match=f"batch_size={size}"):
        index_batches(4, size, _generator())
