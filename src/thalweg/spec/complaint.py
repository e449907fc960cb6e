"""What pydantic complains about, in the family's words."""

from __future__ import annotations

from pydantic import ValidationError

from thalweg.errors import SpecError, nearest
from thalweg.spec.section import OpenSection, Section
from thalweg.spec.sections import SECTIONS, SHORT_KEYS, LookaheadSpec

_TABLES: dict[str, type[Section]] = {**SECTIONS, "lookahead": LookaheadSpec}

_EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "an integer",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "missing": "a longer list",
    "model_type": "a table of settings",
    "string_type": "text",
    "too_long": "a shorter list",
    "tuple_type": "a list",
}
"""What each of pydantic's complaints means, in the family's words."""


def restate(root: type[Section], error: ValidationError) -> SpecError:
    """Say the first of pydantic's complaints in the family's words."""
    complaints = error.errors()
    first, path, kind = complaints[0], list[str](), root
    for part in map(str, first["loc"]):  # the rest of it tells members of unions apart
        if part not in kind.model_fields and not issubclass(kind, OpenSection):
            break
        path.append(part)
        kind = _TABLES.get(part, Section)
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][-1])
        hint = nearest(unknown, kind.model_fields)
        if unknown in SHORT_KEYS and not path:
            hint = f"it belongs to {SHORT_KEYS[unknown]}"
        return SpecError(f"the unknown key {'.'.join([*path, unknown])!r}", "a setting", hint)
    if not path:
        got, _, expected = first["msg"].removeprefix("Value error, ").partition(": ")
        return SpecError(got, expected)
    alternatives = dict.fromkeys(
        _EXPECTED[each["type"]].format(**each.get("ctx", {}))
        if each["type"] in _EXPECTED
        else each["msg"].removeprefix("Value error, ")
        for each in complaints
        if each["loc"][: len(path)] == first["loc"][: len(path)]
    )
    return SpecError(f"{'.'.join(path)}={first['input']!r}", " or ".join(alternatives))
