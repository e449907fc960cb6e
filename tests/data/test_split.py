from __future__ import annotations

import torch

from thalweg.data import Split


def _split(*, corrupted: bool = False) -> Split:
    y = torch.tensor([0, 1, 2, 1])
    return Split(torch.arange(8.0).reshape(4, 2), y.flip(0) if corrupted else y, y)


def test_length_is_the_number_of_samples() -> None:
    assert len(_split()) == 4


def test_take_keeps_samples_and_targets_together() -> None:
    taken = _split(corrupted=True).take(torch.tensor([3, 0, 3]))
    assert taken.x.tolist() == [[6, 7], [0, 1], [6, 7]]
    assert taken.y.tolist() == [0, 1, 0]
    assert taken.true_y.tolist() == [1, 0, 1]


def test_clean_labels_stay_one_tensor() -> None:
    clean = _split()
    assert clean.take(torch.tensor([1])).true_y is not clean.true_y
    for split in (clean.take(torch.tensor([1])), clean.to("meta")):
        assert split.true_y is split.y


def test_moving_moves_everything() -> None:
    moved = _split(corrupted=True).to("meta")
    assert {t.device.type for t in (moved.x, moved.y, moved.true_y)} == {"meta"}
    assert moved.true_y is not moved.y


def test_moving_to_the_same_device_copies_nothing() -> None:
    split = _split()
    assert split.to("cpu").x is split.x
