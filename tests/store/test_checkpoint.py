from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from thalweg.errors import FileError
from thalweg.store import read_checkpoint, read_facts, write_checkpoint
from thalweg.store.checkpoint import DamagedError

ARRAYS = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor([3]), "empty": torch.zeros(0, 2)}
FACTS = {"updates": 3, "lr": 0.1, "last": {"val_loss": [math.inf]}}

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8,
         torch.bool)  # fmt: skip
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
FACT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@st.composite
def tensors(draw) -> Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    array = torch.randint(0, 100, shape).to(draw(st.sampled_from(TYPES)))
    return array.mT if array.dim() > 1 and draw(st.booleans()) else array


@given(st.dictionaries(NAMES, tensors(), max_size=4), st.dictionaries(st.text(max_size=5), FACT))
@settings(deadline=None)
def test_what_is_written_is_read(tmp_path_factory, arrays, facts):
    file = tmp_path_factory.mktemp("checkpoints") / "a.safetensors"
    write_checkpoint(file, arrays, facts)
    found = read_checkpoint(file)
    assert found.file == file
    assert found.facts == read_facts(file) == facts
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert torch.equal(found.arrays[name], array)


def test_views_of_one_tensor_are_written_as_what_they_show(tmp_path):
    flat = torch.arange(8.0).view(1, 8)
    views = {"a": flat[:, :4].view(1, 2, 2), "b": flat[:, 4:]}
    write_checkpoint(tmp_path / "a.safetensors", views, {})
    found = read_checkpoint(tmp_path / "a.safetensors").arrays
    assert all(torch.equal(found[name], view) for name, view in views.items())


def test_numbers_that_are_none_keep_their_bits(tmp_path):
    odd = torch.tensor([math.nan, -math.nan, math.inf, -0.0, 1e-45])
    write_checkpoint(tmp_path / "a.safetensors", {"odd": odd}, {"best": -math.inf})
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(found.arrays["odd"].view(torch.int32), odd.view(torch.int32))
    assert found.facts["best"] == -math.inf


def test_any_reader_of_safetensors_reads_it(tmp_path):
    write_checkpoint(tmp_path / "a.safetensors", ARRAYS, FACTS)
    found = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], array) for name, array in ARRAYS.items())


def test_others_may_read_it_as_the_umask_says(tmp_path):
    kept = os.umask(0o022)
    try:
        write_checkpoint(tmp_path / "a.safetensors", ARRAYS, FACTS)
    finally:
        os.umask(kept)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_json_cannot_hold_is_a_mistake_of_the_program(tmp_path):
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path / "a.safetensors", {}, {"odd": object()})
    assert list(tmp_path.iterdir()) == []


# ── damage ───────────────────────────────────────────────────────────────────────────────────


def same(file: Path) -> bool:
    """Whether a file reads as it was written; an error must name it."""
    try:
        found = read_checkpoint(file)
    except FileError as error:
        assert str(file) in str(error)  # noqa: PT017 - it may as well be read
        return False
    assert found.facts == FACTS
    assert found.arrays.keys() == ARRAYS.keys()
    assert all(torch.equal(found.arrays[name], array) for name, array in ARRAYS.items())
    return True


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_no_bit_can_be_flipped_unnoticed(tmp_path, bits):
    file = tmp_path / "a.safetensors"
    write_checkpoint(file, ARRAYS, FACTS)
    whole = file.read_bytes()
    unnoticed = []
    for place in range(len(whole)):
        for bit in range(bits):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << (place + bit) % 8
            file.write_bytes(damaged)
            if same(file):
                unnoticed.append(chr(whole[place]))
    # One may make another valid number of the format, or another space of a space.
    assert set(unnoticed) <= {"1", " "}


