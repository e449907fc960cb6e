from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thalweg.data.partition import choose, part_size, quotas
from thalweg.errors import DataError, SpecError


@pytest.mark.parametrize(
    ("value", "n", "size"),
    [(0, 10, 0), (0.05, 60_000, 3000), (0.5, 3, 2), (1, 10, 1), (7.0, 10, 7), (10, 10, 10)],
)
def test_sizes(value: float, n: int, size: int) -> None:
    assert part_size("val", value, n) == size


@pytest.mark.parametrize("value", [-0.1, -3, 2.5, float("nan"), True, "half"])
def test_sizes_that_mean_nothing(value: float) -> None:
    with pytest.raises(SpecError, match="val="):
        part_size("val", value, 10)


@pytest.mark.parametrize(("value", "says"), [(11, "at most 10"), (0.01, "at least one")])
def test_sizes_that_do_not_fit(value: float, says: str) -> None:
    with pytest.raises(DataError, match=says):
        part_size("test", value, 10)


def test_an_infinite_size_is_refused() -> None:
    with pytest.raises(SpecError, match="inf"):
        part_size("val", float("inf"), 10)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_quotas_share_everything_within_one(counts: list[int], data: st.DataObject) -> None:
    n = sum(counts)
    if not n:
        return
    total = data.draw(st.integers(0, n))
    quota = quotas(torch.tensor(counts), total)
    assert int(quota.sum()) == total
    for share, count in zip(quota.tolist(), counts, strict=True):
        assert 0 <= share <= count
        assert abs(share - total * count / n) < 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.booleans(), st.data())
def test_a_choice_is_a_partition(labels: list[int], by_class: bool, data: st.DataObject) -> None:
    n, y = len(labels), torch.tensor(labels)
    count = data.draw(st.integers(0, n))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    chosen, left = choose(n, count, generator, y if by_class else None)
    assert len(chosen) == count
    assert sorted(chosen.tolist() + left.tolist()) == list(range(n))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert left.tolist() == sorted(left.tolist())
    if by_class:
        expected = quotas(y.bincount(), count)
        assert torch.equal(y[chosen].bincount(minlength=len(expected)), expected)


def test_every_sample_is_as_likely_in_a_stratified_choice() -> None:
    y = torch.tensor([0] * 6 + [1] * 3)
    generator = torch.Generator().manual_seed(0)
    times = torch.zeros(9)
    for _ in range(900):
        times[choose(9, 3, generator, y)[0]] += 1
    assert (times - 300).abs().max() < 5 * (900 * (1 / 3) * (2 / 3)) ** 0.5
