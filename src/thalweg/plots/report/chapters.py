"""A page of chapters: words, figures and tables, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.plots.report.frame import Figure, bare, render
from thalweg.plots.report.tables import Cell, Table


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Args:
        caption: What it holds.
        head: Titles of the columns.
        rows: Their cells, the first of which is a row's name.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chapter:
    """A part of the page.

    Args:
        title: What it is about.
        words: Sentences, a paragraph each.
        figures: Plotly figures with their titles; a figure's ``layout.meta["caption"]``, if it has
            one, is said below it.
        tables: What stands below.
        height: Of the figures, in CSS.
    """

    title: str
    words: Sequence[str] = ()
    figures: Sequence[tuple[str, Any]] = ()
    tables: Sequence[Sheet] = ()
    height: str = "36rem"


def chapters_page(
    title: str,
    state: str,
    facts: Sequence[tuple[str, str]],
    chapters: Sequence[Chapter],
    commands: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a page that needs nothing but itself.

    Args:
        title: Its title.
        state: How what it tells of stands, in a sentence.
        facts: Names and figures at the top.
        chapters: Its parts; those with nothing in them are left out.
        commands: What can be done again or further, each with its command.

    Returns:
        HTML.

    Example:
        >>> page = chapters_page("a", "Whole.", [("nodes", "9")], [Chapter("What", ["It <b>."])])
        >>> "<h2>What</h2>" in page, "It &lt;b&gt;." in page
        (True, True)
    """
    drawn, number = [], 0
    for chapter in chapters:
        if not (chapter.words or chapter.figures or chapter.tables):
            continue
        figures = []
        for name, figure in chapter.figures:
            figures.append(_figure(f"figure-{number}", name, figure, chapter.height))
            number += 1
        tables = [(_table(sheet), sheet.caption) for sheet in chapter.tables]
        drawn.append((chapter, figures, tables))
    return render(
        "chapters", title=title, state=state, facts=facts, chapters=drawn, commands=commands
    )


def _figure(name: str, title: str, figure: Any, height: str) -> Figure:
    """Return a figure as the page has it: title and caption are beside it, not in it."""
    meta = figure.layout.meta
    caption = meta.get("caption", "") if isinstance(meta, dict) else ""
    if figure.layout.title.text:
        figure.update_layout(title_text="", margin_t=24)
    return Figure(name, title, caption, bare(figure), height)


def _table(sheet: Sheet) -> Table:
    rows = tuple((first, tuple(Cell(text) for text in rest)) for first, *rest in sheet.rows)
    return Table(sheet.head, rows)
