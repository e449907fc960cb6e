from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from thalweg import data
from thalweg.cli import main


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == list(data.known())
    assert "1,797" in rows[2]
    assert "1×8×8" in rows[2]
    assert rows[2].rstrip().endswith("yes")


def test_list_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    digits = next(row for row in rows if row["name"] == "digits")
    assert digits["input_shape"] == [1, 8, 8]
    assert digits["here"] == "yes"


@pytest.mark.mnist
def test_list_says_where_files_are(
    mnist_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THALWEG_DATA", str(mnist_folder))
    assert main(["data", "list", "--json"]) == 0
    mnist = json.loads(capsys.readouterr().out.splitlines()[0])
    assert mnist["here"] == str(mnist_folder / "MNIST" / "raw")


def test_list_says_that_files_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["here"] == "no"


@pytest.mark.mnist
def test_fetch_says_where_the_files_are(
    mnist_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "fetch", "mnist", "--folder", str(mnist_folder)]
    raw = mnist_folder / "MNIST" / "raw"
    assert main(words) == 0
    assert capsys.readouterr().out == f"mnist is in {raw}\n"
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "mnist", "folder": str(raw)}


def test_fetch_of_what_has_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "digits"]) == 2
    assert "digits, which needs no download" in capsys.readouterr().err


def test_fetch_without_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*_: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("thalweg.data.remote._copy", no_network)
    assert main(["data", "fetch", "mnist", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "DownloadError"


def test_show_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "digits", "--samples", "9"]) == 0
    out = capsys.readouterr().out
    assert "digits: 1×8×8, 10 classes" in out
    assert "normalised: (x − 0.3053) / 0.3760\n" in out
    train = next(line.split() for line in out.splitlines() if line.startswith("train"))
    assert train[1] == "1,438"
    assert ["0", "142", "36"] in map(str.split, out.splitlines())
    assert out.endswith("picture: digits.html\n")
    page = Path("digits.html").read_text("utf-8")
    assert 'src="http' not in page  # it needs no network
    assert "digits" in page


def test_show_takes_the_settings_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "show", "digits", "--label-noise", "1", "--val", "100", "--normalize", "none"]
    assert main([*words, "--json", "--out", "grid.html"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["splits"]["val"]["samples"] == 100
    assert facts["splits"]["train"]["corrupted"] > 1000
    assert facts["mean"] == [0.0]
    assert facts["picture"] == "grid.html"
    assert Path("grid.html").is_file()


def test_show_of_points_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "reg-plane"]) == 0
    out = capsys.readouterr().out
    assert "reg-plane: 2, regression" in out
    assert "least target" in out
    assert Path("reg-plane.html").is_file()


def test_what_cannot_be_drawn_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "show", "regression-100"]
    assert main([*words, "--normalize", "computed"]) == 0
    out = capsys.readouterr().out
    assert "and 99 more" in out
    assert "picture: none" in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["picture"] is None
    assert main([*words, "--out", "x.html"]) == 1
    assert "expected images" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (["--out", "x.pdf"], "the picture x.pdf"),
        (["--samples", "0"], "--samples 0"),
        (["--samples", "many"], "--samples many"),
        (["--epochs", "3"], "the unknown option --epochs"),
        (["--label-noise", "2"], "data.label_noise=2.0"),
    ],
)
def test_show_refuses(words: list[str], got: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "xor", *words]) == 2
    assert f"got {got}" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "xor", "--out", "no/x.html"]) == 1
    assert "got no/x.html (No such file or directory)" in capsys.readouterr().err


def test_a_png_needs_kaleido(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    monkeypatch.setattr("plotly.graph_objects.Figure.write_image", _without_kaleido)
    assert main(["data", "show", "xor", "--out", "x.png"]) == 1
    err = capsys.readouterr().err
    assert "got x.png (Image export needs kaleido)" in err
    assert "pip install 'thalweg[png]'" in err
    assert err.count("\n") == 1


def _without_kaleido(*_: object, **__: object) -> None:
    raise ValueError("\nImage export needs kaleido\nand more lines")


def test_a_png_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(figure: object, file: Path, scale: int) -> None:
        file.write_bytes(b"png")

    monkeypatch.setattr("plotly.graph_objects.Figure.write_image", write)
    assert main(["data", "show", "xor", "--out", "x.png"]) == 0
    assert Path("x.png").read_bytes() == b"png"
