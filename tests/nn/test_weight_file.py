from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thalweg.errors import FileError
from thalweg.nn.weight_file import read_tensors, write_tensors

TENSORS = {"a": torch.arange(600.0), "b": torch.ones(2, 3)}
ZIP, SAFE = ".pt", ".safetensors"


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def evil(file: Path, form: str) -> Path:
    """Write a pickle that makes a folder when it is loaded; return that folder."""
    target = file.parent / "pwned"
    if form == "pickle":
        file.write_bytes(pickle.dumps({"weight": Evil(target)}, protocol=2))
    elif form == "new pickle":
        file.write_bytes(pickle.dumps(Evil(target)))
    elif form == "zip":
        torch.save({"state_dict": {"weight": torch.ones(2)}, "extra": Evil(target)}, file)
    else:
        torch.save({"weight": Evil(target)}, file, _use_new_zipfile_serialization=False)
    return target


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_code_is_refused_and_not_executed(form: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"evil{suffix}"
    target = evil(file, form)
    with pytest.raises(FileError, match=r"asks for \w+.mkdir.* it was not executed") as caught:
        read_tensors(file)
    assert str(file) in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("suffix", "message"), [(ZIP, "none of torch's.* it was not executed"), (SAFE, "damaged")]
)
def test_any_other_pickle_is_refused_and_not_executed(
    suffix: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / f"evil{suffix}"
    target = evil(file, "new pickle")
    with pytest.raises(FileError, match=message):
        read_tensors(file)
    assert not target.exists()


def test_not_even_the_environment_lets_code_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    target = evil(tmp_path / "evil.pt", "zip")
    with pytest.raises(FileError, match="it was not executed"):
        read_tensors(tmp_path / "evil.pt")
    assert not target.exists()


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(FileError, match=r"asks for torch\.nn.*save model\.state_dict\(\) instead"):
        read_tensors(tmp_path / "model.pt")


def test_a_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "program.pt")
    with pytest.raises(FileError, match="a TorchScript program"):
        read_tensors(tmp_path / "program.pt")


@pytest.mark.parametrize("suffix", [ZIP, SAFE])
@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"hello world", b"\x80\x04\x95", bytes(7), bytes(8), bytes(100), b"\xff" * 100],
)
def test_what_is_no_file_of_weights(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    with pytest.raises(FileError, match=f"{file}, (which is damaged|a pickle that is none)"):
        read_tensors(file)


@pytest.mark.parametrize("size", [2**60, 2**40, 101 * 2**20, 500])
def test_a_header_that_claims_to_be_huge(size: int, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(size.to_bytes(8, "little") + b'{"a":{}}')
    with pytest.raises(FileError, match="damaged"):
        read_tensors(file)


def test_a_tensor_that_claims_to_be_huge(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FileError, match="damaged"):
        read_tensors(file)


@pytest.mark.parametrize("suffix", [ZIP, SAFE])
def test_every_truncation_is_noticed(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    write_tensors(file, TENSORS)
    content = file.read_bytes()
    for size in [*range(0, len(content), 97), len(content) - 1]:
        file.write_bytes(content[:size])
        with pytest.raises(FileError, match=str(file)):
            read_tensors(file)


@pytest.mark.parametrize("suffix", [ZIP, SAFE])
def test_a_flipped_bit_never_changes_a_value(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    write_tensors(file, TENSORS)
    content = file.read_bytes()
    noticed = 0
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        try:
            found = read_tensors(file)
        except FileError:
            noticed += 1
        else:  # in the padding
            assert found.keys() == TENSORS.keys()
            assert all(torch.equal(found[name], TENSORS[name]) for name in found)
    assert noticed > 0.8 * len(range(0, len(content), 7))


def test_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors", {"format": "pt"})
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")["b"], TENSORS["b"])


@pytest.mark.parametrize("suffix", [ZIP, SAFE])
def test_folders_and_missing_files(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="which does not exist"):
        read_tensors(tmp_path / f"gone{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(FileError, match="a folder; expected"):
        read_tensors(tmp_path / f"folder{suffix}")


@pytest.mark.parametrize("content", [{"epoch": 3}, {"model": 5}, {3: torch.ones(2)}, [1, 2], 7])
def test_checkpoints_without_weights(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(FileError, match="a state_dict, or a checkpoint with one under"):
        read_tensors(tmp_path / "a.pt")


def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.safetensors"
    write_tensors(file, TENSORS)
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(FileError, match="No space left"):
        write_tensors(file, {"a": torch.zeros(3)})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
