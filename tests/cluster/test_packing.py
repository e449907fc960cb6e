"""What goes to other processes comes out the same, and what shares memory still does."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from thalweg.cluster.packing import dump, dumps, load
from thalweg.cluster.worker import portable, read_work, write_work
from thalweg.data import load_data
from thalweg.errors import SpecError


def test_tensors_keep_their_bits_and_their_layout():
    x = torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last)[1:]
    for thing in (x, torch.tensor(1.5), torch.empty(0, 3), torch.arange(3), x.to(torch.bfloat16)):
        for back in (load(dumps(thing)), load(*dump(thing))):
            assert (back.shape, back.stride(), back.dtype) == (
                thing.shape, thing.stride(), thing.dtype,
            )  # fmt: skip
            assert torch.equal(back, thing)


def test_data_share_what_they_shared(tmp_path):
    data = load_data("digits")
    both = {"one": data, "other": data.test_on_train()}
    write_work(tmp_path / "work", both)
    back = read_work(tmp_path / "work")
    one, other = back["one"], back["other"]
    assert one.train is other.train is other.test
    assert one.train.true_y is one.train.y
    assert torch.equal(one.train.x, data.train.x)
    one.train.x.zero_()  # of this process alone
    assert torch.equal(read_work(tmp_path / "work")["one"].train.x, data.train.x)


def test_large_tensors_are_not_copied():
    x = torch.zeros(100_000)
    data, buffers = dump([x, x[5:]])
    assert len(data) < 10_000
    assert np.shares_memory(buffers[0], x.numpy())
    frozen = buffers[0].copy()
    frozen.flags.writeable = False
    assert load(data, [frozen])[0].data_ptr() == frozen.ctypes.data


def test_what_is_defined_here_goes_along():
    assert load(dumps(lambda x: x + 1))(1) == 2


def test_errors_go_along_with_their_parts():
    found = portable(SpecError("a", "b", "c"))
    assert (type(found), found.args, found.hint) == (SpecError, SpecError("a", "b", "c").args, "c")

    class OwnError(Exception):
        def __reduce__(self):
            raise pickle.PicklingError

    try:
        raise OwnError("what")
    except OwnError as error:
        found = portable(error)
    assert str(found) == "OwnError: what"
    assert "in another process" in found.__notes__[0]
    with pytest.raises(RuntimeError, match="what"):
        raise found
