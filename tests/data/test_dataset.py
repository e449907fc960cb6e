from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.data import Data, Split
from thalweg.errors import DataError, SpecError


def _data(n: int = 40, *, classes: int = 4, shape: tuple[int, ...] = (1, 2, 3)) -> Data:
    """Data whose every sample says who it is."""
    numbers = torch.arange(n, dtype=torch.float32)
    x = numbers.reshape(n, *[1] * len(shape)).expand(n, *shape).contiguous()
    y = torch.arange(n) % classes if classes else numbers[:, None].repeat(1, 3)
    task = "classification" if classes else "regression"
    return Data("numbers", task, Split(x, y, y), classes=tuple("abcdefgh"[:classes]))


def _who(split: Split | None) -> list[int]:
    return [] if split is None else split.x.flatten(1)[:, 0].long().tolist()


def test_shapes_of_classification_and_regression() -> None:
    assert (_data().input_shape, _data().out_features) == ((1, 2, 3), 4)
    assert _data(classes=0).out_features == 3


def test_splits_lists_those_that_are_there() -> None:
    data = _data()
    assert list(data.splits()) == ["train"]
    assert list(data.split(0.1, 0.1).splits()) == ["train", "val", "test"]
    assert list(data.split(test=4).splits()) == ["train", "test"]


@settings(max_examples=30)
@given(st.floats(0.05, 0.4), st.integers(1, 15), st.booleans(), st.integers(0, 5))
def test_a_split_is_a_partition(val: float, test: int, stratified: bool, seed: int) -> None:
    data = _data().split(val, test, stratified=stratified, seed=seed)
    parts = [_who(split) for split in data.splits().values()]
    assert sorted(who for part in parts for who in part) == list(range(40))
    assert all(part == sorted(part) for part in parts)
    assert [len(parts[1]), len(parts[2])] == [round(val * 40), test]


def test_ninety_five_five() -> None:
    data = _data(1000).split(0.05, 0.05, seed=1)
    assert [len(split) for split in data.splits().values()] == [900, 50, 50]


def test_a_stratified_split_keeps_the_proportions() -> None:
    data = _data(80).split(8, 12, stratified=True)
    counts = {name: split.y.bincount().tolist() for name, split in data.splits().items()}
    assert counts == {"train": [15] * 4, "val": [2] * 4, "test": [3] * 4}


def test_none_leaves_and_zero_takes_away() -> None:
    data = _data().split(5, 5)
    assert data.split().splits().keys() == {"train", "val", "test"}
    assert _who(data.split().test) == _who(data.test)
    assert data.split(val=0).splits().keys() == {"train", "test"}
    assert data.split(0, 0).splits().keys() == {"train"}


def test_a_new_split_replaces_the_old_one() -> None:
    data = _data().split(test=10)
    again = data.split(test=6, seed=1)
    assert not set(_who(again.test)) & set(_who(data.test))
    assert len(again.train) == 24


def test_the_validation_split_does_not_move_the_test_split() -> None:
    assert _who(_data().split(0.2, 0.2).test) == _who(_data().split(None, 0.2).test)


def test_a_split_depends_on_its_seed_alone() -> None:
    first, again, other = (_data().split(test=0.5, seed=seed) for seed in (1, 1, 2))
    assert _who(first.test) == _who(again.test) != _who(other.test)


@pytest.mark.parametrize(("val", "test"), [(20, 20), (0.5, 0.5), (40, None)])
def test_something_is_left_to_train_on(val: float, test: float | None) -> None:
    with pytest.raises(DataError, match="fewer than the 40"):
        _data().split(val, test)


def test_regression_is_not_stratified() -> None:
    with pytest.raises(SpecError, match="stratified"):
        _data(classes=0).split(0.1, stratified=True)


def test_a_subset_keeps_the_order_and_the_other_splits() -> None:
    data = _data().split(test=8)
    small = data.subset(16, stratified=True)
    assert _who(small.train) == sorted(_who(small.train))
    assert set(_who(small.train)) < set(_who(data.train))
    assert small.test is data.test
    assert len(data.subset(0.25).train) == 8


