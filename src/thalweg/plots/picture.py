"""A figure as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from thalweg.errors import SpecError, ThalwegError
from thalweg.files import write_atomically
from thalweg.plots.theme import PAPER


def save(figure: Any, file: Path) -> None:
    """Write a figure to a file: all of it, or nothing.

    Args:
        figure: A Plotly figure.
        file: Where to; a page that needs no network (``.html``), or a picture on white (``.png``),
            two dots a pixel.

    Raises:
        SpecError: The name ends in something else.
        FileError: The file cannot be written; an older one is as it was.
        ThalwegError: A ``.png`` needs kaleido and a Chrome, and one is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save(go.Figure(), Path(folder, "empty.html"))
        ...     Path(folder, "empty.html").stat().st_size > 1_000_000
        True
    """
    if file.suffix == ".html":
        page = figure.to_html(
            include_plotlyjs=True, div_id="figure", config={"displaylogo": False}, auto_play=False
        )
        write_atomically(file, page)
    elif file.suffix == ".png":
        opaque = go.Figure(figure).update_layout(paper_bgcolor=PAPER)
        write_atomically(file, lambda to: _write_png(opaque, to, file))
    else:
        raise SpecError(f"the picture {file}", "a name that ends in .html or .png")


def _write_png(figure: Any, to: Path, file: Path) -> None:
    try:
        figure.write_image(to, scale=2)
    except (ImportError, RuntimeError, ValueError) as error:  # no kaleido, or no Chrome for it
        reason = str(error).strip().partition("\n")[0]
        hint = "pip install 'thalweg[png]', or write an .html file"
        raise ThalwegError(f"{file} ({reason})", "kaleido and a Chrome", hint) from None
