from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from thalweg.errors import FileError, SpecError, ThalwegError
from thalweg.plots import save
from thalweg.plots.theme import PAPER


@pytest.fixture
def figure() -> go.Figure:
    return go.Figure(go.Scatter(y=[1, 2, 3]))


def test_a_page_needs_nothing_else_and_is_always_the_same(
    figure: go.Figure, tmp_path: Path
) -> None:
    save(figure, tmp_path / "a.html")
    save(figure, tmp_path / "b.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page == (tmp_path / "b.html").read_text("utf-8")
    assert "<script src=" not in page
    assert 'id="figure"' in page
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a.html", "b.html"]


def test_a_png_is_on_white_and_the_figure_is_left_alone(
    figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: go.Figure, file: Path, scale: int) -> None:
        assert (self.layout.paper_bgcolor, scale, Path(file).suffix) == (PAPER, 2, ".png")
        Path(file).write_bytes(b"png")

    monkeypatch.setattr("plotly.graph_objects.Figure.write_image", write)
    save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"png"
    assert figure.layout.paper_bgcolor is None


@pytest.mark.parametrize("error", [ImportError, RuntimeError, ValueError])
def test_without_kaleido_the_old_picture_stays(
    figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def write(*_: Any, **__: Any) -> None:
        raise error("\nImage export needs kaleido\nand more lines")

    monkeypatch.setattr("plotly.graph_objects.Figure.write_image", write)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(ThalwegError, match=r"a.png \(Image export needs kaleido\)") as caught:
        save(figure, tmp_path / "a.png")
    assert caught.value.hint.startswith("pip install 'thalweg[png]'")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_other_names_are_none_of_a_picture(figure: go.Figure, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"ends in \.html or \.png"):
        save(figure, tmp_path / "a.jpeg")


def test_a_folder_that_is_not_there(figure: go.Figure, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        save(figure, tmp_path / "none" / "a.html")
