from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path

from pydantic import BaseModel
from sphinx.application import Sphinx

_here = Path(__file__).parent
sys.path.insert(0, str(_here / "_ext"))

project = "thalweg"
author = "The thalweg authors"
copyright = "2026, The thalweg authors"
release = tomllib.loads((_here.parent / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "tables", "gallery", "courses"]
extensions += ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "thalweg"


def _signature_of_models(
    app: Sphinx, what: str, name: str, obj: object, *_: object
) -> tuple[str, None] | None:
    """Leave out the arguments of the specification's classes: a table of its own lists them."""
    return ("", None) if inspect.isclass(obj) and issubclass(obj, BaseModel) else None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", _signature_of_models)
