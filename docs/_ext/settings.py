"""The directive ``settings``: a section of the specification as a table, made from its fields."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from thalweg import spec


class SettingsTable(SphinxDirective):
    """``{settings} optimizer`` lists one section's keys; without a name, those outside sections."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the table as text, and let the page's own parser read it."""
        name = self.arguments[0] if self.arguments else ""
        kind: type[BaseModel] = getattr(spec, f"{name.capitalize()}Spec")
        schemas = kind.model_json_schema()["properties"]
        lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
        for key, field in kind.model_fields.items():
            if field.description:
                cells = [f"`{key}`", _values(schemas[key]), _default(field.default)]
                lines.append(f"| {' | '.join([*cells, field.description])} |")
        return self.parse_text_to_nodes(StringList(lines, source=kind.__name__))


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
    """Make the directive known."""
    app.add_directive("settings", SettingsTable)
    return {"parallel_read_safe": True}