def test_no_end_can_be_cut_off_unnoticed(tmp_path):
    file = tmp_path / "a.safetensors"
    write_checkpoint(file, ARRAYS, FACTS)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert not same(file)
    file.write_bytes(whole + b"\0")
    assert not same(file)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_are_no_checkpoint(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "random.safetensors"
    file.write_bytes(content)
    for read in (read_checkpoint, read_facts):
        with pytest.raises(DamagedError, match=r"random\.safetensors \(damaged\)"):
            read(file)


def test_a_huge_size_is_not_believed(tmp_path):
    file = tmp_path / "a.safetensors"
    place = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    for size in (8, 2**40, 2**63):
        text = json.dumps(place).encode()
        file.write_bytes(size.to_bytes(8, "little") + text)
        assert not same(file)
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    with file.open("r+b") as stream:
        stream.truncate(2**34)  # 16 GB of nothing
    assert not same(file)


def crafted(file: Path, text: str, arrays: dict[str, Tensor] | None = None, **more: str) -> None:
    """Write a checkpoint whose checksum is right."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted((arrays or {}).items()):
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    header = {"thalweg": text, "format": "1", "sha256": digest.hexdigest(), **more}
    save_file(arrays or {}, file, metadata=header)


def test_a_crafted_one_is_read_if_it_is_right(tmp_path):
    file = tmp_path / "a.safetensors"
    crafted(file, '{"a": 1}', {"w": torch.ones(2)})
    assert read_checkpoint(file).facts == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "3", "[1]", "null", "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"a": 1}x']
)
def test_facts_that_are_no_object(tmp_path, text):
    file = tmp_path / "a.safetensors"
    crafted(file, text)
    for read in (read_checkpoint, read_facts):
        with pytest.raises(DamagedError, match=r"a\.safetensors \(damaged\)"):
            read(file)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("2", "of format 2; expected format 1 or older. Hint: it is from a newer thalweg"),
        ("one", "of format 'one'; expected the number of a format"),
        ("-1", "of format '-1'"),
    ],
)
def test_another_format(tmp_path, number, message):
    file = tmp_path / "a.safetensors"
    crafted(file, "{}", format=number)
    for read in (read_checkpoint, read_facts):
        with pytest.raises(FileError, match=message) as caught:
            read(file)
        assert not isinstance(caught.value, DamagedError)
        assert str(file) in str(caught.value)


def test_a_type_that_numpy_does_not_know(tmp_path):
    file = tmp_path / "a.safetensors"
    crafted(file, "{}", {"w": torch.ones(4).to(torch.float8_e4m3fn)})
    assert read_checkpoint(file).arrays["w"].dtype == torch.float8_e4m3fn


def test_other_safetensors_are_no_checkpoints(tmp_path):
    file = tmp_path / "a.safetensors"
    for metadata in ({"any": "thing"}, None):
        save_file({"w": torch.ones(2)}, file, metadata=metadata)
        for read in (read_checkpoint, read_facts):
            with pytest.raises(DamagedError, match=r"\(no checkpoint\); expected a whole check"):
                read(file)


def test_a_numpy_file_is_no_checkpoint(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(DamagedError, match=r"a\.npy \(damaged\)"):
        read_checkpoint(tmp_path / "a.npy")


def test_a_pickle_is_not_loaded(tmp_path):
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save(Harm(), tmp_path / "a.safetensors")
    with pytest.raises(DamagedError, match="damaged"):
        read_checkpoint(tmp_path / "a.safetensors")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("read", [read_checkpoint, read_facts])
def test_what_is_no_file(tmp_path, read):
    with pytest.raises(FileError, match=r"a\.safetensors \(no such file\)"):
        read(tmp_path / "a.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("folder", "pipe"):
        with pytest.raises(FileError, match=rf"{name}\.safetensors \(which is no file\)"):
            read(tmp_path / f"{name}.safetensors")


def test_the_hint_names_the_others(tmp_path):
    for name in ("step-1", "step-2"):
        write_checkpoint(tmp_path / f"{name}.safetensors", ARRAYS, FACTS)
    (tmp_path / "step-2.safetensors").write_bytes(b"")
    with pytest.raises(DamagedError) as caught:
        read_checkpoint(tmp_path / "step-2.safetensors")
    assert caught.value.hint == "others there: step-1.safetensors"
