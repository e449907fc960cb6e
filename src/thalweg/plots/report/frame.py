"""What every report shares: figures as JSON, the scripts that its policy lets run, the frame."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import plotly.io
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from thalweg.plots import theme
from thalweg.plots.report.words import listed


@dataclass(frozen=True)
class Figure:
    """A figure on the page.

    Args:
        id: Its id.
        title: What it shows.
        caption: What to know about it.
        json: What Plotly draws.
        height: Its height, in CSS.
        width: Its least width, in CSS.
    """

    id: str
    title: str
    caption: str
    json: Markup
    height: str = "360px"
    width: str = "0"


def forest_width(names: Sequence[str], panels: int = 1) -> str:
    """Return the least width of a forest, in CSS: 0 if it fits a phone, else that of its names.

    Example:
        >>> forest_width(["adam", "momentum-decay"]), forest_width([30 * "a"], panels=2)
        ('0', '470px')
    """
    longest = min(30, max(map(len, names), default=0))
    return "0" if longest <= 16 else f"{8 * longest + 30 + 100 * panels}px"


def bare(figure: Any) -> Markup:
    """Return a figure as JSON, of the size that the page gives it."""
    figure.update_layout(width=None, height=None)
    return embed(json.loads(plotly.io.to_json(figure, validate=False, engine="json")))


def embed(value: Any) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def render(template: str, **names: Any) -> str:
    """Return a page.

    Args:
        template: Its file, without ``.html.jinja``.
        **names: What it needs beside what all pages need.
    """
    script, plotly_js = Markup(_text("page.js")), Markup(get_plotlyjs())
    return (
        _templates()
        .get_template(template)
        .render(
            theme=theme,
            dark=theme.DARK,
            style=Markup(_text("page.css")),
            scripts=[plotly_js, script],
            hashes=[_hash(plotly_js), _hash(script)],
            listed=listed,
            embed=embed,
            **names,
        )
    )


def _hash(script: str) -> str:
    """Return what the page's policy lets run: this script, and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: _text(f"{name}.html.jinja")),
    )
