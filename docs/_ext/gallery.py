"""A page for every optimizer, made from its docstring, its options and its paths.

The pages are written before the build, below ``optimizers/``, and never by hand.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from pathlib import Path

from sphinx.application import Sphinx

from thalweg import optim
from thalweg.cli.optimizers import draw
from thalweg.plots.theme import PAPER
from thalweg.study.paths import descend_terrain

FOLDER = "optimizers"
TERRAINS = ("rosenbrock", "quadratic")
BESIDE = "momentum"
"""What every optimizer is drawn beside."""


def write_gallery(app: Sphinx) -> None:
    """Write the pages and the one that lists them."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    around = optim.wrappers()
    alone = [name for name in optim.rules() if name not in around]
    for name in optim.rules():
        write(folder / f"{name}.md", _page(name))
    parts = [
        "# Optimizers: every way down\n\nOne page each, made from the code: what it does, what can"
        " be set, and two walks. `thalweg optimizers` lists them, `thalweg paths` draws others.\n",
        _list("Rules", alone),
        _list("Around a rule: `--wrap NAME`, and `--lookahead`", around),
    ]
    write(folder / "index.md", "\n".join(parts))


def _page(name: str) -> str:
    rule = optim.rules()[name]
    text = inspect.cleandoc(rule.__doc__ or "")
    rows = [
        f"| `{each.name}` | {default(each.default)} | {each.range or ''} | {each.help} |"
        for each in optim.hyperparameters(name)
        if each.name != "inner"
    ]
    table = ["| option | default | range | what it is |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([
        f"# {name}\n",
        "```{eval-rst}",
        text,
        "```\n",
        f"*{rule.paper}*\n",
        *(table if rows else []),
        "",
        '```{raw} html\n<script src="../_static/plotly.min.js"></script>\n```',
        *(_figure(on, name) for on in TERRAINS),
    ])  # fmt: skip


def _figure(on: str, name: str) -> str:
    names = [name] if name == BESIDE else [BESIDE, name]
    figure = draw(on, descend_terrain(on, names, steps=150))
    figure.update_layout(width=None, autosize=True, paper_bgcolor=PAPER)
    html = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"{name}-{on}", config={"responsive": True}
    )
    return f"\n```{{raw}} html\n{html}\n```\n"


def _list(title: str, names: list[str]) -> str:
    return f"\n## {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"


def default(value: object) -> str:
    """Return an option's default as a cell shows it."""
    return "" if value is MISSING else f"`{value}`"


def write(file: Path, text: str) -> None:
    """Write a page if it changed, so that an unchanged one is not built again."""
    if not file.exists() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")


def add_plotly(app: Sphinx) -> None:
    """Put Plotly's script beside the pages: nothing is fetched from elsewhere."""
    from plotly.offline import get_plotlyjs

    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    (static / "plotly.min.js").write_text(get_plotlyjs(), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx when to write what."""
    app.connect("builder-inited", write_gallery)
    app.connect("builder-inited", add_plotly)
    return {"parallel_read_safe": True}
