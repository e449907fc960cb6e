"""Tables that are made from the code, so that nothing is written twice.

``{settings} optimizer`` lists the keys of one section of the specification, and without a name
those outside sections. ``{names} optimizer`` lists what a registry knows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from thalweg import data, nn, optim, recipes, spec

Rows = Iterable[tuple[str, ...]]


class Table(SphinxDirective):
    """A table that is written as text, and read by the page's own parser."""

    def table(self, head: tuple[str, ...], rows: Rows) -> list[nodes.Node]:
        """Lay out the rows below their head."""
        lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
        return self.parse_text_to_nodes(StringList(lines, source=type(self).__name__))


class Settings(Table):
    """The keys of a section: values, default, meaning."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Read them off the section's class."""
        name = self.arguments[0] if self.arguments else ""
        kind: type[BaseModel] = getattr(spec, f"{name.capitalize()}Spec")
        schemas = kind.model_json_schema()["properties"]
        rows = [
            (f"`{key}`", _values(schemas[key]), _default(field.default), field.description)
            for key, field in kind.model_fields.items()
            if field.description
        ]
        return self.table(("key", "values", "default", "meaning"), rows)


class Names(Table):
    """The names that a registry knows, and what each means."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Read them off the registry."""
        third, rows = REGISTRIES[self.arguments[0]]
        return self.table(("name", "what it is", third), rows())


def _data() -> Rows:
    for entry in data.NAMED_SETS.values():
        yield f"`{entry.name}`", entry.description, f"{entry.samples:,}"


def _models() -> Rows:
    for name, model in nn.MODELS.items():
        yield f"`{name}`", model.summary, f"`{model.init}`"


def _inits() -> Rows:
    for name, scheme in nn.INITS.items():
        call = f"{name}({scheme.argument})" if scheme.argument else name
        yield f"`{call}`", scheme.summary, _default(scheme.default)


def _losses() -> Rows:
    for name, loss in nn.LOSSES.items():
        yield f"`{name}`", _first_line(loss), loss.task


def _rules() -> Rows:
    for name, rule in optim.rules().items():
        yield f"`{name}`", _first_line(rule), _options(optim.hyperparameters(name))


def _schedules() -> Rows:
    for name, shape in optim.schedules().items():
        yield f"`{name}`", _first_line(shape), _options(optim.schedule_options(name))


def _recipes() -> Rows:
    for name, summary in recipes.recipes().items():
        yield f"`{name}`", summary, f"`{recipes.load_recipe(name).model.name}`"


def _sweeps() -> Rows:
    for name, summary in recipes.sweep_recipes().items():
        found = recipes.load_sweep_recipe(name)
        settings = found.over if isinstance(found.over, list) else [found.over]
        keys = dict.fromkeys(key for setting in settings for key in setting if key != "name")
        yield f"`{name}`", summary, ", ".join(f"`{key}`" for key in keys)


REGISTRIES: dict[str, tuple[str, Callable[[], Rows]]] = {
    "data": ("samples", _data),
    "model": ("its default init", _models),
    "init": ("default", _inits),
    "loss": ("for", _losses),
    "optimizer": ("options and defaults", _rules),
    "recipe": ("model", _recipes),
    "schedule": ("options and defaults", _schedules),
    "sweep": ("varies", _sweeps),
}


def _first_line(thing: type) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _options(options: list[optim.Option]) -> str:
    return ", ".join(
        f"`{option.name}`" if option.default is MISSING else f"`{option.name}={option.default}`"
        for option in options
    )


def _values(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = [_values(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return ", or ".join(kinds)
    if "$ref" in schema:
        return "a table"
    choices = [schema["const"]] if "const" in schema else schema.get("enum", [])
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if schema["type"] != "array":
        return str(schema["type"])
    items = schema.get("items") or schema["prefixItems"][0]
    return f"list of {_values(items)}"


def _default(value: Any) -> str:
    if value is None:
        return ""
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives known."""
    app.add_directive("settings", Settings)
    app.add_directive("names", Names)
    return {"parallel_read_safe": True}
