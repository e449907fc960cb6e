"""The page of the schedules, made from their docstrings, their options and their courses.

It is written before the build, as ``schedules.md``, and never by hand.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from gallery import default, write
from sphinx.application import Sphinx

from thalweg import optim
from thalweg.cli.courses import EPOCHS, MADE_UP, build, draw, follow
from thalweg.plots.theme import PAPER

BESIDE: dict[str, list[dict[str, Any]]] = {
    "cosine-restarts": [{"period": 8, "stretch": 2}],
    "cyclic": [{"shrink": 0.5}, {"gamma": 0.97}],
    "polynomial": [{"power": 1.0}, {"power": 0.5}],
    "warm-up": [{"first": 0.0, "length": 30}],
}
"""Options of further curves in a schedule's picture."""

HEAD = f"""# Schedules: how a hyperparameter changes

A schedule multiplies the value of one hyperparameter, `lr` unless `target` names another, by a
factor that depends on the epoch or the step. Each is made from the code: what it does, what can be
set, and the factor over a run of {EPOCHS} epochs. `thalweg schedules` lists them,
`thalweg schedule NAME` draws one over any run.
"""

SCRIPT = '```{raw} html\n<script src="_static/plotly.min.js"></script>\n```\n'


def write_page(app: Sphinx) -> None:
    """Write the page."""
    parts = [HEAD, SCRIPT, *map(_section, optim.schedules())]
    write(Path(app.srcdir) / "schedules.md", "\n".join(parts))


def _section(name: str) -> str:
    rows = [
        f"| `{each.name}` | {default(each.default)} | {each.range or ''} | {each.help} |"
        for each in optim.schedule_options(name)
    ]
    table = ["| option | default | range | what it is |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([
        f"## {name}\n",
        "```{eval-rst}",
        inspect.cleandoc(optim.schedules()[name].__doc__ or ""),
        "```\n",
        *(table if rows else []),
        "",
        _figure(name),
    ])  # fmt: skip


def _figure(name: str) -> str:
    names, values = [], []
    for given in ({}, *BESIDE.get(name, [])):
        schedule, options = build(name, given, per="epoch", total=EPOCHS)
        course = follow(schedule)
        names.append(", ".join(f"{key}={value}" for key, value in options.items()) or name)
        values.append(course.factors)
    figure = draw(names, values, schedule, what="factor", metric=course.metric)
    figure.update_layout(
        width=None, height=330, autosize=True, paper_bgcolor=PAPER, title_text=None, margin_t=32
    )
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"course-{name}",
        config={"responsive": True},
    )
    note = "" if course.metric is None else f"\n{MADE_UP}\n"
    return f"```{{raw}} html\n{html}\n```\n{note}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx when to write the page."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True}
