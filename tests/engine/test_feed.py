"""Which members see which samples, and in which order."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from thalweg.data import Split, index_batches
from thalweg.engine.feed import Feed, Orders, has_own, parts

N, SIZE = 23, 5


def split(seed: int = 0, *, x: Tensor | None = None) -> Split:
    """Samples that are told from one another, and labels."""
    draw = Generator().manual_seed(seed)
    x = torch.rand(N, 2, generator=draw) if x is None else x
    y = torch.randint(3, (N,), generator=draw)
    return Split(x, y, y)


def orders(of: list[int]) -> Orders:
    return Orders([Generator().manual_seed(seed) for seed in range(max(of) + 1)], of)


def alone(samples: Split, seed: int, *, epochs: int = 1, size: int = SIZE, drop_last=False):
    """The batches of a member by itself, by indices."""
    draw = Generator().manual_seed(seed)
    for _ in range(epochs):
        for i in index_batches(N, size, draw, drop_last=drop_last):
            yield samples.x[i], samples.y[i]


def seen(batch, member: int):
    """What one member sees of a batch."""
    x, y = batch
    return x[member if len(x) > 1 else 0], y[member] if has_own(y) else y


def assert_same(found, expected) -> None:
    for (x, y), (theirs, labels) in zip(found, expected, strict=True):
        assert torch.equal(x, theirs)
        assert torch.equal(y, labels)


SHARED = split()
SPLITS = {
    "one": [SHARED] * 4,
    "other labels": [SHARED, split(1, x=SHARED.x), split(2, x=SHARED.x), SHARED],
    "other samples": [split(k) for k in range(4)],
    "two that share": [SHARED, split(1), SHARED, split(1)],
}


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, SIZE, 22, N])
@pytest.mark.parametrize("of", [[0, 0, 0, 0], [0, 1, 2, 3], [1, 0, 1, 0]], ids=str)
@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
def test_everybody_sees_what_they_see_alone(splits, of, size, drop_last):
    feed = Feed(splits, orders(of), size, drop_last=drop_last)
    found = [[] for _ in splits]
    for _ in range(2):
        for batch in feed.epoch():
            for member, mine in enumerate(found):
                mine.append(tuple(part.clone() for part in seen(batch, member)))
    for member, mine in enumerate(found):
        expected = alone(splits[member], of[member], epochs=2, size=size, drop_last=drop_last)
        assert_same(mine, expected)


@pytest.mark.parametrize(
    ("splits", "of", "inputs", "labels"),
    [  # what is common is there once
        ("one", [0, 0, 0, 0], 1, False),
        ("one", [0, 0, 1, 0], 4, True),
        ("other labels", [0, 0, 0, 0], 1, True),
        ("other samples", [0, 0, 0, 0], 4, True),
    ],
)
def test_what_members_have_in_common_is_gathered_once(splits, of, inputs, labels):
    x, y = next(Feed(SPLITS[splits], orders(of), SIZE).epoch())
    assert x.shape == (inputs, SIZE, 2)
    assert y.shape == ((4, SIZE) if labels else (SIZE,))
    assert has_own(y) is labels


def test_batches_use_the_same_memory():
    feed = Feed(SPLITS["one"], orders([0, 0, 0, 0]), SIZE)
    places = [x.data_ptr() for x, _ in feed.epoch()]
    assert len(set(places[:-1])) == 1  # the last one is short


@pytest.mark.parametrize("skip", [0, 1, 3, 5, 9])
def test_an_epoch_that_is_begun_in_the_middle(skip):
    feed = Feed(SPLITS["other samples"], orders([0, 1, 0, 1]), SIZE)
    found = [seen(batch, 1)[1].clone() for batch in feed.epoch(skip)]
    expected = [y for _, y in alone(split(1), 1)][skip:]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("of", [[0, 0, 0, 0], [0, 1, 2, 3], [1, 0, 1, 0]], ids=str)
@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("rows", [[0], [1, 3], [0, 1, 2]], ids=str)
def test_members_may_leave_within_an_epoch(splits, of, rows):
    feed, members = Feed(splits, orders(of), SIZE), [0, 1, 2, 3]
    found = {member: [] for member in members}
    for _ in range(2):
        for number, batch in enumerate(feed.epoch()):
            for row, member in enumerate(members):
                found[member].append(tuple(part.clone() for part in seen(batch, row)))
            if number == 2 and len(members) == 4:
                feed.keep(rows)
                feed.orders.keep(rows)
                members = rows
    for member in rows:
        assert_same(found[member], alone(splits[member], of[member], epochs=2))


def test_members_may_enter_between_epochs():
    feed = Feed([SHARED], orders([0]), SIZE)
    list(feed.epoch())
    feed.splits.append(split(1))
    feed.orders.enter([Generator().manual_seed(7)], [1])
    found = [[part.clone() for part in seen(batch, 1)] for batch in feed.epoch()]
    assert_same(found, alone(split(1), 7))


def test_sources_that_nobody_follows_are_given_up():
    them = orders([0, 1, 2, 1])
    kept = them.generators[1:]
    them.keep([1, 2, 3])
    assert them.generators == kept
    assert them.of == [0, 1, 0]
    assert len(them.shuffles) == 2
    them.keep([1])
    assert them.generators == kept[1:]
    assert them.of == [0]


def test_an_epoch_is_drawn_again_from_where_it_began():
    them = orders([0, 1])
    feed = Feed([SHARED, split(1)], them, SIZE)
    first = [y.clone() for _, y in feed.epoch()]
    other = orders([1, 0])
    other.back_to_epoch(them.shuffles)
    again = [y.clone() for _, y in Feed([SHARED, split(1)], other, SIZE).epoch()]
    assert torch.equal(first[0], again[0]) is False  # they follow one another's
    them.back_to_epoch(them.shuffles)
    assert all(torch.equal(a, y) for a, (_, y) in zip(first, feed.epoch(), strict=True))
    them.begin_epoch()
    assert any(not torch.equal(a, y) for a, (_, y) in zip(first, feed.epoch(), strict=True))


@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
def test_all_samples_in_their_own_order(splits):
    feed = Feed(splits, orders([0, 1, 0, 1]), SIZE)
    for member, mine in enumerate(splits):
        batches = [seen(batch, member) for batch in feed.everything()]
        assert torch.equal(torch.cat([x for x, _ in batches]), mine.x)
        assert torch.equal(torch.cat([y for _, y in batches]), mine.y)


def test_parts_of_one_split_are_for_all():
    x, y = next(parts(SHARED, 4))
    assert (x.shape, y.shape) == ((1, 4, 2), (4,))


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        (torch.zeros(5, dtype=torch.int64), False),
        (torch.zeros(3, 5, dtype=torch.int64), True),
        (torch.zeros(5, 1), False),
        (torch.zeros(3, 5, 1), True),
    ],
)
def test_whose_labels_they_are(labels, own):
    assert has_own(labels) is own
