from __future__ import annotations

from math import comb

import pytest
import torch
from torch import Generator, Tensor

from thalweg.errors import DataError
from thalweg.study.questions.cover import (
    Tried,
    cover_share,
    rank,
    separable,
    shorten,
    try_labels,
)


def gaussian(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "d"), [(3, 2), (6, 2), (10, 4), (20, 9), (12, 11)])
def test_the_share_is_covers_sum(n: int, d: int) -> None:
    sum_of_binomials = 2 * sum(comb(n - 1, k) for k in range(d + 1))
    assert cover_share(n, d) == pytest.approx(sum_of_binomials / 2**n)


def test_of_all_labellings_as_many_are_separable_as_counted() -> None:
    x = gaussian(6, 2)
    labels = (torch.arange(64).unsqueeze(1) >> torch.arange(6)) % 2 == 1
    found = sum(bool(y.all()) or not bool(y.any()) or separable(x, y) for y in labels)
    assert found == round(64 * cover_share(6, 2)) == 32


def test_hits_lie_about_the_count_and_are_repeatable() -> None:
    tried = try_labels(gaussian(200, 10), draws=30, loads=[0.5, 2.0, 4.0])
    assert [each.n for each in tried] == [6, 22, 44]
    assert [tried[0].separable, tried[2].separable] == [30, 0]
    low, high = tried[1].ends
    assert low < tried[1].share < high
    assert low < cover_share(22, 10) < high
    assert tried == try_labels(gaussian(200, 10), draws=30, loads=[0.5, 2.0, 4.0])


def test_it_ends_where_there_are_no_more_samples() -> None:
    assert [each.n for each in try_labels(gaussian(12, 5), draws=2, loads=[1.0, 2.0, 3.0])] == [
        6,
        12,
    ]


def test_pixels_that_never_change_do_not_count() -> None:
    x = gaussian(50, 7).reshape(50, 1, 7)
    x[:, 0, 3] = 5.0
    assert rank(x) == 7
    assert rank(gaussian(4, 7)) == 4


def test_shortened_samples_keep_their_directions() -> None:
    x = gaussian(40, 6) @ torch.diag(torch.tensor([9.0, 5.0, 1.0, 0.0, 0.0, 0.0]))
    found = shorten(x, 2)
    assert found.shape == (40, 2)
    assert torch.allclose(found.square().mean(0), torch.ones(2, dtype=torch.float64))
    with pytest.raises(DataError, match="fewer than 4 directions"):
        shorten(x, 4)
    with pytest.raises(DataError, match="fewer than 9 directions"):
        shorten(x, 9)


def test_a_program_without_verdict_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        status, message = 4, "numerical difficulties"

    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: Found)
    with pytest.raises(DataError, match="numerical difficulties"):
        separable(gaussian(3, 2), torch.tensor([True, False, True]))


def test_an_interval_has_room_at_the_ends() -> None:
    low, high = Tried(10, 4, 0, 40).ends
    assert low == 0
    assert 0 < high < 0.1