@pytest.mark.parametrize("size", [0, 41])
def test_a_subset_is_neither_nothing_nor_more(size: int) -> None:
    with pytest.raises(DataError, match="subset="):
        _data().subset(size)


def test_normalising_is_the_textbook_formula_in_every_split() -> None:
    data = _data().split(5, 5)
    shifted = data.normalize((3.0, 2.0))
    for name, split in shifted.splits().items():
        assert torch.equal(split.x, (data.splits()[name].x - 3) / 2)
        assert split.true_y is split.y


def test_computed_normalisation_uses_the_training_split() -> None:
    data = _data(100).split(test=50).normalize("computed")
    assert data.train.x.mean().item() == pytest.approx(0, abs=1e-6)
    assert data.train.x.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert data.test is not None
    assert abs(data.test.x.mean().item()) > 1e-3


def test_normalising_again_replaces() -> None:
    data = _data()
    again = data.normalize((7.0, 3.0)).normalize((1.0, 2.0))
    torch.testing.assert_close(again.train.x, data.normalize((1.0, 2.0)).train.x)
    assert (again.mean.item(), again.std.item()) == (1, 2)


def test_normalising_can_be_undone() -> None:
    data = _data()
    shifted = data.normalize((7.0, 3.0))
    torch.testing.assert_close(shifted.raw(shifted.train.x), data.train.x)
    torch.testing.assert_close(shifted.normalize("none").train.x, data.train.x)


def test_no_normalisation_copies_nothing() -> None:
    data = _data()
    assert data.normalize("none").train.x is data.train.x


def test_label_noise_leaves_the_truth_and_the_other_splits() -> None:
    data = _data(200).split(20, 20)
    noisy = data.corrupt(label_noise=1.0)
    assert noisy.train.true_y is data.train.y
    assert not torch.equal(noisy.train.y, noisy.train.true_y)
    assert noisy.val is data.val
    assert noisy.test is data.test


def test_nothing_to_corrupt_changes_no_tensor() -> None:
    data = _data()
    same = data.corrupt()
    assert same.train.x is data.train.x
    assert same.train.true_y is same.train.y is data.train.y


def test_one_permutation_of_pixels_holds_for_every_split() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3).repeat(10, 1, 1, 1)
    y = torch.zeros(10, dtype=torch.int64)
    data = Data("d", "classification", Split(x, y, y), classes=("a",)).split(2, 2)
    images = torch.cat([s.x for s in data.corrupt(pixels="permute").splits().values()])
    assert len(images.unique(dim=0)) == 1
    assert not torch.equal(images[0], x[0])


@pytest.mark.parametrize("pixels", ["permute-each", "gaussian"])
def test_other_corruptions_of_pixels_are_of_the_training_split(pixels: str) -> None:
    data = _data(shape=(1, 8, 8)).split(5, 5)
    noisy = data.corrupt(pixels=pixels)
    assert noisy.val is data.val
    assert noisy.test is data.test
    assert noisy.train.x.shape == data.train.x.shape
    assert noisy.train.x is not data.train.x


def test_an_unknown_corruption_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean gaussian"):
        _data().corrupt(pixels="gausian")


def test_corruptions_have_streams_of_their_own() -> None:
    data = _data(200)
    labels = data.corrupt(label_noise=0.5, seed=4).train.y
    both = data.corrupt(label_noise=0.5, pixels="permute-each", seed=4).train.y
    assert torch.equal(labels, both)


def test_train_can_be_the_test_split() -> None:
    data = _data().split(test=5)
    assert data.test_on_train().test is data.train


def test_moving_moves_the_constants_too() -> None:
    moved = _data().split(test=5).normalize("half").to("meta")
    assert moved.mean.device.type == moved.std.device.type == "meta"
    assert {split.x.device.type for split in moved.splits().values()} == {"meta"}
